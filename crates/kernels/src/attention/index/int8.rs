//! Keys in 8 bits, and scores of them.

use super::codes::{rotate, round};
use super::in_tiles;
use crate::Kernels;
use crate::attention::choice::Chooser;
use crate::attention::store::PAGE;
use crate::attention::task::tile_rows;
use crate::lanes::{Lanes, Operation, WIDE, on_wide};
use crate::memory::{AlignedBuffer, put, take};
use crate::threads::Shared;
use std::ops::Range;

/// Codes that are multiplied together.
const FOUR: usize = 4;

/// Vectors of positions in a page.
const VECTORS: usize = PAGE / WIDE;

/// What is added to codes of keys where they are stored: then they are bytes without a sign.
const OFFSET: u8 = 128;

/// Numbers of a key beyond which a sum might not fit 32 bits.
const DIM_MAX: usize = 1 << 16;

/// Bytes of a page of codes and scales.
pub(super) fn bytes_per_page(dim: usize) -> usize {
    page_len(dim) + PAGE * size_of::<f32>()
}

/// Codes in a page, fours of them whole.
fn page_len(dim: usize) -> usize {
    PAGE * dim.next_multiple_of(FOUR)
}

/// The pages of one layer.
///
/// A page has its codes as `[PAGE / 16][dim / 4][16 positions][4 dimensions]`, so that a vector is
/// four dimensions of sixteen positions, and apart from them a scale for each position.
pub(in crate::attention) struct Int8Keys {
    dim: usize,
    codes: AlignedBuffer<u8>,
    scales: AlignedBuffer<f32>,
}

impl Int8Keys {
    /// `pages` pages of zeros: whatever their codes, with scale 0.
    pub fn new(dim: usize, pages: usize) -> Int8Keys {
        assert!((1..=DIM_MAX).contains(&dim), "keys of {dim} numbers");
        let codes = AlignedBuffer::zeros_to_stream(pages * page_len(dim));
        Int8Keys { dim, codes, scales: AlignedBuffer::zeros(pages * PAGE) }
    }

    pub fn write(&mut self, kernels: &Kernels, pages: &[u32], position: usize, keys: &[f32]) {
        assert!(keys.len().is_multiple_of(self.dim), "keys of whole positions");
        on_wide(kernels.isa, WriteKeys { store: self, pages, position, keys });
    }

    pub fn page(&self, page: u32, bytes: &mut Vec<u8>) {
        let (codes, scales) = self.ranges(page);
        put(&self.codes[codes], bytes);
        put(&self.scales[scales], bytes);
    }

    pub fn set_page<'a>(&mut self, page: u32, bytes: &'a [u8]) -> &'a [u8] {
        let (codes, scales) = self.ranges(page);
        let rest = take(&mut self.codes[codes], bytes);
        take(&mut self.scales[scales], rest)
    }

    /// Where a page has its codes and its scales.
    fn ranges(&self, page: u32) -> (Range<usize>, Range<usize>) {
        let range = |len: usize| page as usize * len..(page as usize + 1) * len;
        (range(page_len(self.dim)), range(PAGE))
    }
}

/// Writes keys at consecutive positions.
struct WriteKeys<'a> {
    store: &'a mut Int8Keys,
    pages: &'a [u32],
    position: usize,
    keys: &'a [f32],
}

impl Operation<WIDE> for WriteKeys<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, _lanes: L) {
        let dim = self.store.dim;
        let fours = dim.div_ceil(FOUR);
        let (mut rotated, mut rounded) = (vec![0.0; dim], vec![0; fours * FOUR]);
        for (position, key) in (self.position..).zip(self.keys.chunks_exact(dim)) {
            rotated.copy_from_slice(key);
            // What this multiplies dot products with, queries put right.
            rotate(&mut rotated);
            let scale = round(&rotated, &mut rounded[..dim]);
            let slot = position % PAGE;
            let (codes, scales) = self.store.ranges(self.pages[position / PAGE]);
            self.store.scales[scales][slot] = scale;
            let vectors = self.store.codes[codes].as_chunks_mut::<{ WIDE * FOUR }>().0;
            let vectors = &mut vectors[slot / WIDE * fours..][..fours];
            for (vector, four) in vectors.iter_mut().zip(rounded.as_chunks::<FOUR>().0) {
                let place = &mut vector.as_chunks_mut::<FOUR>().0[slot % WIDE];
                *place = four.map(|code| code as u8 ^ OFFSET);
            }
        }
    }
}

