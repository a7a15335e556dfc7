//! One row alone, a matter of reading memory: AVX2's vectors, since a tile is as wide as one of
//! them, with the integer dot products of VNNI.
//!
//! The integers and the floats are those of AVX2, so the bits are. What is saved is instructions:
//! beside a stream of weights from memory each takes room in which the processor would look ahead.

use std::arch::x86_64::*;

use crate::format::Format;
use crate::matmul::activations::{Int8Block, Int16Block};
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
            // SAFETY: the same of its blocks.
            let block = unsafe { avx2::unpack_below::<F>(head.as_ref(), begin, index) };
            sum = add_int8::<F>(&block, input, sum);
        }
        begin = begin.wrapping_add(shape.bytes());
    }
    floats(sum)
}

/// `sum` and the products of a block; see `super::int8::dot` for the range of its integers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn add_int8<const F: usize>(block: &avx2::Block, input: &Int8Block, mut sum: __m256) -> __m256 {
    let format = const { Format::ALL[F] };
    let parts = const { if halves(Format::ALL[F]) { 2 } else { 1 } };
    let offset = if signed(format) { 128 } else { offset(format) };
    for part in 0..parts {
        let mut total = _mm256_set1_epi32(-offset * input.sum(part, parts));
        for v in part * 4..(part + 1) * 8 / parts {
            let mut codes = block.codes[v];
            if signed(format) {
                codes = _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
            }
            // SAFETY: a block has eight vectors.
            let four = _mm256_set1_epi32(unsafe { input.four(v) });
            total = _mm256_dpbusd_epi32(total, codes, four);
        }
        let scale = _mm256_mul_ps(_mm256_set1_ps(input.scale), block.scale[part]);
        sum = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(total), sum);
        if has_minimum(format) {
            let share = _mm256_set1_ps(input.share(part, parts));
            sum = _mm256_fmadd_ps(block.minimum[part], share, sum);
        }
    }
    sum
}

/// A tile of 8-bit weights times a row in 16 bits.
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
            // SAFETY: the tile has this block: `layout::tile_bytes` counted the same groups.
            let (codes, scale) = unsafe { avx2::unpack_words(begin, index) };
            let mut total = _mm256_setzero_si256();
            for (pair, codes) in codes.into_iter().enumerate() {
                // SAFETY: a block has sixteen pairs of columns.
                let pair = _mm256_set1_epi32(unsafe { input.pair(pair) });
                total = _mm256_dpwssd_epi32(total, codes, pair);
            }
            let scale = _mm256_mul_ps(_mm256_set1_ps(input.scale), scale);
            sum = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(total), sum);
        }
        begin = begin.wrapping_add(shape.bytes());
    }
    floats(sum)
}
