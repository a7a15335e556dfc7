//! Inputs in 16 bits, for weights that are signed bytes with one float scale per block (Q8_0).
//!
//! `madd` multiplies signed words and adds neighbours in 32 bits: two a 32 products, as many as
//! signed bytes take with `maddubs` and `madd`, so the finer input costs loads only.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::floats;
use super::scales::half;
use super::unpack::bytes;
use crate::format::Format;
use crate::matmul::activations::{Activations, Int16Block};
use crate::matmul::ahead::{Ahead, ask_after};
use crate::matmul::layout::{BLOCK, QUANTIZED_ROWS, group};
use crate::matmul::tiles::{Arithmetic, all_at, steps};

/// 8-bit weights.
pub(in crate::matmul) struct Int16;

/// 32 columns x 8 rows.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct Block {
    /// Of four columns the first and third, then the second and fourth: a pair of words a row.
    codes: [__m256i; 16],
    /// The float scales.
    scale: __m256,
}

// SAFETY: `unpack` ends by writing a block whole.
unsafe impl Arithmetic for Int16 {
    const FORMAT: Format = Format::Q8_0;
    const WIDTH: usize = 1;
    const VECTORS: usize = 3;
    const ROWS: usize = 4;
    type Block = Block;
    type Input = Int16Block;
    type Sum = __m256;

    fn row<'a>(input: &'a Activations, row: u32) -> &'a [Int16Block] {
        input.int16_row(row)
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
        let (codes, scale) = unsafe { unpack_words(begin, index) };
        block.write(Block { codes, scale });
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn add<const T: usize, const N: usize>(
        blocks: &[[Block; T]],
        input: &[&[Int16Block]; N],
        mut sums: [&mut [__m256; N]; T],
        ahead: &mut Ahead,
    ) {
        let pairs = if N > 1 { steps(BLOCK / 2) } else { BLOCK / 2 };
        for (at, blocks) in blocks.iter().enumerate() {
            ahead.ask();
            // SAFETY: a block has so many pairs of columns, and every input this block.
            unsafe { dot::<T, N>(pairs, blocks.each_ref(), at, input, &mut sums) };
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn stream(tile: &[u8], input: &[Int16Block]) -> [f32; QUANTIZED_ROWS] {
        let shape = const { group(Format::Q8_0) };
        let mut sums = [_mm256_setzero_ps()];
        let mut begin = tile.as_ptr();
        for input in input.chunks(shape.blocks) {
            for (index, input) in input.chunks(1).enumerate() {
                ask_after(shape, begin, index);
                // SAFETY: the tile has this block: `layout::tile_bytes` counted the same groups.
                unsafe {
                    let (codes, scale) = unpack_words(begin, index);
                    Self::add::<1, 1>(
                        &[[Block { codes, scale }]],
                        &[input],
                        [&mut sums],
                        &mut Ahead::nothing(),
                    );
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

/// The codes and the scales of block `index` of a group.
///
/// # Safety
/// As for [`Arithmetic::unpack`].
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(in crate::matmul) unsafe fn unpack_words(
    begin: *const u8,
    index: usize,
) -> ([__m256i; 16], __m256) {
    let shape = const { group(Format::Q8_0) };
    const { assert!(group(Format::Q8_0).block_bytes() == BLOCK * QUANTIZED_ROWS) };
    // SAFETY: codes and scales lie where `layout` puts them, inside what the caller promises.
    unsafe {
        let mut codes = [_mm256_setzero_si256(); 16];
        let fours = bytes(begin.add(shape.head_bytes + index * shape.block_bytes()));
        for (pairs, four) in codes.as_chunks_mut::<2>().0.iter_mut().zip(fours) {
            *pairs = [
                _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(four)),
                _mm256_srai_epi16::<8>(four),
            ];
        }
        (codes, half(begin, index))
    }
}

/// Adds one block's products to the sums of `N` rows. No integer overflows: a block's total stays
/// below 32 * 128 * 32767, which is below 2^27.
///
/// # Safety
/// `pairs` is at most 16; every input has block `at`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn dot<const T: usize, const N: usize>(
    pairs: usize,
    weights: [&Block; T],
    at: usize,
    input: &[&[Int16Block]; N],
    sums: &mut [&mut [__m256; N]; T],
) {
    let mut totals = [[_mm256_setzero_si256(); N]; T];
    // SAFETY: the caller's promise.
    let input = unsafe { all_at(input, at) };
    for pair in 0..pairs {
        let mut codes = [_mm256_setzero_si256(); T];
        for tile in 0..T {
            // SAFETY: the caller's promise.
            codes[tile] = unsafe { *weights[tile].codes.get_unchecked(pair) };
        }
        for row in 0..N {
            // SAFETY: the caller's promise.
            let input = _mm256_set1_epi32(unsafe { input[row].pair(pair) });
            for tile in 0..T {
                let products = _mm256_madd_epi16(codes[tile], input);
                totals[tile][row] = _mm256_add_epi32(totals[tile][row], products);
            }
        }
    }
    for row in 0..N {
        let input_scale = _mm256_set1_ps(input[row].scale);
        for tile in 0..T {
            let scale = _mm256_mul_ps(input_scale, weights[tile].scale);
            let total = _mm256_cvtepi32_ps(totals[tile][row]);
            sums[tile][row] = _mm256_fmadd_ps(scale, total, sums[tile][row]);
        }
    }
}
