//! Inputs in 16 bits: `vpdpwssd` multiplies words, adds neighbours and the total so far.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::{all_beside, floats, floats_beside};
use crate::format::Format;
use crate::matmul::activations::{Activations, Int16Block};
use crate::matmul::ahead::Ahead;
use crate::matmul::avx2;
use crate::matmul::layout::{BLOCK, QUANTIZED_ROWS};
use crate::matmul::tiles::{Arithmetic, all_at, steps};

/// 8-bit weights.
pub(in crate::matmul) struct Int16;

/// 32 columns x 16 rows, as AVX2's.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct Block {
    codes: [__m512i; 16],
    scale: __m512,
}

// SAFETY: `unpack` ends by writing a block whole.
unsafe impl Arithmetic for Int16 {
    const FORMAT: Format = Format::Q8_0;
    const WIDTH: usize = 2;
    const VECTORS: usize = 2;
    const ROWS: usize = 8;
    const UNPACKED: usize = 4;
    type Block = Block;
    type Input = Int16Block;
    type Sum = __m512;

    fn row<'a>(input: &'a Activations, row: u32) -> &'a [Int16Block] {
        input.int16_row(row)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    unsafe fn zero() -> __m512 {
        _mm512_setzero_ps()
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    unsafe fn unpack(begins: [*const u8; 2], index: usize, block: &mut MaybeUninit<Block>) {
        // SAFETY: the caller's promise, for each tile.
        let ((low, low_scale), (high, high_scale)) =
            unsafe { (avx2::unpack_words(begins[0], index), avx2::unpack_words(begins[1], index)) };
        let (codes, scale) = (all_beside(low, high), floats_beside([low_scale, high_scale]));
        block.write(Block { codes, scale });
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    unsafe fn add<const T: usize, const N: usize>(
        blocks: &[[Block; T]],
        input: &[&[Int16Block]; N],
        mut sums: [&mut [__m512; N]; T],
        ahead: &mut Ahead,
    ) {
        let pairs = steps(BLOCK / 2);
        for (at, blocks) in blocks.iter().enumerate() {
            ahead.ask();
            // SAFETY: a block has so many pairs of columns, and every input this block.
            unsafe { dot::<T, N>(pairs, blocks.each_ref(), at, input, &mut sums) };
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    unsafe fn stream(tile: &[u8], input: &[Int16Block]) -> [f32; QUANTIZED_ROWS] {
        // SAFETY: the caller's promise.
        unsafe { super::stream::int16(tile, input) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    unsafe fn floats(
        sums: &[__m512],
        half: usize,
        out: &mut [[f32; QUANTIZED_ROWS]],
        tiles: usize,
    ) {
        floats(sums, half, out, tiles);
    }
}

/// As AVX2's, which says why no integer overflows.
///
/// # Safety
/// `pairs` is at most 16; every input has block `at`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn dot<const T: usize, const N: usize>(
    pairs: usize,
    weights: [&Block; T],
    at: usize,
    input: &[&[Int16Block]; N],
    sums: &mut [&mut [__m512; N]; T],
) {
    let mut totals = [[_mm512_setzero_si512(); N]; T];
    // SAFETY: the caller's promise.
    let input = unsafe { all_at(input, at) };
    for pair in 0..pairs {
        let mut codes = [_mm512_setzero_si512(); T];
        for tile in 0..T {
            // SAFETY: the caller's promise.
            codes[tile] = unsafe { *weights[tile].codes.get_unchecked(pair) };
        }
        for row in 0..N {
            // SAFETY: the caller's promise.
            let input = _mm512_set1_epi32(unsafe { input[row].pair(pair) });
            for tile in 0..T {
                totals[tile][row] = _mm512_dpwssd_epi32(totals[tile][row], codes[tile], input);
            }
        }
    }
    for row in 0..N {
        let input_scale = _mm512_set1_ps(input[row].scale);
        for tile in 0..T {
            let scale = _mm512_mul_ps(input_scale, weights[tile].scale);
            let total = _mm512_cvtepi32_ps(totals[tile][row]);
            sums[tile][row] = _mm512_fmadd_ps(scale, total, sums[tile][row]);
        }
    }
}
