//! Values times weights: the second half of a page, for rows that go through it together.

use super::element::{Cached, KvNumber};
use super::store::{PAGE, PANEL};
use crate::lanes::{Lanes, WIDE};
use crate::memory::LINE;
use std::ops::Range;

/// The weights of a tile's rows in a page.
pub(super) trait Weights: Copy {
    /// Whether values come from memory and not from cache.
    const FROM_MEMORY: bool;

    /// That of row `r` for a slot.
    fn at(self, slot: usize, r: usize) -> f32;
}

/// The weights of one row after those of another.
#[derive(Clone, Copy)]
pub(super) struct ByRow<'a, const R: usize>(pub &'a [[f32; PAGE]; R]);

impl<const R: usize> Weights for ByRow<'_, R> {
    const FROM_MEMORY: bool = true;

    #[inline(always)]
    fn at(self, slot: usize, r: usize) -> f32 {
        self.0[r][slot]
    }
}

/// The weights of all rows of a group for one slot after those for another; the tile's begin at
/// row `first`.
#[derive(Clone, Copy)]
pub(super) struct BySlot<'a, const G: usize> {
    pub weights: &'a [[f32; G]; PAGE],
    pub first: usize,
}

impl<const G: usize> Weights for BySlot<'_, G> {
    const FROM_MEMORY: bool = false;

    #[inline(always)]
    fn at(self, slot: usize, r: usize) -> f32 {
        self.weights[slot][self.first + r]
    }
}

/// Which slots a tile's rows see.
pub(super) struct Extent<const R: usize> {
    slots: [Range<usize>; R],
    /// What any row sees.
    any: Range<usize>,
    /// What all rows see; at the end of the others if nothing.
    common: Range<usize>,
}

impl<const R: usize> Extent<R> {
    /// Of rows that see these slots.
    #[inline(always)]
    pub fn new(slots: [Range<usize>; R]) -> Extent<R> {
        let (mut any, mut common) = (slots[0].clone(), slots[0].clone());
        for slots in &slots {
            any = any.start.min(slots.start)..any.end.max(slots.end);
            common = common.start.max(slots.start)..common.end.min(slots.end);
        }
        if common.is_empty() {
            common = any.end..any.end;
        }
        Extent { slots, any, common }
    }
}

/// Up to 32 dimensions of all values of a page.
pub(super) struct Panel<'a, V> {
    ahead: Ahead,
    /// `[PAGE][width]`, `width` 32 or 16.
    numbers: &'a [V],
    /// Of all panels.
    scales: &'a [u16],
    width: usize,
    /// The first dimension.
    first: usize,
    /// Vectors of dimensions that are summed.
    vectors: usize,
}

/// The panels of a page of values `value_width` wide, of which `width` dimensions are summed.
#[inline(always)]
pub(super) fn panels<V>(
    values: Cached<'_, V>,
    value_width: usize,
    width: usize,
) -> impl Iterator<Item = Panel<'_, V>> {
    let Cached { numbers, scales } = values;
    let ahead = Ahead::within(numbers);
    (0..width).step_by(PANEL).map(move |first| {
        let panel = PANEL.min(value_width - first);
        let numbers = &numbers[first * PAGE..][..panel * PAGE];
        let vectors = (width - first).min(PANEL) / WIDE;
        Panel { ahead, numbers, scales, width: panel, first, vectors }
    })
}

/// What `R` rows have summed: `[R, stride]`.
pub(super) struct Rows<'a> {
    pub sums: &'a mut [f32],
    pub stride: usize,
}

/// Multiplies the panel's dimensions of each row's sums by `shrink` and adds the values of the
/// slots it sees times their weights, slots upwards. Slots it does not see add nothing: they may
/// hold anything, and even a zero times a NaN is a NaN.
#[inline(always)]
pub(super) fn add_panel<L: Lanes<WIDE>, V: KvNumber, W: Weights, const R: usize>(
    lanes: L,
    panel: &Panel<V>,
    weights: W,
    extent: &Extent<R>,
    shrink: &[f32; R],
    rows: &mut Rows,
) {
    let scales = &V::panel_scales(lanes, panel.scales, panel.first / PANEL);
    let mut tile = Tile { ahead: panel.ahead, extent, first: panel.first, scales, shrink, rows };
    if panel.width < PANEL {
        let lines = panel.numbers.as_chunks::<WIDE>().0;
        return mix::<L, V, W, R, WIDE, 0, 1>(lanes, lines, weights, &mut tile);
    }
    let lines = panel.numbers.as_chunks::<PANEL>().0;
    // As many sums as stay in registers.
    if panel.vectors == 1 {
        mix::<L, V, W, R, PANEL, 0, 1>(lanes, lines, weights, &mut tile);
    } else if R * 2 < L::REGISTERS {
        mix::<L, V, W, R, PANEL, 0, 2>(lanes, lines, weights, &mut tile);
    } else {
        mix::<L, V, W, R, PANEL, 0, 1>(lanes, lines, weights, &mut tile);
        mix::<L, V, W, R, PANEL, 1, 1>(lanes, lines, weights, &mut tile);
    }
}

