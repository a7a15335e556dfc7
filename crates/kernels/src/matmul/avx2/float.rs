//! Float weights: one fused multiply-add per column, two vectors of 8 outputs.

use std::arch::x86_64::*;
use std::ops::Range;

use crate::format::Format;
use crate::matmul::activations::Activations;
use crate::matmul::layout::{FLOAT_ROWS, pair_bytes};
use crate::matmul::matrix::{Matrix, TileScales};
use crate::matmul::{ROWS_AT_ONCE, Store};
use crate::memory::ask_ahead;

/// Input rows that take a pair of columns of weights as they are: with it their sums fit the
/// registers.
const MICRO_ROWS: usize = 4;
/// Input rows whose sums fit the registers beside a column of floats: with two vectors each, enough
/// chains of additions that none waits.
const FLOAT_MICRO_ROWS: usize = 6;
/// Columns made floats at a time when they are used by many rows: 8 KiB.
const UNPACKED: usize = 128;
/// Up to so many input rows take the weights as they are: for more it pays to make floats first.
const fn direct_rows(format: Format) -> usize {
    if matches!(format, Format::F8E4M3) { MICRO_ROWS } else { 4 * MICRO_ROWS }
}

/// 16 outputs.
type Sums = [__m256; 2];

/// As `scalar::float_tile` for each of `tiles`, bit for bit.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn float_tiles(
    weights: &Matrix,
    tiles: Range<usize>,
    input: &Activations,
    rows: &[u32],
    store: Store<FLOAT_ROWS>,
) {
    // The format becomes a constant: everything below is compiled once for each.
    let run = match weights.format() {
        Format::F32 => tile_of::<{ Format::F32 as usize }>,
        Format::F16 => tile_of::<{ Format::F16 as usize }>,
        Format::Bf16 => tile_of::<{ Format::Bf16 as usize }>,
        Format::F8E4M3 => tile_of::<{ Format::F8E4M3 as usize }>,
        _ => unreachable!("quantized weights have tiles of their own"),
    };
    let mut sums = [[0.0; FLOAT_ROWS]; ROWS_AT_ONCE];
    let sums = &mut sums[..rows.len()];
    for tile in tiles {
        sums.fill([0.0; FLOAT_ROWS]);
        let scales = weights.scales().map(|scales| Scales { scales, of_tile: scales.tile(tile) });
        run(weights.tile(tile), scales, input, rows, sums);
        store(tile, sums);
    }
}

/// FP8's scales of one tile.
struct Scales<'a> {
    scales: &'a TileScales,
    of_tile: &'a [[f32; FLOAT_ROWS]],
}

/// A tile of format number `F` of [`Format::ALL`].
#[target_feature(enable = "avx2,fma,f16c")]
fn tile_of<const F: usize>(
    tile: &[u8],
    scales: Option<Scales>,
    input: &Activations,
    rows: &[u32],
    out: &mut [[f32; FLOAT_ROWS]],
) {
    let Some(scales) = scales else {
        columns::<F>(tile, 0..input.columns(), input, rows, out);
        return;
    };
    let mut sums = [[0.0; FLOAT_ROWS]; ROWS_AT_ONCE];
    let sums = &mut sums[..rows.len()];
    for (here, scale) in scales.scales.blocks(input.columns()).zip(scales.of_tile) {
        sums.fill([0.0; FLOAT_ROWS]);
        columns::<F>(tile, here, input, rows, sums);
        for (out, sums) in out.iter_mut().zip(&*sums) {
            for ((out, sum), scale) in out.iter_mut().zip(sums).zip(scale) {
                *out = sum.mul_add(*scale, *out);
            }
        }
    }
}

