//! A row of a panel of states as one value: 32 numbers side by side, on every instruction set.
//!
//! Columns never meet, so how many registers hold them changes no bit.

use super::PANEL;
use crate::lanes::{Lanes, WIDE};

/// Vectors of a row.
const VECTORS: usize = PANEL / WIDE;

/// A row of a panel.
pub(super) type Row<L> = [<L as Lanes<WIDE>>::Vector; VECTORS];

/// Zeros.
#[inline(always)]
pub(super) fn zero<L: Lanes<WIDE>>(lanes: L) -> Row<L> {
    [lanes.splat(0.0); VECTORS]
}

/// Reads a row.
#[inline(always)]
pub(super) fn load<L: Lanes<WIDE>>(lanes: L, from: &[f32; PANEL]) -> Row<L> {
    let (vectors, _) = from.as_chunks();
    [lanes.load(&vectors[0]), lanes.load(&vectors[1])]
}

/// Writes a row.
#[inline(always)]
pub(super) fn store<L: Lanes<WIDE>>(lanes: L, row: Row<L>, to: &mut [f32; PANEL]) {
    let (vectors, _) = to.as_chunks_mut();
    lanes.store(row[0], &mut vectors[0]);
    lanes.store(row[1], &mut vectors[1]);
}

/// `a - b`
#[inline(always)]
pub(super) fn difference<L: Lanes<WIDE>>(lanes: L, a: Row<L>, b: Row<L>) -> Row<L> {
    [lanes.sub(a[0], b[0]), lanes.sub(a[1], b[1])]
}

/// `row * factor`
#[inline(always)]
pub(super) fn scale<L: Lanes<WIDE>>(lanes: L, row: Row<L>, factor: L::Vector) -> Row<L> {
    [lanes.mul(row[0], factor), lanes.mul(row[1], factor)]
}

/// `row * factor + sum`, rounded once.
#[inline(always)]
pub(super) fn add<L: Lanes<WIDE>>(lanes: L, row: Row<L>, factor: L::Vector, sum: Row<L>) -> Row<L> {
    [lanes.fma(row[0], factor, sum[0]), lanes.fma(row[1], factor, sum[1])]
}
