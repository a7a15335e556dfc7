//! Rows on their way from the file to the model: chosen, reordered, converted, in bounded memory.

use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use baimo_kernels::format::{self, Format};

use crate::mixture::fitting;
use crate::rows::Rows;
use crate::tensor::{BlockScales, SCALE_BLOCK, Tensor};

/// Bytes that a chunk of rows may take while it is converted.
const CHUNK_BYTES: usize = 1 << 20;

/// What the user wants weights to be in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// What the checkpoint has.
    Native,
    /// Binary32, for comparing with references.
    F32,
    /// The upper half of binary32.
    Bf16,
    /// 8.5 bits per weight.
    Q8_0,
    /// 4.5 bits, plain.
    Q4_0,
    /// 4.5 bits, with searched scales and minimums.
    Q4K,
    /// 6.56 bits.
    Q6K,
}

impl Target {
    /// Every target with the name users give.
    pub const ALL: [(&'static str, Target); 7] = [
        ("native", Target::Native),
        ("f32", Target::F32),
        ("bf16", Target::Bf16),
        ("q8_0", Target::Q8_0),
        ("q4_0", Target::Q4_0),
        ("q4_k", Target::Q4K),
        ("q6_k", Target::Q6K),
    ];

    /// The name users give.
    pub fn name(self) -> &'static str {
        let found = Target::ALL.iter().find(|(_, target)| *target == self);
        found.expect("every target is listed").0
    }

    /// Bits that a weight of a linear map takes, its share of scales included; `None` where the
    /// checkpoint decides.
    pub fn bits_per_weight(self) -> Option<f64> {
        /// A row length that every format can hold.
        const COLUMNS: usize = 256;
        let format = target_format(self, Format::F32, COLUMNS, Role::Linear);
        (self != Target::Native).then(|| format.bits_per_weight())
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        let found = Target::ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        found.map(|(_, target)| *target).ok_or_else(|| {
            let names = Target::ALL.map(|(name, _)| name).join(", ");
            format!("found weights `{}`, wanted one of {names}", text.escape_debug())
        })
    }
}

/// What a tensor is for, as far as its precision goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A linear map inside a layer.
    Linear,
    /// The table of token embeddings, where the output has weights of its own.
    Embedding,
    /// The map to logits (and the embedding table, where the two are one): its errors reach the
    /// logits unaveraged.
    Output,
    /// A router, or another map to one number for each head or expert: small, and its errors choose
    /// wrongly or add up in a state.
    Router,
    /// Norms and biases.
    Vector,
}

/// The format for a tensor of `columns` columns that is `source` in the checkpoint.
///
/// As llama.cpp's quantizer: what `target` cannot hold for its row length goes to the next
/// wider format that can, and the output map gets at least six bits. Weights that are quantized
/// already stay as they are unless a whole bit per weight can be saved: rounding twice for less
/// loses more than it gains.
pub fn target_format(target: Target, source: Format, columns: usize, role: Role) -> Format {
    let wanted = match (target, role) {
        (_, Role::Vector | Role::Router) => return Format::F32,
        (Target::Native, _) => return source,
        (Target::F32, _) => return Format::F32,
        (Target::Bf16, _) => return Format::Bf16,
        (Target::Q8_0, _) => Format::Q8_0,
        (Target::Q4_0 | Target::Q4K, Role::Output) | (Target::Q6K, _) => Format::Q6K,
        (Target::Q4_0, _) => Format::Q4_0,
        (Target::Q4K, _) => Format::Q4K,
    };
    let fitting = fitting(wanted, columns);
    let saved = source.bits_per_weight() - fitting.bits_per_weight();
    if source.is_quantized() && saved < 1.0 { source } else { fitting }
}

/// Rows of one tensor, in the order, the scale and the format wanted.
#[derive(Clone, Debug)]
pub struct RowSource<'a> {
    tensor: Tensor<'a>,
    rows: Rows,
    format: Format,
    scaling: Scaling,
    /// What the square errors of each column weigh, where rows are quantized.
    importance: Option<Arc<[f32]>>,
}

/// What the numbers of a row are multiplied by on their way.
#[derive(Clone, Debug)]
enum Scaling {
    /// Nothing.
    None,
    /// One over the row's length.
    UnitRow,
    /// A factor for each column.
    Columns(Arc<[f32]>),
}

