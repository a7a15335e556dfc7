//! Float weights: one fused multiply-add per column and 16 outputs.

use std::arch::x86_64::*;
use std::ops::Range;

use super::few::{FEW_ROWS, few_rows};
use crate::format::Format;
use crate::matmul::activations::Activations;
use crate::matmul::ahead::Ahead;
use crate::matmul::layout::{FLOAT_ROWS, pair_bytes};
use crate::matmul::matrix::Matrix;
use crate::matmul::{ROWS_AT_ONCE, Store};

/// Columns made floats at a time: 8 KiB a tile. With half as many, moving sums in and out of
/// registers takes a twelfth of the time.
const UNPACKED: usize = 128;
/// Input rows whose sums of two tiles stay in registers.
const MICRO_ROWS: usize = 8;

/// The sums of `T` tiles for every row.
#[repr(align(64))]
struct Sums<const T: usize>([[[f32; FLOAT_ROWS]; T]; ROWS_AT_ONCE]);

impl<const T: usize> Sums<T> {
    const ZERO: Sums<T> = Sums([[[0.0; FLOAT_ROWS]; T]; ROWS_AT_ONCE]);
}

/// As `scalar::float_tile` for each of `tiles`, bit for bit.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(crate) fn float_tiles(
    weights: &Matrix,
    tiles: Range<usize>,
    input: &Activations,
    rows: &[u32],
    store: Store<FLOAT_ROWS>,
) {
    // The format becomes a constant: everything below is compiled once for each.
    let (few, [one, two]) = match weights.format() {
        Format::F32 => tiles_of::<{ Format::F32 as usize }>(),
        Format::F16 => tiles_of::<{ Format::F16 as usize }>(),
        Format::Bf16 => tiles_of::<{ Format::Bf16 as usize }>(),
        Format::F8E4M3 => tiles_of::<{ Format::F8E4M3 as usize }>(),
        _ => unreachable!("quantized weights have tiles of their own"),
    };
    if rows.len() <= FEW_ROWS {
        // SAFETY: the instructions exist, since this function runs.
        return unsafe { few(weights, tiles, input, rows, store) };
    }
    for tile in tiles.clone().step_by(2) {
        let run = if tile + 1 < tiles.end { two } else { one };
        // SAFETY: the instructions exist, since this function runs.
        unsafe { run(weights, tile, input, rows, store) };
    }
}

/// Computes one tile or two from some number on.
type Run = unsafe fn(&Matrix, usize, &Activations, &[u32], Store<FLOAT_ROWS>);

/// Computes some tiles.
type RunAll = unsafe fn(&Matrix, Range<usize>, &Activations, &[u32], Store<FLOAT_ROWS>);

fn tiles_of<const F: usize>() -> (RunAll, [Run; 2]) {
    (few_rows::<F>, [many::<F, 1>, many::<F, 2>])
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
    let tiles = first..first + T;
    let mut sums = Sums::<T>::ZERO;
    match weights.scales() {
        None => columns::<F, T>(weights, tiles, 0..input.columns(), input, rows, &mut sums),
        Some(scales) => {
            for (block, here) in scales.blocks(input.columns()).enumerate() {
                let mut part = Sums::<T>::ZERO;
                columns::<F, T>(weights, tiles.clone(), here, input, rows, &mut part);
                for tile in 0..T {
                    let scale = &scales.tile(first + tile)[block];
                    for (sums, part) in sums.0.iter_mut().zip(&part.0).take(rows.len()) {
                        add_scaled(&part[tile], scale, &mut sums[tile]);
                    }
                }
            }
        }
    }
    store(first, sums.0[..rows.len()].as_flattened());
}

/// `sums + part * scale`, rounded once.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn add_scaled(
    part: &[f32; FLOAT_ROWS],
    scale: &[f32; FLOAT_ROWS],
    sums: &mut [f32; FLOAT_ROWS],
) {
    // SAFETY: sixteen floats each.
    unsafe {
        let (part, scale) = (_mm512_loadu_ps(part.as_ptr()), _mm512_loadu_ps(scale.as_ptr()));
        let sum = _mm512_fmadd_ps(part, scale, _mm512_loadu_ps(sums.as_ptr()));
        _mm512_storeu_ps(sums.as_mut_ptr(), sum);
    }
}

