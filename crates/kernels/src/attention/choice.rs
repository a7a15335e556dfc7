//! Which positions a row attends to, where it does not attend to all: the best by a cheap score
//! (the lightning indexer of DeepSeek-V3.2, arXiv:2512.02556, section 2.1).

use super::AttentionSpan;
use super::index::{Asked, IndexStore};
use super::store::PAGE;
use crate::Kernels;
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
/// Where keys are in 8 bits, so are queries, see [`IndexStore`].
///
/// A row with no more than `active` positions takes all of them. Spans cover the rows one after
/// another, and their keys are in `store` already.
///
/// # Panics
/// Where `how` or `spans` do not fit each other or the store.
pub fn choose(
    kernels: &Kernels,
    how: &Chooser,
    store: &IndexStore,
    spans: &[AttentionSpan],
) -> Choice {
    let dim = store.layout().dim;
    assert!(how.heads > 0 && how.active > 0, "{} heads, {} active", how.heads, how.active);
    let rows: usize = spans.iter().map(|span| span.rows).sum();
    assert_eq!(how.q.len(), rows * how.heads * dim, "queries of whole rows");
    assert_eq!(how.weights.len(), rows * how.heads, "a weight for each query");
    let mut list = Vec::with_capacity(rows);
    for span in spans {
        assert_eq!(span.first_row, list.len(), "spans cover the rows one after another");
        list.extend((span.position..span.position + span.rows).map(|at| (at, span.pages)));
    }
    let mut choice = Choice::new(rows, 1, spans);
    let (sets, words) = choice.parts();
    let words = Shared::new(words);
    let asked = store.asked(kernels, how, &|row| list[row].0 >= how.active);
    let mut scores = Vec::new();
    // As many rows at a time as there are threads; where they are fewer, threads share a row.
    let threads = kernels.pool.threads();
    for (batch, first) in list.chunks(threads).zip((0..).step_by(threads)) {
        let stride = score(kernels, &asked, how.active, batch, first, &mut scores);
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
    asked: &Asked,
    active: usize,
    rows: &[(usize, &[u32])],
    first: usize,
    scores: &mut Vec<f32>,
) -> usize {
    let pages = |row: usize| rows[row].0 / PAGE + 1;
    let stride = (0..rows.len()).map(pages).max().unwrap_or(0) * PAGE;
    scores.clear();
    scores.resize(rows.len() * stride, 0.0);
    let scores = Shared::new(scores);
    let pieces = kernels.pool.threads().div_ceil(rows.len());
    kernels.pool.run(rows.len() * pieces, &|task| {
        let (index, piece) = (task / pieces, task % pieces);
        let (position, numbers) = rows[index];
        if position < active {
            return;
        }
        let piece = piece * pages(index) / pieces..(piece + 1) * pages(index) / pieces;
        let at = index * stride;
        // SAFETY: rows have scores of their own, and the pieces of a row do not overlap.
        let scores = unsafe { scores.part(at + piece.start * PAGE..at + piece.end * PAGE) };
        asked.score(kernels, first + index, &numbers[piece], scores);
    });
    stride
}

/// The places of the `active` largest scores, of equal ones the earlier, ascending. There are at
/// least so many.
pub(super) fn best(scores: &[f32], active: usize) -> Vec<u32> {
    // Integers that descend as scores ascend (`f32::total_cmp`).
    let rank = |score: f32| {
        let bits = score.to_bits() as i32;
        !(bits ^ (bits >> 31) & i32::MAX)
    };
    let mut ranks: Vec<i32> = scores.iter().map(|&score| rank(score)).collect();
    let last = *ranks.select_nth_unstable(active - 1).1;
    // Those that are as good as the last one are among the best as long as there is room.
    let mut room = active - ranks[..active].iter().filter(|&&rank| rank < last).count();
    let mut places = Vec::with_capacity(active);
    for (place, &score) in (0..).zip(scores) {
        let rank = rank(score);
        if rank < last || rank == last && room > 0 {
            room -= usize::from(rank == last);
            places.push(place);
        }
    }
    places
}

#[cfg(test)]
mod tests;