/// A length below this counts as this much.
const LENGTH_MIN: f64 = 1e-12;

impl<'a> RowSource<'a> {
    /// All rows as they are stored.
    ///
    /// # Panics
    /// If the tensor is a table of integers.
    pub fn new(tensor: Tensor<'a>) -> RowSource<'a> {
        let rows = Rows::all(tensor.rows());
        let format = tensor.format().expect("rows of weights");
        let scaling = Scaling::None;
        RowSource { tensor, rows, format, scaling, importance: None }.with_natural_format()
    }

    /// Of these rows, `part`. Chooses before [`RowSource::into_format`].
    pub fn range(self, part: Range<usize>) -> RowSource<'a> {
        let rows = self.rows.range(part);
        RowSource { rows, ..self }.with_natural_format()
    }

    /// Of these rows in heads of `head_rows`, `part` of each head.
    pub fn per_head(self, head_rows: usize, part: Range<usize>) -> RowSource<'a> {
        let rows = self.rows.per_head(head_rows, part);
        RowSource { rows, ..self }.with_natural_format()
    }

    /// Each row divided by its length (the root of the sum of its squares).
    pub fn unit_rows(self) -> RowSource<'a> {
        RowSource { scaling: Scaling::UnitRow, ..self }.with_natural_format()
    }

    /// Each column of these rows divided by its length. Reads every row once.
    pub fn unit_columns(self) -> RowSource<'a> {
        let mut squares = vec![0.0; self.columns()];
        let mut floats = vec![0.0; self.columns()];
        for row in 0..self.rows() {
            self.dequantize_row(row, &mut floats);
            for (square, &x) in squares.iter_mut().zip(&floats) {
                *square += f64::from(x) * f64::from(x);
            }
        }
        let factors = squares.iter().map(|square| (1.0 / square.sqrt().max(LENGTH_MIN)) as f32);
        let scaling = Scaling::Columns(factors.collect());
        RowSource { scaling, ..self }.with_natural_format()
    }

    /// The same rows in another format.
    ///
    /// # Panics
    /// If nothing converts to that format, or rows are no whole blocks of it.
    pub fn into_format(self, format: Format) -> RowSource<'a> {
        assert!(format == self.natural_format() || format.can_quantize(), "{}", format.name());
        assert!(format.row_bytes(self.columns()).is_some(), "{}", format.name());
        RowSource { format, ..self }
    }

    /// The same rows, of whose columns some matter more than others where they are quantized: see
    /// [`format::quantize_weighed`].
    ///
    /// # Panics
    /// If there is not a number for each column.
    pub fn weighed(self, importance: impl Into<Arc<[f32]>>) -> RowSource<'a> {
        let importance = importance.into();
        assert_eq!(importance.len(), self.columns(), "a number for each column");
        RowSource { importance: Some(importance), ..self }
    }

    /// In heads of `head_rows`, of which the two halves alternate: the first row of one, the first
    /// of the other, the second of one. So the numbers that a rotation turns become neighbours.
    /// Chooses before [`RowSource::into_format`].
    ///
    /// # Panics
    /// If rows are no whole heads, or heads have no halves.
    pub fn halves_in_turn(self, head_rows: usize) -> RowSource<'a> {
        let rows = self.rows.halves_in_turn(head_rows);
        RowSource { rows, ..self }.with_natural_format()
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Elements of a row.
    pub fn columns(&self) -> usize {
        self.tensor.columns()
    }

    /// The format the rows come in.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The tensor they come from.
    pub fn tensor(&self) -> &Tensor<'a> {
        &self.tensor
    }

    /// The stored format, or f32 for FP8 rows in an order that its block scales do not survive.
    fn natural_format(&self) -> Format {
        let stored = self.tensor.format().expect("rows of weights");
        match stored {
            Format::F8E4M3 if !self.keeps_scale_blocks() => Format::F32,
            Format::F32 | Format::F16 | Format::Bf16 => stored,
            _ if self.is_scaled() => Format::F32,
            _ => stored,
        }
    }

    fn is_scaled(&self) -> bool {
        match self.scaling {
            Scaling::None => false,
            Scaling::UnitRow | Scaling::Columns(_) => true,
        }
    }

    /// The row of that number in the order wanted, scaled.
    fn dequantize_row(&self, row: usize, out: &mut [f32]) {
        self.tensor.dequantize_row(self.rows.get(row), out);
        match &self.scaling {
            Scaling::None => {}
            Scaling::UnitRow => {
                let square: f64 = out.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
                let factor = (1.0 / square.sqrt().max(LENGTH_MIN)) as f32;
                out.iter_mut().for_each(|x| *x *= factor);
            }
            Scaling::Columns(factors) => {
                out.iter_mut().zip(factors.iter()).for_each(|(x, factor)| *x *= factor);
            }
        }
    }

    fn with_natural_format(self) -> RowSource<'a> {
        let format = self.natural_format();
        RowSource { format, ..self }
    }

    /// Whether each block of rows wanted lies within one block of rows stored.
    fn keeps_scale_blocks(&self) -> bool {
        let Some(scales) = &self.tensor.block_scales else { return true };
        let start = |row: usize| self.tensor.scales_of_row(scales, row).as_ptr();
        (0..self.rows()).step_by(scales.block[0]).all(|first| {
            let last = self.rows().min(first + scales.block[0]);
            let scales = start(self.rows.get(first));
            (first..last).all(|row| start(self.rows.get(row)) == scales)
        })
    }

    /// For rows in FP8: the scale of each block; ones where the checkpoint has none.
    pub fn block_scales(&self) -> Option<BlockScales> {
        if self.format != Format::F8E4M3 {
            return None;
        }
        let block = self.tensor.block_scales.as_ref().map_or(SCALE_BLOCK, |scales| scales.block);
        let across = self.columns().div_ceil(block[1]);
        let down = self.rows().div_ceil(block[0]);
        let values = match &self.tensor.block_scales {
            None => vec![1.0; down * across],
            Some(scales) => (0..self.rows())
                .step_by(block[0])
                .flat_map(|first| self.tensor.scales_of_row(scales, self.rows.get(first)))
                .copied()
                .collect(),
        };
        Some(BlockScales { block, shape: vec![down, across], values })
    }

    /// How many rows to read at once, so that the memory for them stays small.
    pub fn chunk_rows(&self) -> usize {
        let row_bytes = self.columns().saturating_mul(size_of::<f32>());
        (CHUNK_BYTES / row_bytes.max(1)).max(1)
    }

    /// Puts `rows` (counted in the order wanted) into `out`, which is cleared first. Several
    /// threads may read different rows of one source.
    pub fn read(&self, rows: Range<usize>, out: &mut Vec<u8>) {
        out.clear();
        if self.tensor.format() == Some(self.format) && !self.is_scaled() {
            for row in rows {
                out.extend_from_slice(self.tensor.row(self.rows.get(row)));
            }
            return;
        }
        if rows.is_empty() {
            return;
        }
        let row_bytes = self.format.row_bytes(self.columns()).expect("checked by into_format");
        let mut floats = vec![0.0; self.columns()];
        out.resize(rows.len() * row_bytes, 0);
        for (index, row) in rows.enumerate() {
            self.dequantize_row(row, &mut floats);
            let out = &mut out[index * row_bytes..][..row_bytes];
            format::quantize_weighed(self.format, &floats, self.importance.as_deref(), out);
        }
    }

    /// Calls `each` with the bytes of a few rows after the other, from first to last, and lets
    /// the file's pages leave memory behind them.
    pub fn for_each_chunk(&self, mut each: impl FnMut(&[u8])) {
        let mut bytes = Vec::new();
        for first in (0..self.rows()).step_by(self.chunk_rows()) {
            let rows = first..self.rows().min(first + self.chunk_rows());
            self.read(rows.clone(), &mut bytes);
            each(&bytes);
            self.release(rows);
        }
    }

    /// Lets the file's pages between the first and the last of `rows` (counted in the order wanted)
    /// leave memory. Reading them again brings them back.
    pub fn release(&self, rows: Range<usize>) {
        let stored = rows.map(|row| self.rows.get(row));
        let (Some(first), Some(last)) = (stored.clone().min(), stored.max()) else { return };
        let bytes = self.tensor.data.len() / self.tensor.rows();
        self.tensor.release_bytes(first * bytes..(last + 1) * bytes);
    }

    /// All rows as floats.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.rows() * self.columns()];
        if self.columns() > 0 {
            for (row, out) in values.chunks_exact_mut(self.columns()).enumerate() {
                self.dequantize_row(row, out);
            }
        }
        values
    }
}
