//! Scores of keys that are kept as computed.

use super::in_tiles;
use crate::attention::KvStore;
use crate::attention::choice::Chooser;
use crate::attention::element::Cached;
use crate::attention::few::dots;
use crate::attention::store::{Numbers, PAGE, head_of};
use crate::attention::task::tile_rows;
use crate::attention::values::Ahead;
use crate::lanes::{Lanes, Operation, WIDE};

/// One row's scores of some pages.
pub(super) struct Row<'a> {
    pub how: &'a Chooser<'a>,
    pub keys: &'a KvStore,
    pub row: usize,
    pub pages: &'a [u32],
    /// Zeros at first.
    pub scores: &'a mut [f32],
}

impl Operation<WIDE> for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, lanes: L) {
        let Row { how, keys, row, pages, scores } = self;
        let layout = keys.layout();
        let dim = layout.k_dim;
        let Numbers::F32(numbers) = &keys.numbers else { unreachable!("{layout:?} of floats") };
        let packed = in_tiles(&how.q[row * how.heads * dim..][..how.heads * dim], dim);
        let weights = &how.weights[row * how.heads..][..how.heads];
        for (&page, scores) in pages.iter().zip(scores.as_chunks_mut::<PAGE>().0) {
            let keys = head_of(layout, Cached::of_floats(numbers), page as usize, 0).numbers;
            lanes.call(AddPage { q: &packed, dim, weights, keys, scores });
        }
    }
}

/// Adds every head's share to the scores of a page.
struct AddPage<'a> {
    /// As [`in_tiles`] gives it.
    q: &'a [f32],
    dim: usize,
    weights: &'a [f32],
    /// `[PAGE / 32][dim][32 positions]`
    keys: &'a [f32],
    scores: &'a mut [f32; PAGE],
}

impl Operation<WIDE> for AddPage<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(mut self, lanes: L) {
        let (mut weights, mut q) = (self.weights, self.q);
        while !weights.is_empty() {
            let tile = tile_rows(weights.len());
            let (tile_q, q_after) = q.split_at(tile * self.dim);
            let (tile_weights, after) = weights.split_at(tile);
            match tile {
                4 => self.add::<L, 4>(lanes, tile_q, tile_weights),
                2 => self.add::<L, 2>(lanes, tile_q, tile_weights),
                _ => self.add::<L, 1>(lanes, tile_q, tile_weights),
            }
            (weights, q) = (after, q_after);
        }
    }
}

impl AddPage<'_> {
    /// Adds the shares of `R` heads, heads upwards.
    #[inline(always)]
    fn add<L: Lanes<WIDE>, const R: usize>(&mut self, lanes: L, q: &[f32], weights: &[f32]) {
        let mut shares = [[0.0; PAGE]; R];
        let (keys, ahead) = (Cached::of_floats(self.keys), Ahead::within(self.keys));
        dots(lanes, q.as_chunks::<R>().0, keys, ahead, &mut shares);
        let zero = lanes.splat(0.0);
        for (share, &weight) in shares.iter().zip(weights) {
            let weight = lanes.splat(weight);
            let parts = share.as_chunks::<WIDE>().0.iter();
            for (part, score) in parts.zip(self.scores.as_chunks_mut::<WIDE>().0) {
                let positive = lanes.max(lanes.load(part), zero);
                lanes.store(lanes.fma(weight, positive, lanes.load(score)), score);
            }
        }
    }
}
