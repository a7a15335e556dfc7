//! Cutting a list of products into chunks of about equal cost.

use std::ops::Range;

use super::{Job, ROWS_AT_ONCE, tile_rows};

/// Chunks per thread: a thread that falls behind leaves some to others.
const CHUNKS_PER_THREAD: usize = 8;

/// The same where there are many rows of floats. For every chunk they come from beyond the second
/// cache, and it takes so long that the last chunks matter less.
const CHUNKS_OF_MANY_FLOATS: usize = 4;

/// Which tiles of which product each chunk computes: consecutive ones, each tile in one chunk.
pub(super) struct Split {
    spans: Vec<Span>,
    total: u64,
    chunks: u64,
}

/// The tiles of one product on the axis of cost.
struct Span {
    start: u64,
    tile_cost: u64,
    tiles: u64,
}

impl Split {
    pub(super) fn new(jobs: &[Job], threads: usize) -> Split {
        let mut total = 0;
        let mut spans = Vec::with_capacity(jobs.len());
        for job in jobs {
            let tiles = if job.height == 0 { 0 } else { job.weights.tiles() as u64 };
            let span = Span { start: total, tile_cost: tile_cost(job), tiles };
            total += span.tile_cost * span.tiles;
            spans.push(span);
        }
        let tiles: u64 = spans.iter().map(|span| span.tiles).sum();
        let many = |job: &Job| job.height > ROWS_AT_ONCE && !job.weights.format().is_quantized();
        let each = if jobs.iter().any(many) { CHUNKS_OF_MANY_FLOATS } else { CHUNKS_PER_THREAD };
        let chunks = tiles.min((threads * each) as u64);
        Split { spans, total, chunks }
    }

    pub(super) fn chunks(&self) -> usize {
        self.chunks as usize
    }

    /// The products of a chunk, by number, and their tiles.
    pub(super) fn of(&self, chunk: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
        let cut = |chunk: u64| {
            (u128::from(self.total) * u128::from(chunk) / u128::from(self.chunks)) as u64
        };
        let (from, to) = (cut(chunk as u64), cut(chunk as u64 + 1));
        self.spans.iter().enumerate().filter_map(move |(job, span)| {
            // A tile belongs where its cost begins.
            let tile = |cost: u64| {
                cost.saturating_sub(span.start).div_ceil(span.tile_cost).min(span.tiles) as usize
            };
            let tiles = tile(from)..tile(to);
            (!tiles.is_empty()).then_some((job, tiles))
        })
    }
}

/// Cost of a tile in nothing in particular: reading its bytes, and arithmetic for each row. A
/// weight's arithmetic for one row takes about a quarter of the time of reading a byte.
fn tile_cost(job: &Job) -> u64 {
    let weights = tile_rows(job.weights.format()) * job.weights.columns();
    let matrices = if job.gate.is_some() { 2 } else { 1 };
    (matrices * (job.weights.tile_bytes() * 4 + weights * job.height)).max(1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tile_is_in_exactly_one_chunk() {
        for chunks in 1..40 {
            let mut spans = Vec::new();
            let mut total = 0;
            for (tile_cost, tiles) in [(7, 3), (1, 50), (900, 2), (13, 0), (5, 11)] {
                spans.push(Span { start: total, tile_cost, tiles });
                total += tile_cost * tiles;
            }
            let split = Split { spans, total, chunks };
            let mut next = [0; 5];
            for chunk in 0..split.chunks() {
                for (job, tiles) in split.of(chunk) {
                    assert_eq!(tiles.start, next[job]);
                    next[job] = tiles.end;
                }
            }
            assert_eq!(next, [3, 50, 2, 0, 11]);
        }
    }
}
