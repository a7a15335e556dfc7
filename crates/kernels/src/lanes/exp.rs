//! `e^x`, the one transcendental function everything else here is made of.

use super::Lanes;

/// Adding and subtracting 1.5 * 2^23 rounds a small number to an integer, ties to even.
const ROUND: f32 = 12_582_912.0;

/// ln 2 in two parts; the first has so few bits that its product with an exponent is exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// Below, `e^x` rounds to 0; above, to infinity.
const LOWEST: f32 = -104.0;
const HIGHEST: f32 = 89.0;

/// `(e^r - 1 - r) / r^2` for `|r| <= ln 2 / 2`, highest power first: the polynomial of `expf` in
/// the Cephes library (Moshier).
const TERMS: [f32; 6] =
    [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5];

/// `e^x` in every lane, within 2 units in the last place of the exact value, over the whole range
/// with infinities, subnormal results and NaN.
///
/// `x = n ln 2 + r` with integral `n` (Cody and Waite, 1980), so `e^x = 2^n e^r`.
#[inline(always)]
pub(crate) fn exp<const N: usize, L: Lanes<N>>(lanes: L, x: L::Vector) -> L::Vector {
    // In this order of operands a NaN passes through.
    let x = lanes.max(lanes.splat(LOWEST), x);
    let x = lanes.min(lanes.splat(HIGHEST), x);
    let round = lanes.splat(ROUND);
    let n = lanes.sub(lanes.fma(x, lanes.splat(std::f32::consts::LOG2_E), round), round);
    let r = lanes.fma(n, lanes.splat(-LN_2_HIGH), x);
    let r = lanes.fma(n, lanes.splat(-LN_2_LOW), r);
    let mut sum = lanes.splat(TERMS[0]);
    for &term in &TERMS[1..] {
        sum = lanes.fma(sum, r, lanes.splat(term));
    }
    let power = lanes.fma(sum, lanes.mul(r, r), lanes.add(r, lanes.splat(1.0)));
    lanes.times_power_of_two(power, n)
}
