//! `q4_k`, whose inputs share a scale over a group of 256 columns: integers all through each half.
//!
//! What `madd` multiplies by where it widens 16 bits to 32 is the small scale instead of one, so
//! that a block of 32 columns costs no float operation.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::block::Head;
use super::floats;
use super::unpack::{Codes, nibbles};
use crate::format::Format;
use crate::matmul::activations::{Activations, GROUP, Int8Group};
use crate::matmul::ahead::{Ahead, ask_after};
use crate::matmul::layout::{Group, QUANTIZED_ROWS, group};
use crate::matmul::tiles::{Arithmetic, all_at, steps};

const SHAPE: Group = group(Format::Q4K);

/// Blocks of half a group.
pub(in crate::matmul) const HALF: usize = SHAPE.blocks / 2;

/// `q4_k`.
pub(in crate::matmul) struct Q4K;

/// 256 columns x 8 rows.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct Block {
    codes: [Codes; SHAPE.blocks],
    /// The small scales of each block of codes, twice in words.
    scales: [__m256i; SHAPE.blocks],
    /// The small minimums of two blocks each, in words.
    minimums: [__m256i; SHAPE.blocks / 2],
    scale: __m256,
    /// Negated.
    minimum: __m256,
}

// SAFETY: `unpack` writes every field.
unsafe impl Arithmetic for Q4K {
    const FORMAT: Format = Format::Q4K;
    const WIDTH: usize = 1;
    const VECTORS: usize = 3;
    const ROWS: usize = 4;
    const UNPACKED: usize = 1;
    const COLUMNS: usize = GROUP;
    type Block = Block;
    type Input = Int8Group;
    type Sum = __m256;

