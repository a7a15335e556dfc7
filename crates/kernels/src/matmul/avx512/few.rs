//! Float weights and so few rows that memory is what takes time: the weights as they are, once.
//!
//! An output is one chain of multiply-adds, and each waits for the one before: two tiles at a time
//! are two chains a row, and memory brings no more than they take.

use std::arch::x86_64::*;
use std::ops::Range;

use super::float::{add_scaled, load_pair};
use crate::format::Format;
use crate::matmul::Store;
use crate::matmul::activations::Activations;
use crate::matmul::layout::{FLOAT_ROWS, pair_bytes};
use crate::matmul::matrix::Matrix;
use crate::memory::ask_ahead;

/// So many rows at most.
pub(super) const FEW_ROWS: usize = 4;

/// The sums of a tile for every row.
type Sums = [[f32; FLOAT_ROWS]; FEW_ROWS];

/// Tiles of format number `F` of [`Format::ALL`]. Each half of them is one stream of memory.
///
/// # Safety
/// The instructions exist; there are at most [`FEW_ROWS`] rows.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn few_rows<const F: usize>(
    weights: &Matrix,
    tiles: Range<usize>,
    input: &Activations,
    rows: &[u32],
    store: Store<FLOAT_ROWS>,
) {
    let half = tiles.len() / 2;
    for tile in tiles.start..tiles.start + half {
        some_tiles::<F, 2>(weights, [tile, tile + half], input, rows, store);
    }
    if !tiles.len().is_multiple_of(2) {
        some_tiles::<F, 1>(weights, [tiles.end - 1], input, rows, store);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn some_tiles<const F: usize, const T: usize>(
    weights: &Matrix,
    tiles: [usize; T],
    input: &Activations,
    rows: &[u32],
    store: Store<FLOAT_ROWS>,
) {
    let mut sums: [Sums; T] = [[[0.0; FLOAT_ROWS]; FEW_ROWS]; T];
    let bytes = tiles.map(|tile| weights.tile(tile));
    match weights.scales() {
        None => columns::<F, T>(bytes, 0..input.columns(), input, rows, &mut sums),
        Some(scales) => {
            for (block, here) in scales.blocks(input.columns()).enumerate() {
                let mut parts: [Sums; T] = [[[0.0; FLOAT_ROWS]; FEW_ROWS]; T];
                columns::<F, T>(bytes, here, input, rows, &mut parts);
                for tile in 0..T {
                    let scale = &scales.tile(tiles[tile])[block];
                    for row in 0..rows.len() {
                        add_scaled(&parts[tile][row], scale, &mut sums[tile][row]);
                    }
                }
            }
        }
    }
    for (tile, sums) in tiles.into_iter().zip(&sums) {
        store(tile, &sums[..rows.len()]);
    }
}

/// The sums of the products of some columns, the first of which is even.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn columns<const F: usize, const T: usize>(
    tiles: [&[u8]; T],
    range: Range<usize>,
    input: &Activations,
    rows: &[u32],
    sums: &mut [Sums; T],
) {
    assert!(range.start.is_multiple_of(2), "a tile is cut between pairs of columns");
    match *rows {
        [] => {}
        [row] => rows_of::<F, T, 1>(tiles, range, input, [row], sums),
        [a, b] => rows_of::<F, T, 2>(tiles, range, input, [a, b], sums),
        [a, b, c] => rows_of::<F, T, 3>(tiles, range, input, [a, b, c], sums),
        [a, b, c, d, ..] => rows_of::<F, T, 4>(tiles, range, input, [a, b, c, d], sums),
    }
}

/// [`columns`] of `N` rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn rows_of<const F: usize, const T: usize, const N: usize>(
    tiles: [&[u8]; T],
    range: Range<usize>,
    input: &Activations,
    rows: [u32; N],
    sums: &mut [Sums; T],
) {
    let bytes = const { pair_bytes(Format::ALL[F]) };
    let (start, columns) = (range.start / 2 * bytes, range.len());
    let mut parts: [&[f32]; N] = [&[]; N];
    for row in 0..N {
        parts[row] = &input.float_row(rows[row])[range.clone()];
    }
    for tile in tiles {
        assert!(tile.len() >= start + columns.div_ceil(2) * bytes, "weights for all columns");
    }
    let begins = tiles.map(|tile| tile.as_ptr().wrapping_add(start));
    let mut totals = [[_mm512_setzero_ps(); N]; T];
    for pair in 0..columns / 2 {
        for tile in 0..T {
            let at = begins[tile].wrapping_add(pair * bytes);
            ask_ahead(at, bytes);
            // SAFETY: inside of the tile and of every row, by the assertions.
            unsafe {
                let [even, odd] = load_pair::<F>(at);
                add_column::<N>(&mut totals[tile], even, &parts, 2 * pair);
                add_column::<N>(&mut totals[tile], odd, &parts, 2 * pair + 1);
            }
        }
    }
    for tile in 0..T {
        if !columns.is_multiple_of(2) {
            let at = begins[tile].wrapping_add(columns / 2 * bytes);
            // SAFETY: inside of the tile, where the last pair is whole, and of every row.
            unsafe {
                let [even, _] = load_pair::<F>(at);
                add_column::<N>(&mut totals[tile], even, &parts, columns - 1);
            }
        }
        for row in 0..N {
            // SAFETY: sixteen floats.
            unsafe { _mm512_storeu_ps(sums[tile][row].as_mut_ptr(), totals[tile][row]) };
        }
    }
}

/// # Safety
/// Every row has column `column`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn add_column<const N: usize>(
    totals: &mut [__m512; N],
    weights: __m512,
    input: &[&[f32]; N],
    column: usize,
) {
    for row in 0..N {
        // SAFETY: the caller's promise.
        let value = _mm512_set1_ps(unsafe { *input[row].get_unchecked(column) });
        totals[row] = _mm512_fmadd_ps(value, weights, totals[row]);
    }
}
