//! AVX-512 with VNNI: 512 bits; integers in one instruction.

use super::CHAINS;
use super::scalar::{self, FACTOR, FLIP, INPUT, SUMMAND, weight};
use std::arch::x86_64::*;
use std::array::from_fn;

/// As [`scalar::float`].
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

/// As [`scalar::int16`].
#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) fn int16(steps: usize) -> i32 {
    let mut input = _mm512_set1_epi32(INPUT);
    let weights: [__m512i; CHAINS] = from_fn(|chain| _mm512_set1_epi32(weight(chain)));
    let mut sums = [_mm512_setzero_si512(); CHAINS];
    for _ in 0..steps {
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum = _mm512_dpwssd_epi32(*sum, input, weight);
        }
        input = _mm512_xor_si512(input, _mm512_set1_epi32(FLIP));
    }
    total(sums)
}

/// As [`scalar::int8`].
#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) fn int8(steps: usize) -> i32 {
    let mut input = _mm512_set1_epi32(INPUT);
    let weights: [__m512i; CHAINS] = from_fn(|chain| _mm512_set1_epi32(weight(chain)));
    let mut sums = [_mm512_setzero_si512(); CHAINS];
    for _ in 0..steps {
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum = _mm512_dpbusd_epi32(*sum, input, weight);
        }
        input = _mm512_xor_si512(input, _mm512_set1_epi32(FLIP));
    }
    total(sums)
}

#[target_feature(enable = "avx512f")]
fn total(sums: [__m512i; CHAINS]) -> i32 {
    sums.map(|sum| _mm512_cvtsi512_si32(sum)).into_iter().fold(0, i32::wrapping_add)
}

/// As [`scalar::xor`].
#[target_feature(enable = "avx512f")]
pub(super) fn xor(words: &[[u8; 8]]) -> u64 {
    const WORDS: usize = size_of::<__m512i>() / 8;
    let (runs, rest) = words.as_chunks::<{ 4 * WORDS }>();
    let mut lanes = [_mm512_setzero_si512(); 4];
    for run in runs {
        let [a, b, c, d] = lanes;
        let start = run.as_ptr();
        // As AVX2's.
        for line in 0..size_of_val(run) / 64 {
            let at = start.wrapping_byte_add(line * 64);
            _mm_prefetch::<_MM_HINT_T0>(at.wrapping_byte_add(1280).cast());
            _mm_prefetch::<_MM_HINT_T1>(at.wrapping_byte_add(8192).cast());
        }
        // SAFETY: four vectors are what a run has.
        let vector = |at: usize| unsafe { _mm512_loadu_si512(start.add(at * WORDS).cast()) };
        lanes = [
            _mm512_xor_si512(a, vector(0)),
            _mm512_xor_si512(b, vector(1)),
            _mm512_xor_si512(c, vector(2)),
            _mm512_xor_si512(d, vector(3)),
        ];
    }
    let [a, b, c, d] = lanes;
    let all = _mm512_xor_si512(_mm512_xor_si512(a, b), _mm512_xor_si512(c, d));
    let mut words = [[0; 8]; WORDS];
    // SAFETY: the array is as long as the vector.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), all) };
    scalar::xor(&words) ^ scalar::xor(rest)
}
