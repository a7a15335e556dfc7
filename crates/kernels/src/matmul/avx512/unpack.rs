//! Codes of a block of one tile as [`avx2`](crate::matmul::avx2) has them, in half the vectors.

use std::arch::x86_64::*;

use super::beside;
use crate::format::{Format, IQ4_VALUES};
use crate::matmul::avx2::{MXFP4_UNSIGNED, signed};

/// For either half of a block's columns two vectors: of four and four columns x 8 rows the first
/// and the third, then the second and the fourth.
pub(super) type Codes = [[__m512i; 2]; 2];

/// The unsigned codes of a block of format number `F`; signed ones plus 128.
///
/// # Safety
/// The block at `block` is readable.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn codes<const F: usize>(block: *const u8) -> Codes {
    let format = const { Format::ALL[F] };
    // SAFETY: each branch reads the planes its format has, see `layout`.
    let mut codes = unsafe {
        match format {
            Format::Q4_0 | Format::Q4_1 | Format::Int4 | Format::Q4K => nibbles(block),
            Format::Q5_0 | Format::Q5_1 | Format::Q5K => {
                with_bit::<4>(nibbles(block), block.add(128))
            }
            Format::Q2K => pairs(block),
            Format::Q3K => with_bit::<2>(pairs(block), block.add(64)),
            Format::Q6K => with_upper_pairs(nibbles(block), block.add(128)),
            Format::Iq4Nl | Format::Iq4Xs => look_up(nibbles(block), IQ4_VALUES),
            Format::Mxfp4 => look_up(nibbles(block), MXFP4_UNSIGNED),
            // Their inputs have 16 bits or are floats.
            Format::Q8_0 | Format::F32 | Format::F16 | Format::Bf16 | Format::F8E4M3 => {
                [[_mm512_setzero_si512(); 2]; 2]
            }
        }
    };
    if signed(format) {
        for codes in codes.as_flattened_mut() {
            *codes = _mm512_xor_si512(*codes, _mm512_set1_epi8(-128));
        }
    }
    codes
}

/// Of each byte the lowest `BITS` bits, and as many above them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn fields<const BITS: u32>(bytes: __m512i) -> [__m512i; 2] {
    let mask = _mm512_set1_epi8((1 << BITS) - 1);
    let above = _mm512_srli_epi16::<BITS>(bytes);
    [_mm512_and_si512(bytes, mask), _mm512_and_si512(above, mask)]
}

/// Four planes of nibbles.
///
/// # Safety
/// 128 readable bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn nibbles(block: *const u8) -> Codes {
    // SAFETY: the caller's promise.
    let halves =
        unsafe { [_mm512_loadu_si512(block.cast()), _mm512_loadu_si512(block.add(64).cast())] };
    [fields::<4>(halves[0]), fields::<4>(halves[1])]
}

/// A plane of bit pairs, whose upper four bits are moved down in the upper half.
///
/// # Safety
/// 32 readable bytes at `plane`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn plane_of_pairs(plane: *const u8) -> __m512i {
    // SAFETY: the caller's promise.
    let four = unsafe { _mm256_loadu_si256(plane.cast()) };
    beside([four, _mm256_srli_epi16::<4>(four)])
}

/// Two planes of bit pairs.
///
/// # Safety
/// 64 readable bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn pairs(block: *const u8) -> Codes {
    // SAFETY: the caller's promise.
    let halves = unsafe { [plane_of_pairs(block), plane_of_pairs(block.add(32))] };
    [fields::<2>(halves[0]), fields::<2>(halves[1])]
}

/// `codes | upper << 4`, upper two bits in two planes.
///
/// # Safety
/// 64 readable bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn with_upper_pairs(mut codes: Codes, planes: *const u8) -> Codes {
    let mask = _mm512_set1_epi8(0x30);
    for (half, [first, second]) in codes.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        let both = unsafe { plane_of_pairs(planes.add(32 * half)) };
        let upper = _mm512_and_si512(_mm512_slli_epi16::<4>(both), mask);
        *first = _mm512_or_si512(*first, upper);
        let upper = _mm512_and_si512(_mm512_slli_epi16::<2>(both), mask);
        *second = _mm512_or_si512(*second, upper);
    }
    codes
}

/// `codes | bit << BIT`, one more bit each in a plane: bit `v` for four columns `v`.
///
/// # Safety
/// 32 readable bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn with_bit<const BIT: i32>(mut codes: Codes, plane: *const u8) -> Codes {
    let mask = _mm512_set1_epi8(1 << BIT);
    // SAFETY: the caller's promise.
    let bits = unsafe { _mm256_loadu_si256(plane.cast()) };
    let both = beside([bits, _mm256_srli_epi16::<2>(bits)]);
    for (half, codes) in codes.iter_mut().enumerate() {
        for (parity, codes) in codes.iter_mut().enumerate() {
            let distance = BIT - (4 * half + parity) as i32;
            let moved = if distance >= 0 {
                _mm512_sll_epi16(both, _mm_cvtsi32_si128(distance))
            } else {
                _mm512_srl_epi16(both, _mm_cvtsi32_si128(-distance))
            };
            *codes = _mm512_or_si512(*codes, _mm512_and_si512(moved, mask));
        }
    }
    codes
}

/// `table[code]` for codes of four bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn look_up(mut codes: Codes, table: [i8; 16]) -> Codes {
    // SAFETY: sixteen bytes of the table.
    let table = unsafe { _mm_loadu_si128(table.as_ptr().cast()) };
    let table = _mm512_broadcast_i32x4(table);
    for codes in codes.as_flattened_mut() {
        *codes = _mm512_shuffle_epi8(table, *codes);
    }
    codes
}
