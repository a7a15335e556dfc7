//! `q4_k`, whose inputs share a scale over a group of 256 columns.
//!
//! The total of small scales times dot products over half a group is an integer below 2^24 (see
//! `scalar`). Floats hold it exactly, and a fused multiply-add is less than what 32-bit integers
//! would take.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::{all_beside, beside, floats, floats_beside, stream, unpack};
use crate::format::Format;
use crate::matmul::activations::{Activations, GROUP, Int8Group};
use crate::matmul::ahead::{Ahead, ask_after};
use crate::matmul::avx2::{self, HALF, Head, block_codes, first, second};
use crate::matmul::layout::{Group, QUANTIZED_ROWS, group};
use crate::matmul::tiles::{Arithmetic, all_at, steps};

const SHAPE: Group = group(Format::Q4K);

/// `q4_k`.
pub(in crate::matmul) struct Q4K;

/// 256 columns x 16 rows, as AVX2's, but for the small scales: floats.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct Block {
    codes: [[__m512i; 8]; SHAPE.blocks],
    scales: [__m512; SHAPE.blocks],
    minimums: [__m512i; SHAPE.blocks / 2],
    scale: __m512,
    minimum: __m512,
}

// SAFETY: `unpack` writes every field.
unsafe impl Arithmetic for Q4K {
    const FORMAT: Format = Format::Q4K;
    const WIDTH: usize = 2;
    const VECTORS: usize = 2;
    const ROWS: usize = 8;
    const UNPACKED: usize = 1;
    const COLUMNS: usize = GROUP;
    type Block = Block;
    type Input = Int8Group;
    type Sum = __m512;

