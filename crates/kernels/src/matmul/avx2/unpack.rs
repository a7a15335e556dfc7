//! Codes of a block out of their bit planes: eight vectors of 4 columns x 8 rows.

use std::arch::x86_64::*;

/// Eight vectors, vector `v` for columns `4v..4v + 4`: byte `4 * row + column`.
pub(in crate::matmul) type Codes = [__m256i; 8];

/// Plane `plane` of the block at `block`.
///
/// # Safety
/// The plane's 32 bytes are readable and `block` is 32-byte aligned.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn load(block: *const u8, plane: usize) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe { _mm256_load_si256(block.add(32 * plane).cast()) }
}

/// Eight planes of bytes.
///
/// # Safety
/// 256 readable bytes, 32-byte aligned.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn bytes(block: *const u8) -> Codes {
    let mut codes = [_mm256_setzero_si256(); 8];
    for (v, code) in codes.iter_mut().enumerate() {
        // SAFETY: eight planes, the caller's promise.
        *code = unsafe { load(block, v) };
    }
    codes
}

/// Four planes of nibbles.
///
/// # Safety
/// 128 readable bytes, 32-byte aligned.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn nibbles(block: *const u8) -> Codes {
    let mask = _mm256_set1_epi8(15);
    let mut codes = [_mm256_setzero_si256(); 8];
    for plane in 0..4 {
        // SAFETY: four planes, the caller's promise.
        let pair = unsafe { load(block, plane) };
        codes[2 * plane] = _mm256_and_si256(pair, mask);
        codes[2 * plane + 1] = _mm256_and_si256(_mm256_srli_epi16::<4>(pair), mask);
    }
    codes
}

/// Two planes of bit pairs.
///
/// # Safety
/// 64 readable bytes, 32-byte aligned.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn pairs(block: *const u8) -> Codes {
    let mask = _mm256_set1_epi8(3);
    let mut codes = [_mm256_setzero_si256(); 8];
    for plane in 0..2 {
        // SAFETY: two planes, the caller's promise.
        let four = unsafe { load(block, plane) };
        codes[4 * plane] = _mm256_and_si256(four, mask);
        codes[4 * plane + 1] = _mm256_and_si256(_mm256_srli_epi16::<2>(four), mask);
        codes[4 * plane + 2] = _mm256_and_si256(_mm256_srli_epi16::<4>(four), mask);
        codes[4 * plane + 3] = _mm256_and_si256(_mm256_srli_epi16::<6>(four), mask);
    }
    codes
}

/// `codes | upper << 4`, upper two bits in two planes.
///
/// # Safety
/// 64 readable bytes, 32-byte aligned.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn with_upper_pairs(mut codes: Codes, block: *const u8) -> Codes {
    let mask = _mm256_set1_epi8(0x30);
    for plane in 0..2 {
        // SAFETY: two planes, the caller's promise.
        let four = unsafe { load(block, plane) };
        let shifted = [
            _mm256_slli_epi16::<4>(four),
            _mm256_slli_epi16::<2>(four),
            four,
            _mm256_srli_epi16::<2>(four),
        ];
        for (v, upper) in shifted.into_iter().enumerate() {
            let code = &mut codes[4 * plane + v];
            *code = _mm256_or_si256(*code, _mm256_and_si256(upper, mask));
        }
    }
    codes
}

/// `codes | bit << BIT`, one more bit each in a plane: bit `v` for vector `v`.
///
/// # Safety
/// 32 readable bytes, 32-byte aligned.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn with_bit<const BIT: i32>(mut codes: Codes, plane: *const u8) -> Codes {
    let mask = _mm256_set1_epi8(1 << BIT);
    // SAFETY: one plane, the caller's promise.
    let bits = unsafe { load(plane, 0) };
    for (v, code) in codes.iter_mut().enumerate() {
        let distance = BIT - v as i32;
        let moved = if distance >= 0 {
            _mm256_sll_epi16(bits, _mm_cvtsi32_si128(distance))
        } else {
            _mm256_srl_epi16(bits, _mm_cvtsi32_si128(-distance))
        };
        *code = _mm256_or_si256(*code, _mm256_and_si256(moved, mask));
    }
    codes
}

/// `table[code]` for codes of four bits.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn look_up(mut codes: Codes, table: [i8; 16]) -> Codes {
    // SAFETY: sixteen bytes of the table.
    let table = unsafe { _mm_loadu_si128(table.as_ptr().cast()) };
    let table = _mm256_broadcastsi128_si256(table);
    for code in &mut codes {
        *code = _mm256_shuffle_epi8(table, *code);
    }
    codes
}
