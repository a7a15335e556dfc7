//! What a machine gives: measured by [`super::probe`] and kept in a file, or from a maker's sheet.

use super::tape::Work;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A machine whose own speed was measured with the kernels that models run on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor, as the system calls it.
    pub name: String,
    /// When it was measured: `YYYY-MM-DD`.
    pub date: String,
    /// Threads that were measured.
    pub threads: usize,
    /// The instruction set.
    pub instructions: String,
    /// Of plain reading, what a byte costs where so many bytes are read again and again: the last
    /// are more than any cache keeps.
    pub read: Vec<Cost>,
    /// Seconds that a parallel region takes beside its work.
    pub region_seconds: f64,
    /// For each weight format by its name, what products cost of weights that are in cache, without
    /// their region.
    pub products: BTreeMap<String, Vec<Cost>>,
    /// The same of one row, by the bytes of weights that are read one after the other, again and
    /// again: the last come from memory. A byte of the other formats takes as long as one of q8_0.
    pub streamed: BTreeMap<String, Vec<Cost>>,
    /// Softmax attention.
    pub attention: Attention,
    /// Recurrences.
    pub recurrence: Recurrence,
    /// Work on numbers one by one.
    pub numbers: BTreeMap<Work, Numbers>,
    /// What operations of a pass take beside that.
    pub beside: Beside,
}

/// What operations take in a pass beside what they take again and again by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// Seconds of each operation of one row.
    pub one: f64,
    /// Of many rows, a share of what products and work on numbers take.
    pub many: f64,
}

/// What one of so many costs: a point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Rows that are computed together, or bytes that are read.
    pub rows: f64,
    /// Seconds for each weight, cached number or byte, for all these rows.
    pub seconds: f64,
}

/// What attention costs, on all threads together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attention {
    /// Seconds of a call for one row, beside those for what is cached.
    pub call: f64,
    /// For each cached number that few rows meet, by how it is stored.
    pub few: BTreeMap<String, Sourced>,
    /// For each pair of a row and a position, where rows are many.
    pub pair: f64,
    /// For each pair and each number of its key and value.
    pub pair_number: f64,
    /// For each cached number that many rows of a latent layer meet.
    pub latent: Sourced,
    /// For each cached number that the 16 rows of one token meet where they chose its position: in
    /// an answer every position is gathered from where the cache has it.
    pub chosen_number: Pace,
    /// For each position of which a row asks the score.
    pub asked: f64,
    /// For each number of a key of which a row's head asks the score, by how what is cached is
    /// stored.
    pub asked_number: BTreeMap<String, f64>,
    /// For each pooled key of which a row's head asks the score, to choose blocks.
    pub pooled: f64,
    /// For each number of such a key.
    pub pooled_number: f64,
}

/// What cached numbers cost by where they come from, by the rows that meet them together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sourced {
    /// From the last cache.
    pub cached: Vec<Cost>,
    /// From memory.
    pub memory: Vec<Cost>,
}

/// What recurrences cost for each number of a state and each row, on all threads together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recurrence {
    /// Of values, with a decay for each head.
    pub value: Pace,
    /// By the delta rule.
    pub delta: Pace,
    /// By the delta rule with a decay for each key channel.
    pub by_channel: Pace,
}

/// Seconds for one of many of the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// In an answer, a row at a time, with states in the last cache.
    pub one: f64,
    /// The same with states in memory.
    pub one_memory: f64,
    /// In a prompt.
    pub many: f64,
}

/// What work on numbers costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// Seconds however few there are.
    pub call: f64,
    /// Seconds for each of few numbers, which one thread works on.
    pub few: f64,
    /// Seconds for each of many, which all threads share.
    pub many: f64,
}

impl Sourced {
    /// For so many rows, where this share comes from memory.
    pub(super) fn at(&self, rows: f64, beyond: f64) -> f64 {
        between(at(&self.cached, rows), at(&self.memory, rows), beyond)
    }
}

/// What costs `cached` and, from memory, no less, where this share comes from memory.
pub(super) fn between(cached: f64, memory: f64, beyond: f64) -> f64 {
    cached + (memory - cached).max(0.0) * beyond
}

/// The value of a curve at so many rows: between its points along powers, beyond the last in
/// proportion to rows.
pub(super) fn at(curve: &[Cost], rows: f64) -> f64 {
    let (Some(first), Some(last)) = (curve.first(), curve.last()) else { return 0.0 };
    if rows <= first.rows {
        return first.seconds;
    }
    if rows >= last.rows {
        return last.seconds * rows / last.rows;
    }
    let above = curve.iter().position(|cost| cost.rows > rows).unwrap_or(curve.len() - 1);
    let (low, high) = (curve[above - 1], curve[above]);
    let share = (rows / low.rows).ln() / (high.rows / low.rows).ln();
    low.seconds * (high.seconds / low.seconds).powf(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_meets_its_points_and_goes_on_in_proportion() {
        let point = |rows, seconds| Cost { rows, seconds };
        let curve = [point(1.0, 1.0), point(4.0, 2.0), point(16.0, 8.0)];
        for (rows, wanted) in [(0.5, 1.0), (1.0, 1.0), (2.0, 2f64.sqrt()), (4.0, 2.0), (8.0, 4.0)] {
            assert!((at(&curve, rows) - wanted).abs() < 1e-12, "{rows}");
        }
        assert!((at(&curve, 64.0) - 32.0).abs() < 1e-12);
        assert_eq!(at(&[], 1.0).to_bits(), 0.0f64.to_bits());
    }
}
