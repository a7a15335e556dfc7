//! Products on x86-64 with AVX2, FMA and F16C.

mod activations;
mod block;
mod float;
mod int16;
mod int8;
mod q4_k;
mod scales;
mod unpack;

pub(super) use activations::{to_int8, to_int8_groups, to_int16};
pub(super) use block::{
    Block, Head, MXFP4_UNSIGNED, halves, has_minimum, offset, scales_below, signed, unpack,
};
pub(super) use float::float_tiles;
pub(super) use int16::unpack_words;
pub(super) use q4_k::{HALF, block_codes, first, second};
pub(super) use scales::half;

use std::arch::x86_64::*;

use super::layout::QUANTIZED_ROWS;
use super::tiles::Arithmetics;
use int8::Int8;
use int16::Int16;
use q4_k::Q4K;

/// AVX2's arithmetic for every format.
pub(super) struct Avx2;

impl Arithmetics for Avx2 {
    type Int8<const F: usize> = Int8<F>;
    type Q4K = Q4K;
    type Int16 = Int16;
}

/// The eight floats of a vector.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn floats(vector: __m256) -> [f32; QUANTIZED_ROWS] {
    let mut out = [0.0; QUANTIZED_ROWS];
    // SAFETY: eight floats.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), vector) };
    out
}
