//! x86-64 with AVX-512: a wide vector is one 512-bit register.

use super::{Lanes, Operation, WIDE};
use crate::isa::Avx512;
use std::arch::x86_64::*;

/// Evaluates intrinsics where an [`Avx512`] value is at hand.
macro_rules! proven {
    ($intrinsics:expr) => {
        // SAFETY: every use is in a method of `Avx512`, whose values exist only on machines where
        // AVX-512 F, BW, DQ, VL and VNNI were seen; pointers come from references to whole arrays.
        unsafe { $intrinsics }
    };
}

/// Compiles `operation`, which inlines into it, with these instructions, and runs it.
#[inline]
pub(super) fn run<O: Operation<WIDE>>(proof: Avx512, operation: O) -> O::Output {
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    fn compiled<O: Operation<WIDE>>(proof: Avx512, operation: O) -> O::Output {
        operation.run(proof)
    }
    // SAFETY: `proof` exists only on machines where these features were seen.
    unsafe { compiled(proof, operation) }
}

impl Lanes<WIDE> for Avx512 {
    type Vector = __m512;
    type Integers = __m512i;
    type Codes = __m512i;
    type Four = i32;

    const REGISTERS: usize = 32;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        proven!(_mm512_set1_ps(value))
    }

    #[inline(always)]
    fn load(self, from: &[f32; WIDE]) -> __m512 {
        proven!(_mm512_loadu_ps(from.as_ptr()))
    }

    #[inline(always)]
    fn store(self, vector: __m512, to: &mut [f32; WIDE]) {
        proven!(_mm512_storeu_ps(to.as_mut_ptr(), vector))
    }

    #[inline(always)]
    fn load_half(self, from: &[u16; WIDE]) -> __m512 {
        proven!(_mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())))
    }

    #[inline(always)]
    fn load_int8(self, from: &[i8; WIDE]) -> __m512 {
        proven!(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.as_ptr().cast()))))
    }

    #[inline(always)]
    fn to_half(self, vector: __m512) -> [u16; WIDE] {
        let mut halves = [0; WIDE];
        proven!(_mm256_storeu_si256(
            halves.as_mut_ptr().cast(),
            _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(vector)
        ));
        halves
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_min_ps(a, b))
    }

    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        proven!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn select_less(self, a: __m512, b: __m512, then: __m512, otherwise: __m512) -> __m512 {
        proven!(_mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), otherwise, then))
    }

    #[inline(always)]
    fn abs(self, a: __m512) -> __m512 {
        proven!(_mm512_abs_ps(a))
    }

    #[inline(always)]
    fn power_of_two(self, n: __m512) -> __m512 {
        proven!({
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
        })
    }

    #[inline(always)]
    fn times_power_of_two(self, x: __m512, n: __m512) -> __m512 {
        // One instruction, which rounds once too.
        proven!(_mm512_scalef_ps(x, n))
    }

    #[inline(always)]
    fn transpose(self, rows: [__m512; WIDE]) -> [__m512; WIDE] {
        // Columns of four rows in each quarter, then quarters from all rows.
        let mut fours = [[self.splat(0.0); 4]; 4];
        for (fours, rows) in fours.iter_mut().zip(rows.as_chunks::<4>().0) {
            let [a, b, c, d] = *rows;
            proven!({
                let low = _mm512_castps_pd(_mm512_unpacklo_ps(a, b));
                let high = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
                let low_2 = _mm512_castps_pd(_mm512_unpacklo_ps(c, d));
                let high_2 = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
                fours[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, low_2));
                fours[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, low_2));
                fours[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high, high_2));
                fours[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high, high_2));
            });
        }
        let mut columns = rows;
        for column in 0..4 {
            let [a, b] = [fours[0][column], fours[1][column]];
            let [c, d] = [fours[2][column], fours[3][column]];
            proven!({
                let even = _mm512_shuffle_f32x4::<0x88>(a, b);
                let odd = _mm512_shuffle_f32x4::<0xdd>(a, b);
                let even_2 = _mm512_shuffle_f32x4::<0x88>(c, d);
                let odd_2 = _mm512_shuffle_f32x4::<0xdd>(c, d);
                columns[column] = _mm512_shuffle_f32x4::<0x88>(even, even_2);
                columns[4 + column] = _mm512_shuffle_f32x4::<0x88>(odd, odd_2);
                columns[8 + column] = _mm512_shuffle_f32x4::<0xdd>(even, even_2);
                columns[12 + column] = _mm512_shuffle_f32x4::<0xdd>(odd, odd_2);
            });
        }
        columns
    }

    #[inline(always)]
    fn integers(self, value: i32) -> __m512i {
        proven!(_mm512_set1_epi32(value))
    }

    #[inline(always)]
    fn to_floats(self, integers: __m512i) -> __m512 {
        proven!(_mm512_cvtepi32_ps(integers))
    }

    #[inline(always)]
    fn codes(self, from: &[[u8; 4]; WIDE]) -> __m512i {
        proven!(_mm512_loadu_si512(from.as_ptr().cast()))
    }

    #[inline(always)]
    fn four(self, numbers: [i8; 4]) -> i32 {
        i32::from_le_bytes(numbers.map(|number| number as u8))
    }

    #[inline(always)]
    fn add_products(self, sums: __m512i, codes: __m512i, four: i32) -> __m512i {
        proven!(_mm512_dpbusd_epi32(sums, codes, _mm512_set1_epi32(four)))
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
    fn call<O: Operation<WIDE>>(self, operation: O) -> O::Output {
        run(self, operation)
    }
}
