//! One page of one head, and up to four query rows: the innermost loops.
//!
//! What a row computes does not depend on how many rows go along with it: they only share what
//! is read.

use super::element::KvNumber;
use super::store::{KEY_BLOCK, PAGE, PANEL};
use super::{Attention, Seen};
use crate::lanes::{Lanes, Operation, WIDTH, exp};
use std::array::from_ref;
use std::ops::Range;

/// One page of one head, as the loops read it.
#[derive(Clone, Copy)]
pub(super) struct PageOfHead<'a, K, V> {
    /// `[PAGE / 32][k_dim][32 positions]`
    pub keys: &'a [K],
    /// Panels of 32 dimensions, the last of what is left, each `[PAGE][dimensions]`.
    pub values: &'a [V],
    /// Dimensions of all panels together, whole vectors.
    pub value_width: usize,
}

/// What `R` rows have summed so far.
pub(super) struct Sums<'a> {
    /// The largest score of each row.
    pub largest: &'a mut [f32],
    /// The sum of `e^(score - largest)` of each row.
    pub weight: &'a mut [f32],
    /// The values times their weights, `[R, width]` with whole vectors.
    pub values: &'a mut [f32],
    /// Dimensions that are summed, whole vectors.
    pub width: usize,
}

/// Adds a page to the sums of `R` rows: row `r` has the query `q[..][r]` and sees the slots
/// `seen[r]`. (The running softmax: Milakov and Gimelshein, arXiv:1805.02867.)
pub(super) struct AddPage<'a, K, V, const R: usize> {
    pub how: &'a Attention<'a>,
    pub q: &'a [[f32; R]],
    pub page: PageOfHead<'a, K, V>,
    pub seen: &'a [Seen<'a>; R],
    pub sums: Sums<'a>,
}

impl<K: KvNumber, V: KvNumber, const R: usize> Operation for AddPage<'_, K, V, R> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let AddPage { how, q, page, seen, sums } = self;
        let mut weights = [[0.0; PAGE]; R];
        dots(lanes, q, page.keys, &mut weights);
        for (row, (weights, seen)) in weights.iter_mut().zip(seen).enumerate() {
            if seen.slots.is_empty() {
                continue;
            }
            finish_scores(lanes, how, seen, weights);
            let (largest, weight) = (&mut sums.largest[row], &mut sums.weight[row]);
            let before = *largest;
            let added = to_weights(lanes, weights, largest);
            let shrink = if *largest == before { 1.0 } else { one_exp(lanes, before - *largest) };
            *weight = *weight * shrink + added;
            if shrink != 1.0 {
                for part in sums.values[row * sums.width..][..sums.width].as_chunks_mut().0 {
                    lanes.store(lanes.mul(lanes.load(part), lanes.splat(shrink)), part);
                }
            }
        }
        add_values(lanes, &weights, page, seen, sums);
    }
}

/// `scores[r][slot] = sum over d of q[d][r] * key[slot][d]`, `d` upwards.
#[inline(always)]
pub(super) fn dots<L: Lanes, K: KvNumber, const R: usize>(
    lanes: L,
    q: &[[f32; R]],
    keys: &[K],
    scores: &mut [[f32; PAGE]; R],
) {
    let (lines, _) = keys.as_chunks::<KEY_BLOCK>();
    for (block, lines) in lines.chunks_exact(q.len()).enumerate() {
        let slot = block * KEY_BLOCK;
        // As many sums as stay in registers.
        if R > 2 {
            dots_of::<L, K, R, 2>(lanes, q, lines, 0, slot, scores);
            dots_of::<L, K, R, 2>(lanes, q, lines, 2, slot, scores);
        } else {
            dots_of::<L, K, R, 4>(lanes, q, lines, 0, slot, scores);
        }
    }
}

/// [`dots`] of `W` vectors of positions, from vector `first` of the block on.
#[inline(always)]
fn dots_of<L: Lanes, K: KvNumber, const R: usize, const W: usize>(
    lanes: L,
    q: &[[f32; R]],
    lines: &[[K; KEY_BLOCK]],
    first: usize,
    slot: usize,
    scores: &mut [[f32; PAGE]; R],
) {
    let mut sums = [[lanes.splat(0.0); W]; R];
    for (q, line) in q.iter().zip(lines) {
        if R <= 2 {
            prefetch_ahead(lanes, line);
        }
        let vectors = &line.as_chunks::<WIDTH>().0[first..first + W];
        for (w, vector) in vectors.iter().enumerate() {
            let key = K::load(lanes, vector);
            for r in 0..R {
                sums[r][w] = lanes.fma(lanes.splat(q[r]), key, sums[r][w]);
            }
        }
    }
    for (scores, sums) in scores.iter_mut().zip(&sums) {
        let out = scores[slot + first * WIDTH..].as_chunks_mut::<WIDTH>().0;
        for (out, &sum) in out.iter_mut().zip(sums) {
            lanes.store(sum, out);
        }
    }
}

