//! Inputs in 8 bits: `vpdpbusd` multiplies unsigned by signed bytes, adds four neighbours and the
//! total so far in 32 bits. Signed weights are moved up by 128, an offset as others have.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;
use std::ops::Range;

use super::{all_beside, floats, floats_beside};
use crate::format::Format;
use crate::matmul::activations::{Activations, Int8Block};
use crate::matmul::ahead::Ahead;
use crate::matmul::avx2::{self, halves, has_minimum, offset, signed};
use crate::matmul::layout::QUANTIZED_ROWS;
use crate::matmul::tiles::{Arithmetic, all_at, steps};

/// Format number `F` of [`Format::ALL`].
pub(in crate::matmul) struct Int8<const F: usize>;

/// 32 columns x 16 rows: AVX2's, see there; all codes unsigned.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct Block {
    codes: [__m512i; 8],
    scale: [__m512; 2],
    minimum: [__m512; 2],
}

// SAFETY: `unpack` ends by writing a block whole.
unsafe impl<const F: usize> Arithmetic for Int8<F> {
    const FORMAT: Format = Format::ALL[F];
    const WIDTH: usize = 2;
    const VECTORS: usize = 2;
    const ROWS: usize = 8;
    type Block = Block;
    type Input = Int8Block;
    type Sum = __m512;

    fn row<'a>(input: &'a Activations, row: u32) -> &'a [Int8Block] {
        input.int8_row(row)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    unsafe fn zero() -> __m512 {
        _mm512_setzero_ps()
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    unsafe fn unpack(begins: [*const u8; 2], index: usize, block: &mut MaybeUninit<Block>) {
        let format = const { Format::ALL[F] };
        // SAFETY: the caller's promise, for each tile.
        let (low, high) =
            unsafe { (avx2::unpack::<F>(begins[0], index), avx2::unpack::<F>(begins[1], index)) };
        let mut codes = all_beside(low.codes, high.codes);
        if signed(format) {
            for four in &mut codes {
                *four = _mm512_xor_si512(*four, _mm512_set1_epi8(-128));
            }
        }
        let (mut scale, mut minimum) = ([_mm512_setzero_ps(); 2], [_mm512_setzero_ps(); 2]);
        for part in 0..2 {
            scale[part] = floats_beside([low.scale[part], high.scale[part]]);
            minimum[part] = floats_beside([low.minimum[part], high.minimum[part]]);
        }
        block.write(Block { codes, scale, minimum });
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    unsafe fn add<const T: usize, const N: usize>(
        blocks: &[[Block; T]],
        input: &[&[Int8Block]; N],
        mut sums: [&mut [__m512; N]; T],
        ahead: &mut Ahead,
    ) {
        let half = steps(4);
        for (at, blocks) in blocks.iter().enumerate() {
            ahead.ask();
            // SAFETY: a block has twice so many vectors of codes, and every input this block.
            unsafe { dot::<F, T, N>(half, blocks.each_ref(), at, input, &mut sums) };
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    unsafe fn stream(tile: &[u8], input: &[Int8Block]) -> [f32; QUANTIZED_ROWS] {
        // SAFETY: the caller's promise.
        unsafe { super::stream::int8::<F>(tile, input) }
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

/// Adds one block's products to the sums. The integers are those of AVX2's, so the floats are too;
/// a total is at most 32 * 255 * 127, and half of that for the offset.
///
/// # Safety
/// `half` is at most 4; every input has block `at`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn dot<const F: usize, const T: usize, const N: usize>(
    half: usize,
    weights: [&Block; T],
    at: usize,
    input: &[&[Int8Block]; N],
    sums: &mut [&mut [__m512; N]; T],
) {
    let format = const { Format::ALL[F] };
    // SAFETY: the caller's promise.
    let input = unsafe { all_at(input, at) };
    let parts = const { if halves(Format::ALL[F]) { 2 } else { 1 } };
    for part in 0..parts {
        let range = part * 4..if parts == 1 { 2 * half } else { part * 4 + half };
        // SAFETY: the caller's promise.
        let totals = unsafe { totals::<F, T, N>(range, weights, part, input) };
        for row in 0..N {
            let scale = _mm512_set1_ps(input[row].scale);
            let share = _mm512_set1_ps(input[row].share(part, parts));
            for tile in 0..T {
                let sum = &mut sums[tile][row];
                let scale = _mm512_mul_ps(scale, weights[tile].scale[part]);
                *sum = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(totals[tile][row]), *sum);
                if has_minimum(format) {
                    *sum = _mm512_fmadd_ps(weights[tile].minimum[part], share, *sum);
                }
            }
        }
    }
}

/// The integer dot products of vectors `range` of a block, which are part `part` of it.
///
/// # Safety
/// The range lies in 0..8.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn totals<const F: usize, const T: usize, const N: usize>(
    range: Range<usize>,
    weights: [&Block; T],
    part: usize,
    input: [&Int8Block; N],
) -> [[__m512i; N]; T] {
    let format = const { Format::ALL[F] };
    let parts = const { if halves(Format::ALL[F]) { 2 } else { 1 } };
    let offset = if signed(format) { 128 } else { offset(format) };
    let mut totals = [[_mm512_setzero_si512(); N]; T];
    for row in 0..N {
        let minus = _mm512_set1_epi32(-offset * input[row].sum(part, parts));
        (0..T).for_each(|tile| totals[tile][row] = minus);
    }
    for v in range {
        let mut codes = [_mm512_setzero_si512(); T];
        for tile in 0..T {
            // SAFETY: the caller's promise.
            codes[tile] = unsafe { *weights[tile].codes.get_unchecked(v) };
        }
        for row in 0..N {
            // SAFETY: the caller's promise.
            let input = _mm512_set1_epi32(unsafe { input[row].four(v) });
            for tile in 0..T {
                totals[tile][row] = _mm512_dpbusd_epi32(totals[tile][row], codes[tile], input);
            }
        }
    }
    totals
}
