//! One page of one head and up to eight query rows, positions in lanes: read as it is stored,
//! for rows so few that memory is what limits them.
//!
//! What a row computes does not depend on how many rows go along with it: they only share what
//! is read.

use super::Attention;
use super::Seen;
use super::element::{Cached, KvNumber};
use super::store::{KEY_BLOCK, PAGE, PANEL};
use super::values::{Ahead, ByRow, Extent, Rows, add_panel, panels};
use crate::lanes::{Lanes, Operation, WIDE, exp};

/// What rows have summed so far.
pub(super) struct Sums<'a> {
    /// The largest score of each row.
    pub largest: &'a mut [f32],
    /// The sum of `e^(score - largest)` of each row.
    pub weight: &'a mut [f32],
    /// The values times their weights, `[rows, width]` with whole vectors.
    pub values: &'a mut [f32],
    /// Dimensions that are summed, whole vectors.
    pub width: usize,
}

/// Adds a page to the sums of `R` rows: row `r` has the query `q[..][r]` and sees the slots
/// `seen[r]`. (The running softmax: Milakov and Gimelshein, arXiv:1805.02867.)
pub(super) struct AddToFew<'a, E, const R: usize> {
    pub how: &'a Attention<'a>,
    pub q: &'a [[f32; R]],
    /// `[PAGE / 32][k_dim][32 positions]`
    pub keys: Cached<'a, E>,
    /// Panels of 32 dimensions, the last of what is left, each `[PAGE][dimensions]`.
    pub values: Cached<'a, E>,
    /// Dimensions of all panels together, whole vectors.
    pub value_width: usize,
    /// What the rows come to next, or nothing.
    pub next: &'a [E],
    pub seen: &'a [Seen<'a>; R],
    pub sums: Sums<'a>,
}

impl<E: KvNumber, const R: usize> Operation<WIDE> for AddToFew<'_, E, R> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, lanes: L) {
        let AddToFew { how, q, keys, values, value_width, next, seen, sums } = self;
        let mut weights = [[0.0; PAGE]; R];
        // Values come after keys.
        dots(lanes, q, keys, Ahead::within(values.numbers), &mut weights);
        let mut falls = [0.0; WIDE];
        for row in 0..R {
            // Nothing else is read meanwhile.
            Ahead::begin(lanes, next, row, R);
            if seen[row].slots.is_empty() {
                continue;
            }
            finish_scores(lanes, how, &seen[row], &mut weights[row]);
            let largest = &mut sums.largest[row];
            let before = std::mem::replace(largest, highest(lanes, &weights[row], *largest));
            if *largest != before {
                falls[row] = before - *largest;
            }
        }
        // Of rows that have found no larger score it is exactly 1.
        let shrink = lanes.to_array(exp(lanes, lanes.load(&falls)));
        for row in 0..R {
            if !seen[row].slots.is_empty() {
                let added = to_weights(lanes, &mut weights[row], sums.largest[row]);
                sums.weight[row] = sums.weight[row] * shrink[row] + added;
            }
        }
        let shrink = shrink.first_chunk::<R>().expect("fewer rows than lanes");
        let extent = Extent::new(std::array::from_fn(|row| seen[row].slots.clone()));
        let mut rows = Rows { sums: sums.values, stride: sums.width };
        for panel in panels(values, value_width, sums.width) {
            add_panel(lanes, &panel, ByRow(&weights), &extent, shrink, &mut rows);
        }
    }
}

/// `scores[r][slot] = sum over d of q[d][r] * key[slot][d]`, `d` upwards.
#[inline(always)]
pub(super) fn dots<L: Lanes<WIDE>, K: KvNumber, const R: usize>(
    lanes: L,
    q: &[[f32; R]],
    keys: Cached<K>,
    ahead: Ahead,
    scores: &mut [[f32; PAGE]; R],
) {
    let (lines, _) = keys.numbers.as_chunks::<KEY_BLOCK>();
    for (block, lines) in lines.chunks_exact(q.len()).enumerate() {
        let keys = Lines { lines, scales: keys.scales, block, ahead };
        // As many sums as stay in registers.
        if R * 2 < L::REGISTERS {
            dots_of::<L, K, R, 0, 2>(lanes, q, keys, scores);
        } else {
            dots_of::<L, K, R, 0, 1>(lanes, q, keys, scores);
            dots_of::<L, K, R, 1, 1>(lanes, q, keys, scores);
        }
    }
}

