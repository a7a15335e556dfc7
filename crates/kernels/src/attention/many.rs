//! One page of one head and a group of many query rows, rows in lanes: keys and values are floats
//! in cache, and arithmetic is what limits it.
//!
//! Every number comes from the same sums in the same order as in [`super::few`].

use super::Attention;
use super::bias::RowBias;
use super::element::Cached;
use super::few::{Sums, soft_cap};
use super::store::{KEY_BLOCK, PAGE, PANEL};
use super::values::{BySlot, Extent, Panel, Rows, add_panel, panels};
use crate::lanes::{Lanes, Operation, WIDE, exp};
use std::ops::Range;

/// Which slots of a page a group's rows see.
pub(super) struct Sight<'a, const G: usize> {
    pub slots: [Range<usize>; G],
    /// What any row sees.
    pub any: Range<usize>,
    /// Whether each row sees all of that.
    pub same: bool,
    /// Each row's own position in slots of this page, and the slope of the bias of its head.
    pub slopes: Option<[[f32; G]; 2]>,
    /// The bias of each row; none where rows have none.
    pub biases: Vec<RowBias<'a>>,
}

/// A page's keys.
#[derive(Clone, Copy)]
pub(super) enum Keys<'a> {
    /// `[PAGE / 32][k_dim][32 positions]`
    Blocks(&'a [f32]),
    /// In panels like values, so many dimensions in all.
    Panels(&'a [f32], usize),
}

/// Adds a page to the sums of `G` rows: row `r` has the query `q[..][r]`.
pub(super) struct AddToMany<'a, const G: usize> {
    pub how: &'a Attention<'a>,
    pub q: &'a [[f32; G]],
    pub keys: Keys<'a>,
    /// Panels of 32 dimensions, the last of what is left, each `[PAGE][dimensions]`.
    pub values: &'a [f32],
    /// Dimensions of all panels together, whole vectors.
    pub value_width: usize,
    pub sight: &'a Sight<'a, G>,
    /// Working memory.
    pub scores: &'a mut [[f32; G]; PAGE],
    pub sums: Sums<'a>,
}

/// Dimensions of keys that go by at a time: the group's queries of so many stay in cache for all
/// positions.
const DIMS: usize = 128;

impl<const G: usize> Operation<WIDE> for AddToMany<'_, G> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(mut self, lanes: L) {
        for (index, q) in self.q.chunks(DIMS).enumerate() {
            self.dots(lanes, index * DIMS, q);
        }
        self.finish_scores(lanes);
        let mut shrink = [0.0; G];
        for lane in (0..G).step_by(WIDE) {
            self.make_weights(lanes, lane, &mut shrink);
        }
        for panel in panels(Cached::of_floats(self.values), self.value_width, self.sums.width) {
            // As many rows as have their sums in registers.
            if L::REGISTERS >= 32 {
                self.add_values::<L, 8>(lanes, &panel, &shrink);
            } else {
                self.add_values::<L, 4>(lanes, &panel, &shrink);
            }
        }
    }
}

