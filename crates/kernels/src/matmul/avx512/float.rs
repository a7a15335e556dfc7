//! Float weights: one fused multiply-add per column and 16 outputs.

use std::arch::x86_64::*;
use std::array::from_fn;
use std::ops::Range;

use crate::format::Format;
use crate::matmul::activations::Activations;
use crate::matmul::avx2;
use crate::matmul::layout::{FLOAT_ROWS, pair_bytes};
use crate::matmul::matrix::Matrix;
use crate::matmul::{ROWS_AT_ONCE, Store};

/// Up to so many input rows memory is what takes time: AVX2's way, weights as they are.
const FEW_ROWS: usize = 4;
/// Columns made floats at a time: 8 KiB a tile. With half as many, moving sums in and out of
/// registers takes a twelfth of the time.
const UNPACKED: usize = 128;

/// The sums of `T` tiles for every row.
type Sums<const T: usize> = [[__m512; T]; ROWS_AT_ONCE];

/// As `scalar::float_tile` for each of `tiles`, bit for bit.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(crate) fn float_tiles(
    weights: &Matrix,
    tiles: Range<usize>,
    input: &Activations,
    rows: &[u32],
    store: Store<FLOAT_ROWS>,
) {
    if rows.len() <= FEW_ROWS {
        return avx2::float_tiles(weights, tiles, input, rows, store);
    }
    // The format becomes a constant: everything below is compiled once for each.
    let [one, two] = match weights.format() {
        Format::F32 => tiles_of::<{ Format::F32 as usize }>(),
        Format::F16 => tiles_of::<{ Format::F16 as usize }>(),
        Format::Bf16 => tiles_of::<{ Format::Bf16 as usize }>(),
        Format::F8E4M3 => tiles_of::<{ Format::F8E4M3 as usize }>(),
        _ => unreachable!("quantized weights have tiles of their own"),
    };
    for tile in tiles.clone().step_by(2) {
        let run = if tile + 1 < tiles.end { two } else { one };
        // SAFETY: the instructions exist, since this function runs.
        unsafe { run(weights, tile, input, rows, store) };
    }
}

/// Computes one tile or two from some number on.
type Run = unsafe fn(&Matrix, usize, &Activations, &[u32], Store<FLOAT_ROWS>);

fn tiles_of<const F: usize>() -> [Run; 2] {
    [many::<F, 1>, many::<F, 2>]
}

/// `T` tiles from `first` on.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn many<const F: usize, const T: usize>(
    weights: &Matrix,
    first: usize,
    input: &Activations,
    rows: &[u32],
    store: Store<FLOAT_ROWS>,
) {
    let tiles: [&[u8]; T] = from_fn(|tile| weights.tile(first + tile));
    let mut sums: Sums<T> = [[_mm512_setzero_ps(); T]; ROWS_AT_ONCE];
    match weights.scales() {
        None => columns::<F, T>(tiles, 0..input.columns(), input, rows, &mut sums),
        Some(scales) => {
            let width = scales.columns_per_block;
            let scales: [_; T] = from_fn(|tile| scales.tile(first + tile));
            for (block, begin) in (0..input.columns()).step_by(width).enumerate() {
                let end = input.columns().min(begin.saturating_add(width));
                let mut part: Sums<T> = [[_mm512_setzero_ps(); T]; ROWS_AT_ONCE];
                columns::<F, T>(tiles, begin..end, input, rows, &mut part);
                for tile in 0..T {
                    // SAFETY: sixteen floats.
                    let scale = unsafe { _mm512_loadu_ps(scales[tile][block].as_ptr()) };
                    for (sums, part) in sums.iter_mut().zip(&part) {
                        sums[tile] = _mm512_fmadd_ps(part[tile], scale, sums[tile]);
                    }
                }
            }
        }
    }
    for tile in 0..T {
        let mut out = [[0.0; FLOAT_ROWS]; ROWS_AT_ONCE];
        for (out, sums) in out.iter_mut().zip(&sums[..rows.len()]) {
            // SAFETY: sixteen floats.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), sums[tile]) };
        }
        store(first + tile, &out[..rows.len()]);
    }
}

/// Adds the products of some columns, the first of which is even.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn columns<const F: usize, const T: usize>(
    tiles: [&[u8]; T],
    range: Range<usize>,
    input: &Activations,
    rows: &[u32],
    sums: &mut Sums<T>,
) {
    let bytes = const { pair_bytes(Format::ALL[F]) };
    assert!(range.start.is_multiple_of(2), "a tile is cut between pairs of columns");
    let mut floats = Floats([[[0.0; FLOAT_ROWS]; UNPACKED]; T]);
    for first in range.clone().step_by(UNPACKED) {
        let here = first..range.end.min(first + UNPACKED);
        let packed = tiles.map(|tile| &tile[first / 2 * bytes..here.end.div_ceil(2) * bytes]);
        for (floats, packed) in floats.0.iter_mut().zip(packed) {
            unpack::<F>(packed, floats);
        }
        let (mut rows, mut sums) = (rows, &mut sums[..]);
        while !rows.is_empty() {
            let done = match rows.len() {
                8.. => some_rows::<T, 8>(&floats, here.clone(), input, rows, sums),
                4..8 => some_rows::<T, 4>(&floats, here.clone(), input, rows, sums),
                2..4 => some_rows::<T, 2>(&floats, here.clone(), input, rows, sums),
                _ => some_rows::<T, 1>(&floats, here.clone(), input, rows, sums),
            };
            (rows, sums) = (&rows[done..], &mut sums[done..]);
        }
    }
}

/// Columns of `T` tiles as floats.
#[repr(align(64))]
struct Floats<const T: usize>([[[f32; FLOAT_ROWS]; UNPACKED]; T]);

/// Makes floats of pairs of columns.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn unpack<const F: usize>(packed: &[u8], floats: &mut [[f32; FLOAT_ROWS]; UNPACKED]) {
    let pairs = packed.chunks_exact(const { pair_bytes(Format::ALL[F]) });
    for (packed, out) in pairs.zip(floats.as_chunks_mut::<2>().0) {
        // SAFETY: a whole pair of columns.
        let pair = unsafe { avx2::load_pair::<F>(packed.as_ptr()) };
        for (halves, out) in pair.into_iter().zip(out) {
            for (half, out) in halves.into_iter().zip(out.as_chunks_mut::<8>().0) {
                // SAFETY: eight floats.
                unsafe { _mm256_storeu_ps(out.as_mut_ptr(), half) };
            }
        }
    }
}

/// Goes on with the sums of the first `N` rows; how many they are.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn some_rows<const T: usize, const N: usize>(
    floats: &Floats<T>,
    here: Range<usize>,
    input: &Activations,
    rows: &[u32],
    sums: &mut [[__m512; T]],
) -> usize {
    let count = here.len().min(UNPACKED);
    let input: [&[f32]; N] = from_fn(|row| &input.float_row(rows[row])[here.clone()][..count]);
    let mut turned: [[__m512; T]; N] = from_fn(|row| sums[row]);
    for column in 0..count {
        // SAFETY: sixteen floats.
        let weights: [__m512; T] =
            from_fn(|tile| unsafe { _mm512_load_ps(floats.0[tile][column].as_ptr()) });
        for row in 0..N {
            // SAFETY: every row was cut to `count` columns.
            let value = _mm512_set1_ps(unsafe { *input[row].get_unchecked(column) });
            for tile in 0..T {
                turned[row][tile] = _mm512_fmadd_ps(value, weights[tile], turned[row][tile]);
            }
        }
    }
    sums[..N].copy_from_slice(&turned);
    N
}
