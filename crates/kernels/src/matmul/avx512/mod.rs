//! Products on x86-64 with AVX-512 (F, BW, DQ, VL) and its integer dot products (VNNI).
//!
//! A vector is two tiles of quantized weights side by side, or one of floats; for one row alone,
//! eight columns of one tile.

mod few;
mod float;
mod int16;
mod int8;
mod q4_k;
mod stream;
mod unpack;

pub(super) use float::float_tiles;

use std::arch::x86_64::*;

use super::layout::QUANTIZED_ROWS;
use super::tiles::Arithmetics;

/// AVX-512's arithmetic for every format.
pub(super) struct Avx512;

impl Arithmetics for Avx512 {
    type Int8<const F: usize> = int8::Int8<F>;
    type Q4K = q4_k::Q4K;
    type Int16 = int16::Int16;
}

/// Vectors of 256 bits, two and two side by side.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn all_beside<const N: usize>(low: [__m256i; N], high: [__m256i; N]) -> [__m512i; N] {
    let mut both = [_mm512_setzero_si512(); N];
    for v in 0..N {
        both[v] = beside([low[v], high[v]]);
    }
    both
}

/// Two vectors of 256 bits side by side.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn beside([low, high]: [__m256i; 2]) -> __m512i {
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
}

/// The same of floats.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn floats_beside([low, high]: [__m256; 2]) -> __m512 {
    _mm512_insertf32x8::<1>(_mm512_castps256_ps512(low), high)
}

/// See [`Arithmetic::floats`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn floats(sums: &[__m512], half: usize, out: &mut [[f32; QUANTIZED_ROWS]], tiles: usize) {
    for (out, sums) in out.iter_mut().step_by(tiles).zip(sums) {
        let tile = match half {
            0 => _mm512_castps512_ps256(*sums),
            _ => _mm512_extractf32x8_ps::<1>(*sums),
        };
        // SAFETY: eight floats.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), tile) };
    }
}