/// From dot products to scores; slots that the row does not see get negative infinity, whatever
/// stood there.
#[inline(always)]
fn finish_scores<L: Lanes>(lanes: L, how: &Attention, seen: &Seen, scores: &mut [f32; PAGE]) {
    let scale = lanes.splat(how.scale);
    for part in scores.as_chunks_mut::<WIDTH>().0 {
        let mut score = lanes.mul(lanes.load(part), scale);
        if let Some(cap) = how.softcap {
            score = soft_cap(lanes, score, cap);
        }
        lanes.store(score, part);
    }
    if let Some(slope) = seen.slope {
        for (slot, score) in scores.iter_mut().enumerate() {
            // The distance is exact: positions are far below 2^24 apart where the bias matters.
            *score += slope * (slot as isize - seen.own_slot) as f32;
        }
    }
    if let Some(bias) = &seen.bias {
        bias.add(seen.slots.clone(), scores);
    }
    scores[..seen.slots.start].fill(f32::NEG_INFINITY);
    scores[seen.slots.end..].fill(f32::NEG_INFINITY);
}

/// `cap * tanh(score / cap)`, with `tanh u = 1 - 2 / (e^(2 u) + 1)`.
#[inline(always)]
fn soft_cap<L: Lanes>(lanes: L, score: L::Vector, cap: f32) -> L::Vector {
    let (one, two, cap) = (lanes.splat(1.0), lanes.splat(2.0), lanes.splat(cap));
    let power = exp(lanes, lanes.mul(two, lanes.div(score, cap)));
    let tanh = lanes.sub(one, lanes.div(two, lanes.add(power, one)));
    lanes.mul(cap, tanh)
}

/// Raises `largest` to the largest score, turns scores into `e^(score - largest)` and gives
/// their sum.
#[inline(always)]
fn to_weights<L: Lanes>(lanes: L, scores: &mut [f32; PAGE], largest: &mut f32) -> f32 {
    let (parts, _) = scores.as_chunks_mut::<WIDTH>();
    let mut peak = lanes.splat(*largest);
    for part in &*parts {
        peak = lanes.max(lanes.load(part), peak);
    }
    *largest = lanes.largest(peak);
    let peak = lanes.splat(*largest);
    let mut sum = lanes.splat(0.0);
    for part in parts {
        let weight = exp(lanes, lanes.sub(lanes.load(part), peak));
        sum = lanes.add(sum, weight);
        lanes.store(weight, part);
    }
    lanes.sum(sum)
}

#[inline(always)]
fn one_exp<L: Lanes>(lanes: L, x: f32) -> f32 {
    lanes.to_array(exp(lanes, lanes.splat(x)))[0]
}

/// Adds to the sums of each row the values of the slots it sees times their weights, slots
/// upwards. Slots it does not see are not read for it: they may hold anything, and even a zero
/// times a NaN is a NaN.
#[inline(always)]
fn add_values<L: Lanes, K, V: KvNumber, const R: usize>(
    lanes: L,
    weights: &[[f32; PAGE]; R],
    page: PageOfHead<K, V>,
    seen: &[Seen; R],
    sums: Sums,
) {
    let start = seen.iter().map(|seen| seen.slots.start).max().unwrap_or(0);
    let end = seen.iter().map(|seen| seen.slots.end).min().unwrap_or(0);
    // What all rows see is read once for all; before and behind, each goes by itself.
    let (start, end) = if start < end { (start, end) } else { (PAGE, PAGE) };
    let stride = sums.width;
    for first in (0..stride).step_by(PANEL) {
        let width = PANEL.min(page.value_width - first);
        let numbers = &page.values[first * PAGE..][..width * PAGE];
        let panel = Panel { numbers, width, first, vectors: (stride - first).min(PANEL) / WIDTH };
        for (r, seen) in seen.iter().enumerate() {
            let slots = seen.slots.start..seen.slots.end.min(start);
            let values = &mut sums.values[r * stride..][..stride];
            add_alone(lanes, &panel, &weights[r], slots, values);
        }
        if start < end {
            add_panel(lanes, &panel, weights, start..end, sums.values, stride);
        }
        for (r, seen) in seen.iter().enumerate() {
            let slots = seen.slots.start.max(end)..seen.slots.end;
            let values = &mut sums.values[r * stride..][..stride];
            add_alone(lanes, &panel, &weights[r], slots, values);
        }
    }
}

