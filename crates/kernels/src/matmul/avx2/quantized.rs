//! Quantized weights: integers within a block, floats across blocks.
//!
//! `maddubs` multiplies unsigned by signed bytes and adds neighbours in 16 bits, `madd` multiplies
//! those by 16-bit scales and adds neighbours in 32 bits. Weights with an offset stay unsigned, and
//! `offset * sum(input)` is taken off afterwards; signed weights lend their sign to the input.

use std::arch::x86_64::*;

use super::block::{Block, Correction, correction, signed, sums_in_16_bits, unpack};
use crate::format::Format;
use crate::matmul::activations::{Activations, Int8Block};
use crate::matmul::layout::{BLOCK, Group, QUANTIZED_ROWS, group};
use crate::matmul::matrix::Matrix;

/// Input rows whose sums fit the registers.
const MICRO_ROWS: usize = 4;
/// Blocks unpacked at a time when they are used by many rows: 3.5 KiB, a part of L1.
const UNPACKED: usize = 8;

/// As `scalar::quantized_tile`, bit for bit.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn quantized_tile(
    weights: &Matrix,
    tile: usize,
    input: &Activations,
    rows: &[u32],
    out: &mut [[f32; QUANTIZED_ROWS]],
) {
    // The format becomes a constant: everything below is compiled once for each.
    let run = match weights.format() {
        Format::Q4_0 => tile_of::<{ Format::Q4_0 as usize }>,
        Format::Q4_1 => tile_of::<{ Format::Q4_1 as usize }>,
        Format::Q5_0 => tile_of::<{ Format::Q5_0 as usize }>,
        Format::Q5_1 => tile_of::<{ Format::Q5_1 as usize }>,
        Format::Q8_0 => tile_of::<{ Format::Q8_0 as usize }>,
        Format::Q2K => tile_of::<{ Format::Q2K as usize }>,
        Format::Q3K => tile_of::<{ Format::Q3K as usize }>,
        Format::Q4K => tile_of::<{ Format::Q4K as usize }>,
        Format::Q5K => tile_of::<{ Format::Q5K as usize }>,
        Format::Q6K => tile_of::<{ Format::Q6K as usize }>,
        Format::Iq4Nl => tile_of::<{ Format::Iq4Nl as usize }>,
        Format::Iq4Xs => tile_of::<{ Format::Iq4Xs as usize }>,
        Format::Mxfp4 => tile_of::<{ Format::Mxfp4 as usize }>,
        Format::F32 | Format::F16 | Format::Bf16 | Format::F8E4M3 => {
            unreachable!("floats have tiles of their own")
        }
    };
    run(weights.tile(tile), input, rows, out);
}

/// A tile of format number `F` of [`Format::ALL`].
#[target_feature(enable = "avx2,fma,f16c")]
fn tile_of<const F: usize>(
    tile: &[u8],
    input: &Activations,
    rows: &[u32],
    out: &mut [[f32; QUANTIZED_ROWS]],
) {
    match (rows, &mut *out) {
        ([row], [out]) => stream::<F>(tile, input.int8_row(*row), out),
        _ => many::<F>(tile, input, rows, out),
    }
}

/// One row: the weights pass through the registers once.
#[target_feature(enable = "avx2,fma,f16c")]
fn stream<const F: usize>(tile: &[u8], input: &[Int8Block], out: &mut [f32; QUANTIZED_ROWS]) {
    let shape = const { group(Format::ALL[F]) };
    let mut sums = [_mm256_setzero_ps()];
    let mut begin = tile.as_ptr();
    for input in input.chunks(shape.blocks) {
        for index in 0..input.len() {
            // SAFETY: the tile has this block: `layout::tile_bytes` counted the same groups.
            let block = unsafe { unpack::<F>(begin, index) };
            dot::<F, 1>(&block, index, &[input], &mut sums);
        }
        begin = begin.wrapping_add(shape.bytes());
    }
    // SAFETY: eight floats.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), sums[0]) };
}