impl<const G: usize> AddToMany<'_, G> {
    /// Adds the dimensions from `first` on to the dot products of all slots that any row sees,
    /// dimensions upwards.
    #[inline(always)]
    fn dots<L: Lanes<WIDE>>(&mut self, lanes: L, first: usize, q: &[[f32; G]]) {
        // As many sums as stay in registers.
        if L::REGISTERS < 32 {
            self.dots_by::<L, 4, 1>(lanes, first, q);
        } else if G > WIDE {
            self.dots_by::<L, 8, 2>(lanes, first, q);
        } else {
            self.dots_by::<L, 16, 1>(lanes, first, q);
        }
    }

    /// [`Self::dots`], `P` slots and `W` vectors of rows at a time.
    #[inline(always)]
    fn dots_by<L: Lanes<WIDE>, const P: usize, const W: usize>(
        &mut self,
        lanes: L,
        first: usize,
        q: &[[f32; G]],
    ) {
        let blocks = self.sight.any.start / P..self.sight.any.end.div_ceil(P);
        for block in blocks {
            let slot = block * P;
            let scores = self.scores[slot..].first_chunk_mut::<P>().expect("slots of a page");
            for lane in (0..G).step_by(W * WIDE) {
                match self.keys {
                    Keys::Blocks(keys) => {
                        let k_dim = self.q.len();
                        let lines = keys.as_chunks::<KEY_BLOCK>().0;
                        let lines = &lines[slot / KEY_BLOCK * k_dim + first..][..q.len()];
                        let lines = Across::<P> { lines, block: slot % KEY_BLOCK / P };
                        dots_tile::<L, _, G, P, W>(lanes, q, lines, lane, first == 0, scores);
                    }
                    Keys::Panels(keys, width) => {
                        panel_dots::<L, G, P, W>(
                            lanes,
                            q,
                            keys,
                            width,
                            [first, slot, lane],
                            scores,
                        );
                    }
                }
            }
        }
    }

    /// From dot products to scores; slots that a row does not see get negative infinity, whatever
    /// stood there.
    #[inline(always)]
    fn finish_scores<L: Lanes<WIDE>>(&mut self, lanes: L) {
        let (how, sight) = (self.how, self.sight);
        let scale = lanes.splat(how.scale);
        for slot in sight.any.clone() {
            for lane in (0..G).step_by(WIDE) {
                let part = self.scores[slot][lane..].first_chunk_mut().expect("whole vectors");
                let mut score = lanes.mul(lanes.load(part), scale);
                if let Some(cap) = how.softcap {
                    score = soft_cap(lanes, score, cap);
                }
                if let Some([own, slope]) = &sight.slopes {
                    let own = own[lane..].first_chunk().expect("whole vectors");
                    let slope = slope[lane..].first_chunk().expect("whole vectors");
                    let distance = lanes.sub(lanes.splat(slot as f32), lanes.load(own));
                    score = lanes.add(score, lanes.mul(lanes.load(slope), distance));
                }
                lanes.store(score, part);
            }
        }
        for (row, bias) in sight.biases.iter().enumerate() {
            for slot in sight.slots[row].clone() {
                self.scores[slot][row] += bias.at(slot);
            }
        }
        if !sight.same {
            self.mask(lanes);
        }
    }

    #[inline(always)]
    fn mask<L: Lanes<WIDE>>(&mut self, lanes: L) {
        let (mut starts, mut ends) = ([0.0; G], [0.0; G]);
        for (row, slots) in self.sight.slots.iter().enumerate() {
            (starts[row], ends[row]) = (slots.start as f32, slots.end as f32);
        }
        let unseen = lanes.splat(f32::NEG_INFINITY);
        for slot in self.sight.any.clone() {
            let at = lanes.splat(slot as f32);
            for lane in (0..G).step_by(WIDE) {
                let part = self.scores[slot][lane..].first_chunk_mut().expect("whole vectors");
                let start = lanes.load(starts[lane..].first_chunk().expect("whole vectors"));
                let end = lanes.load(ends[lane..].first_chunk().expect("whole vectors"));
                let score = lanes.select_less(at, end, lanes.load(part), unseen);
                lanes.store(lanes.select_less(at, start, unseen, score), part);
            }
        }
    }

    /// Raises the largest score of sixteen rows, turns their scores into
    /// `e^(score - largest)`, adds them to the weights and says what sums of before are to be
    /// multiplied with.
    #[inline(always)]
    fn make_weights<L: Lanes<WIDE>>(&mut self, lanes: L, lane: usize, shrink: &mut [f32; G]) {
        let any = self.sight.any.clone();
        let largest = self.sums.largest[lane..].first_chunk_mut().expect("whole vectors");
        let before = lanes.load(largest);
        // Two, so that one comparison need not wait for the one before.
        let mut peaks = [before; 2];
        let (pairs, rest) = self.scores[any.clone()].as_chunks::<2>();
        for pair in pairs {
            for (peak, scores) in peaks.iter_mut().zip(pair) {
                let score = scores[lane..].first_chunk().expect("whole vectors");
                *peak = lanes.max(lanes.load(score), *peak);
            }
        }
        for scores in rest {
            let score = scores[lane..].first_chunk().expect("whole vectors");
            peaks[0] = lanes.max(lanes.load(score), peaks[0]);
        }
        let peak = lanes.max(peaks[0], peaks[1]);
        lanes.store(peak, largest);
        // A row that has seen nothing so far goes on with weights of zero.
        let nothing = lanes.splat(f32::NEG_INFINITY);
        let peak = lanes.select_less(nothing, peak, peak, lanes.splat(0.0));
        let added = match any == (0..PAGE) {
            true => self.weigh::<L, true>(lanes, lane, peak),
            false => self.weigh::<L, false>(lanes, lane, peak),
        };
        let shrunk = exp(lanes, lanes.sub(before, peak));
        lanes.store(shrunk, shrink[lane..].first_chunk_mut().expect("whole vectors"));
        let weight = self.sums.weight[lane..].first_chunk_mut().expect("whole vectors");
        lanes.store(lanes.add(lanes.mul(lanes.load(weight), shrunk), added), weight);
    }

    /// Turns the scores of sixteen rows into weights, zeros where no row sees the slot (`WHOLE`:
    /// all slots are seen), and sums them: of slots sixteen apart upwards, then the upper half of
    /// the sixteen added to the lower until one is left.
    #[inline(always)]
    fn weigh<L: Lanes<WIDE>, const WHOLE: bool>(
        &mut self,
        lanes: L,
        lane: usize,
        peak: L::Vector,
    ) -> L::Vector {
        let any = self.sight.any.clone();
        let mut sums = [lanes.splat(0.0); WIDE];
        for (first, sum) in sums.iter_mut().enumerate() {
            // Side by side: each by itself is one long chain.
            let mut weights = [lanes.splat(0.0); PAGE / WIDE];
            for (part, weight) in weights.iter_mut().enumerate() {
                let slot = part * WIDE + first;
                if WHOLE || any.contains(&slot) {
                    let score = self.scores[slot][lane..].first_chunk().expect("whole vectors");
                    *weight = exp(lanes, lanes.sub(lanes.load(score), peak));
                }
            }
            for (part, weight) in weights.into_iter().enumerate() {
                let scores = &mut self.scores[part * WIDE + first];
                lanes.store(weight, scores[lane..].first_chunk_mut().expect("whole vectors"));
                *sum = lanes.add(*sum, weight);
            }
        }
        let mut half = WIDE / 2;
        while half > 0 {
            for slot in 0..half {
                sums[slot] = lanes.add(sums[slot], sums[slot + half]);
            }
            half /= 2;
        }
        sums[0]
    }

    /// Adds a panel of values to the sums of all rows, `R` rows at a time.
    #[inline(always)]
    fn add_values<L: Lanes<WIDE>, const R: usize>(
        &mut self,
        lanes: L,
        panel: &Panel<f32>,
        shrink: &[f32; G],
    ) {
        let stride = self.sums.width;
        for first in (0..G).step_by(R) {
            let extent = match self.sight.same {
                true => Extent::<R>::new(std::array::from_fn(|_| self.sight.any.clone())),
                false => {
                    Extent::<R>::new(std::array::from_fn(|r| self.sight.slots[first + r].clone()))
                }
            };
            let weights = BySlot { weights: self.scores, first };
            let shrink = shrink[first..].first_chunk::<R>().expect("whole tiles");
            let sums = &mut self.sums.values[first * stride..][..R * stride];
            add_panel(lanes, panel, weights, &extent, shrink, &mut Rows { sums, stride });
        }
    }
}