/// Up to 32 dimensions of all values of a page.
struct Panel<'a, V> {
    /// `[PAGE][width]`
    numbers: &'a [V],
    width: usize,
    /// The first dimension.
    first: usize,
    /// Vectors of dimensions that are summed.
    vectors: usize,
}

/// [`add_panel`] for one row; `values` are its sums.
#[inline(always)]
fn add_alone<L: Lanes, V: KvNumber>(
    lanes: L,
    panel: &Panel<V>,
    weights: &[f32; PAGE],
    slots: Range<usize>,
    values: &mut [f32],
) {
    if !slots.is_empty() {
        lanes.call(AddAlone { panel, weights, slots, values });
    }
}

struct AddAlone<'a, V> {
    panel: &'a Panel<'a, V>,
    weights: &'a [f32; PAGE],
    slots: Range<usize>,
    values: &'a mut [f32],
}

impl<V: KvNumber> Operation for AddAlone<'_, V> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let stride = self.values.len();
        add_panel(lanes, self.panel, from_ref(self.weights), self.slots, self.values, stride);
    }
}

/// Adds one panel of the `slots` that all `R` rows see to `sums`, `[R, stride]`.
#[inline(always)]
fn add_panel<L: Lanes, V: KvNumber, const R: usize>(
    lanes: L,
    panel: &Panel<V>,
    weights: &[[f32; PAGE]; R],
    slots: Range<usize>,
    sums: &mut [f32],
    stride: usize,
) {
    let mut vector = 0;
    while vector < panel.vectors {
        let slots = slots.clone();
        // As many sums as stay in registers.
        vector += match panel.vectors - vector {
            4.. if R <= 2 => mix::<L, V, R, 4>(lanes, panel, vector, weights, slots, sums, stride),
            2.. => mix::<L, V, R, 2>(lanes, panel, vector, weights, slots, sums, stride),
            _ => mix::<L, V, R, 1>(lanes, panel, vector, weights, slots, sums, stride),
        };
    }
}

/// [`add_panel`] for `W` vectors of dimensions from vector `vector` of the panel on; gives `W`.
#[inline(always)]
fn mix<L: Lanes, V: KvNumber, const R: usize, const W: usize>(
    lanes: L,
    panel: &Panel<V>,
    vector: usize,
    weights: &[[f32; PAGE]; R],
    slots: Range<usize>,
    sums: &mut [f32],
    stride: usize,
) -> usize {
    let column = panel.first + vector * WIDTH;
    let mut totals = [[lanes.splat(0.0); W]; R];
    for (r, totals) in totals.iter_mut().enumerate() {
        let parts = sums[r * stride + column..][..W * WIDTH].as_chunks::<WIDTH>().0;
        for (total, part) in totals.iter_mut().zip(parts) {
            *total = lanes.load(part);
        }
    }
    let lines = &panel.numbers[slots.start * panel.width..slots.end * panel.width];
    for (slot, line) in slots.zip(lines.chunks_exact(panel.width)) {
        if R <= 2 {
            prefetch_ahead(lanes, line);
        }
        let vectors = &line.as_chunks::<WIDTH>().0[vector..vector + W];
        for (w, part) in vectors.iter().enumerate() {
            let value = V::load(lanes, part);
            for r in 0..R {
                totals[r][w] = lanes.fma(lanes.splat(weights[r][slot]), value, totals[r][w]);
            }
        }
    }
    for (r, totals) in totals.iter().enumerate() {
        let parts = sums[r * stride + column..][..W * WIDTH].as_chunks_mut::<WIDTH>().0;
        for (&total, part) in totals.iter().zip(parts) {
            lanes.store(total, part);
        }
    }
    W
}

/// Asks for what comes 1 KiB later: few rows are limited by memory, and between the arithmetic
/// the processor does not look that far ahead by itself.
#[inline(always)]
fn prefetch_ahead<L: Lanes, T>(lanes: L, line: &[T]) {
    lanes.prefetch(line.as_ptr().wrapping_byte_add(1024));
}
