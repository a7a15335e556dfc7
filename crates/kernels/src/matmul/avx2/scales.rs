//! Scales of 8 rows out of a group's head.

use std::arch::x86_64::*;

/// Eight f16 as floats.
///
/// # Safety
/// 16 readable bytes at `head + 16 * number`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(in crate::matmul) unsafe fn half(head: *const u8, number: usize) -> __m256 {
    // SAFETY: the caller's promise.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(head.add(16 * number).cast()) })
}

/// Eight bytes, in the low half.
///
/// # Safety
/// 8 readable bytes at `head + 8 * number`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn row_bytes(head: *const u8, number: usize) -> __m128i {
    // SAFETY: the caller's promise.
    unsafe { _mm_loadl_epi64(head.add(8 * number).cast()) }
}

/// `bytes >> shift & mask`, byte by byte; the mask is narrow enough that nothing of the neighbour
/// stays.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn field(bytes: __m128i, shift: usize, mask: i8) -> __m128i {
    let shifted = _mm_srl_epi16(bytes, _mm_cvtsi32_si128(shift as i32));
    _mm_and_si128(shifted, _mm_set1_epi8(mask))
}

/// The 6-bit (scales, minimums) of 32 columns, as `format::scale_and_minimum` has them.
///
/// # Safety
/// 96 readable bytes at `packed`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn scale_and_minimum(packed: *const u8, part: usize) -> (__m128i, __m128i) {
    // SAFETY: byte rows 0..12, the caller's promise; `part` is below 8.
    let byte = |number: usize| unsafe { row_bytes(packed, number) };
    if part < 4 {
        return (field(byte(part), 0, 63), field(byte(part + 4), 0, 63));
    }
    let both = byte(part + 4);
    let scale = _mm_or_si128(field(both, 0, 15), field(byte(part - 4), 2, 0x30));
    let minimum = _mm_or_si128(field(both, 4, 15), field(byte(part), 2, 0x30));
    (scale, minimum)
}

/// [`scale_and_minimum`] of all columns of a group: the scales, then the minimums, `[8][8]` each.
/// For one block at a time as many instructions would go to these as to the codes.
///
/// # Safety
/// 96 readable bytes at `packed`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn scales_and_minimums(packed: *const u8) -> [[__m256i; 2]; 2] {
    // SAFETY: byte rows 0..12, four at a time, the caller's promise.
    let (low, high, both) = unsafe {
        let low = _mm256_loadu_si256(packed.cast());
        let high = _mm256_loadu_si256(packed.add(32).cast());
        (low, high, _mm256_loadu_si256(packed.add(64).cast()))
    };
    let masked = |bytes, mask| _mm256_and_si256(bytes, _mm256_set1_epi8(mask));
    let upper = |bytes| masked(_mm256_srli_epi16::<2>(bytes), 0x30);
    let scales = _mm256_or_si256(masked(both, 15), upper(low));
    let minimums = _mm256_or_si256(masked(_mm256_srli_epi16::<4>(both), 15), upper(high));
    [[masked(low, 63), scales], [masked(high, 63), minimums]]
}

/// The scales minus 32 of 16 columns, as `format::q3_k_scale` has them.
///
/// # Safety
/// 96 readable bytes at `packed`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn q3_k_scale(packed: *const u8, part: usize) -> __m128i {
    // SAFETY: byte rows 0..12, the caller's promise; `part` is below 16.
    let byte = |number: usize| unsafe { row_bytes(packed, number) };
    let low = field(byte(part % 8), part / 8 * 4, 15);
    let high = _mm_slli_epi16::<4>(field(byte(8 + part % 4), part / 4 * 2, 3));
    _mm_sub_epi8(_mm_or_si128(low, high), _mm_set1_epi8(32))
}

/// The scales minus 32 of 32 columns of `iq4_xs`.
///
/// # Safety
/// 48 readable bytes at `packed`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn iq4_xs_scale(packed: *const u8, part: usize) -> __m128i {
    // SAFETY: byte rows 0..6, the caller's promise; `part` is below 8.
    let byte = |number: usize| unsafe { row_bytes(packed, number) };
    let low = field(byte(2 + part / 2), part % 2 * 4, 15);
    let high = _mm_slli_epi16::<4>(field(byte(part / 4), part % 4 * 2, 3));
    _mm_sub_epi8(_mm_or_si128(low, high), _mm_set1_epi8(32))
}

/// Eight E8M0 exponents as half their powers of two, as `format::e8m0_to_half_scale`.
///
/// # Safety
/// 8 readable bytes at `head + 8 * number`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn e8m0(head: *const u8, number: usize) -> __m256 {
    // SAFETY: the caller's promise.
    let exponent = _mm256_cvtepu8_epi32(unsafe { row_bytes(head, number) });
    let normal = _mm256_slli_epi32::<23>(_mm256_sub_epi32(exponent, _mm256_set1_epi32(1)));
    // 0 and 1 are subnormal.
    let subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x0020_0000), exponent);
    let small = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), exponent);
    _mm256_castsi256_ps(_mm256_blendv_epi8(normal, subnormal, small))
}
