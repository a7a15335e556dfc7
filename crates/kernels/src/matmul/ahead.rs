//! Weights that rows will use soon.

use std::ops::Range;

use super::layout::{Group, LINE};
use super::matrix::Matrix;
use crate::memory::{ask_ahead, ask_for_line};

/// For one row alone, whose tile is one stream: asks for what it will reach soon after block
/// `index` of the group at `begin`.
#[inline(always)]
pub(super) fn ask_after(shape: Group, begin: *const u8, index: usize) {
    let bytes = shape.bytes() / shape.blocks;
    ask_ahead(begin.wrapping_add(index * bytes), bytes);
}

/// Most tiles computed together.
pub(super) const TILES_MAX: usize = 4;

/// The weights that are unpacked soon, asked for a few lines at a time while sums are made: memory
/// rests at no time, and no thread waits for it. The processor does not see so far by itself.
pub(super) struct Ahead {
    starts: [*const u8; TILES_MAX],
    tiles: usize,
    at: usize,
    bytes: usize,
    step: usize,
}

impl Ahead {
    /// Bytes `place` of each of `tiles`, which are computed together, in `asks` parts. What lies
    /// behind a tile's end is the begin of one of as many tiles further on.
    pub(super) fn new(
        weights: &Matrix,
        tiles: Range<usize>,
        place: Range<usize>,
        asks: usize,
    ) -> Ahead {
        let tile_bytes = weights.tile_bytes();
        let behind = if place.start < tile_bytes { 0 } else { (tiles.len() - 1) * tile_bytes };
        let mut starts = [std::ptr::null(); TILES_MAX];
        for (start, tile) in starts.iter_mut().zip(tiles.clone()) {
            *start = weights.tile(tile).as_ptr().wrapping_add(behind + place.start);
        }
        let (tiles, bytes) = (tiles.len(), place.len());
        Ahead { starts, tiles, at: 0, bytes, step: bytes.div_ceil(asks).next_multiple_of(LINE) }
    }

    /// Nothing.
    #[inline(always)]
    pub(super) fn nothing() -> Ahead {
        Ahead { starts: [std::ptr::null(); TILES_MAX], tiles: 0, at: 0, bytes: 0, step: 0 }
    }

    /// The next part.
    #[inline(always)]
    pub(super) fn ask(&mut self) {
        let end = self.bytes.min(self.at + self.step);
        for at in (self.at..end).step_by(LINE) {
            for start in &self.starts[..self.tiles] {
                ask_for_line(start.wrapping_add(at));
            }
        }
        self.at = end;
    }
}
