//! Floats to integers, 32 at a time.

use std::arch::x86_64::*;

use crate::matmul::activations::{GROUP, Int8Block, Int8Group, Int16Block};
use crate::matmul::layout::BLOCK;

/// As `scalar::to_int8`.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn to_int8(floats: &[f32], out: &mut [Int8Block]) {
    for (floats, out) in floats.as_chunks::<BLOCK>().0.iter().zip(out) {
        let inverse;
        (out.scale, inverse) = scale_of(floats, 127.0);
        let words = write_codes(integers_of(floats, inverse, 127.0), &mut out.codes);
        out.sums = [horizontal_sum(words[0]), horizontal_sum(words[1])];
        out.set_share();
    }
}

/// As `scalar::to_int8_groups`.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn to_int8_groups(floats: &[f32], out: &mut [Int8Group]) {
    for (floats, out) in floats.as_chunks::<GROUP>().0.iter().zip(out) {
        let inverse;
        (out.scale, inverse) = scale_of(floats, 127.0);
        for (block, floats) in floats.as_chunks::<BLOCK>().0.iter().enumerate() {
            let integers = integers_of(floats, inverse, 127.0);
            let [low, high] = write_codes(integers, &mut out.codes[block]);
            out.sums[block] = horizontal_sum(_mm256_add_epi16(low, high));
        }
    }
}

/// Writes integers in order as bytes, and gives them as words.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn write_codes(integers: [__m256i; 4], codes: &mut [i8; BLOCK]) -> [__m256i; 2] {
    // Packing works within 128-bit halves; the permutations put columns back in order.
    let first = _mm256_packs_epi32(integers[0], integers[1]);
    let second = _mm256_packs_epi32(integers[2], integers[3]);
    let first = _mm256_permute4x64_epi64::<0b11_01_10_00>(first);
    let second = _mm256_permute4x64_epi64::<0b11_01_10_00>(second);
    let bytes = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi16(first, second));
    // SAFETY: thirty-two bytes.
    unsafe { _mm256_storeu_si256(codes.as_mut_ptr().cast(), bytes) };
    [first, second]
}

/// As `scalar::to_int16`.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn to_int16(floats: &[f32], out: &mut [Int16Block]) {
    for (floats, out) in floats.as_chunks::<BLOCK>().0.iter().zip(out) {
        let inverse;
        (out.scale, inverse) = scale_of(floats, 32767.0);
        let integers = integers_of(floats, inverse, 32767.0);
        for (codes, two) in out.codes.as_chunks_mut::<16>().0.iter_mut().zip(integers.chunks(2)) {
            // Of each four columns, which are one half of a 128-bit half: 0 2 1 3.
            let swap = |four| _mm256_shuffle_epi32::<0b11_01_10_00>(four);
            let packed = _mm256_packs_epi32(swap(two[0]), swap(two[1]));
            let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
            // SAFETY: the sixteen words of `codes`.
            unsafe { _mm256_storeu_si256(codes.as_mut_ptr().cast(), packed) };
        }
    }
}

/// The scale of whole blocks whose largest magnitude becomes `most`, and what codes multiply by.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn scale_of(floats: &[f32], most: f32) -> (f32, f32) {
    let sign = _mm256_set1_ps(-0.0);
    let (mut largest, mut nan) = (_mm256_setzero_ps(), _mm256_setzero_ps());
    for eight in floats.as_chunks::<8>().0 {
        // SAFETY: eight floats.
        let value = unsafe { _mm256_loadu_ps(eight.as_ptr()) };
        // The second operand wins against NaN: NaN is skipped here and seen below.
        largest = _mm256_max_ps(_mm256_andnot_ps(sign, value), largest);
        nan = _mm256_or_ps(nan, _mm256_cmp_ps::<_CMP_UNORD_Q>(value, value));
    }
    let largest = horizontal_max(largest);
    let scale = if _mm256_movemask_ps(nan) != 0 { f32::NAN } else { largest / most };
    (scale, if largest > 0.0 { most / largest } else { 0.0 })
}

/// The codes of a block, in order.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn integers_of(floats: &[f32; BLOCK], inverse: f32, most: f32) -> [__m256i; 4] {
    let inverse = _mm256_set1_ps(inverse);
    let (low, high) = (_mm256_set1_ps(-most), _mm256_set1_ps(most));
    let mut integers = [_mm256_setzero_si256(); 4];
    for (integer, eight) in integers.iter_mut().zip(floats.as_chunks::<8>().0) {
        // SAFETY: eight floats.
        let scaled = _mm256_mul_ps(unsafe { _mm256_loadu_ps(eight.as_ptr()) }, inverse);
        // The default rounding of the conversion is half to even.
        *integer = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(scaled, low), high));
    }
    integers
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn horizontal_max(values: __m256) -> f32 {
    let four = _mm_max_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps::<1>(values));
    let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
}

/// The sum of 16 numbers, at most 16 * 127.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn horizontal_sum(values: __m256i) -> i16 {
    let eight = _mm256_madd_epi16(values, _mm256_set1_epi16(1));
    let four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
    let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b11_10_11_10>(four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b01>(two))) as i16
}
