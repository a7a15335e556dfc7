//! x86-64 with AVX-512: a row is two registers of 512 bits.

use super::{Columns, PANEL, Walk};
use crate::isa::Avx512;
use std::arch::x86_64::*;

/// Numbers in a register.
const WIDTH: usize = 16;

/// Registers of a row.
const VECTORS: usize = PANEL / WIDTH;

/// A row of a panel.
type Row = [__m512; VECTORS];

/// Evaluates intrinsics where an [`Avx512`] value is at hand.
macro_rules! proven {
    ($intrinsics:expr) => {
        // SAFETY: every use is in a method of `Avx512`, whose values exist only on machines where
        // AVX-512 F was seen; pointers come from references to whole arrays.
        unsafe { $intrinsics }
    };
}

/// Compiles `walk`, which inlines into it, with these instructions, and runs it.
pub(super) fn run(proof: Avx512, walk: impl Walk) {
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx2,fma")]
    fn compiled(proof: Avx512, walk: impl Walk) {
        walk.run(proof);
    }
    // SAFETY: `proof` exists only on machines where these features were seen.
    unsafe { compiled(proof, walk) }
}

impl Columns for Avx512 {
    type Row = Row;
    type Factor = __m512;

    #[inline(always)]
    fn factor(self, value: f32) -> __m512 {
        proven!(_mm512_set1_ps(value))
    }

    #[inline(always)]
    fn zero(self) -> Row {
        [self.factor(0.0); VECTORS]
    }

    #[inline(always)]
    fn load(self, from: &[f32; PANEL]) -> Row {
        let (vectors, _) = from.as_chunks::<WIDTH>();
        [
            proven!(_mm512_loadu_ps(vectors[0].as_ptr())),
            proven!(_mm512_loadu_ps(vectors[1].as_ptr())),
        ]
    }

    #[inline(always)]
    fn store(self, row: Row, to: &mut [f32; PANEL]) {
        let (vectors, _) = to.as_chunks_mut::<WIDTH>();
        for (vector, to) in row.into_iter().zip(vectors) {
            proven!(_mm512_storeu_ps(to.as_mut_ptr(), vector));
        }
    }

    #[inline(always)]
    fn difference(self, a: Row, b: Row) -> Row {
        [proven!(_mm512_sub_ps(a[0], b[0])), proven!(_mm512_sub_ps(a[1], b[1]))]
    }

    #[inline(always)]
    fn scale(self, row: Row, factor: __m512) -> Row {
        [proven!(_mm512_mul_ps(row[0], factor)), proven!(_mm512_mul_ps(row[1], factor))]
    }

    #[inline(always)]
    fn add(self, row: Row, factor: __m512, sum: Row) -> Row {
        [
            proven!(_mm512_fmadd_ps(row[0], factor, sum[0])),
            proven!(_mm512_fmadd_ps(row[1], factor, sum[1])),
        ]
    }
}