/// The keys of 32 positions.
#[derive(Clone, Copy)]
struct Lines<'a, K> {
    /// Dimension by dimension.
    lines: &'a [[K; KEY_BLOCK]],
    /// Of all keys of the page.
    scales: &'a [u16],
    /// Which of its blocks of positions they are.
    block: usize,
    ahead: Ahead,
}

/// [`dots`] of `W` vectors of positions, from vector `FIRST` of the block on.
#[inline(always)]
fn dots_of<L: Lanes<WIDE>, K: KvNumber, const R: usize, const FIRST: usize, const W: usize>(
    lanes: L,
    q: &[[f32; R]],
    keys: Lines<K>,
    scores: &mut [[f32; PAGE]; R],
) {
    let mut sums = [[lanes.splat(0.0); W]; R];
    let mut at = keys.block * q.len().div_ceil(PANEL) * KEY_BLOCK + FIRST * WIDE;
    for (q, lines) in q.chunks(PANEL).zip(keys.lines.chunks(PANEL)) {
        let mut scales = [lanes.splat(0.0); W];
        for (w, scales) in scales.iter_mut().enumerate() {
            *scales = K::scales(lanes, keys.scales, at + w * WIDE);
        }
        at += KEY_BLOCK;
        for (q, line) in q.iter().zip(lines) {
            keys.ahead.ask(lanes, line);
            let parts = line.as_chunks::<WIDE>().0;
            let mut numbers = [lanes.splat(0.0); W];
            for w in 0..W {
                numbers[w] = K::load(lanes, &parts[FIRST + w], scales[w]);
            }
            for r in 0..R {
                let q = lanes.splat(q[r]);
                for w in 0..W {
                    sums[r][w] = lanes.fma(q, numbers[w], sums[r][w]);
                }
            }
        }
    }
    for r in 0..R {
        let out = scores[r][keys.block * KEY_BLOCK + FIRST * WIDE..].as_chunks_mut::<WIDE>().0;
        for w in 0..W {
            lanes.store(sums[r][w], &mut out[w]);
        }
    }
}

/// From dot products to scores; slots that the row does not see get negative infinity, whatever
/// stood there.
#[inline(always)]
fn finish_scores<L: Lanes<WIDE>>(lanes: L, how: &Attention, seen: &Seen, scores: &mut [f32; PAGE]) {
    let scale = lanes.splat(how.scale);
    for part in scores.as_chunks_mut::<WIDE>().0 {
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
        for slot in seen.slots.clone() {
            scores[slot] += bias.at(slot);
        }
    }
    scores[..seen.slots.start].fill(f32::NEG_INFINITY);
    scores[seen.slots.end..].fill(f32::NEG_INFINITY);
}

/// `cap * tanh(score / cap)`, with `tanh u = 1 - 2 / (e^(2 u) + 1)`.
#[inline(always)]
pub(super) fn soft_cap<L: Lanes<WIDE>>(lanes: L, score: L::Vector, cap: f32) -> L::Vector {
    let (one, two, cap) = (lanes.splat(1.0), lanes.splat(2.0), lanes.splat(cap));
    let power = exp(lanes, lanes.mul(two, lanes.div(score, cap)));
    let tanh = lanes.sub(one, lanes.div(two, lanes.add(power, one)));
    lanes.mul(cap, tanh)
}

/// The largest of the scores and `largest`, of which none is NaN.
#[inline(always)]
fn highest<L: Lanes<WIDE>>(lanes: L, scores: &[f32; PAGE], largest: f32) -> f32 {
    let mut peak = lanes.splat(largest);
    for part in scores.as_chunks::<WIDE>().0 {
        peak = lanes.max(lanes.load(part), peak);
    }
    let mut peaks = lanes.to_array(peak);
    let mut half = WIDE / 2;
    while half > 0 {
        for lane in 0..half {
            let (a, b) = (peaks[lane], peaks[lane + half]);
            peaks[lane] = if a > b { a } else { b };
        }
        half /= 2;
    }
    peaks[0]
}

/// Turns scores into `e^(score - largest)` and gives their sum: of slots sixteen apart upwards,
/// then as [`Lanes::sum`].
#[inline(always)]
fn to_weights<L: Lanes<WIDE>>(lanes: L, scores: &mut [f32; PAGE], largest: f32) -> f32 {
    let largest = lanes.splat(largest);
    let mut sum = lanes.splat(0.0);
    for part in scores.as_chunks_mut::<WIDE>().0 {
        let weight = exp(lanes, lanes.sub(lanes.load(part), largest));
        sum = lanes.add(sum, weight);
        lanes.store(weight, part);
    }
    lanes.sum(sum)
}
