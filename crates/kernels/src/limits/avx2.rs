//! AVX2: 256 bits; integers in a product, a sum of neighbours and an addition.

use super::CHAINS;
use super::scalar::{self, FACTOR, FLIP, INPUT, SUMMAND, weight};
use crate::memory::ask_ahead;
use std::arch::x86_64::*;
use std::array::from_fn;

/// As [`scalar::float`].
#[target_feature(enable = "avx2,fma")]
pub(super) fn float(steps: usize) -> i32 {
    let (factor, summand) = (_mm256_set1_ps(FACTOR), _mm256_set1_ps(SUMMAND));
    let mut chains: [__m256; CHAINS] = from_fn(|chain| _mm256_set1_ps(chain as f32));
    for _ in 0..steps {
        for x in &mut chains {
            *x = _mm256_fmadd_ps(*x, factor, summand);
        }
    }
    let bits = |x: &__m256| _mm256_cvtss_f32(*x).to_bits().cast_signed();
    chains.iter().fold(0, |all, x| all ^ bits(x))
}

/// As [`scalar::int16`].
#[target_feature(enable = "avx2")]
pub(super) fn int16(steps: usize) -> i32 {
    integers(steps, |input, weight| _mm256_madd_epi16(input, weight))
}

/// As [`scalar::int8`].
#[target_feature(enable = "avx2")]
pub(super) fn int8(steps: usize) -> i32 {
    let ones = _mm256_set1_epi16(1);
    integers(steps, |input, weight| _mm256_madd_epi16(_mm256_maddubs_epi16(input, weight), ones))
}

#[inline]
#[target_feature(enable = "avx2")]
fn integers(steps: usize, product: impl Fn(__m256i, __m256i) -> __m256i) -> i32 {
    let few = |first| {
        let mut input = _mm256_set1_epi32(INPUT);
        let weights: [__m256i; FEW] = from_fn(|chain| _mm256_set1_epi32(weight(first + chain)));
        let mut sums = [_mm256_setzero_si256(); FEW];
        for _ in 0..steps {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum = _mm256_add_epi32(*sum, product(input, weight));
            }
            input = _mm256_xor_si256(input, _mm256_set1_epi32(FLIP));
        }
        sums.map(|sum| _mm256_cvtsi256_si32(sum)).into_iter().fold(0, i32::wrapping_add)
    };
    (0..CHAINS).step_by(FEW).map(few).fold(0, i32::wrapping_add)
}

/// Chains at once: their weights and sums fill the sixteen registers but for the constants.
const FEW: usize = 6;

/// As [`scalar::xor`].
#[target_feature(enable = "avx2")]
pub(super) fn xor(words: &[[u8; 8]]) -> u64 {
    const WORDS: usize = size_of::<__m256i>() / 8;
    let (runs, rest) = words.as_chunks::<{ 4 * WORDS }>();
    let mut lanes = [_mm256_setzero_si256(); 4];
    for run in runs {
        let [a, b, c, d] = lanes;
        let start = run.as_ptr();
        // As decode does; without, a read is a quarter slower.
        ask_ahead(start.cast(), size_of_val(run));
        // SAFETY: four vectors are what a run has.
        let vector = |at: usize| unsafe { _mm256_loadu_si256(start.add(at * WORDS).cast()) };
        lanes = [
            _mm256_xor_si256(a, vector(0)),
            _mm256_xor_si256(b, vector(1)),
            _mm256_xor_si256(c, vector(2)),
            _mm256_xor_si256(d, vector(3)),
        ];
    }
    let [a, b, c, d] = lanes;
    let all = _mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d));
    let mut words = [[0; 8]; WORDS];
    // SAFETY: the array is as long as the vector.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), all) };
    scalar::xor(&words) ^ scalar::xor(rest)
}