/// Queries in 8 bits.
pub(in crate::attention) struct Queries {
    heads: usize,
    /// `[rows, heads, dim]`, zeros after each up to whole fours.
    codes: Vec<i8>,
    /// `[rows, heads]`: the head's weight times the scale of its query.
    weights: Vec<f32>,
}

impl Queries {
    /// The queries of the rows that ask; the others' are zeros, and none where no row asks.
    pub fn of(
        kernels: &Kernels,
        how: &Chooser,
        dim: usize,
        asks: &(dyn Fn(usize) -> bool + Sync),
    ) -> Queries {
        let (heads, width) = (how.heads, dim.next_multiple_of(FOUR));
        let all = how.weights.len() / heads;
        let rows = if (0..all).any(asks) { all } else { 0 };
        let mut queries = Queries {
            heads,
            codes: vec![0; rows * heads * width],
            weights: vec![0.0; rows * heads],
        };
        let (codes, weights) = (Shared::new(&mut queries.codes), Shared::new(&mut queries.weights));
        let pieces = kernels.pool.threads().div_ceil(rows.max(1)).min(heads);
        kernels.pool.run(rows * pieces, &|task| {
            let (row, piece) = (task / pieces, task % pieces);
            if !asks(row) {
                return;
            }
            let first = row * heads;
            let all = first + piece * heads / pieces..first + (piece + 1) * heads / pieces;
            // SAFETY: the pieces of a row, and rows, do not overlap.
            let codes = unsafe { codes.part(all.start * width..all.end * width) };
            // SAFETY: the same.
            let scaled = unsafe { weights.part(all.clone()) };
            let (q, weights) = (&how.q[all.start * dim..all.end * dim], &how.weights[all]);
            on_wide(kernels.isa, RoundQueries { dim, q, weights, codes, scaled });
        });
        queries
    }
}

/// Rounds some queries.
struct RoundQueries<'a> {
    dim: usize,
    q: &'a [f32],
    weights: &'a [f32],
    codes: &'a mut [i8],
    scaled: &'a mut [f32],
}

impl Operation<WIDE> for RoundQueries<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, _lanes: L) {
        let dim = self.dim;
        let mut rotated = vec![0.0; dim];
        let queries = self.q.chunks_exact(dim);
        let codes = self.codes.chunks_exact_mut(dim.next_multiple_of(FOUR));
        let weights = self.weights.iter().zip(self.scaled);
        for ((query, codes), (weight, scaled)) in queries.zip(codes).zip(weights) {
            rotated.copy_from_slice(query);
            let factor = rotate(&mut rotated);
            *scaled = weight * (round(&rotated, &mut codes[..dim]) / factor);
        }
    }
}

/// One row's scores of some pages.
pub(super) struct Row<'a> {
    pub queries: &'a Queries,
    pub keys: &'a Int8Keys,
    pub row: usize,
    pub pages: &'a [u32],
    /// Zeros at first.
    pub scores: &'a mut [f32],
}

impl Operation<WIDE> for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, lanes: L) {
        let Row { queries, keys, row, pages, scores } = self;
        let (heads, fours) = (queries.heads, keys.dim.div_ceil(FOUR));
        let codes = &queries.codes[row * heads * fours * FOUR..][..heads * fours * FOUR];
        let packed = in_tiles(codes.as_chunks::<FOUR>().0, fours);
        let packed: Vec<L::Four> = packed.into_iter().map(|four| lanes.four(four)).collect();
        let sum = |codes: &[i8]| codes.iter().map(|&code| i32::from(code)).sum::<i32>();
        let head = |codes: &[i8]| -i32::from(OFFSET) * sum(codes);
        let offsets: Vec<i32> = codes.chunks_exact(fours * FOUR).map(head).collect();
        let weights = &queries.weights[row * heads..][..heads];
        for (&page, scores) in pages.iter().zip(scores.as_chunks_mut::<PAGE>().0) {
            let (codes, scales) = keys.ranges(page);
            let vectors = keys.codes[codes].as_chunks::<FOUR>().0.as_chunks::<WIDE>().0;
            let mut tile = Tiles { fours, vectors, q: &packed, offsets: &offsets, weights };
            while !tile.weights.is_empty() {
                match tile_rows(tile.weights.len()) {
                    4 => tile.add::<L, 4>(lanes, scores),
                    2 => tile.add::<L, 2>(lanes, scores),
                    _ => tile.add::<L, 1>(lanes, scores),
                }
            }
            let scales = keys.scales[scales].as_chunks::<WIDE>().0;
            for (score, scale) in scores.as_chunks_mut::<WIDE>().0.iter_mut().zip(scales) {
                // Adding zero makes one of -0, which would be less.
                let scaled = lanes.fma(lanes.load(score), lanes.load(scale), lanes.splat(0.0));
                lanes.store(scaled, score);
            }
        }
    }
}

