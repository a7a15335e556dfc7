//! Sums over ranges of positions, and how they become one.
//!
//! A row sums each range of [`RANGE`] positions by itself and then adds the ranges in ascending
//! order, whoever computed them: so a long sequence is shared out over threads even where it has
//! fewer key heads than there are of those, and no number depends on whether it was.

use super::element::KvNumber;
use super::plan::Task;
use super::store::PAGE;
use super::task::Job;
use crate::lanes::{Lanes, Operation, WIDE, exp};
use crate::memory::AlignedBuffer;

/// Positions that are summed by themselves, from one of its multiples on.
pub const RANGE: usize = 8 * PAGE;

/// What rows have summed.
#[derive(Default)]
pub(super) struct State {
    /// The largest score of each row.
    pub largest: Vec<f32>,
    /// The sum of `e^(score - largest)` of each row.
    pub weight: Vec<f32>,
    /// The values times their weights, `[rows, width]` with whole vectors; then anything.
    pub values: AlignedBuffer<f32>,
}

impl State {
    /// `rows` rows that have seen nothing.
    pub fn clear(&mut self, rows: usize, width: usize) {
        refill(&mut self.largest, rows, f32::NEG_INFINITY);
        refill(&mut self.weight, rows, 0.0);
        self.values.room(rows * width).fill(0.0);
    }

    /// Adds what a row has seen elsewhere: `values` are as many numbers as it sums.
    #[inline(always)]
    pub fn add<L: Lanes<WIDE>>(
        &mut self,
        lanes: L,
        row: usize,
        [largest, weight]: [f32; 2],
        values: &[f32],
    ) {
        let sums = &mut self.values[row * values.len()..][..values.len()];
        let (largest_here, weight_here) = (&mut self.largest[row], &mut self.weight[row]);
        if saw_nothing(largest, weight) {
            return;
        }
        if saw_nothing(*largest_here, *weight_here) {
            (*largest_here, *weight_here) = (largest, weight);
            return sums.copy_from_slice(values);
        }
        let before = *largest_here;
        *largest_here = if largest > before { largest } else { before };
        let peak = lanes.splat(*largest_here);
        let here = exp(lanes, lanes.sub(lanes.splat(before), peak));
        let there = exp(lanes, lanes.sub(lanes.splat(largest), peak));
        let weights = lanes.mul(lanes.splat(*weight_here), here);
        let weights = lanes.fma(lanes.splat(weight), there, weights);
        *weight_here = lanes.to_array(weights)[0];
        for (sums, values) in sums.as_chunks_mut().0.iter_mut().zip(values.as_chunks().0) {
            let sum = lanes.mul(lanes.load(sums), here);
            lanes.store(lanes.fma(lanes.load(values), there, sum), sums);
        }
    }
}

/// Whether a row with these sums has seen no position.
fn saw_nothing(largest: f32, weight: f32) -> bool {
    largest == f32::NEG_INFINITY && weight == 0.0
}

/// One row of a task that several have shared.
pub(super) struct MergeRow<'b, 'a, E> {
    pub job: &'b Job<'a, E>,
    /// Those that have, ranges upwards.
    pub tasks: &'b [Task],
    pub row: usize,
}

impl<E: KvNumber> Operation<WIDE> for MergeRow<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, lanes: L) {
        let (job, row) = (self.job, self.row);
        let (rows, width) = (self.tasks[0].rows(), job.layout.v_dim.next_multiple_of(WIDE));
        let of = job.of(&self.tasks[0]);
        let mut total = State::default();
        total.clear(1, width);
        if let Some(sinks) = job.how.sinks {
            (total.largest[0], total.weight[0]) = (sinks[of.token_and_head(row).1], 1.0);
        }
        for start in self.tasks.iter().filter_map(|task| task.part) {
            // SAFETY: each row is merged once, and these numbers are this row's alone.
            let number = |at: usize| unsafe { job.parts.part(start + at..start + at + 1)[0] };
            let at = start + 2 * rows + row * width;
            // SAFETY: the same.
            let values = unsafe { job.parts.part(at..at + width) };
            total.add(lanes, 0, [number(row), number(rows + row)], values);
        }
        let at = of.place(row);
        // SAFETY: spans do not overlap (`check`), tasks cut them in disjoint tokens and heads.
        let out = unsafe { job.out.part(at..at + job.layout.v_dim) };
        write_out(lanes, &total.values[..width], total.weight[0], out);
    }
}

/// Divides by the sum of weights, once: a multiplication with its inverse rounds differently.
#[inline(always)]
pub(super) fn write_out<L: Lanes<WIDE>>(lanes: L, values: &[f32], weight: f32, out: &mut [f32]) {
    let weight = lanes.splat(weight);
    for (out, part) in out.chunks_mut(WIDE).zip(values.as_chunks().0) {
        lanes.store_part(lanes.div(lanes.load(part), weight), out);
    }
}

fn refill(numbers: &mut Vec<f32>, len: usize, value: f32) {
    numbers.clear();
    numbers.resize(len, value);
}