    fn row<'a>(input: &'a Activations, row: u32) -> &'a [Int8Group] {
        input.int8_groups_row(row)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn zero() -> __m256 {
        _mm256_setzero_ps()
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn unpack([begin, _]: [*const u8; 2], _: usize, block: &mut MaybeUninit<Block>) {
        let block = block.as_mut_ptr();
        // SAFETY: each field is written in place, since copies of so many bytes cost; the group is
        // readable, the caller's promise.
        unsafe {
            let head = Head::read(begin);
            for index in 0..SHAPE.blocks {
                (&raw mut (*block).codes[index]).write(block_codes(begin, index));
                (&raw mut (*block).scales[index]).write(twice_in_words(head.scales(index)));
            }
            for pair in 0..SHAPE.blocks / 2 {
                (&raw mut (*block).minimums[pair]).write(head.two_minimums(pair));
            }
            (&raw mut (*block).scale).write(head.scale);
            (&raw mut (*block).minimum).write(head.minimum);
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn add<const T: usize, const N: usize>(
        blocks: &[[Block; T]],
        input: &[&[Int8Group]; N],
        sums: [&mut [__m256; N]; T],
        ahead: &mut Ahead,
    ) {
        let vectors = steps(8);
        for (at, weights) in blocks.iter().enumerate() {
            // SAFETY: the caller's promise.
            let input = unsafe { all_at(input, at) };
            for half in 0..2 {
                let mut totals = [[_mm256_setzero_si256(); N]; T];
                for index in half * HALF..(half + 1) * HALF {
                    ahead.ask();
                    let mut codes = [&weights[0].codes[index]; T];
                    for tile in 1..T {
                        codes[tile] = &weights[tile].codes[index];
                    }
                    // SAFETY: a block has so many vectors.
                    let products = unsafe { products::<T, N>(vectors, codes, input, index) };
                    for tile in 0..T {
                        let scales = weights[tile].scales[index];
                        for row in 0..N {
                            let wide = _mm256_madd_epi16(products[tile][row], scales);
                            totals[tile][row] = _mm256_add_epi32(totals[tile][row], wide);
                        }
                    }
                }
                for tile in 0..T {
                    let Block { minimums, scale, minimum, .. } = &weights[tile];
                    for row in 0..N {
                        let sum = &mut sums[tile][row];
                        if half == 0 {
                            *sum = first(totals[tile][row], *scale, input[row], *sum);
                            continue;
                        }
                        let mut small = _mm256_setzero_si256();
                        for (pair, minimums) in minimums.iter().enumerate() {
                            let two = _mm256_set1_epi32(input[row].two_sums(pair));
                            small = _mm256_add_epi32(small, _mm256_madd_epi16(*minimums, two));
                        }
                        let factors = [*scale, *minimum];
                        *sum = second(totals[tile][row], small, factors, input[row], *sum);
                    }
                }
            }
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn stream(tile: &[u8], input: &[Int8Group]) -> [f32; QUANTIZED_ROWS] {
        let mut sum = _mm256_setzero_ps();
        for (at, input) in input.iter().enumerate() {
            let begin = tile[at * SHAPE.bytes()..].as_ptr();
            // SAFETY: the tile has this group: `layout::tile_bytes` counted the same; a block has
            // eight vectors.
            unsafe {
                let head = Head::read(begin);
                for half in 0..2 {
                    let mut total = _mm256_setzero_si256();
                    for index in half * HALF..(half + 1) * HALF {
                        ask_after(SHAPE, begin, index);
                        let codes = block_codes(begin, index);
                        let [[products]] = products::<1, 1>(8, [&codes], [input], index);
                        let scales = twice_in_words(head.scales(index));
                        total = _mm256_add_epi32(total, _mm256_madd_epi16(products, scales));
                    }
                    if half == 0 {
                        sum = first(total, head.scale, input, sum);
                        continue;
                    }
                    let mut small = _mm256_setzero_si256();
                    for pair in 0..SHAPE.blocks / 2 {
                        let two = _mm256_set1_epi32(input.two_sums(pair));
                        let products = _mm256_madd_epi16(head.two_minimums(pair), two);
                        small = _mm256_add_epi32(small, products);
                    }
                    sum = second(total, small, [head.scale, head.minimum], input, sum);
                }
            }
        }
        floats(sum)
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn floats(sums: &[__m256], _: usize, out: &mut [[f32; QUANTIZED_ROWS]], tiles: usize) {
        out.iter_mut().step_by(tiles).zip(sums).for_each(|(out, sums)| *out = floats(*sums));
    }
}

/// The codes of a block of the group at `begin`.
///
/// # Safety
/// The group is readable up to and including that block, and begins on a multiple of 32 bytes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(in crate::matmul) unsafe fn block_codes(begin: *const u8, index: usize) -> Codes {
    // SAFETY: the caller's promise; heads and blocks are multiples of 32 bytes.
    unsafe { nibbles(begin.add(SHAPE.head_bytes + index * SHAPE.block_bytes())) }
}

/// Each of eight bytes as a pair of words.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn twice_in_words(bytes: __m128i) -> __m256i {
    _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(bytes, bytes))
}

/// The products of block `index`, sums of 16 columns each in 16 bits: at most
/// 8 * 2 * 15 * 127 = 30480.
///
/// # Safety
/// `vectors` is 1 to 8, `index` below 8.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn products<const T: usize, const N: usize>(
    vectors: usize,
    codes: [&Codes; T],
    input: [&Int8Group; N],
    index: usize,
) -> [[__m256i; N]; T] {
    let mut products = [[_mm256_setzero_si256(); N]; T];
    // The first ones are not added to zeros: an eighth of the additions.
    for row in 0..N {
        // SAFETY: the caller's promise.
        let input = _mm256_set1_epi32(unsafe { input[row].four(index, 0) });
        for tile in 0..T {
            products[tile][row] = _mm256_maddubs_epi16(codes[tile][0], input);
        }
    }
    for v in 1..vectors {
        let mut vectors = [_mm256_setzero_si256(); T];
        for tile in 0..T {
            // SAFETY: the caller's promise.
            vectors[tile] = unsafe { *codes[tile].get_unchecked(v) };
        }
        for row in 0..N {
            // SAFETY: the caller's promise.
            let input = _mm256_set1_epi32(unsafe { input[row].four(index, v) });
            for tile in 0..T {
                let next = _mm256_maddubs_epi16(vectors[tile], input);
                products[tile][row] = _mm256_add_epi16(products[tile][row], next);
            }
        }
    }
    products
}

/// `sum` and the products of a group's first half.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(in crate::matmul) fn first(
    total: __m256i,
    scale: __m256,
    input: &Int8Group,
    sum: __m256,
) -> __m256 {
    let scaled = _mm256_mul_ps(scale, _mm256_cvtepi32_ps(total));
    _mm256_fmadd_ps(_mm256_set1_ps(input.scale), scaled, sum)
}

/// `sum` and the products of a group's second half: `total` of codes with small scales, `small` of
/// all sums with small minimums.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(in crate::matmul) fn second(
    total: __m256i,
    small: __m256i,
    [scale, minimum]: [__m256; 2],
    input: &Int8Group,
    sum: __m256,
) -> __m256 {
    let scaled = _mm256_mul_ps(scale, _mm256_cvtepi32_ps(total));
    let scaled = _mm256_fmadd_ps(minimum, _mm256_cvtepi32_ps(small), scaled);
    _mm256_fmadd_ps(_mm256_set1_ps(input.scale), scaled, sum)
}
