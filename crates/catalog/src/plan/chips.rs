//! Chips by their makers' sheets, for what-if questions: a roofline with assumed efficiencies.

use super::tape::{Attended, Operation, Product, Shape, Tape};
use baimo_kernels::attention::{IndexLayout, PAGE};
use serde::{Deserialize, Serialize};

/// A chip by its sheet. What is not known is absent.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Chip {
    /// What users call it.
    pub name: String,
    /// What it is.
    pub what: String,
    /// Its memory.
    pub memory_gigabytes: Option<Figure>,
    /// How fast its memory is read, at most.
    pub gigabytes_per_second: Option<Figure>,
    /// Operations on halves (f16 or bf16), at most, dense.
    pub half_teraflops: Option<Figure>,
    /// Operations on 8-bit integers, at most, dense.
    pub int8_teraops: Option<Figure>,
}

/// A figure, and who says so.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// In the unit of its name.
    pub value: f64,
    /// Where it was read.
    pub source: String,
    /// When it was written, or read where that is not known.
    pub date: String,
}

#[derive(Deserialize)]
struct Sheet {
    chip: Vec<Chip>,
}

/// The share of the sheet's bandwidth that reading weights is taken to reach.
pub const READING: f64 = 0.7;

/// The share of the sheet's operations that products are taken to reach.
pub const COMPUTING: f64 = 0.4;

impl Chip {
    /// All that are known, as compiled in.
    pub fn all() -> Vec<Chip> {
        let sheet: Sheet = toml::from_str(include_str!("chips.toml")).expect("the sheet is ours");
        sheet.chip
    }

    /// The one of that name, in any case.
    pub fn named(name: &str) -> Option<Chip> {
        Chip::all().into_iter().find(|chip| chip.name.eq_ignore_ascii_case(name))
    }

    /// Seconds of a pass: of each operation what takes longer, reading or computing. Nothing where
    /// bandwidth is not known, or where computing is what would take the time and is not known.
    pub fn seconds(&self, tape: &Tape, shape: &Shape) -> Option<f64> {
        let bytes = self.gigabytes_per_second.as_ref()?.value * 1e9 * READING;
        let peak = self.half_teraflops.as_ref().map(|peak| peak.value * 1e12 * COMPUTING);
        let mut seconds = 0.0;
        for operation in &tape.operations {
            let (read, computed) = amounts(operation, shape);
            let reading = read / bytes;
            seconds += match peak {
                Some(peak) => reading.max(computed / peak),
                None if shape.rows == 1 => reading,
                None => return None,
            };
        }
        Some(seconds)
    }

    /// Bytes of its memory.
    pub fn memory(&self) -> Option<usize> {
        self.memory_gigabytes.as_ref().map(|memory| (memory.value * 1e9) as usize)
    }
}

/// Bytes that an operation reads, and multiplications and additions that it does.
fn amounts(operation: &Operation, shape: &Shape) -> (f64, f64) {
    let rows = shape.total() as f64;
    match operation {
        Operation::Products(list) => {
            let of = |product: &Product| {
                let Product { matrices, met, height, gated } = *product;
                let weights = met * (matrices.rows * matrices.columns) as f64;
                let weights = if gated { 2.0 * weights } else { weights };
                (weights * matrices.format.bits_per_weight() / 8.0, 2.0 * weights * height)
            };
            list.iter().map(of).fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d))
        }
        Operation::Attention(attended) => attention(attended, shape),
        Operation::Choice { heads, dim, keys } => {
            let layout = IndexLayout { dim: *dim, element: shape.element };
            let read = keys.div_ceil(PAGE) * layout.bytes_per_page() * shape.sequences;
            (read as f64, 2.0 * rows * (keys * dim * heads) as f64)
        }
        Operation::BlockChoice { heads, kv_heads, dim, keys } => {
            let numbers = (keys * dim) as f64;
            let read = numbers * (kv_heads * shape.sequences * size_of::<f32>()) as f64;
            (read, 2.0 * rows * numbers * *heads as f64)
        }
        Operation::Recurrence { heads, k_dim, v_dim, .. } => {
            let numbers = (heads * k_dim * v_dim) as f64;
            (8.0 * numbers * shape.sequences as f64, 6.0 * numbers * rows)
        }
        Operation::Numbers(_, count) => (8.0 * *count as f64, *count as f64),
    }
}

fn attention(attended: &Attended, shape: &Shape) -> (f64, f64) {
    let Attended { layout, heads, window, chosen } = *attended;
    let reached = shape.position + shape.rows;
    let seen = [Some(reached), window, chosen].into_iter().flatten().min().unwrap_or(reached);
    let width = (layout.k_dim + layout.v_dim) as f64;
    let read = layout.bytes_per_page() as f64 / PAGE as f64 * seen as f64;
    let pairs = shape.total() as f64 * heads as f64 * seen as f64;
    (read * shape.sequences as f64, 2.0 * pairs * width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sheet_is_sound() {
        let chips = Chip::all();
        for chip in &chips {
            let same = chips.iter().filter(|other| other.name == chip.name).count();
            assert_eq!(same, 1, "{}", chip.name);
            let figures = [
                &chip.memory_gigabytes,
                &chip.gigabytes_per_second,
                &chip.half_teraflops,
                &chip.int8_teraops,
            ];
            for figure in figures.into_iter().flatten() {
                assert!(figure.value > 0.0 && figure.source.starts_with("http"), "{}", chip.name);
                let digits = figure.date.split('-').map(|part| part.parse::<u32>().is_ok());
                assert_eq!(digits.filter(|is_number| *is_number).count(), 3, "{}", figure.date);
            }
        }
        assert!(Chip::named("H20").is_some_and(|chip| chip.memory() == Some(96_000_000_000)));
        assert!(Chip::named("p800").is_some_and(|chip| chip.gigabytes_per_second.is_none()));
    }
}