/// Adds the products of some columns of `T` tiles, the first of which is even.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn columns<const F: usize, const T: usize>(
    weights: &Matrix,
    tiles: Range<usize>,
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
        let (start, end) = (first / 2 * bytes, here.end.div_ceil(2) * bytes);
        for (tile, floats) in tiles.clone().zip(&mut floats.0) {
            unpack::<F>(&weights.tile(tile)[start..end], floats);
        }
        let (next, asks) = (end..2 * end - start, rows.len().div_ceil(MICRO_ROWS));
        let mut ahead = Ahead::new(weights, tiles.clone(), next, asks);
        let (mut rows, mut sums) = (rows, &mut sums.0[..]);
        while !rows.is_empty() {
            ahead.ask();
            let done = match rows.len() {
                MICRO_ROWS.. => {
                    some_rows::<T, MICRO_ROWS>(&floats, here.clone(), input, rows, sums)
                }
                4..MICRO_ROWS => some_rows::<T, 4>(&floats, here.clone(), input, rows, sums),
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
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn unpack<const F: usize>(packed: &[u8], floats: &mut [[f32; FLOAT_ROWS]; UNPACKED]) {
    let pairs = packed.chunks_exact(const { pair_bytes(Format::ALL[F]) });
    for (packed, out) in pairs.zip(floats.as_chunks_mut::<2>().0) {
        // SAFETY: a whole pair of columns, and two vectors.
        unsafe {
            let [even, odd] = load_pair::<F>(packed.as_ptr());
            _mm512_storeu_ps(out[0].as_mut_ptr(), even);
            _mm512_storeu_ps(out[1].as_mut_ptr(), odd);
        }
    }
}

/// A pair of columns as floats.
///
/// # Safety
/// `pair_bytes` readable bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn load_pair<const F: usize>(at: *const u8) -> [__m512; 2] {
    // SAFETY: each branch reads the pair its format has, see `layout`.
    unsafe {
        match const { Format::ALL[F] } {
            Format::F32 => [_mm512_loadu_ps(at.cast()), _mm512_loadu_ps(at.add(64).cast())],
            Format::F16 => halves_to_floats(_mm512_loadu_si512(at.cast())),
            Format::Bf16 => {
                let words = _mm512_loadu_si512(at.cast());
                let upper = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
                let odd = _mm512_castsi512_ps(_mm512_and_si512(words, upper));
                [_mm512_castsi512_ps(_mm512_slli_epi32::<16>(words)), odd]
            }
            _ => fp8(_mm256_loadu_si256(at.cast())),
        }
    }
}

/// 32 FP8 E4M3 bytes as floats, as AVX2's, which says how.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn fp8(bytes: __m256i) -> [__m512; 2] {
    let upper = _mm512_slli_epi16::<8>(_mm512_cvtepu8_epi16(bytes));
    let halves = _mm512_and_si512(_mm512_srai_epi16::<1>(upper), _mm512_set1_epi16(!0x4000));
    let magnitude = _mm512_and_si512(halves, _mm512_set1_epi16(0x7fff));
    let nan = _mm512_cmpeq_epi16_mask(magnitude, _mm512_set1_epi16(0x7f << 7));
    let halves = _mm512_mask_blend_epi16(nan, halves, _mm512_set1_epi16(-1));
    let [low, high] = halves_to_floats(halves);
    let factor = _mm512_set1_ps(256.0);
    [_mm512_mul_ps(low, factor), _mm512_mul_ps(high, factor)]
}

/// 32 floats of half precision.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn halves_to_floats(halves: __m512i) -> [__m512; 2] {
    let high = _mm512_extracti64x4_epi64::<1>(halves);
    [_mm512_cvtph_ps(_mm512_castsi512_si256(halves)), _mm512_cvtph_ps(high)]
}

/// Goes on with the sums of the first `N` rows; how many they are.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn some_rows<const T: usize, const N: usize>(
    floats: &Floats<T>,
    here: Range<usize>,
    input: &Activations,
    rows: &[u32],
    sums: &mut [[[f32; FLOAT_ROWS]; T]],
) -> usize {
    let count = here.len().min(UNPACKED);
    let sums = &mut sums[..N];
    let mut parts: [&[f32]; N] = [&[]; N];
    let mut turned = [[_mm512_setzero_ps(); T]; N];
    for row in 0..N {
        parts[row] = &input.float_row(rows[row])[here.clone()][..count];
        for tile in 0..T {
            // SAFETY: sixteen floats.
            turned[row][tile] = unsafe { _mm512_loadu_ps(sums[row][tile].as_ptr()) };
        }
    }
    for column in 0..count {
        let mut weights = [_mm512_setzero_ps(); T];
        for (weights, floats) in weights.iter_mut().zip(&floats.0) {
            // SAFETY: sixteen floats at the start of a line.
            *weights = unsafe { _mm512_load_ps(floats[column].as_ptr()) };
        }
        for row in 0..N {
            // SAFETY: every row was cut to `count` columns.
            let value = _mm512_set1_ps(unsafe { *parts[row].get_unchecked(column) });
            for tile in 0..T {
                turned[row][tile] = _mm512_fmadd_ps(value, weights[tile], turned[row][tile]);
            }
        }
    }
    for row in 0..N {
        for tile in 0..T {
            // SAFETY: sixteen floats.
            unsafe { _mm512_storeu_ps(sums[row][tile].as_mut_ptr(), turned[row][tile]) };
        }
    }
    N
}
