//! One head's state through the rows of a span, on any instruction set.
//!
//! A row asks the state twice: what it says of the key before it is written to, and of the query
//! after. The answer to one row and the question of the next meet the same state, so one sweep over
//! a panel does all there is between two rows: it shrinks and writes, answers, and asks for the
//! next. That is four operations a number, three without the delta rule, which take longer than
//! loads and stores.

use super::columns;
use super::tile::{self, Part, Row, Tile};
use super::{Decays, Fed, PANEL, Recurrence, Write};
use crate::SlotSpan;
use crate::lanes::{Lanes, Operation, WIDE};
use crate::threads::Shared;

/// Panels of one head in one span.
pub(super) struct Task<'a> {
    pub how: &'a Recurrence<'a>,
    pub fed: &'a Fed<'a>,
    pub span: SlotSpan,
    pub part: Part,
    /// `[panels, k_dim, PANEL]`
    pub state: &'a mut [f32],
    pub out: &'a Shared<'a, f32>,
}

impl Operation<WIDE> for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, lanes: L) {
        let each = matches!(self.fed.decays, Decays::PerChannel(_));
        match (self.how.write, each) {
            (Write::Value, false) => self.walk::<L, false, false>(lanes),
            (Write::Value, true) => self.walk::<L, false, true>(lanes),
            (Write::Difference, false) => self.walk::<L, true, false>(lanes),
            (Write::Difference, true) => self.walk::<L, true, true>(lanes),
        }
    }
}

impl Task<'_> {
    /// All rows, by the `DELTA` rule or not, with a decay for `EACH` key channel or one for all.
    #[inline(always)]
    fn walk<L: Lanes<WIDE>, const DELTA: bool, const EACH: bool>(self, lanes: L) {
        let Task { how, fed, span, part, state, out } = self;
        let (state, _) = state.as_chunks_mut::<PANEL>();
        let mut tile = Tile::new(how, &part, span.rows);
        let answer = Answer {
            scale: lanes.splat(how.scale),
            skip: lanes.splat(how.skip.map_or(0.0, |skip| skip[part.head])),
        };
        let end = span.first_row + span.rows;
        for first in (span.first_row..end).step_by(tile::ROWS) {
            let rows = first..end.min(first + tile::ROWS);
            tile.fill(how, fed, &part, rows.clone());
            for (panel, state) in state.chunks_exact_mut(how.k_dim).enumerate() {
                let panel = Panel { lanes, number: panel, answer };
                panel.walk::<DELTA, EACH>(state, &mut tile, rows.len());
            }
            // SAFETY: spans have different rows; tasks of a span differ in head or panels.
            unsafe { tile.give(how, &part, rows, out) };
        }
    }
}

/// What becomes of what is read.
#[derive(Clone, Copy)]
struct Answer<L: Lanes<WIDE>> {
    scale: L::Vector,
    /// Of the value, which is added.
    skip: L::Vector,
}

/// A part of a panel.
struct Panel<L: Lanes<WIDE>> {
    lanes: L,
    number: usize,
    answer: Answer<L>,
}

impl<L: Lanes<WIDE>> Panel<L> {
    /// The first `rows` rows of the tile.
    #[inline(always)]
    fn walk<const DELTA: bool, const EACH: bool>(
        &self,
        state: &mut [[f32; PANEL]],
        tile: &mut Tile,
        rows: usize,
    ) {
        let Panel { lanes, answer, .. } = *self;
        let mut known = match DELTA {
            true => known(lanes, state, tile.keys.row(0).asked),
            false => columns::zero(lanes),
        };
        for index in 0..rows {
            let row = tile.keys.row(index);
            let value = &mut tile.values[index * tile.panels + self.number];
            let v = columns::load(lanes, value);
            let new = if DELTA { columns::difference(lanes, v, known) } else { v };
            let written = columns::scale(lanes, new, lanes.splat(row.rate));
            let sweep = Sweep { lanes, row, written };
            let read;
            if DELTA && index + 1 < rows {
                let asked = tile.keys.row(index + 1).asked;
                (read, known) = sweep.run::<EACH, true>(state, asked);
            } else {
                (read, _) = sweep.run::<EACH, false>(state, row.asked);
            }
            let skipped = columns::scale(lanes, v, answer.skip);
            columns::store(lanes, columns::add(lanes, read, answer.scale, skipped), value);
        }
    }
}

/// What the shrunk state says of the key: `S^T (decay * k)`.
#[inline(always)]
fn known<L: Lanes<WIDE>>(lanes: L, state: &[[f32; PANEL]], asked: &[f32]) -> columns::Row<L> {
    let mut known = columns::zero(lanes);
    for (state, &asked) in state.iter().zip(asked) {
        known = columns::add(lanes, columns::load(lanes, state), lanes.splat(asked), known);
    }
    known
}

/// One row on a panel.
struct Sweep<'a, L: Lanes<WIDE>> {
    lanes: L,
    row: Row<'a>,
    written: columns::Row<L>,
}

impl<L: Lanes<WIDE>> Sweep<'_, L> {
    /// Shrinks the state, writes to it and reads it, `S^T q`; and `S^T asked`, if one is to `ASK`.
    #[inline(always)]
    fn run<const EACH: bool, const ASK: bool>(
        &self,
        state: &mut [[f32; PANEL]],
        asked: &[f32],
    ) -> (columns::Row<L>, columns::Row<L>) {
        let (lanes, width) = (self.lanes, state.len());
        let Row { q, k, decays, .. } = self.row;
        let (q, k, decays, asked) = (&q[..width], &k[..width], &decays[..width], &asked[..width]);
        let shared = lanes.splat(self.row.decay);
        let (mut read, mut known) = (columns::zero(lanes), columns::zero(lanes));
        for (channel, state) in state.iter_mut().enumerate() {
            let decay = if EACH { lanes.splat(decays[channel]) } else { shared };
            let kept = columns::scale(lanes, columns::load(lanes, state), decay);
            let next = columns::add(lanes, self.written, lanes.splat(k[channel]), kept);
            columns::store(lanes, next, state);
            read = columns::add(lanes, next, lanes.splat(q[channel]), read);
            if ASK {
                known = columns::add(lanes, next, lanes.splat(asked[channel]), known);
            }
        }
        (read, known)
    }
}
