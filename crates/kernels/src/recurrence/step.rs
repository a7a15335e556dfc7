//! One head's state through the rows of a span, on any instruction set.
//!
//! A row asks the state twice: what it says of the key before it is written to, and of the query
//! after. The answer to one row and the question of the next meet the same state, so one sweep over
//! a panel does all there is between two rows: it shrinks and writes, answers, and asks for the
//! next. That is four operations a number, three without the delta rule, which take longer than
//! loads and stores. Even and odd key channels have sums of their own, or each addition would wait
//! for the one before.

use super::columns::{Columns, Walk};
use super::tile::{self, Part, Row, Tile};
use super::{Decays, Fed, PANEL, Recurrence, Write};
use crate::SlotSpan;
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

impl Walk for Task<'_> {
    #[inline(always)]
    fn run<C: Columns>(self, columns: C) {
        let each = matches!(self.fed.decays, Decays::PerChannel(_));
        match (self.how.write, each) {
            (Write::Value, false) => self.walk::<C, false, false>(columns),
            (Write::Value, true) => self.walk::<C, false, true>(columns),
            (Write::Difference, false) => self.walk::<C, true, false>(columns),
            (Write::Difference, true) => self.walk::<C, true, true>(columns),
        }
    }
}

impl Task<'_> {
    /// All rows, by the `DELTA` rule or not, with a decay for `EACH` key channel or one for all.
    #[inline(always)]
    fn walk<C: Columns, const DELTA: bool, const EACH: bool>(self, columns: C) {
        let Task { how, fed, span, part, state, out } = self;
        let (state, _) = state.as_chunks_mut::<PANEL>();
        let mut tile = Tile::new(how, &part, span.rows);
        let answer = Answer {
            scale: columns.factor(how.scale),
            skip: columns.factor(how.skip.map_or(0.0, |skip| skip[part.head])),
        };
        let end = span.first_row + span.rows;
        for first in (span.first_row..end).step_by(tile::ROWS) {
            let rows = first..end.min(first + tile::ROWS);
            tile.fill(how, fed, &part, rows.clone());
            for (panel, state) in state.chunks_exact_mut(how.k_dim).enumerate() {
                let panel = Panel { columns, number: panel, answer };
                panel.walk::<DELTA, EACH>(state, &mut tile, rows.len());
            }
            // SAFETY: spans have different rows; tasks of a span differ in head or panels.
            unsafe { tile.give(how, &part, rows, out) };
        }
    }
}

/// What becomes of what is read.
#[derive(Clone, Copy)]
struct Answer<C: Columns> {
    scale: C::Factor,
    /// Of the value, which is added.
    skip: C::Factor,
}

/// A part of a panel.
struct Panel<C: Columns> {
    columns: C,
    number: usize,
    answer: Answer<C>,
}

impl<C: Columns> Panel<C> {
    /// The first `rows` rows of the tile.
    #[inline(always)]
    fn walk<const DELTA: bool, const EACH: bool>(
        &self,
        state: &mut [[f32; PANEL]],
        tile: &mut Tile,
        rows: usize,
    ) {
        let Panel { columns, answer, .. } = *self;
        let mut known = match DELTA {
            true => known(columns, state, tile.keys.row(0).asked),
            false => columns.zero(),
        };
        for index in 0..rows {
            let row = tile.keys.row(index);
            let value = &mut tile.values[index * tile.panels + self.number];
            let v = columns.load(value);
            let new = if DELTA { columns.difference(v, known) } else { v };
            let written = columns.scale(new, columns.factor(row.rate));
            let sweep = Sweep { columns, row, written };
            let read;
            if DELTA && index + 1 < rows {
                let asked = tile.keys.row(index + 1).asked;
                (read, known) = sweep.run::<EACH, true>(state, asked);
            } else {
                (read, _) = sweep.run::<EACH, false>(state, row.asked);
            }
            let skipped = columns.scale(v, answer.skip);
            columns.store(columns.add(read, answer.scale, skipped), value);
        }
    }
}

/// What the shrunk state says of the key: `S^T (decay * k)`.
#[inline(always)]
fn known<C: Columns>(columns: C, state: &[[f32; PANEL]], asked: &[f32]) -> C::Row {
    let mut known = columns.zero();
    for (state, &asked) in state.iter().zip(asked) {
        known = columns.add(columns.load(state), columns.factor(asked), known);
    }
    known
}

/// One row on a panel.
struct Sweep<'a, C: Columns> {
    columns: C,
    row: Row<'a>,
    written: C::Row,
}

impl<C: Columns> Sweep<'_, C> {
    /// Shrinks the state, writes to it and reads it, `S^T q`; and `S^T asked`, if one is to `ASK`.
    #[inline(always)]
    fn run<const EACH: bool, const ASK: bool>(
        &self,
        state: &mut [[f32; PANEL]],
        asked: &[f32],
    ) -> (C::Row, C::Row) {
        let (columns, width) = (self.columns, state.len());
        let Row { q, k, decays, .. } = self.row;
        let (q, k, decays, asked) = (&q[..width], &k[..width], &decays[..width], &asked[..width]);
        let shared = columns.factor(self.row.decay);
        let (mut read, mut known) = (columns.zero(), columns.zero());
        for (channel, state) in state.iter_mut().enumerate() {
            let decay = if EACH { columns.factor(decays[channel]) } else { shared };
            let kept = columns.scale(columns.load(state), decay);
            let next = columns.add(self.written, columns.factor(k[channel]), kept);
            columns.store(next, state);
            read = columns.add(next, columns.factor(q[channel]), read);
            if ASK {
                known = columns.add(next, columns.factor(asked[channel]), known);
            }
        }
        (read, known)
    }
}
