//! A block of every quantized format, unpacked for one and the same dot product.

use std::arch::x86_64::*;

use super::scales::{
    e8m0, field, half, iq4_xs_scale, q3_k_scale, row_bytes, scale_and_minimum, scales_and_minimums,
};
use super::unpack::{Codes, bytes, look_up, nibbles, pairs, with_bit, with_upper_pairs};
use crate::format::{Format, IQ4_VALUES, MXFP4_VALUES};
use crate::matmul::layout::group;

/// 32 columns x 8 rows, ready for the dot product.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct Block {
    /// Bytes to multiply: unsigned, or signed where [`signed`] says so.
    pub codes: Codes,
    /// The scales of columns 0..16 and 16..32, or the first of all if not [`halves`].
    pub scale: [__m256; 2],
    /// The minimums likewise, where the format [`has_minimum`].
    pub minimum: [__m256; 2],
}

impl Block {
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn zero() -> Block {
        let zeros = [_mm256_setzero_ps(); 2];
        Block { codes: [_mm256_setzero_si256(); 8], scale: zeros, minimum: zeros }
    }
}

/// Whether 16 columns share a scale, not 32.
pub(in crate::matmul) const fn halves(format: Format) -> bool {
    matches!(format, Format::Q2K | Format::Q3K | Format::Q6K)
}

/// Whether codes are signed bytes.
pub(in crate::matmul) const fn signed(format: Format) -> bool {
    matches!(format, Format::Q8_0 | Format::Iq4Nl | Format::Iq4Xs)
}

/// What unsigned codes are more than the values they stand for.
pub(in crate::matmul) const fn offset(format: Format) -> i32 {
    match format {
        Format::Q4_0 => 8,
        Format::Q5_0 => 16,
        Format::Q3K => 4,
        Format::Q6K => 32,
        Format::Mxfp4 => MXFP4_OFFSET as i32,
        _ => 0,
    }
}

/// Whether there are minimums.
pub(in crate::matmul) const fn has_minimum(format: Format) -> bool {
    matches!(format, Format::Q4_1 | Format::Q5_1 | Format::Q2K | Format::Q5K | Format::Int4)
}

/// How many vectors of products of neighbours may be added in 16 bits: at most
/// `32767 / (2 * largest code * 127)`, and no more than share one scale.
pub(super) const fn sums_in_16_bits(format: Format) -> usize {
    match format {
        // 8 * 2 * 15 * 127 = 30480
        Format::Q4_0 | Format::Q4_1 | Format::Int4 => 8,
        // 4 * 2 * 31 * 127 = 31496; 3-bit and 2-bit codes, and 24 of MXFP4, are smaller
        Format::Q5_0 | Format::Q5_1 | Format::Q5K | Format::Mxfp4 => 4,
        Format::Q2K | Format::Q3K => 4,
        // 2 * 2 * 63 * 127 = 32004
        Format::Q6K => 2,
        // 2 * 128 * 127 = 32512
        _ => 1,
    }
}

/// Added to MXFP4's doubled values to make them unsigned: they reach from -12 to 12.
const MXFP4_OFFSET: i8 = 12;

/// MXFP4's values from 0 to 24.
pub(in crate::matmul) const MXFP4_UNSIGNED: [i8; 16] = {
    let mut values = MXFP4_VALUES;
    let mut index = 0;
    while index < 16 {
        values[index] += MXFP4_OFFSET;
        index += 1;
    }
    values
};

/// Block `index` of a group of format number `F`.
///
/// # Safety
/// `begin` is the first byte of a group of that format in a tile, readable up to and including
/// block `index`; tiles begin on cache lines, and heads and blocks are multiples of 32 bytes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(in crate::matmul) unsafe fn unpack<const F: usize>(begin: *const u8, index: usize) -> Block {
    const {
        let shape = group(Format::ALL[F]);
        assert!(shape.head_bytes.is_multiple_of(32) && shape.block_bytes().is_multiple_of(32));
    }
    // SAFETY: the caller's promise.
    unsafe { unpack_below::<F>(None, begin, index) }
}

/// What the head of a group says of all its blocks, for a format that packs small scales in 6 bits.
pub(in crate::matmul) struct Head {
    pub scale: __m256,
    /// Negated.
    pub minimum: __m256,
    /// Scales, then minimums: of each block, of each row.
    small: [[__m256i; 2]; 2],
}

impl Head {
    /// The head of a group of format number `F`; none where blocks are as well asked one by one.
    ///
    /// # Safety
    /// `begin` is the first byte of a group of that format.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(in crate::matmul) unsafe fn of<const F: usize>(begin: *const u8) -> Option<Head> {
        let format = const { Format::ALL[F] };
        // SAFETY: the caller's promise.
        matches!(format, Format::Q5K).then(|| unsafe { Head::read(begin) })
    }

    /// The head of a group of `q4_k` or `q5_k`.
    ///
    /// # Safety
    /// `begin` is the first byte of such a group.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(in crate::matmul) unsafe fn read(begin: *const u8) -> Head {
        // SAFETY: the caller's promise.
        unsafe {
            Head {
                scale: half(begin, 0),
                minimum: negated(half(begin, 1)),
                small: scales_and_minimums(begin.add(32)),
            }
        }
    }

    /// The small scales of block `index`, one byte a row.
    ///
    /// # Safety
    /// `index` is below 8.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(in crate::matmul) unsafe fn scales(&self, index: usize) -> __m128i {
        // SAFETY: 64 bytes, the caller's promise.
        unsafe { row_bytes(self.small[0].as_ptr().cast(), index) }
    }

    /// The small minimums of blocks `2 * pair` and the next, two words a row.
    ///
    /// # Safety
    /// `pair` is below 4.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(in crate::matmul) unsafe fn two_minimums(&self, pair: usize) -> __m256i {
        let small = self.small[1].as_ptr().cast();
        // SAFETY: 64 bytes, the caller's promise.
        let [low, high] = unsafe { [row_bytes(small, 2 * pair), row_bytes(small, 2 * pair + 1)] };
        _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(low, high))
    }

    /// Everything of block `index` but the codes.
    ///
    /// # Safety
    /// `index` is below 8.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn block(&self, index: usize) -> Block {
        // SAFETY: 64 bytes, the caller's promise.
        let minimum = unsafe { row_bytes(self.small[1].as_ptr().cast(), index) };
        let mut block = Block::zero();
        // SAFETY: the caller's promise.
        block.scale[0] = times(self.scale, unsafe { self.scales(index) });
        block.minimum[0] = times(self.minimum, minimum);
        block
    }
}

