//! Eight or sixteen numbers at a time: the vocabulary that elementwise, attention and recurrence
//! kernels are written in.
//!
//! A kernel's body is written once, over [`Lanes`]. With [`Scalar`] it is plain Rust and is the
//! operation's definition; with another instruction set it is the same sequence of the same
//! roundings in each lane, so all instruction sets give the same bits. A new instruction set is
//! one file here. (The shape follows the `Vector` trait of the memchr crate.)
//!
//! The number of lanes is the kernel's choice, not the machine's, so that sums across lanes have
//! one order: where registers hold eight, a vector of [`WIDE`] is two of them.
//!
//! Everything that takes `Lanes` is `#[inline(always)]`, so that it is compiled with the
//! instructions of the one `#[target_feature]` function it is called from, see [`on`].

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx2_wide;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod exp;
mod scalar;

pub(crate) use exp::exp;
pub(crate) use scalar::Scalar;

use crate::Isa;

/// How many numbers a vector has, on every instruction set, for an operation that [`on`] runs.
pub(crate) const WIDTH: usize = 8;

/// How many it has for an operation that [`on_wide`] runs.
pub(crate) const WIDE: usize = 16;

/// Arithmetic on vectors of `N` `f32`. A value of the type proves that the machine has it.
pub(crate) trait Lanes<const N: usize = WIDTH>: Copy {
    /// `N` `f32`.
    type Vector: Copy;
    /// `N` sums of products of integers, `i32`.
    type Integers: Copy;
    /// Four codes for each lane, as [`Lanes::add_products`] wants them.
    type Codes: Copy;
    /// Four integers that all lanes are multiplied with, as it wants them.
    type Four: Copy;

    /// How many vectors the machine's registers hold.
    const REGISTERS: usize;