/// Some rows: a few blocks are unpacked, then used by all of them, and so on along the columns.
#[target_feature(enable = "avx2,fma,f16c")]
fn many<const F: usize>(
    tile: &[u8],
    input: &Activations,
    rows: &[u32],
    out: &mut [[f32; QUANTIZED_ROWS]],
) {
    let shape: Group = const { group(Format::ALL[F]) };
    let blocks = input.columns() / BLOCK;
    let mut unpacked = [Block::zero(); UNPACKED];
    out.fill([0.0; QUANTIZED_ROWS]);
    for first in (0..blocks).step_by(UNPACKED) {
        let unpacked = &mut unpacked[..UNPACKED.min(blocks - first)];
        for (offset, unpacked) in unpacked.iter_mut().enumerate() {
            let (at, index) = shape.find(first + offset);
            // SAFETY: the tile has this block: `layout::tile_bytes` counted the same groups.
            *unpacked = unsafe { unpack::<F>(tile.as_ptr().add(at), index) };
        }
        let part = |row: u32| &input.int8_row(row)[first..first + unpacked.len()];
        for (rows, out) in rows.chunks(MICRO_ROWS).zip(out.chunks_mut(MICRO_ROWS)) {
            match *rows {
                [a] => resume::<F, 1>(unpacked, &[part(a)], out),
                [a, b] => resume::<F, 2>(unpacked, &[part(a), part(b)], out),
                [a, b, c] => {
                    resume::<F, 2>(unpacked, &[part(a), part(b)], out);
                    resume::<F, 1>(unpacked, &[part(c)], &mut out[2..]);
                }
                [a, b, c, d] => {
                    resume::<F, 4>(unpacked, &[part(a), part(b), part(c), part(d)], out);
                }
                _ => unreachable!("chunks have one to four rows"),
            }
        }
    }
}

/// Goes on with the sums in `out` over some unpacked blocks and the same blocks of `N` input rows.
#[target_feature(enable = "avx2,fma,f16c")]
fn resume<const F: usize, const N: usize>(
    unpacked: &[Block],
    input: &[&[Int8Block]; N],
    out: &mut [[f32; QUANTIZED_ROWS]],
) {
    let mut sums = [_mm256_setzero_ps(); N];
    for (sum, out) in sums.iter_mut().zip(&*out) {
        // SAFETY: eight floats.
        *sum = unsafe { _mm256_loadu_ps(out.as_ptr()) };
    }
    for (index, block) in unpacked.iter().enumerate() {
        dot::<F, N>(block, index, input, &mut sums);
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        // SAFETY: eight floats.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), sum) };
    }
}

/// Adds one block's products to the sums of `N` rows.
///
/// No integer overflows. Inputs are in -127..=127. In 16 bits, `SUMS` (see [`sums_in_16_bits`])
/// products of neighbours stay within 32767. In 32 bits a block's total stays below
/// 32 * 127 * 128 * 128 (6-bit weights, 8-bit scales: 63 * 127 * 32 * 128, and as much again for
/// the correction), far from 2^31.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn dot<const F: usize, const N: usize>(
    weights: &Block,
    at: usize,
    input: &[&[Int8Block]; N],
    sums: &mut [__m256; N],
) {
    let format = const { Format::ALL[F] };
    let in_16_bits = const { sums_in_16_bits(Format::ALL[F]) };
    let mut totals = [_mm256_setzero_si256(); N];
    for part in 0..8 / in_16_bits {
        let first = part * in_16_bits;
        let mut products = [_mm256_setzero_si256(); N];
        for v in first..first + in_16_bits {
            let codes = weights.codes[v];
            for row in 0..N {
                let next = multiply(format, codes, broadcast(&input[row][at], v));
                products[row] = _mm256_add_epi16(products[row], next);
            }
        }
        let small = weights.small[first / 4];
        for row in 0..N {
            totals[row] = _mm256_add_epi32(totals[row], _mm256_madd_epi16(products[row], small));
        }
    }
    for row in 0..N {
        sums[row] = add_scaled(format, weights, &input[row][at], totals[row], sums[row]);
    }
}

/// Columns `4v..4v + 4` of the input in every 32 bits.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn broadcast(input: &Int8Block, v: usize) -> __m256i {
    let [a, b, c, d] = input.codes.as_chunks::<4>().0[v];
    _mm256_set1_epi32(i32::from_ne_bytes([a as u8, b as u8, c as u8, d as u8]))
}

/// Products of bytes, neighbours added in 16 bits.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn multiply(format: Format, codes: __m256i, input: __m256i) -> __m256i {
    if signed(format) {
        // -128 becomes 128 unsigned, and no input is -128: both signs are exact.
        _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(input, codes))
    } else {
        _mm256_maddubs_epi16(codes, input)
    }
}

/// The integer total times its scales onto the float sum.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add_scaled(
    format: Format,
    weights: &Block,
    input: &Int8Block,
    total: __m256i,
    sum: __m256,
) -> __m256 {
    let [low, high] = input.sums;
    let both = i32::from(low) & 0xffff | i32::from(high) << 16;
    let corrected = _mm256_madd_epi16(weights.correction, _mm256_set1_epi32(both));
    let input_scale = _mm256_set1_ps(input.scale);
    let scale = _mm256_mul_ps(input_scale, weights.scale);
    match correction(format) {
        Correction::Nothing => _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(total), sum),
        Correction::Offset => {
            let total = _mm256_add_epi32(total, corrected);
            _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(total), sum)
        }
        Correction::Minimum => {
            let sum = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(total), sum);
            let minimum = _mm256_mul_ps(input_scale, weights.minimum);
            _mm256_fmadd_ps(minimum, _mm256_cvtepi32_ps(corrected), sum)
        }
    }
}