/// [`unpack`] where the group's head was read, if it is worth it.
///
/// # Safety
/// As for [`unpack`], and the head is that group's.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(in crate::matmul) unsafe fn unpack_below<const F: usize>(
    head: Option<&Head>,
    begin: *const u8,
    index: usize,
) -> Block {
    let format = const { Format::ALL[F] };
    let shape = const { group(Format::ALL[F]) };
    // SAFETY: codes and scales lie where `layout` puts them, inside what the caller promises.
    unsafe {
        let mut block = scales_below::<F>(head, begin, index);
        block.codes =
            unpack_codes(format, begin.add(shape.head_bytes + index * shape.block_bytes()));
        block
    }
}

/// Everything of [`unpack_below`] but the codes.
///
/// # Safety
/// As there.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(in crate::matmul) unsafe fn scales_below<const F: usize>(
    head: Option<&Head>,
    begin: *const u8,
    index: usize,
) -> Block {
    // SAFETY: the caller's promise.
    unsafe {
        match head {
            Some(head) => head.block(index),
            None => unpack_scales(const { Format::ALL[F] }, begin, index),
        }
    }
}

/// # Safety
/// See [`unpack`].
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn unpack_codes(format: Format, codes: *const u8) -> Codes {
    // SAFETY: each branch reads the planes its format has, see `layout`.
    unsafe {
        match format {
            Format::Q4_0 | Format::Q4_1 | Format::Int4 => nibbles(codes),
            Format::Q5_0 | Format::Q5_1 | Format::Q5K => {
                with_bit::<4>(nibbles(codes), codes.add(128))
            }
            Format::Q2K => pairs(codes),
            Format::Q3K => with_bit::<2>(pairs(codes), codes.add(64)),
            Format::Q6K => with_upper_pairs(nibbles(codes), codes.add(128)),
            Format::Iq4Nl | Format::Iq4Xs => look_up(nibbles(codes), IQ4_VALUES),
            Format::Mxfp4 => look_up(nibbles(codes), MXFP4_UNSIGNED),
            Format::Q8_0 => bytes(codes),
            // Groups of `q4_k` are unpacked whole, and floats are no blocks.
            Format::Q4K | Format::F32 | Format::F16 | Format::Bf16 | Format::F8E4M3 => {
                Block::zero().codes
            }
        }
    }
}

/// Everything but the codes.
///
/// # Safety
/// See [`unpack`].
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn unpack_scales(format: Format, head: *const u8, index: usize) -> Block {
    let mut block = Block::zero();
    // SAFETY: each branch reads the head its format has, see `layout`.
    unsafe {
        match format {
            Format::Mxfp4 => block.scale[0] = e8m0(head, index),
            Format::Int4 => {
                let scale = half(head, index);
                let zero = _mm256_cvtepu8_epi32(row_bytes(head.add(64), index));
                let minimum = _mm256_mul_ps(scale, _mm256_cvtepi32_ps(zero));
                (block.scale[0], block.minimum[0]) = (scale, negated(minimum));
            }
            Format::Q4_1 | Format::Q5_1 => {
                (block.scale[0], block.minimum[0]) = (half(head, index), half(head, 4 + index));
            }
            Format::Q2K => {
                let (scale, minimum) = (half(head, 0), negated(half(head, 1)));
                for part in 0..2 {
                    let packed = row_bytes(head.add(32), 2 * index + part);
                    block.scale[part] = times(scale, field(packed, 0, 15));
                    block.minimum[part] = times(minimum, field(packed, 4, 15));
                }
            }
            Format::Q3K => {
                for part in 0..2 {
                    let small = q3_k_scale(head.add(16), 2 * index + part);
                    block.scale[part] = times(half(head, 0), small);
                }
            }
            Format::Q5K => {
                let (scale, minimum) = scale_and_minimum(head.add(32), index);
                block.scale[0] = times(half(head, 0), scale);
                block.minimum[0] = times(negated(half(head, 1)), minimum);
            }
            Format::Q6K => {
                for part in 0..2 {
                    let small = row_bytes(head.add(16), 2 * index + part);
                    block.scale[part] = times(half(head, 0), small);
                }
            }
            Format::Iq4Xs => {
                block.scale[0] = times(half(head, 0), iq4_xs_scale(head.add(16), index));
            }
            Format::Q4_0 | Format::Q5_0 | Format::Q8_0 | Format::Iq4Nl => {
                block.scale[0] = half(head, index);
            }
            Format::Q4K | Format::F32 | Format::F16 | Format::Bf16 | Format::F8E4M3 => {}
        }
    }
    block
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn negated(values: __m256) -> __m256 {
    _mm256_xor_ps(values, _mm256_set1_ps(-0.0))
}

/// Floats times eight signed bytes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn times(scale: __m256, small: __m128i) -> __m256 {
    _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(small)))
}