/// Some dimensions of the keys of a few slots.
trait KeysOfSlots: Copy {
    /// Dimension `d` of the key in slot `p`.
    fn at(self, d: usize, p: usize) -> f32;
}

/// Dimension by dimension, with the slots in chunk `block` of each line.
#[derive(Clone, Copy)]
struct Across<'a, const P: usize> {
    lines: &'a [[f32; KEY_BLOCK]],
    block: usize,
}

impl<const P: usize> KeysOfSlots for Across<'_, P> {
    #[inline(always)]
    fn at(self, d: usize, p: usize) -> f32 {
        self.lines[d].as_chunks::<P>().0[self.block][p]
    }
}

/// Key by key.
#[derive(Clone, Copy)]
struct Along<'a, const P: usize, const LINE: usize>(&'a [[f32; LINE]; P]);

impl<const P: usize, const LINE: usize> KeysOfSlots for Along<'_, P, LINE> {
    #[inline(always)]
    fn at(self, d: usize, p: usize) -> f32 {
        self.0[p][d]
    }
}

/// [`dots_tile`] of keys in panels `width` wide together, `from` a dimension, slot and lane.
#[inline(always)]
fn panel_dots<L: Lanes<WIDE>, const G: usize, const P: usize, const W: usize>(
    lanes: L,
    q: &[[f32; G]],
    keys: &[f32],
    width: usize,
    [first, slot, lane]: [usize; 3],
    scores: &mut [[f32; G]; P],
) {
    for (index, q) in q.chunks(PANEL).enumerate() {
        let d = first + index * PANEL;
        let panel = &keys[d * PAGE..];
        if width - d < PANEL {
            let lines = panel.as_chunks::<WIDE>().0[slot..].first_chunk().expect("a page");
            let lines = Along::<P, WIDE>(lines);
            dots_tile::<L, _, G, P, W>(lanes, q, lines, lane, d == 0, scores);
        } else {
            let lines = panel.as_chunks::<PANEL>().0[slot..].first_chunk().expect("a page");
            let lines = Along::<P, PANEL>(lines);
            dots_tile::<L, _, G, P, W>(lanes, q, lines, lane, d == 0, scores);
        }
    }
}

/// `scores[p][r] += sum over d of q[d][r] * key[p][d]` for `W` vectors of rows from `lane` on,
/// `d` upwards; what stood there counts as zero where it is `fresh`.
#[inline(always)]
fn dots_tile<L: Lanes<WIDE>, K: KeysOfSlots, const G: usize, const P: usize, const W: usize>(
    lanes: L,
    q: &[[f32; G]],
    keys: K,
    lane: usize,
    fresh: bool,
    scores: &mut [[f32; G]; P],
) {
    let mut sums = [[lanes.splat(0.0); W]; P];
    if !fresh {
        for (sums, scores) in sums.iter_mut().zip(&*scores) {
            let parts = scores[lane..].as_chunks::<WIDE>().0;
            for w in 0..W {
                sums[w] = lanes.load(&parts[w]);
            }
        }
    }
    for (d, q) in q.iter().enumerate() {
        let parts = q[lane..].as_chunks::<WIDE>().0;
        let mut rows = [lanes.splat(0.0); W];
        for w in 0..W {
            rows[w] = lanes.load(&parts[w]);
        }
        for (p, sums) in sums.iter_mut().enumerate() {
            let key = lanes.splat(keys.at(d, p));
            for w in 0..W {
                sums[w] = lanes.fma(rows[w], key, sums[w]);
            }
        }
    }
    for p in 0..P {
        let parts = scores[p][lane..].as_chunks_mut::<WIDE>().0;
        for w in 0..W {
            lanes.store(sums[p][w], &mut parts[w]);
        }
    }
}
