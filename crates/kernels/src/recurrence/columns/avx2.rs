//! x86-64 with AVX2 and FMA: a row is four registers of 256 bits.

use super::{Columns, PANEL, Walk};
use crate::isa::Avx2;
use std::arch::x86_64::*;

/// Numbers in a register.
const WIDTH: usize = 8;

/// Registers of a row.
const VECTORS: usize = PANEL / WIDTH;

/// A row of a panel.
type Row = [__m256; VECTORS];

/// Evaluates intrinsics where an [`Avx2`] value is at hand.
macro_rules! proven {
    ($intrinsics:expr) => {
        // SAFETY: every use is in a method of `Avx2`, whose values exist only on machines where
        // AVX2 and FMA were seen; pointers come from references to whole arrays.
        unsafe { $intrinsics }
    };
}

/// Compiles `walk`, which inlines into it, with these instructions, and runs it.
pub(super) fn run(proof: Avx2, walk: impl Walk) {
    #[inline(never)]
    #[target_feature(enable = "avx2,fma")]
    fn compiled(proof: Avx2, walk: impl Walk) {
        walk.run(proof);
    }
    // SAFETY: `proof` exists only on machines where these features were seen.
    unsafe { compiled(proof, walk) }
}

impl Columns for Avx2 {
    type Row = Row;
    type Factor = __m256;

    #[inline(always)]
    fn factor(self, value: f32) -> __m256 {
        proven!(_mm256_set1_ps(value))
    }

    #[inline(always)]
    fn zero(self) -> Row {
        [self.factor(0.0); VECTORS]
    }

    #[inline(always)]
    fn load(self, from: &[f32; PANEL]) -> Row {
        let (vectors, _) = from.as_chunks::<WIDTH>();
        [
            proven!(_mm256_loadu_ps(vectors[0].as_ptr())),
            proven!(_mm256_loadu_ps(vectors[1].as_ptr())),
            proven!(_mm256_loadu_ps(vectors[2].as_ptr())),
            proven!(_mm256_loadu_ps(vectors[3].as_ptr())),
        ]
    }

    #[inline(always)]
    fn store(self, row: Row, to: &mut [f32; PANEL]) {
        let (vectors, _) = to.as_chunks_mut::<WIDTH>();
        for (vector, to) in row.into_iter().zip(vectors) {
            proven!(_mm256_storeu_ps(to.as_mut_ptr(), vector));
        }
    }

    #[inline(always)]
    fn difference(self, a: Row, b: Row) -> Row {
        [
            proven!(_mm256_sub_ps(a[0], b[0])),
            proven!(_mm256_sub_ps(a[1], b[1])),
            proven!(_mm256_sub_ps(a[2], b[2])),
            proven!(_mm256_sub_ps(a[3], b[3])),
        ]
    }

    #[inline(always)]
    fn scale(self, row: Row, factor: __m256) -> Row {
        [
            proven!(_mm256_mul_ps(row[0], factor)),
            proven!(_mm256_mul_ps(row[1], factor)),
            proven!(_mm256_mul_ps(row[2], factor)),
            proven!(_mm256_mul_ps(row[3], factor)),
        ]
    }

    #[inline(always)]
    fn add(self, row: Row, factor: __m256, sum: Row) -> Row {
        [
            proven!(_mm256_fmadd_ps(row[0], factor, sum[0])),
            proven!(_mm256_fmadd_ps(row[1], factor, sum[1])),
            proven!(_mm256_fmadd_ps(row[2], factor, sum[2])),
            proven!(_mm256_fmadd_ps(row[3], factor, sum[3])),
        ]
    }
}