/// What is left of a row's heads to be added to the scores of a page.
struct Tiles<'a, F> {
    /// Fours of codes in a key.
    fours: usize,
    /// `[PAGE / 16][fours]`
    vectors: &'a [[[u8; FOUR]; WIDE]],
    /// As [`in_tiles`] gives them.
    q: &'a [F],
    /// For each head what its sums begin with, as codes of keys are stored with an offset.
    offsets: &'a [i32],
    weights: &'a [f32],
}

impl<F: Copy> Tiles<'_, F> {
    /// Adds the shares of the next `R` heads, heads upwards.
    #[inline(always)]
    fn add<L: Lanes<WIDE, Four = F>, const R: usize>(
        &mut self,
        lanes: L,
        scores: &mut [f32; PAGE],
    ) {
        let (q, q_after) = self.q.split_at(R * self.fours);
        let (offsets, offsets_after) = self.offsets.split_first_chunk::<R>().expect("R heads");
        let (weights, after) = self.weights.split_first_chunk::<R>().expect("R heads");
        let tile = Tile { q: q.as_chunks::<R>().0, offsets, weights };
        let (scores, fours) = (scores.as_chunks_mut::<WIDE>().0, self.fours);
        // As many positions at a time as registers hold the sums of.
        if L::REGISTERS >= 32 {
            let scores = scores.first_chunk_mut::<VECTORS>().expect("a page");
            tile.add(lanes, self.vectors, fours, scores);
        } else {
            let vectors = self.vectors.chunks_exact(fours);
            for (vectors, score) in vectors.zip(scores.as_chunks_mut::<1>().0) {
                tile.add(lanes, vectors, fours, score);
            }
        }
        (self.q, self.offsets, self.weights) = (q_after, offsets_after, after);
    }
}

/// Heads that go through keys together.
struct Tile<'a, F, const R: usize> {
    /// `[fours]`
    q: &'a [[F; R]],
    offsets: &'a [i32; R],
    weights: &'a [f32; R],
}

impl<F: Copy, const R: usize> Tile<'_, F, R> {
    /// Adds to the scores of `V` vectors of positions; `vectors` is `[V][fours]`.
    #[inline(always)]
    fn add<L: Lanes<WIDE, Four = F>, const V: usize>(
        &self,
        lanes: L,
        vectors: &[[[u8; FOUR]; WIDE]],
        fours: usize,
        scores: &mut [[f32; WIDE]; V],
    ) {
        assert!(vectors.len() == V * fours && self.q.len() == fours, "whole vectors");
        let mut sums = [[lanes.integers(0); V]; R];
        for (sums, &offset) in sums.iter_mut().zip(self.offsets) {
            *sums = [lanes.integers(offset); V];
        }
        for (at, q) in self.q.iter().enumerate() {
            let codes: [_; V] = std::array::from_fn(|v| lanes.codes(&vectors[v * fours + at]));
            for (sums, &four) in sums.iter_mut().zip(q) {
                for (sum, &codes) in sums.iter_mut().zip(&codes) {
                    *sum = lanes.add_products(*sum, codes, four);
                }
            }
        }
        let zero = lanes.splat(0.0);
        for (v, score) in scores.iter_mut().enumerate() {
            let mut total = lanes.load(score);
            for (sums, &weight) in sums.iter().zip(self.weights) {
                let positive = lanes.max(lanes.to_floats(sums[v]), zero);
                total = lanes.fma(lanes.splat(weight), positive, total);
            }
            lanes.store(total, score);
        }
    }
}