    fn row<'a>(input: &'a Activations, row: u32) -> &'a [Int8Group] {
        input.int8_groups_row(row)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    unsafe fn zero() -> __m512 {
        _mm512_setzero_ps()
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    unsafe fn unpack(begins: [*const u8; 2], _: usize, block: &mut MaybeUninit<Block>) {
        let block = block.as_mut_ptr();
        // SAFETY: each field is written in place, since copies of so many bytes cost; the groups
        // are readable, the caller's promise.
        unsafe {
            let heads = [Head::read(begins[0]), Head::read(begins[1])];
            for index in 0..SHAPE.blocks {
                let [low, high] = [block_codes(begins[0], index), block_codes(begins[1], index)];
                (&raw mut (*block).codes[index]).write(all_beside(low, high));
                let scales = _mm_unpacklo_epi64(heads[0].scales(index), heads[1].scales(index));
                let scales = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(scales));
                (&raw mut (*block).scales[index]).write(scales);
            }
            for pair in 0..SHAPE.blocks / 2 {
                let both = [heads[0].two_minimums(pair), heads[1].two_minimums(pair)];
                (&raw mut (*block).minimums[pair]).write(beside(both));
            }
            let [low, high] = heads;
            (&raw mut (*block).scale).write(floats_beside([low.scale, high.scale]));
            (&raw mut (*block).minimum).write(floats_beside([low.minimum, high.minimum]));
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    unsafe fn add<const T: usize, const N: usize>(
        blocks: &[[Block; T]],
        input: &[&[Int8Group]; N],
        mut sums: [&mut [__m512; N]; T],
        ahead: &mut Ahead,
    ) {
        let four = steps(4);
        for (at, weights) in blocks.iter().enumerate() {
            // SAFETY: the caller's promise.
            let input = unsafe { all_at(input, at) };
            let weights = weights.each_ref();
            for half in 0..2 {
                // SAFETY: a block has twice four vectors of codes, and four of minimums.
                unsafe {
                    let totals = totals::<T, N>(four, weights, input, half * HALF, ahead);
                    let totals = totals.assume_init_ref();
                    if half == 0 {
                        add_first(totals, weights, input, &mut sums);
                    } else {
                        add_second(four, totals, weights, input, &mut sums);
                    }
                }
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    unsafe fn stream(tile: &[u8], input: &[Int8Group]) -> [f32; QUANTIZED_ROWS] {
        let mut sum = _mm256_setzero_ps();
        for (at, input) in input.iter().enumerate() {
            let begin = tile[at * SHAPE.bytes()..].as_ptr();
            // SAFETY: the tile has this group: `layout::tile_bytes` counted the same; a block has
            // eight vectors.
            unsafe {
                let head = Head::read(begin);
                let total = half_total(&head, begin, input, 0);
                sum = first(total, head.scale, input, sum);
                let total = half_total(&head, begin, input, 1);
                let small = small_total(&head, input);
                sum = second(total, small, [head.scale, head.minimum], input, sum);
            }
        }
        avx2::floats(sum)
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

/// The products of half a group of a tile, each block's times its small scales: exact in floats, so
/// the same in any order.
///
/// # Safety
/// The group at `begin` is readable and the head is its; `half` is below 2.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn half_total(head: &Head, begin: *const u8, input: &Int8Group, half: usize) -> __m256i {
    let mut total = _mm512_setzero_ps();
    for index in half * HALF..(half + 1) * HALF {
        ask_after(SHAPE, begin, index);
        // SAFETY: the caller's promise.
        let (codes, scales) = unsafe {
            let block = begin.add(SHAPE.head_bytes + index * SHAPE.block_bytes());
            (unpack::codes::<{ Format::Q4K as usize }>(block), head.scales(index))
        };
        let mut dot = _mm512_setzero_si512();
        for (half, codes) in codes.into_iter().enumerate() {
            dot = stream::dot(codes, &input.codes[index], half, dot);
        }
        let scales = _mm512_cvtepu8_epi32(_mm_unpacklo_epi64(scales, scales));
        total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(scales), _mm512_cvtepi32_ps(dot), total);
    }
    stream::folded(_mm512_cvtps_epi32(total))
}

/// The sums of a group's inputs times small minimums.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn small_total(head: &Head, input: &Int8Group) -> __m256i {
    let mut small = _mm256_setzero_si256();
    for pair in 0..SHAPE.blocks / 2 {
        let two = _mm256_set1_epi32(input.two_sums(pair));
        // SAFETY: a group has so many pairs of blocks.
        small = _mm256_dpwssd_epi32(small, unsafe { head.two_minimums(pair) }, two);
    }
    small
}

/// The totals of half a group from block `begin` on; all of them are written.
///
/// # Safety
/// `four` is at most 4, `begin` a multiple of 4 below 8.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn totals<const T: usize, const N: usize>(
    four: usize,
    weights: [&Block; T],
    input: [&Int8Group; N],
    begin: usize,
    ahead: &mut Ahead,
) -> MaybeUninit<[[__m512; N]; T]> {
    // Zeros would be written one by one before each half.
    let mut totals = MaybeUninit::<[[__m512; N]; T]>::uninit();
    for index in begin..begin + HALF {
        ahead.ask();
        let mut dots = [[_mm512_setzero_si512(); N]; T];
        for v in 0..2 * four {
            let mut codes = [_mm512_setzero_si512(); T];
            for tile in 0..T {
                // SAFETY: the caller's promise.
                codes[tile] = unsafe { *weights[tile].codes[index].get_unchecked(v) };
            }
            for row in 0..N {
                // SAFETY: the caller's promise.
                let input = _mm512_set1_epi32(unsafe { input[row].four(index, v) });
                for tile in 0..T {
                    dots[tile][row] = _mm512_dpbusd_epi32(dots[tile][row], codes[tile], input);
                }
            }
        }
        for tile in 0..T {
            let scales = weights[tile].scales[index];
            for (row, &dot) in dots[tile].iter().enumerate() {
                let dot = _mm512_cvtepi32_ps(dot);
                // SAFETY: the first block writes what the others read.
                unsafe {
                    let total = &raw mut (*totals.as_mut_ptr())[tile][row];
                    total.write(match index == begin {
                        true => _mm512_mul_ps(scales, dot),
                        false => _mm512_fmadd_ps(scales, dot, total.read()),
                    });
                }
            }
        }
    }
    totals
}

/// Adds the products of a group's first half, as AVX2's.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn add_first<const T: usize, const N: usize>(
    totals: &[[__m512; N]; T],
    weights: [&Block; T],
    input: [&Int8Group; N],
    sums: &mut [&mut [__m512; N]; T],
) {
    for row in 0..N {
        let input_scale = _mm512_set1_ps(input[row].scale);
        for tile in 0..T {
            let scaled = _mm512_mul_ps(weights[tile].scale, totals[tile][row]);
            sums[tile][row] = _mm512_fmadd_ps(input_scale, scaled, sums[tile][row]);
        }
    }
}

/// Adds the products of a group's second half and its minimums, as AVX2's.
///
/// # Safety
/// `pairs` is at most 4.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn add_second<const T: usize, const N: usize>(
    pairs: usize,
    totals: &[[__m512; N]; T],
    weights: [&Block; T],
    input: [&Int8Group; N],
    sums: &mut [&mut [__m512; N]; T],
) {
    let mut small = [[_mm512_setzero_si512(); N]; T];
    for pair in 0..pairs {
        let mut minimums = [_mm512_setzero_si512(); T];
        for tile in 0..T {
            // SAFETY: the caller's promise.
            minimums[tile] = unsafe { *weights[tile].minimums.get_unchecked(pair) };
        }
        for row in 0..N {
            let two = _mm512_set1_epi32(input[row].two_sums(pair));
            for tile in 0..T {
                small[tile][row] = _mm512_dpwssd_epi32(small[tile][row], minimums[tile], two);
            }
        }
    }
    for row in 0..N {
        let input_scale = _mm512_set1_ps(input[row].scale);
        for tile in 0..T {
            let scaled = _mm512_mul_ps(weights[tile].scale, totals[tile][row]);
            let small = _mm512_cvtepi32_ps(small[tile][row]);
            let scaled = _mm512_fmadd_ps(weights[tile].minimum, small, scaled);
            sums[tile][row] = _mm512_fmadd_ps(input_scale, scaled, sums[tile][row]);
        }
    }
}
