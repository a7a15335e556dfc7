//! The largest, and the `k` largest.

use crate::Kernels;
use crate::lanes::{Lanes, Operation, WIDTH, on};

/// The index of the largest number, of equal ones the first. NaN never wins; without any number
/// there is none.
pub fn argmax(kernels: &Kernels, x: &[f32]) -> Option<usize> {
    let largest = on(kernels.isa, Largest(x));
    x.iter().position(|&x| x == largest)
}

struct Largest<'a>(&'a [f32]);

impl Operation for Largest<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> f32 {
        // The candidate goes first, so that a NaN loses against what was found so far.
        let mut largest = [lanes.splat(f32::NEG_INFINITY); 4];
        let (blocks, rest) = self.0.as_chunks::<{ 4 * WIDTH }>();
        for block in blocks {
            for (largest, part) in largest.iter_mut().zip(block.as_chunks::<WIDTH>().0) {
                *largest = lanes.max(lanes.load(part), *largest);
            }
        }
        for (largest, part) in largest.iter_mut().zip(rest.chunks(WIDTH)) {
            *largest = lanes.max(lanes.load_padded(part, f32::NEG_INFINITY), *largest);
        }
        let [a, b, c, d] = largest;
        lanes.largest(lanes.max(lanes.max(a, b), lanes.max(c, d)))
    }
}

/// The `k` largest numbers with their indices, largest first, of equal ones the lower index
/// first. NaNs are left out, so there may be fewer than `k`.
pub fn top_k(x: &[f32], k: usize) -> Vec<(usize, f32)> {
    let mut best: Vec<(usize, f32)> = Vec::with_capacity(k.min(x.len()) + 1);
    if k == 0 {
        return best;
    }
    for (index, &value) in x.iter().enumerate() {
        let enters = best.len() < k && !value.is_nan();
        if enters || best.last().is_some_and(|&(_, least)| value > least) {
            // Behind every equal one, whose index is lower.
            let place = best.partition_point(|&(_, other)| other >= value);
            best.insert(place, (index, value));
            best.truncate(k);
        }
    }
    best
}
