//! Which positions a row attends to, where it does not attend to all: the best by a cheap score
//! (the lightning indexer of DeepSeek-V3.2, arXiv:2512.02556, section 2.1).

use super::element::{Cached, KvNumber};
use super::few::dots;
use super::store::{KvLayout, Numbers, PAGE, head_of};
use super::task::tile_rows;
use super::values::Ahead;
use super::{AttentionSpan, KvStore};
use crate::Kernels;
use crate::lanes::{Lanes, Operation, WIDE, on_wide};
use crate::memory::AlignedBuffer;
use crate::threads::Shared;
use std::ops::Range;

/// A set of positions for each key head of each of some rows: a bit for each position, a word for
/// each page.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    sets: Sets,
    words: Vec<u64>,
}

/// Where the words of each set are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sets {
    kv_heads: usize,
    /// The first word of each row's first set.
    starts: Vec<usize>,
}

impl Sets {
    /// The words of a set, of a row at position `own`.
    pub(super) fn words(&self, row: usize, kv_head: usize, own: usize) -> Range<usize> {
        let pages = own / PAGE + 1;
        let start = self.starts[row] + kv_head * pages;
        start..start + pages
    }
}

/// The places of a word's set bits, lowest first.
struct Bits(u64);

impl Iterator for Bits {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let lowest = self.0.trailing_zeros();
        // Without its lowest set bit, or without any.
        self.0 &= self.0.wrapping_sub(1);
        (lowest < u64::BITS).then_some(lowest as usize)
    }
}

const _: () = assert!(PAGE == u64::BITS as usize, "a word for each page");

impl Choice {
    /// Empty sets, `kv_heads` for each of `rows` rows. Those outside all spans stay empty.
    pub(super) fn new(rows: usize, kv_heads: usize, spans: &[AttentionSpan]) -> Choice {
        let (mut starts, mut words) = (vec![0; rows], 0);
        for span in spans {
            for token in 0..span.rows {
                starts[span.first_row + token] = words;
                words += kv_heads * ((span.position + token) / PAGE + 1);
            }
        }
        Choice { sets: Sets { kv_heads, starts }, words: vec![0; words] }
    }

    /// Where the sets are, and all of them to be filled.
    pub(super) fn parts(&mut self) -> (&Sets, &mut [u64]) {
        (&self.sets, &mut self.words)
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.sets.starts.len()
    }

    /// How many sets a row has.
    pub fn kv_heads(&self) -> usize {
        self.sets.kv_heads
    }

    /// The positions of a row for a key head, ascending; `own` is the position of the row itself.
    pub fn positions(&self, row: usize, kv_head: usize, own: usize) -> impl Iterator<Item = usize> {
        let of_page = |(page, word): (usize, u64)| slots(word).map(move |slot| page * PAGE + slot);
        self.pages(row, kv_head, own).enumerate().flat_map(of_page)
    }

    /// The same, as a word for each page of the row.
    pub(super) fn pages(
        &self,
        row: usize,
        kv_head: usize,
        own: usize,
    ) -> impl Iterator<Item = u64> {
        self.words[self.sets.words(row, kv_head, own)].iter().copied()
    }
}

/// The slots that a page's word names, ascending.
pub(super) fn slots(word: u64) -> impl Iterator<Item = usize> {
    Bits(word)
}

/// Sets the bits of some positions.
pub(super) fn mark(words: &mut [u64], positions: Range<usize>) {
    let mut next = positions.start;
    while next < positions.end {
        let (page, slot) = (next / PAGE, next % PAGE);
        let count = (PAGE - slot).min(positions.end - next);
        words[page] |= u64::MAX >> (PAGE - count) << slot;
        next += count;
    }
}

/// How rows choose.
#[derive(Clone, Copy, Debug)]
pub struct Chooser<'a> {
    /// Query heads; all meet the same key.
    pub heads: usize,
    /// Positions a row chooses at most.
    pub active: usize,
    /// `[rows, heads, k_dim]`
    pub q: &'a [f32],
    /// `[rows, heads]`
    pub weights: &'a [f32],
}