    /// The same number in every lane.
    fn splat(self, value: f32) -> Self::Vector;
    /// Reads `N` numbers.
    fn load(self, from: &[f32; N]) -> Self::Vector;
    /// Writes `N` numbers.
    fn store(self, vector: Self::Vector, to: &mut [f32; N]);
    /// Reads `N` half-precision numbers, given by their bits.
    fn load_half(self, from: &[u16; N]) -> Self::Vector;
    /// Reads `N` integers.
    fn load_int8(self, from: &[i8; N]) -> Self::Vector;
    /// The bits of the nearest half-precision numbers, ties to even.
    fn to_half(self, vector: Self::Vector) -> [u16; N];
    /// `a + b`
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a - b`
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b`
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a / b`
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `if a > b { a } else { b }`: a NaN in either gives `b`.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `if a < b { a } else { b }`: a NaN in either gives `b`.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `if a < b { then } else { otherwise }`
    fn select_less(
        self,
        a: Self::Vector,
        b: Self::Vector,
        then: Self::Vector,
        otherwise: Self::Vector,
    ) -> Self::Vector;
    /// `|a|`
    fn abs(self, a: Self::Vector) -> Self::Vector;
    /// `2^n` for integral `n` in -126 ..= 127; any number for a NaN.
    fn power_of_two(self, n: Self::Vector) -> Self::Vector;
    /// Row `i`, column `j` becomes row `j`, column `i`.
    fn transpose(self, rows: [Self::Vector; N]) -> [Self::Vector; N];
    /// The same integer in every lane.
    fn integers(self, value: i32) -> Self::Integers;
    /// The nearest floats.
    fn to_floats(self, integers: Self::Integers) -> Self::Vector;
    /// Reads four codes for each lane.
    fn codes(self, from: &[[u8; 4]; N]) -> Self::Codes;
    /// Four integers to multiply with.
    fn four(self, numbers: [i8; 4]) -> Self::Four;
    /// `sums + codes[0] * four[0] + .. + codes[3] * four[3]` in every lane, exactly: sums stay
    /// within `i32`.
    fn add_products(
        self,
        sums: Self::Integers,
        codes: Self::Codes,
        four: Self::Four,
    ) -> Self::Integers;
    /// Says that the cache line at `address` will be read soon; any address will do.
    fn prefetch<T>(self, address: *const T);
    /// Says that it will be read later: it comes into the second cache, which waits for more lines
    /// at once.
    fn prefetch_later<T>(self, address: *const T);

    /// Runs `operation` as a function of its own: what is used in several places is compiled once.
    fn call<O: Operation<N>>(self, operation: O) -> O::Output;

    /// The lanes as an array.
    #[inline(always)]
    fn to_array(self, vector: Self::Vector) -> [f32; N] {
        let mut lanes = [0.0; N];
        self.store(vector, &mut lanes);
        lanes
    }

    /// `x * 2^n` for integral `n` in -150 ..= 128 and `x` between a half and two, rounded once.
    ///
    /// In two halves, because `2^n` alone would overflow or underflow before the product does.
    #[inline(always)]
    fn times_power_of_two(self, x: Self::Vector, n: Self::Vector) -> Self::Vector {
        // Adding and subtracting 1.5 * 2^23 rounds to an integer, ties to even.
        let round = self.splat(12_582_912.0);
        let half = self.sub(self.fma(n, self.splat(0.5), round), round);
        let rest = self.sub(n, half);
        self.mul(self.mul(x, self.power_of_two(half)), self.power_of_two(rest))
    }

    /// The sum of all lanes, the upper half added to the lower until one is left: of eight
    /// `((0+4)+(2+6)) + ((1+5)+(3+7))`.
    #[inline(always)]
    fn sum(self, vector: Self::Vector) -> f32 {
        let mut lanes = self.to_array(vector);
        let mut half = N / 2;
        while half > 0 {
            for lane in 0..half {
                lanes[lane] += lanes[lane + half];
            }
            half /= 2;
        }
        lanes[0]
    }

    /// The largest lane; a NaN is the largest only if it is in every lane.
    #[inline(always)]
    fn largest(self, vector: Self::Vector) -> f32 {
        let lanes = self.to_array(vector);
        lanes
            .into_iter()
            .fold(f32::NEG_INFINITY, |best, lane| if lane > best { lane } else { best })
    }

    /// The up to `N` numbers of `slice`, `rest` after its end.
    #[inline(always)]
    fn load_padded(self, slice: &[f32], rest: f32) -> Self::Vector {
        if let Ok(whole) = slice.try_into() {
            return self.load(whole);
        }
        let mut lanes = [rest; N];
        lanes[..slice.len()].copy_from_slice(slice);
        self.load(&lanes)
    }

    /// Writes as many lanes as `slice` is long.
    #[inline(always)]
    fn store_part(self, vector: Self::Vector, slice: &mut [f32]) {
        if let Ok(whole) = (&mut *slice).try_into() {
            return self.store(vector, whole);
        }
        let len = slice.len();
        slice.copy_from_slice(&self.to_array(vector)[..len]);
    }
}

/// Something to compute, with its operands: the door through which an instruction set is chosen.
pub(crate) trait Operation<const N: usize = WIDTH> {
    /// What it gives back.
    type Output;

    /// Computes it. Implementations are `#[inline(always)]`.
    fn run<L: Lanes<N>>(self, lanes: L) -> Self::Output;
}

/// Runs `operation` with the instructions of `isa`: one choice per call, none inside.
#[inline]
pub(crate) fn on<O: Operation>(isa: Isa, operation: O) -> O::Output {
    match isa {
        Isa::Scalar => operation.run(Scalar),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(proof) => avx2::run(proof, operation),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(proof) => avx2::run(proof.avx2(), operation),
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Avx2(_) | Isa::Avx512(_) => unreachable!("they are only detected on x86-64"),
    }
}

/// [`on`] for operations on vectors of [`WIDE`].
#[inline]
pub(crate) fn on_wide<O: Operation<WIDE>>(isa: Isa, operation: O) -> O::Output {
    match isa {
        Isa::Scalar => operation.run(Scalar),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(proof) => avx2::run(proof, operation),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(proof) => avx512::run(proof, operation),
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Avx2(_) | Isa::Avx512(_) => unreachable!("they are only detected on x86-64"),
    }
}

#[cfg(test)]
mod tests;
