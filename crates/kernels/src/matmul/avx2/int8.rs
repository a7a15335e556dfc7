//! Inputs in 8 bits: integers within a block, floats across blocks.
//!
//! `maddubs` multiplies unsigned by signed bytes and adds neighbours in 16 bits, `madd` by ones
//! adds neighbours in 32 bits. Weights with an offset stay unsigned, and totals begin with
//! `-offset * sum(input)`; signed weights lend their sign to the input.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::block::{
    Block, Head, halves, has_minimum, offset, signed, sums_in_16_bits, unpack, unpack_below,
};
use super::floats;
use crate::format::Format;
use crate::matmul::activations::{Activations, Int8Block};
use crate::matmul::ahead::{Ahead, ask_after};
use crate::matmul::layout::{QUANTIZED_ROWS, group};
use crate::matmul::tiles::{Arithmetic, all_at, steps};

/// Format number `F` of [`Format::ALL`].
pub(in crate::matmul) struct Int8<const F: usize>;

// SAFETY: `unpack` ends by writing a block whole.
unsafe impl<const F: usize> Arithmetic for Int8<F> {
    const FORMAT: Format = Format::ALL[F];
    const WIDTH: usize = 1;
    const VECTORS: usize = if sums_in_16_bits(Format::ALL[F]) == 8 { 2 } else { 1 };
    const ROWS: usize = 4;
    type Block = Block;
    type Input = Int8Block;
    type Sum = __m256;

