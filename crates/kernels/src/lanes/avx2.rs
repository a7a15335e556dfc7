//! x86-64 with AVX2, FMA and F16C: a vector is one 256-bit register.

use super::{Lanes, Operation, WIDTH};
use crate::isa::Avx2;
use std::arch::x86_64::*;

/// Evaluates intrinsics where an [`Avx2`] value is at hand.
macro_rules! proven {
    ($intrinsics:expr) => {
        // SAFETY: every use is in a method of `Avx2`, whose values exist only on machines where
        // AVX2, FMA and F16C were seen; pointers come from references to whole arrays.
        unsafe { $intrinsics }
    };
}

/// Compiles `operation`, which inlines into it, with these instructions, and runs it.
#[inline]
pub(super) fn run<const N: usize, O: Operation<N>>(proof: Avx2, operation: O) -> O::Output
where
    Avx2: Lanes<N>,
{
    #[inline(never)]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn compiled<const N: usize, O: Operation<N>>(proof: Avx2, operation: O) -> O::Output
    where
        Avx2: Lanes<N>,
    {
        operation.run(proof)
    }
    // SAFETY: `proof` exists only on machines where these features were seen.
    unsafe { compiled(proof, operation) }
}

impl Lanes for Avx2 {
    type Vector = __m256;
    type Integers = __m256i;
    /// The first and the third of each four as `i16` beside each other, the second and the fourth.
    type Codes = [__m256i; 2];
    /// The same. Numbers of an array would come into registers together, to be taken apart there.
    type Four = (i32, i32);

    const REGISTERS: usize = 16;

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        proven!(_mm256_set1_ps(value))
    }

    #[inline(always)]
    fn load(self, from: &[f32; WIDTH]) -> __m256 {
        proven!(_mm256_loadu_ps(from.as_ptr()))
    }

    #[inline(always)]
    fn store(self, vector: __m256, to: &mut [f32; WIDTH]) {
        proven!(_mm256_storeu_ps(to.as_mut_ptr(), vector))
    }

    #[inline(always)]
    fn load_half(self, from: &[u16; WIDTH]) -> __m256 {
        proven!(_mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast())))
    }

    #[inline(always)]
    fn load_int8(self, from: &[i8; WIDTH]) -> __m256 {
        proven!(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.as_ptr().cast()))))
    }

    #[inline(always)]
    fn to_half(self, vector: __m256) -> [u16; WIDTH] {
        let mut halves = [0; WIDTH];
        proven!(_mm_storeu_si128(
            halves.as_mut_ptr().cast(),
            _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(vector)
        ));
        halves
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_div_ps(a, b))
    }

    #[inline(always)]
    fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        proven!(_mm256_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_max_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_min_ps(a, b))
    }

    #[inline(always)]
    fn select_less(self, a: __m256, b: __m256, then: __m256, otherwise: __m256) -> __m256 {
        proven!(_mm256_blendv_ps(otherwise, then, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b)))
    }

    #[inline(always)]
    fn abs(self, a: __m256) -> __m256 {
        proven!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), a))
    }

    #[inline(always)]
    fn power_of_two(self, n: __m256) -> __m256 {
        proven!({
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
        })
    }

    #[inline(always)]
    fn transpose(self, rows: [__m256; WIDTH]) -> [__m256; WIDTH] {
        proven!({
            // Pairs of rows, then fours inside each half, then the halves.
            let [a, b, c, d, e, f, g, h] = rows;
            let pairs = [
                _mm256_unpacklo_ps(a, b),
                _mm256_unpackhi_ps(a, b),
                _mm256_unpacklo_ps(c, d),
                _mm256_unpackhi_ps(c, d),
                _mm256_unpacklo_ps(e, f),
                _mm256_unpackhi_ps(e, f),
                _mm256_unpacklo_ps(g, h),
                _mm256_unpackhi_ps(g, h),
            ];
            let fours = [
                _mm256_shuffle_ps::<0x44>(pairs[0], pairs[2]),
                _mm256_shuffle_ps::<0xee>(pairs[0], pairs[2]),
                _mm256_shuffle_ps::<0x44>(pairs[1], pairs[3]),
                _mm256_shuffle_ps::<0xee>(pairs[1], pairs[3]),
                _mm256_shuffle_ps::<0x44>(pairs[4], pairs[6]),
                _mm256_shuffle_ps::<0xee>(pairs[4], pairs[6]),
                _mm256_shuffle_ps::<0x44>(pairs[5], pairs[7]),
                _mm256_shuffle_ps::<0xee>(pairs[5], pairs[7]),
            ];
            [
                _mm256_permute2f128_ps::<0x20>(fours[0], fours[4]),
                _mm256_permute2f128_ps::<0x20>(fours[1], fours[5]),
                _mm256_permute2f128_ps::<0x20>(fours[2], fours[6]),
                _mm256_permute2f128_ps::<0x20>(fours[3], fours[7]),
                _mm256_permute2f128_ps::<0x31>(fours[0], fours[4]),
                _mm256_permute2f128_ps::<0x31>(fours[1], fours[5]),
                _mm256_permute2f128_ps::<0x31>(fours[2], fours[6]),
                _mm256_permute2f128_ps::<0x31>(fours[3], fours[7]),
            ]
        })
    }

    #[inline(always)]
    fn integers(self, value: i32) -> __m256i {
        proven!(_mm256_set1_epi32(value))
    }

    #[inline(always)]
    fn to_floats(self, integers: __m256i) -> __m256 {
        proven!(_mm256_cvtepi32_ps(integers))
    }

    #[inline(always)]
    fn codes(self, from: &[[u8; 4]; WIDTH]) -> [__m256i; 2] {
        proven!({
            let all = _mm256_loadu_si256(from.as_ptr().cast());
            [_mm256_and_si256(all, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(all)]
        })
    }

    #[inline(always)]
    fn four(self, [a, b, c, d]: [i8; 4]) -> (i32, i32) {
        let beside = |low: i8, high: i8| i32::from(high) << 16 | i32::from(low) & 0xffff;
        (beside(a, c), beside(b, d))
    }

    #[inline(always)]
    fn add_products(self, sums: __m256i, codes: [__m256i; 2], four: (i32, i32)) -> __m256i {
        // Bytes alone could be multiplied, too, but two such products are more than 16 bits hold.
        proven!({
            let even = _mm256_madd_epi16(codes[0], _mm256_set1_epi32(four.0));
            let odd = _mm256_madd_epi16(codes[1], _mm256_set1_epi32(four.1));
            _mm256_add_epi32(_mm256_add_epi32(sums, even), odd)
        })
    }

    #[inline(always)]
    fn prefetch<T>(self, address: *const T) {
        // A prefetch of an address that is not mapped does nothing.
        proven!(_mm_prefetch::<_MM_HINT_T0>(address.cast()))
    }

    #[inline(always)]
    fn prefetch_later<T>(self, address: *const T) {
        proven!(_mm_prefetch::<_MM_HINT_T1>(address.cast()))
    }

    #[inline(always)]
    fn call<O: Operation>(self, operation: O) -> O::Output {
        run(self, operation)
    }
}