/// Goes on with the sums in `out` over some columns, the first of which is even.
#[target_feature(enable = "avx2,fma,f16c")]
fn columns<const F: usize>(
    tile: &[u8],
    range: Range<usize>,
    input: &Activations,
    rows: &[u32],
    out: &mut [[f32; FLOAT_ROWS]],
) {
    assert!(range.start.is_multiple_of(2), "a tile is cut between pairs of columns");
    let bytes = const { pair_bytes(Format::ALL[F]) };
    let weights = &tile[range.start / 2 * bytes..range.end.div_ceil(2) * bytes];
    const FLOAT: usize = Format::F32 as usize;
    if rows.len() <= const { direct_rows(Format::ALL[F]) } {
        all_rows::<F, true>(weights, range, input, rows, out);
        return;
    }
    if F == FLOAT {
        all_rows::<F, false>(weights, range, input, rows, out);
        return;
    }
    let mut floats = Unpacked([0.0; UNPACKED * FLOAT_ROWS]);
    for first in range.clone().step_by(UNPACKED) {
        let last = range.end.min(first + UNPACKED);
        let packed = &weights[(first - range.start) / 2 * bytes..];
        let count = (last - first).div_ceil(2);
        floats.fill::<F>(&packed[..count * bytes]);
        all_rows::<FLOAT, false>(floats.bytes(), first..last, input, rows, out);
    }
}

/// Columns of a tile as floats, pairs as in [`layout`](crate::matmul::layout).
#[repr(align(64))]
struct Unpacked([f32; UNPACKED * FLOAT_ROWS]);

impl Unpacked {
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn fill<const F: usize>(&mut self, packed: &[u8]) {
        let pairs = packed.chunks_exact(const { pair_bytes(Format::ALL[F]) });
        for (packed, out) in pairs.zip(self.0.as_chunks_mut::<{ 2 * FLOAT_ROWS }>().0) {
            // SAFETY: a whole pair of columns.
            let pair = unsafe { load_pair::<F>(packed.as_ptr()) };
            for (vector, out) in pair.into_iter().flatten().zip(out.as_chunks_mut::<8>().0) {
                // SAFETY: eight floats.
                unsafe { _mm256_storeu_ps(out.as_mut_ptr(), vector) };
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: floats are plain bytes, and a byte has no alignment.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), size_of_val(&self.0)) }
    }
}

/// All rows, a few at a time; `STREAM` if the weights come from memory.
#[target_feature(enable = "avx2,fma,f16c")]
fn all_rows<const F: usize, const STREAM: bool>(
    weights: &[u8],
    range: Range<usize>,
    input: &Activations,
    mut rows: &[u32],
    mut out: &mut [[f32; FLOAT_ROWS]],
) {
    while !rows.is_empty() {
        let (weights, range) = (weights, range.clone());
        let done = match rows.len() {
            8 => some_rows::<F, MICRO_ROWS, STREAM>(weights, range, input, rows, out),
            FLOAT_MICRO_ROWS.. if !STREAM => {
                some_rows::<F, FLOAT_MICRO_ROWS, STREAM>(weights, range, input, rows, out)
            }
            MICRO_ROWS.. => some_rows::<F, MICRO_ROWS, STREAM>(weights, range, input, rows, out),
            2.. => some_rows::<F, 2, STREAM>(weights, range, input, rows, out),
            _ => some_rows::<F, 1, STREAM>(weights, range, input, rows, out),
        };
        (rows, out) = (&rows[done..], &mut out[done..]);
    }
}

/// The first `N` of them; how many they are.
#[target_feature(enable = "avx2,fma,f16c")]
fn some_rows<const F: usize, const N: usize, const STREAM: bool>(
    weights: &[u8],
    range: Range<usize>,
    input: &Activations,
    rows: &[u32],
    out: &mut [[f32; FLOAT_ROWS]],
) -> usize {
    let mut parts: [&[f32]; N] = [&[]; N];
    for (part, row) in parts.iter_mut().zip(rows) {
        *part = &input.float_row(*row)[range.clone()];
    }
    multiply::<F, N, STREAM>(weights, &parts, &mut out[..N]);
    N
}

