//! One row alone, a matter of reading memory: one tile, with eight columns of it in a vector, four
//! in either half.
//!
//! The integers and the floats are those of AVX2, so the bits are. What is saved is instructions:
//! beside a stream of weights from memory each takes room in which the processor would look ahead.

use std::arch::x86_64::*;

use super::beside;
use super::unpack::{Codes, codes};
use crate::format::Format;
use crate::matmul::activations::{Int8Block, Int16Block};
use crate::matmul::ahead::ask_after;
use crate::matmul::avx2::{self, floats, halves, has_minimum, offset, signed};
use crate::matmul::layout::{QUANTIZED_ROWS, group};

/// A tile of format number `F` times a row in 8 bits; see
/// [`stream`](crate::matmul::tiles::Arithmetic::stream).
///
/// # Safety
/// The instructions exist; the tile is of as many columns as the input.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn int8<const F: usize>(
    tile: &[u8],
    input: &[Int8Block],
) -> [f32; QUANTIZED_ROWS] {
    let shape = const { group(Format::ALL[F]) };
    let mut sum = _mm256_setzero_ps();
    let mut begin = tile.as_ptr();
    for input in input.chunks(shape.blocks) {
        // SAFETY: the tile has this group: `layout::tile_bytes` counted the same.
        let head = unsafe { avx2::Head::of::<F>(begin) };
        for (index, input) in input.iter().enumerate() {
            ask_after(shape, begin, index);
            // SAFETY: the same of its blocks.
            unsafe {
                let scales = avx2::scales_below::<F>(head.as_ref(), begin, index);
                let block = begin.add(shape.head_bytes + index * shape.block_bytes());
                sum = add_int8::<F>(codes::<F>(block), &scales, input, sum);
            }
        }
        begin = begin.wrapping_add(shape.bytes());
    }
    floats(sum)
}

/// `sum` and the products of a block; see `super::int8::dot` for the range of its integers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn add_int8<const F: usize>(
    codes: Codes,
    scales: &avx2::Block,
    input: &Int8Block,
    mut sum: __m256,
) -> __m256 {
    let format = const { Format::ALL[F] };
    let parts = const { if halves(Format::ALL[F]) { 2 } else { 1 } };
    let offset = if signed(format) { 128 } else { offset(format) };
    for part in 0..parts {
        let mut total = _mm512_setzero_si512();
        for (half, codes) in codes.iter().enumerate().skip(part).take(3 - parts) {
            total = dot(*codes, &input.codes, half, total);
        }
        let start = _mm256_set1_epi32(-offset * input.sum(part, parts));
        let total = _mm256_add_epi32(start, folded(total));
        let scale = _mm256_mul_ps(_mm256_set1_ps(input.scale), scales.scale[part]);
        sum = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(total), sum);
        if has_minimum(format) {
            let share = _mm256_set1_ps(input.share(part, parts));
            sum = _mm256_fmadd_ps(scales.minimum[part], share, sum);
        }
    }
    sum
}

/// `total` and the products of half `half` of a block's codes and of an input's, lane by lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) fn dot(
    codes: [__m512i; 2],
    input: &[i8; 32],
    half: usize,
    mut total: __m512i,
) -> __m512i {
    // SAFETY: so many bytes.
    let input = unsafe { _mm256_loadu_si256(input.as_ptr().cast()) };
    for (parity, codes) in codes.into_iter().enumerate() {
        let lanes = two_apart(4 * half + parity);
        let fours = _mm512_permutexvar_epi32(lanes, _mm512_castsi256_si512(input));
        total = _mm512_dpbusd_epi32(total, codes, fours);
    }
    total
}

/// A tile of 8-bit weights times a row in 16 bits: eight columns at a time, four in either half of
/// a vector.
///
/// # Safety
/// The instructions exist; the tile is of as many columns as the input.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn int16(tile: &[u8], input: &[Int16Block]) -> [f32; QUANTIZED_ROWS] {
    let shape = const { group(Format::Q8_0) };
    let mut sum = _mm256_setzero_ps();
    let mut begin = tile.as_ptr();
    for input in input.chunks(shape.blocks) {
        for (index, input) in input.iter().enumerate() {
            ask_after(shape, begin, index);
            // SAFETY: the tile has this block: `layout::tile_bytes` counted the same groups; an
            // input has as many words as a vector.
            let (scale, block, words) = unsafe {
                let block = begin.add(shape.head_bytes + index * shape.block_bytes());
                (avx2::half(begin, index), block, _mm512_loadu_si512(input.codes.as_ptr().cast()))
            };
            let mut totals = [_mm512_setzero_si512(); 2];
            for eight in 0..4 {
                // SAFETY: the block has so many vectors.
                let codes = unsafe { _mm512_loadu_si512(block.add(64 * eight).cast()) };
                let outer = _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(codes));
                let inner = _mm512_srai_epi16::<8>(codes);
                for (parity, codes) in [outer, inner].into_iter().enumerate() {
                    let pairs = _mm512_permutexvar_epi32(two_apart(4 * eight + parity), words);
                    totals[parity] = _mm512_dpwssd_epi32(totals[parity], codes, pairs);
                }
            }
            let total = folded(_mm512_add_epi32(totals[0], totals[1]));
            let scale = _mm256_mul_ps(_mm256_set1_ps(input.scale), scale);
            sum = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(total), sum);
        }
        begin = begin.wrapping_add(shape.bytes());
    }
    floats(sum)
}

/// Lanes that pick element `low` into one half of a vector, and the second after it into the other.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn two_apart(low: usize) -> __m512i {
    beside([_mm256_set1_epi32(low as i32), _mm256_set1_epi32(low as i32 + 2)])
}

/// The sum of both halves.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) fn folded(sums: __m512i) -> __m256i {
    _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64::<1>(sums))
}
