//! Plain Rust: the definition of every vector operation.

use super::{Lanes, Operation, WIDTH};
use half::f16;

/// Eight numbers in an array, one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

type Vector = [f32; WIDTH];

#[inline(always)]
fn zip(a: Vector, b: Vector, combine: impl Fn(f32, f32) -> f32) -> Vector {
    std::array::from_fn(|lane| combine(a[lane], b[lane]))
}

impl Lanes for Scalar {
    type Vector = Vector;

    #[inline(always)]
    fn splat(self, value: f32) -> Vector {
        [value; WIDTH]
    }

    #[inline(always)]
    fn load(self, from: &[f32; WIDTH]) -> Vector {
        *from
    }

    #[inline(always)]
    fn store(self, vector: Vector, to: &mut [f32; WIDTH]) {
        *to = vector;
    }

    #[inline(always)]
    fn load_half(self, from: &[u16; WIDTH]) -> Vector {
        from.map(|bits| f16::from_bits(bits).to_f32())
    }

    #[inline(always)]
    fn to_half(self, vector: Vector) -> [u16; WIDTH] {
        vector.map(|value| f16::from_f32(value).to_bits())
    }

    #[inline(always)]
    fn add(self, a: Vector, b: Vector) -> Vector {
        zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Vector, b: Vector) -> Vector {
        zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Vector, b: Vector) -> Vector {
        zip(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: Vector, b: Vector) -> Vector {
        zip(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn fma(self, a: Vector, b: Vector, c: Vector) -> Vector {
        std::array::from_fn(|lane| a[lane].mul_add(b[lane], c[lane]))
    }

    #[inline(always)]
    fn max(self, a: Vector, b: Vector) -> Vector {
        zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, a: Vector, b: Vector) -> Vector {
        zip(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn abs(self, a: Vector) -> Vector {
        a.map(f32::abs)
    }

    #[inline(always)]
    fn power_of_two(self, n: Vector) -> Vector {
        // The exponent field alone; `as` turns a NaN into 0.
        n.map(|n| f32::from_bits(((n as i32 + 127) as u32) << 23))
    }

    #[inline(always)]
    fn transpose(self, rows: [Vector; WIDTH]) -> [Vector; WIDTH] {
        std::array::from_fn(|row| std::array::from_fn(|column| rows[column][row]))
    }

    #[inline(always)]
    fn prefetch<T>(self, _address: *const T) {}

    #[inline(never)]
    fn call<O: Operation>(self, operation: O) -> O::Output {
        operation.run(self)
    }
}