/// Goes on with the sums in `out`: `input` are `N` rows of the columns `weights` begins with.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn multiply<const F: usize, const N: usize, const STREAM: bool>(
    weights: &[u8],
    input: &[&[f32]; N],
    out: &mut [[f32; FLOAT_ROWS]],
) {
    let bytes = const { pair_bytes(Format::ALL[F]) };
    let columns = input[0].len();
    assert!(input.iter().all(|row| row.len() == columns), "rows are as long as each other");
    assert!(weights.len() >= columns.div_ceil(2) * bytes, "weights for all columns");
    let mut sums = [[_mm256_setzero_ps(); 2]; N];
    for (sums, out) in sums.iter_mut().zip(&*out) {
        // SAFETY: sixteen floats.
        *sums = unsafe { [_mm256_loadu_ps(out.as_ptr()), _mm256_loadu_ps(out.as_ptr().add(8))] };
    }
    for pair in 0..columns / 2 {
        let at = weights.as_ptr().wrapping_add(pair * bytes);
        if STREAM {
            ask_ahead(at, bytes);
        }
        // SAFETY: inside `weights` and every row, by the assertions.
        unsafe {
            let [even, odd] = load_pair::<F>(at);
            add_column::<N>(&mut sums, even, input, 2 * pair);
            add_column::<N>(&mut sums, odd, input, 2 * pair + 1);
        }
    }
    if columns % 2 == 1 {
        let at = weights.as_ptr().wrapping_add(columns / 2 * bytes);
        // SAFETY: inside `weights` (the last pair is whole there) and every row, as above.
        unsafe {
            let [even, _] = load_pair::<F>(at);
            add_column::<N>(&mut sums, even, input, columns - 1);
        }
    }
    for (out, [low, high]) in out.iter_mut().zip(sums) {
        // SAFETY: sixteen floats.
        unsafe {
            _mm256_storeu_ps(out.as_mut_ptr(), low);
            _mm256_storeu_ps(out.as_mut_ptr().add(8), high);
        }
    }
}

/// # Safety
/// Every row has column `column`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn add_column<const N: usize>(
    sums: &mut [Sums; N],
    weights: Sums,
    input: &[&[f32]; N],
    column: usize,
) {
    for (sums, input) in sums.iter_mut().zip(input) {
        // SAFETY: the caller's promise.
        let value = _mm256_set1_ps(unsafe { *input.get_unchecked(column) });
        sums[0] = _mm256_fmadd_ps(value, weights[0], sums[0]);
        sums[1] = _mm256_fmadd_ps(value, weights[1], sums[1]);
    }
}

/// A pair of columns as floats: 16 of the even, 16 of the odd one.
///
/// # Safety
/// `pair_bytes` readable bytes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn load_pair<const F: usize>(at: *const u8) -> [Sums; 2] {
    // SAFETY: each branch reads the pair its format has, see `layout`.
    unsafe {
        match const { Format::ALL[F] } {
            Format::F32 => {
                let eight = |index: usize| _mm256_loadu_ps(at.cast::<f32>().add(8 * index));
                [[eight(0), eight(1)], [eight(2), eight(3)]]
            }
            Format::F16 => {
                let eight = |index: usize| {
                    _mm256_cvtph_ps(_mm_loadu_si128(at.cast::<__m128i>().add(index)))
                };
                [[eight(0), eight(1)], [eight(2), eight(3)]]
            }
            Format::Bf16 => {
                let low = _mm256_loadu_si256(at.cast());
                let high = _mm256_loadu_si256(at.add(32).cast());
                let even = |words| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(words));
                let upper = _mm256_set1_epi32(0xffff_0000_u32 as i32);
                let odd = |words| _mm256_castsi256_ps(_mm256_and_si256(words, upper));
                [[even(low), even(high)], [odd(low), odd(high)]]
            }
            _ => [fp8(_mm_loadu_si128(at.cast())), fp8(_mm_loadu_si128(at.add(FLOAT_ROWS).cast()))],
        }
    }
}

/// Sixteen FP8 E4M3 bytes as floats, as `format::f8_e4m3_to_f32`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn fp8(bytes: __m128i) -> Sums {
    // A byte moved to where f16 has its sign, four of its exponent bits and its upper mantissa
    // stands for the value times 2^-8 (the biases are 15 and 7 apart); the product is exact.
    let upper = _mm256_slli_epi16::<8>(_mm256_cvtepu8_epi16(bytes));
    let halves = _mm256_and_si256(_mm256_srai_epi16::<1>(upper), _mm256_set1_epi16(!0x4000));
    let magnitude = _mm256_and_si256(halves, _mm256_set1_epi16(0x7fff));
    let nan = _mm256_cmpeq_epi16(magnitude, _mm256_set1_epi16(0x7f << 7));
    let halves = _mm256_or_si256(halves, nan);
    let low = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
    let high = _mm256_cvtph_ps(_mm256_extracti128_si256::<1>(halves));
    let factor = _mm256_set1_ps(256.0);
    [_mm256_mul_ps(low, factor), _mm256_mul_ps(high, factor)]
}