/// For each row the `active` positions `p` up to its own whose score
/// `sum over heads h of weights[h] * max(0, q[h] . k[p])` is largest, of equal ones the earlier.
///
/// A row with no more than `active` positions takes all of them. Spans cover the rows one after
/// another, and their keys are in `store` already, which holds keys of one head.
pub fn choose(
    kernels: &Kernels,
    how: &Chooser,
    store: &KvStore,
    spans: &[AttentionSpan],
) -> Choice {
    let layout = store.layout();
    assert!(layout.kv_heads == 1 && !layout.latent, "{layout:?}: keys of one head");
    assert!(how.heads > 0 && how.active > 0, "{} heads, {} active", how.heads, how.active);
    let rows: usize = spans.iter().map(|span| span.rows).sum();
    assert_eq!(how.q.len(), rows * how.heads * layout.k_dim, "queries of whole rows");
    assert_eq!(how.weights.len(), rows * how.heads, "a weight for each query");
    let mut list = Vec::with_capacity(rows);
    for span in spans {
        assert_eq!(span.first_row, list.len(), "spans cover the rows one after another");
        list.extend((span.position..span.position + span.rows).map(|at| (at, span.pages)));
    }
    let mut choice = Choice::new(rows, 1, spans);
    let (sets, words) = choice.parts();
    let words = Shared::new(words);
    let mut scores = Vec::new();
    // As many rows at a time as there are threads; where they are fewer, threads share a row.
    let threads = kernels.pool.threads();
    for (batch, first) in list.chunks(threads).zip((0..).step_by(threads)) {
        let stride = score(kernels, how, store, batch, first, &mut scores);
        kernels.pool.run(batch.len(), &|index| {
            let (row, position) = (first + index, batch[index].0);
            // SAFETY: rows have words of their own.
            let words = unsafe { words.part(sets.words(row, 0, position)) };
            if position < how.active {
                return mark(words, 0..position + 1);
            }
            for position in best(&scores[index * stride..][..=position], how.active) {
                words[position as usize / PAGE] |= 1 << (position as usize % PAGE);
            }
        });
    }
    choice
}

/// The scores of some rows, each at a position with its pages, of those that choose; `first` is the
/// number of the first. Gives from where to where one row's scores follow another's.
fn score(
    kernels: &Kernels,
    how: &Chooser,
    store: &KvStore,
    rows: &[(usize, &[u32])],
    first: usize,
    scores: &mut Vec<f32>,
) -> usize {
    let pages = |row: usize| rows[row].0 / PAGE + 1;
    let stride = (0..rows.len()).map(pages).max().unwrap_or(0) * PAGE;
    scores.clear();
    scores.resize(rows.len() * stride, 0.0);
    let scores = Shared::new(scores);
    let pieces = kernels.pool.threads().div_ceil(rows.len().max(1));
    kernels.pool.run(rows.len() * pieces, &|task| {
        let (index, piece) = (task / pieces, task % pieces);
        let (position, numbers) = rows[index];
        if position < how.active {
            return;
        }
        let piece = piece * pages(index) / pieces..(piece + 1) * pages(index) / pieces;
        let at = index * stride;
        // SAFETY: rows have scores of their own, and the pieces of a row do not overlap.
        let scores = unsafe { scores.part(at + piece.start * PAGE..at + piece.end * PAGE) };
        let pages = &numbers[piece];
        let row = Row { how, layout: store.layout(), row: first + index, pages, scores };
        let scales = &store.scales;
        match &store.numbers {
            Numbers::F16(numbers) => on_wide(kernels.isa, row.with(Cached { numbers, scales })),
            Numbers::F32(numbers) => on_wide(kernels.isa, row.with(Cached { numbers, scales })),
            Numbers::Q8(numbers) => on_wide(kernels.isa, row.with(Cached { numbers, scales })),
        }
    });
    stride
}

/// One row's scores of some pages.
struct Row<'a> {
    how: &'a Chooser<'a>,
    layout: &'a KvLayout,
    row: usize,
    pages: &'a [u32],
    /// Zeros at first.
    scores: &'a mut [f32],
}

impl<'a> Row<'a> {
    fn with<E>(self, stored: Cached<'a, E>) -> RowOf<'a, E> {
        RowOf { row: self, stored }
    }
}

struct RowOf<'a, E> {
    row: Row<'a>,
    stored: Cached<'a, E>,
}

impl<E: KvNumber> Operation<WIDE> for RowOf<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, lanes: L) {
        let Row { how, layout, row, pages, scores } = self.row;
        let dim = layout.k_dim;
        let packed = in_tiles(&how.q[row * how.heads * dim..][..how.heads * dim], dim);
        let weights = &how.weights[row * how.heads..][..how.heads];
        let mut floats = AlignedBuffer::default();
        for (&page, scores) in pages.iter().zip(scores.as_chunks_mut::<PAGE>().0) {
            let keys = head_of(layout, self.stored, page as usize, 0);
            let keys = E::floats(lanes, layout, keys, &mut floats);
            lanes.call(AddPage { q: &packed, dim, weights, keys, scores });
        }
    }
}

/// Heads `[heads, dim]` in tiles of four, two and one, each `[dim][heads of the tile]`.
fn in_tiles(q: &[f32], dim: usize) -> Vec<f32> {
    let mut packed = Vec::with_capacity(q.len());
    let mut rest = q;
    while !rest.is_empty() {
        let (tile, after) = rest.split_at(tile_rows(rest.len() / dim) * dim);
        (0..dim).for_each(|d| packed.extend(tile[d..].iter().step_by(dim)));
        rest = after;
    }
    packed
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

/// The places of the `active` largest scores, of equal ones the earlier, in any order.
pub(super) fn best(scores: &[f32], active: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    let score = |index: &u32| scores[*index as usize];
    order.select_nth_unstable_by(active - 1, |a, b| score(b).total_cmp(&score(a)).then(a.cmp(b)));
    order.truncate(active);
    order
}

#[cfg(test)]
mod tests;