/// Where a tile is in its page and in its rows' sums.
struct Tile<'a, 'b, const R: usize> {
    ahead: Ahead,
    extent: &'a Extent<R>,
    /// The panel's first dimension.
    first: usize,
    /// What the values of each slot are multiplied with.
    scales: &'a [f32; PAGE],
    shrink: &'a [f32; R],
    rows: &'a mut Rows<'b>,
}

/// [`add_panel`] for `C` vectors of dimensions from vector `FIRST` of the panel's lines on.
#[inline(always)]
fn mix<
    L: Lanes<WIDE>,
    V: KvNumber,
    W: Weights,
    const R: usize,
    const WIDTH: usize,
    const FIRST: usize,
    const C: usize,
>(
    lanes: L,
    lines: &[[V; WIDTH]],
    weights: W,
    tile: &mut Tile<R>,
) {
    let (stride, at) = (tile.rows.stride, tile.first + FIRST * WIDE);
    let mut totals = [[lanes.splat(0.0); C]; R];
    for (r, totals) in totals.iter_mut().enumerate() {
        let shrink = lanes.splat(tile.shrink[r]);
        let parts = tile.rows.sums[r * stride + at..].as_chunks::<WIDE>().0;
        for c in 0..C {
            totals[c] = lanes.mul(lanes.load(&parts[c]), shrink);
        }
    }
    let Extent { slots, any, common } = tile.extent;
    let values = Values { ahead: tile.ahead, lines, scales: tile.scales };
    // What all rows see is read once for all; before and behind, some rows are left out.
    for slot in any.start..common.start {
        let seen = |r: usize| slots[r].contains(&slot);
        add_line::<L, V, W, R, WIDTH, FIRST, C>(lanes, values, weights, slot, seen, &mut totals);
    }
    for slot in common.clone() {
        let all = |_| true;
        add_line::<L, V, W, R, WIDTH, FIRST, C>(lanes, values, weights, slot, all, &mut totals);
    }
    for slot in common.end..any.end {
        let seen = |r: usize| slots[r].contains(&slot);
        add_line::<L, V, W, R, WIDTH, FIRST, C>(lanes, values, weights, slot, seen, &mut totals);
    }
    for (r, totals) in totals.iter().enumerate() {
        let parts = tile.rows.sums[r * stride + at..].as_chunks_mut::<WIDE>().0;
        for c in 0..C {
            lanes.store(totals[c], &mut parts[c]);
        }
    }
}

/// A panel's values.
#[derive(Clone, Copy)]
struct Values<'a, V, const WIDTH: usize> {
    ahead: Ahead,
    /// Slot by slot.
    lines: &'a [[V; WIDTH]],
    /// One for each slot.
    scales: &'a [f32; PAGE],
}

/// Adds one slot's values to the totals of the rows that have `seen` it.
#[inline(always)]
fn add_line<
    L: Lanes<WIDE>,
    V: KvNumber,
    W: Weights,
    const R: usize,
    const WIDTH: usize,
    const FIRST: usize,
    const C: usize,
>(
    lanes: L,
    values: Values<V, WIDTH>,
    weights: W,
    slot: usize,
    seen: impl Fn(usize) -> bool,
    totals: &mut [[L::Vector; C]; R],
) {
    let (line, scale) = (&values.lines[slot], lanes.splat(values.scales[slot]));
    if W::FROM_MEMORY {
        values.ahead.ask(lanes, line);
    }
    let parts = line.as_chunks::<WIDE>().0;
    let mut values = [lanes.splat(0.0); C];
    for c in 0..C {
        values[c] = V::load(lanes, &parts[FIRST + c], scale);
    }
    for (r, totals) in totals.iter_mut().enumerate() {
        if seen(r) {
            let weight = lanes.splat(weights.at(slot, r));
            for c in 0..C {
                totals[c] = lanes.fma(weight, values[c], totals[c]);
            }
        }
    }
}

/// What rows so few that memory limits them ask for before they get there: between the arithmetic
/// the processor does not look that far ahead by itself.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    /// The last line of what they go through: what lies behind it belongs to other heads.
    last: *const u8,
}

impl Ahead {
    /// What is asked for into the first cache, in bytes from where the reads are.
    const NEAR: usize = 1024;
    /// The same into the second.
    const FAR: usize = 4096;

    /// Up to the end of `numbers`.
    #[inline(always)]
    pub fn within<T>(numbers: &[T]) -> Ahead {
        Ahead { last: numbers.as_ptr_range().end.cast::<u8>().wrapping_sub(LINE) }
    }

    /// Asks for what comes after `line`.
    #[inline(always)]
    pub fn ask<L: Lanes<WIDE>, T>(self, lanes: L, line: &[T]) {
        let at = line.as_ptr().cast::<u8>();
        lanes.prefetch(at.wrapping_add(Ahead::NEAR).min(self.last));
        lanes.prefetch_later(at.wrapping_add(Ahead::FAR).min(self.last));
    }

    /// Asks for the `part`-th of `parts` of what is read first of `numbers`.
    #[inline(always)]
    pub fn begin<L: Lanes<WIDE>, T>(lanes: L, numbers: &[T], part: usize, parts: usize) {
        let bytes = Ahead::FAR.min(size_of_val(numbers));
        let start = numbers.as_ptr().cast::<u8>();
        for at in (part * bytes / parts..(part + 1) * bytes / parts).step_by(LINE) {
            lanes.prefetch_later(start.wrapping_add(at));
        }
    }
}
