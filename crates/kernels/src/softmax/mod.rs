//! Softmax of rows, and the largest of many numbers.

mod pick;
#[cfg(test)]
mod tests;

pub use pick::{argmax, top_k};

use crate::Kernels;
use crate::lanes::{Lanes, Operation, WIDTH, exp, on};

/// `x[r] = e^(x[r] - max) / sum`, in place, for rows of `cols` numbers. A row with a NaN, with
/// positive infinity, or of negative infinities only, becomes NaN: nothing sensible is hidden.
pub fn softmax(kernels: &Kernels, x: &mut [f32], cols: usize) {
    assert!(cols > 0 && x.len().is_multiple_of(cols), "{} is not rows of {cols}", x.len());
    kernels.pool.run_rows(x, cols, &|_, rows| {
        for row in rows.chunks_exact_mut(cols) {
            on(kernels.isa, Softmax(row));
        }
    });
}

struct Softmax<'a>(&'a mut [f32]);

impl Operation for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let row = self.0;
        let mut largest = lanes.splat(f32::NEG_INFINITY);
        for part in row.chunks(WIDTH) {
            largest = lanes.max(lanes.load_padded(part, f32::NEG_INFINITY), largest);
        }
        let largest = lanes.splat(lanes.largest(largest));
        let mut sum = lanes.splat(0.0);
        for part in row.chunks_mut(WIDTH) {
            let power = lanes.load_padded(part, f32::NEG_INFINITY);
            let power = exp(lanes, lanes.sub(power, largest));
            sum = lanes.add(sum, power);
            lanes.store_part(power, part);
        }
        let sum = lanes.splat(lanes.sum(sum));
        for part in row.chunks_mut(WIDTH) {
            lanes.store_part(lanes.div(lanes.load_padded(part, 0.0), sum), part);
        }
    }
}
