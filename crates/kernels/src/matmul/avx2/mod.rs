//! Products on x86-64 with AVX2, FMA and F16C.

mod activations;
mod block;
mod float;
mod int16;
mod int8;
mod scales;
mod unpack;

pub(super) use activations::{to_int8, to_int16};
pub(super) use block::{halves, has_minimum, offset, signed};
pub(super) use float::{float_tiles, load_pair};
pub(super) use int8::Int8;
pub(super) use int16::Int16;

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::layout::{QUANTIZED_ROWS, group};
use super::tiles::{Arithmetic, Arithmetics};

/// AVX2's arithmetic for every format.
pub(super) struct Avx2;

impl Arithmetics for Avx2 {
    type Int8<const F: usize> = Int8<F>;
    type Int16 = Int16;
}

/// See [`Arithmetic::stream`].
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn stream<A: Arithmetic<Sum = __m256>>(tile: &[u8], input: &[A::Input]) -> [f32; QUANTIZED_ROWS] {
    let shape = const { group(A::FORMAT) };
    let mut sums = [_mm256_setzero_ps()];
    let mut block = [MaybeUninit::uninit()];
    let mut begin = tile.as_ptr();
    for input in input.chunks(shape.blocks) {
        for (index, input) in input.chunks(1).enumerate() {
            // SAFETY: the tile has this block: `layout::tile_bytes` counted the same groups. The
            // instructions exist, since this function runs.
            unsafe {
                A::unpack([begin; 2], index, &mut block[0]);
                A::add::<1, 1>(&[[block[0].assume_init()]], &[input], [&mut sums]);
            }
        }
        begin = begin.wrapping_add(shape.bytes());
    }
    floats(sums[0])
}

/// The eight floats of a vector.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn floats(vector: __m256) -> [f32; QUANTIZED_ROWS] {
    let mut out = [0.0; QUANTIZED_ROWS];
    // SAFETY: eight floats.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), vector) };
    out
}
