//! AVX-512 with VNNI: 512 bits; integers in one instruction.

use super::CHAINS;
use super::scalar::{FACTOR, FLIP, INPUT, SUMMAND, weight};
use std::arch::x86_64::*;
use std::array::from_fn;

/// As [`super::scalar::float`].
#[target_feature(enable = "avx512f")]
pub(super) fn float(steps: usize) -> i32 {
    let (factor, summand) = (_mm512_set1_ps(FACTOR), _mm512_set1_ps(SUMMAND));
    let mut chains: [__m512; CHAINS] = from_fn(|chain| _mm512_set1_ps(chain as f32));
    for _ in 0..steps {
        for x in &mut chains {
            *x = _mm512_fmadd_ps(*x, factor, summand);
        }
    }
    let bits = |x: &__m512| _mm512_cvtss_f32(*x).to_bits().cast_signed();
    chains.iter().fold(0, |all, x| all ^ bits(x))
}

/// As [`super::scalar::int16`].
#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) fn int16(steps: usize) -> i32 {
    integers(steps, |sum, input, weight| _mm512_dpwssd_epi32(sum, input, weight))
}

/// As [`super::scalar::int8`].
#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) fn int8(steps: usize) -> i32 {
    integers(steps, |sum, input, weight| _mm512_dpbusd_epi32(sum, input, weight))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn integers(steps: usize, add: impl Fn(__m512i, __m512i, __m512i) -> __m512i) -> i32 {
    let mut input = _mm512_set1_epi32(INPUT);
    let weights: [__m512i; CHAINS] = from_fn(|chain| _mm512_set1_epi32(weight(chain)));
    let mut sums = [_mm512_setzero_si512(); CHAINS];
    for _ in 0..steps {
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum = add(*sum, input, weight);
        }
        input = _mm512_xor_si512(input, _mm512_set1_epi32(FLIP));
    }
    sums.map(|sum| _mm512_cvtsi512_si32(sum)).into_iter().fold(0, i32::wrapping_add)
}