    fn row<'a>(input: &'a Activations, row: u32) -> &'a [Int8Block] {
        input.int8_row(row)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn zero() -> __m256 {
        _mm256_setzero_ps()
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn unpack([begin, _]: [*const u8; 2], index: usize, block: &mut MaybeUninit<Block>) {
        // SAFETY: the caller's promise.
        block.write(unsafe { unpack::<F>(begin, index) });
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn add<const T: usize, const N: usize>(
        blocks: &[[Block; T]],
        input: &[&[Int8Block]; N],
        mut sums: [&mut [__m256; N]; T],
        ahead: &mut Ahead,
    ) {
        let in_16_bits = const { sums_in_16_bits(Format::ALL[F]) };
        // A loop of fewer steps costs more than it saves.
        let vectors = if N > 1 && in_16_bits == 8 { steps(8) } else { in_16_bits };
        for (at, blocks) in blocks.iter().enumerate() {
            ahead.ask();
            // SAFETY: a block has a multiple of so many vectors, and every input this block.
            unsafe { dot::<F, T, N>(vectors, blocks.each_ref(), at, input, &mut sums) };
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn stream(tile: &[u8], input: &[Int8Block]) -> [f32; QUANTIZED_ROWS] {
        let shape = const { group(Format::ALL[F]) };
        let mut sums = [_mm256_setzero_ps()];
        let mut begin = tile.as_ptr();
        for input in input.chunks(shape.blocks) {
            // SAFETY: the tile has this group: `layout::tile_bytes` counted the same.
            let head = unsafe { Head::of::<F>(begin) };
            for (index, input) in input.chunks(1).enumerate() {
                ask_after(shape, begin, index);
                // SAFETY: the same of its blocks.
                unsafe {
                    let block = unpack_below::<F>(head.as_ref(), begin, index);
                    Self::add::<1, 1>(&[[block]], &[input], [&mut sums], &mut Ahead::nothing());
                }
            }
            begin = begin.wrapping_add(shape.bytes());
        }
        floats(sums[0])
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn floats(sums: &[__m256], _: usize, out: &mut [[f32; QUANTIZED_ROWS]], tiles: usize) {
        out.iter_mut().step_by(tiles).zip(sums).for_each(|(out, sums)| *out = floats(*sums));
    }
}

/// Adds one block's products to the sums of `N` rows.
///
/// No integer overflows. Inputs are in -127..=127. In 16 bits, [`sums_in_16_bits`] products of
/// neighbours stay within 32767. In 32 bits a block's total stays below 32 * 127 * 128, and as much
/// again for the offset, far from 2^31.
///
/// # Safety
/// `vectors` is 1 to [`sums_in_16_bits`]; every input has block `at`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn dot<const F: usize, const T: usize, const N: usize>(
    vectors: usize,
    weights: [&Block; T],
    at: usize,
    input: &[&[Int8Block]; N],
    sums: &mut [&mut [__m256; N]; T],
) {
    let format = const { Format::ALL[F] };
    // SAFETY: the caller's promise.
    let input = unsafe { all_at(input, at) };
    let parts = const { if halves(Format::ALL[F]) { 2 } else { 1 } };
    for part in 0..parts {
        // SAFETY: the caller's promise.
        let totals = unsafe { totals::<F, T, N>(vectors, weights, part, input) };
        for row in 0..N {
            let scale = _mm256_set1_ps(input[row].scale);
            let share = _mm256_set1_ps(input[row].share(part, parts));
            for tile in 0..T {
                let sum = &mut sums[tile][row];
                let scale = _mm256_mul_ps(scale, weights[tile].scale[part]);
                *sum = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(totals[tile][row]), *sum);
                if has_minimum(format) {
                    *sum = _mm256_fmadd_ps(weights[tile].minimum[part], share, *sum);
                }
            }
        }
    }
}

/// The integer dot products of a part of a block.
///
/// # Safety
/// See [`dot`].
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn totals<const F: usize, const T: usize, const N: usize>(
    vectors: usize,
    weights: [&Block; T],
    part: usize,
    input: [&Int8Block; N],
) -> [[__m256i; N]; T] {
    let format = const { Format::ALL[F] };
    let in_16_bits = const { sums_in_16_bits(Format::ALL[F]) };
    let parts = const { if halves(Format::ALL[F]) { 2 } else { 1 } };
    let mut totals = [[_mm256_setzero_si256(); N]; T];
    for row in 0..N {
        let minus = minus_offsets(format, part, parts, input[row]);
        (0..T).for_each(|tile| totals[tile][row] = minus);
    }
    for round in 0..8 / in_16_bits / parts {
        let first = part * 4 + round * in_16_bits;
        // The first ones are not added to zeros: an eighth of the additions.
        let mut products = [[_mm256_setzero_si256(); N]; T];
        for row in 0..N {
            // SAFETY: `first` is below 8.
            let input = _mm256_set1_epi32(unsafe { input[row].four(first) });
            for tile in 0..T {
                products[tile][row] = multiply(format, weights[tile].codes[first], input);
            }
        }
        for v in first + 1..first + vectors {
            let mut codes = [_mm256_setzero_si256(); T];
            for tile in 0..T {
                // SAFETY: the caller's promise.
                codes[tile] = unsafe { *weights[tile].codes.get_unchecked(v) };
            }
            for row in 0..N {
                // SAFETY: the caller's promise.
                let input = _mm256_set1_epi32(unsafe { input[row].four(v) });
                for tile in 0..T {
                    let next = multiply(format, codes[tile], input);
                    products[tile][row] = _mm256_add_epi16(products[tile][row], next);
                }
            }
        }
        let ones = _mm256_set1_epi16(1);
        for tile in 0..T {
            for row in 0..N {
                let wide = _mm256_madd_epi16(products[tile][row], ones);
                totals[tile][row] = _mm256_add_epi32(totals[tile][row], wide);
            }
        }
    }
    totals
}

/// What the totals of a part begin with. Halves are chosen by what both sums are multiplied by: to
/// choose and broadcast one by way of scalar registers was a fifth of `q6_k`'s time.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn minus_offsets(format: Format, part: usize, parts: usize, input: &Int8Block) -> __m256i {
    let minus = -offset(format);
    if parts == 1 || minus == 0 {
        return _mm256_set1_epi32(minus * input.sum(part, parts));
    }
    let factors = if part == 0 { minus & 0xffff } else { minus << 16 };
    _mm256_madd_epi16(_mm256_set1_epi32(input.two_sums()), _mm256_set1_epi32(factors))
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
