//! x86-64 with AVX2: a wide vector is two registers, the lower lanes in the first.

use super::{Lanes, Operation, WIDE, WIDTH, avx2};
use crate::isa::Avx2;
use std::arch::x86_64::{__m256, __m256i};

type Pair = [__m256; 2];

/// The arithmetic of one register.
#[inline(always)]
fn half(proof: Avx2) -> impl Half {
    proof
}

/// What [`Avx2`] is for eight lanes.
trait Half:
    Lanes<WIDTH, Vector = __m256, Integers = __m256i, Codes = [__m256i; 2], Four = (i32, i32)>
{
}

impl Half for Avx2 {}

/// The lower and the upper eight of sixteen.
#[inline(always)]
fn halves<T>(all: &[T; WIDE]) -> [&[T; WIDTH]; 2] {
    let (low, high) = all.split_first_chunk().expect("sixteen");
    [low, high.first_chunk().expect("eight more")]
}

#[inline(always)]
fn zip(a: Pair, b: Pair, combine: impl Fn(__m256, __m256) -> __m256) -> Pair {
    [combine(a[0], b[0]), combine(a[1], b[1])]
}

impl Lanes<WIDE> for Avx2 {
    type Vector = Pair;
    type Integers = [__m256i; 2];
    type Codes = [[__m256i; 2]; 2];
    type Four = (i32, i32);

    const REGISTERS: usize = 8;

    #[inline(always)]
    fn splat(self, value: f32) -> Pair {
        [half(self).splat(value); 2]
    }

    #[inline(always)]
    fn load(self, from: &[f32; WIDE]) -> Pair {
        let [low, high] = halves(from);
        [half(self).load(low), half(self).load(high)]
    }

    #[inline(always)]
    fn store(self, vector: Pair, to: &mut [f32; WIDE]) {
        let (low, high) = to.split_first_chunk_mut().expect("sixteen");
        half(self).store(vector[0], low);
        half(self).store(vector[1], high.first_chunk_mut().expect("eight more"));
    }

    #[inline(always)]
    fn load_half(self, from: &[u16; WIDE]) -> Pair {
        let [low, high] = halves(from);
        [half(self).load_half(low), half(self).load_half(high)]
    }

    #[inline(always)]
    fn load_int8(self, from: &[i8; WIDE]) -> Pair {
        let [low, high] = halves(from);
        [half(self).load_int8(low), half(self).load_int8(high)]
    }

    #[inline(always)]
    fn to_half(self, vector: Pair) -> [u16; WIDE] {
        let mut all = [0; WIDE];
        all[..WIDTH].copy_from_slice(&half(self).to_half(vector[0]));
        all[WIDTH..].copy_from_slice(&half(self).to_half(vector[1]));
        all
    }

    #[inline(always)]
    fn add(self, a: Pair, b: Pair) -> Pair {
        zip(a, b, |a, b| half(self).add(a, b))
    }

    #[inline(always)]
    fn sub(self, a: Pair, b: Pair) -> Pair {
        zip(a, b, |a, b| half(self).sub(a, b))
    }

    #[inline(always)]
    fn mul(self, a: Pair, b: Pair) -> Pair {
        zip(a, b, |a, b| half(self).mul(a, b))
    }

    #[inline(always)]
    fn div(self, a: Pair, b: Pair) -> Pair {
        zip(a, b, |a, b| half(self).div(a, b))
    }

    #[inline(always)]
    fn max(self, a: Pair, b: Pair) -> Pair {
        zip(a, b, |a, b| half(self).max(a, b))
    }

    #[inline(always)]
    fn min(self, a: Pair, b: Pair) -> Pair {
        zip(a, b, |a, b| half(self).min(a, b))
    }

    #[inline(always)]
    fn fma(self, a: Pair, b: Pair, c: Pair) -> Pair {
        [half(self).fma(a[0], b[0], c[0]), half(self).fma(a[1], b[1], c[1])]
    }

    #[inline(always)]
    fn select_less(self, a: Pair, b: Pair, then: Pair, otherwise: Pair) -> Pair {
        let part = |i: usize| half(self).select_less(a[i], b[i], then[i], otherwise[i]);
        [part(0), part(1)]
    }

    #[inline(always)]
    fn abs(self, a: Pair) -> Pair {
        [half(self).abs(a[0]), half(self).abs(a[1])]
    }

    #[inline(always)]
    fn power_of_two(self, n: Pair) -> Pair {
        [half(self).power_of_two(n[0]), half(self).power_of_two(n[1])]
    }

    #[inline(always)]
    fn transpose(self, rows: [Pair; WIDE]) -> [Pair; WIDE] {
        // Four squares of eight, of which two change places.
        let mut columns = rows;
        for side in 0..2 {
            for (first, to) in [(0, 0), (WIDTH, 1)] {
                let mut square = [rows[0][0]; WIDTH];
                for row in 0..WIDTH {
                    square[row] = rows[first + row][side];
                }
                let square = half(self).transpose(square);
                for row in 0..WIDTH {
                    columns[side * WIDTH + row][to] = square[row];
                }
            }
        }
        columns
    }

    #[inline(always)]
    fn integers(self, value: i32) -> [__m256i; 2] {
        [half(self).integers(value); 2]
    }

    #[inline(always)]
    fn to_floats(self, integers: [__m256i; 2]) -> Pair {
        [half(self).to_floats(integers[0]), half(self).to_floats(integers[1])]
    }

    #[inline(always)]
    fn codes(self, from: &[[u8; 4]; WIDE]) -> [[__m256i; 2]; 2] {
        let [low, high] = halves(from);
        [half(self).codes(low), half(self).codes(high)]
    }

    #[inline(always)]
    fn four(self, numbers: [i8; 4]) -> (i32, i32) {
        half(self).four(numbers)
    }

    #[inline(always)]
    fn add_products(
        self,
        sums: [__m256i; 2],
        codes: [[__m256i; 2]; 2],
        four: (i32, i32),
    ) -> [__m256i; 2] {
        let part = |i: usize| half(self).add_products(sums[i], codes[i], four);
        [part(0), part(1)]
    }

    #[inline(always)]
    fn prefetch<T>(self, address: *const T) {
        half(self).prefetch(address);
    }

    #[inline(always)]
    fn prefetch_later<T>(self, address: *const T) {
        half(self).prefetch_later(address);
    }

    #[inline(always)]
    fn call<O: Operation<WIDE>>(self, operation: O) -> O::Output {
        avx2::run(self, operation)
    }
}
