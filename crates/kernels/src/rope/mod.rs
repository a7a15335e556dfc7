//! Rotary position embedding (Su et al., arXiv:2104.09864), in place.

#[cfg(test)]
mod tests;

use crate::lanes::{Lanes, Operation, WIDE, on_wide};
use crate::{HeadLayout, Kernels};

/// Which two numbers of a head turn together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeStyle {
    /// Number `i` with number `i + width / 2`.
    Half,
    /// Number `2 i` with number `2 i + 1`.
    Interleaved,
}

/// Turns every slice of `layout` (its `width` is the number of rotary dimensions) in `x`: pair
/// `i` of row `r` by the angle whose cosine and sine are `cos[r, i]` and `sin[r, i]`. The tables
/// are `[rows, width / 2]`.
///
/// Products are rounded before they are added, as the checkpoints' own code does.
pub fn rope(
    kernels: &Kernels,
    x: &mut [f32],
    layout: HeadLayout,
    cos: &[f32],
    sin: &[f32],
    style: RopeStyle,
) {
    let rows = layout.rows(x.len());
    let pairs = layout.width / 2;
    assert!(layout.width.is_multiple_of(2), "{} rotary dimensions are not pairs", layout.width);
    assert_eq!(cos.len(), rows * pairs, "a cosine for each of {pairs} pairs of {rows} rows");
    assert_eq!(sin.len(), rows * pairs, "a sine for each of {pairs} pairs of {rows} rows");
    kernels.pool.run_rows(x, layout.row_stride, &|first, x| {
        let at = first * pairs..(first + x.len() / layout.row_stride) * pairs;
        on_wide(kernels.isa, Rope { x, layout, cos: &cos[at.clone()], sin: &sin[at], style });
    });
}

struct Rope<'a> {
    x: &'a mut [f32],
    layout: HeadLayout,
    cos: &'a [f32],
    sin: &'a [f32],
    style: RopeStyle,
}

impl Operation<WIDE> for Rope<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, lanes: L) {
        let pairs = self.layout.width / 2;
        for (index, row) in self.x.chunks_exact_mut(self.layout.row_stride).enumerate() {
            let angles = index * pairs..(index + 1) * pairs;
            let (cos, sin) = (&self.cos[angles.clone()], &self.sin[angles]);
            for head in 0..self.layout.heads {
                let head = self.layout.of(row, head);
                match self.style {
                    RopeStyle::Half => turn_halves(lanes, head, cos, sin),
                    RopeStyle::Interleaved => turn_neighbours(head, cos, sin),
                }
            }
        }
    }
}

#[inline(always)]
fn turn_halves<L: Lanes<WIDE>>(lanes: L, head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (low, high) = head.split_at_mut(cos.len());
    let parts = low.chunks_mut(WIDE).zip(high.chunks_mut(WIDE));
    let angles = cos.chunks(WIDE).zip(sin.chunks(WIDE));
    for ((low, high), (cos, sin)) in parts.zip(angles) {
        let (a, b) = (lanes.load_padded(low, 0.0), lanes.load_padded(high, 0.0));
        let (cos, sin) = (lanes.load_padded(cos, 0.0), lanes.load_padded(sin, 0.0));
        let turned = lanes.sub(lanes.mul(a, cos), lanes.mul(b, sin));
        lanes.store_part(lanes.add(lanes.mul(b, cos), lanes.mul(a, sin)), high);
        lanes.store_part(turned, low);
    }
}

/// Plain Rust is all this needs: nothing is summed, so the compiler may take any vectors it likes.
#[inline(always)]
fn turn_neighbours(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    for (pair, (&cos, &sin)) in head.as_chunks_mut::<2>().0.iter_mut().zip(cos.iter().zip(sin)) {
        let [a, b] = *pair;
        *pair = [a * cos - b * sin, b * cos + a * sin];
    }
}
