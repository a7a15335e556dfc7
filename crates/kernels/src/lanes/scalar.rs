//! Plain Rust: the definition of every vector operation.

use super::{Lanes, Operation};
use half::f16;

/// Numbers in an array, one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

#[inline(always)]
fn zip<const N: usize>(a: [f32; N], b: [f32; N], combine: impl Fn(f32, f32) -> f32) -> [f32; N] {
    std::array::from_fn(|lane| combine(a[lane], b[lane]))
}

impl<const N: usize> Lanes<N> for Scalar {
    type Vector = [f32; N];
    type Integers = [i32; N];
    type Codes = [[u8; 4]; N];
    type Four = [i8; 4];

    const REGISTERS: usize = 8;

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; N] {
        [value; N]
    }

    #[inline(always)]
    fn load(self, from: &[f32; N]) -> [f32; N] {
        *from
    }

    #[inline(always)]
    fn store(self, vector: [f32; N], to: &mut [f32; N]) {
        *to = vector;
    }

    #[inline(always)]
    fn load_half(self, from: &[u16; N]) -> [f32; N] {
        from.map(|bits| f16::from_bits(bits).to_f32())
    }

    #[inline(always)]
    fn load_int8(self, from: &[i8; N]) -> [f32; N] {
        from.map(f32::from)
    }

    #[inline(always)]
    fn to_half(self, vector: [f32; N]) -> [u16; N] {
        vector.map(|value| f16::from_f32(value).to_bits())
    }

    #[inline(always)]
    fn add(self, a: [f32; N], b: [f32; N]) -> [f32; N] {
        zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: [f32; N], b: [f32; N]) -> [f32; N] {
        zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: [f32; N], b: [f32; N]) -> [f32; N] {
        zip(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: [f32; N], b: [f32; N]) -> [f32; N] {
        zip(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn fma(self, a: [f32; N], b: [f32; N], c: [f32; N]) -> [f32; N] {
        std::array::from_fn(|lane| a[lane].mul_add(b[lane], c[lane]))
    }

    #[inline(always)]
    fn max(self, a: [f32; N], b: [f32; N]) -> [f32; N] {
        zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, a: [f32; N], b: [f32; N]) -> [f32; N] {
        zip(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn select_less(
        self,
        a: [f32; N],
        b: [f32; N],
        then: [f32; N],
        otherwise: [f32; N],
    ) -> [f32; N] {
        std::array::from_fn(|lane| if a[lane] < b[lane] { then[lane] } else { otherwise[lane] })
    }

    #[inline(always)]
    fn abs(self, a: [f32; N]) -> [f32; N] {
        a.map(f32::abs)
    }

    #[inline(always)]
    fn power_of_two(self, n: [f32; N]) -> [f32; N] {
        // The exponent field alone; `as` turns a NaN into 0.
        n.map(|n| f32::from_bits(((n as i32 + 127) as u32) << 23))
    }

    #[inline(always)]
    fn transpose(self, rows: [[f32; N]; N]) -> [[f32; N]; N] {
        std::array::from_fn(|row| std::array::from_fn(|column| rows[column][row]))
    }

    #[inline(always)]
    fn integers(self, value: i32) -> [i32; N] {
        [value; N]
    }

    #[inline(always)]
    fn to_floats(self, integers: [i32; N]) -> [f32; N] {
        integers.map(|integer| integer as f32)
    }

    #[inline(always)]
    fn codes(self, from: &[[u8; 4]; N]) -> [[u8; 4]; N] {
        *from
    }

    #[inline(always)]
    fn four(self, numbers: [i8; 4]) -> [i8; 4] {
        numbers
    }

    #[inline(always)]
    fn add_products(self, sums: [i32; N], codes: [[u8; 4]; N], four: [i8; 4]) -> [i32; N] {
        std::array::from_fn(|lane| {
            let products = codes[lane].iter().zip(four);
            products.fold(sums[lane], |sum, (&code, by)| sum + i32::from(code) * i32::from(by))
        })
    }

    #[inline(always)]
    fn prefetch<T>(self, _address: *const T) {}

    #[inline(always)]
    fn prefetch_later<T>(self, _address: *const T) {}

    #[inline(never)]
    fn call<O: Operation<N>>(self, operation: O) -> O::Output {
        operation.run(self)
    }
}
