//! The functions themselves, sixteen numbers at a time.

use crate::lanes::{Lanes, WIDE, exp};

/// A function of one number, in every lane.
pub(super) trait Curve {
    fn at<L: Lanes<WIDE>>(lanes: L, x: L::Vector) -> L::Vector;
}

pub(super) struct Identity;
pub(super) struct Silu;
pub(super) struct GeluErf;
pub(super) struct GeluTanh;
pub(super) struct Relu;
pub(super) struct ReluSquared;
pub(super) struct Sigmoid;

impl Curve for Identity {
    #[inline(always)]
    fn at<L: Lanes<WIDE>>(_lanes: L, x: L::Vector) -> L::Vector {
        x
    }
}

impl Curve for Silu {
    #[inline(always)]
    fn at<L: Lanes<WIDE>>(lanes: L, x: L::Vector) -> L::Vector {
        lanes.div(x, one_plus_exp_minus(lanes, x))
    }
}

impl Curve for Sigmoid {
    #[inline(always)]
    fn at<L: Lanes<WIDE>>(lanes: L, x: L::Vector) -> L::Vector {
        lanes.div(lanes.splat(1.0), one_plus_exp_minus(lanes, x))
    }
}

impl Curve for Relu {
    #[inline(always)]
    fn at<L: Lanes<WIDE>>(lanes: L, x: L::Vector) -> L::Vector {
        // In this order of operands a NaN stays one.
        lanes.max(lanes.splat(0.0), x)
    }
}

impl Curve for ReluSquared {
    #[inline(always)]
    fn at<L: Lanes<WIDE>>(lanes: L, x: L::Vector) -> L::Vector {
        let x = Relu::at(lanes, x);
        lanes.mul(x, x)
    }
}

impl Curve for GeluTanh {
    /// `(1 + tanh u) / 2 = 1 / (1 + e^(-2 u))`, so there is no tanh.
    #[inline(always)]
    fn at<L: Lanes<WIDE>>(lanes: L, x: L::Vector) -> L::Vector {
        /// `2 sqrt(2 / pi)`
        const SLOPE: f32 = 1.595_769_2;
        let cubed = lanes.mul(lanes.mul(x, x), x);
        let u = lanes.mul(lanes.splat(SLOPE), lanes.fma(lanes.splat(0.044_715), cubed, x));
        lanes.div(x, one_plus_exp_minus(lanes, u))
    }
}

impl Curve for GeluErf {
    /// With `t = 1 / (1 + p |z|)`, `erfc |z| = (a1 t + ... + a5 t^5) e^(-z^2)` (Abramowitz and
    /// Stegun, 7.1.26), and `gelu(x) = max(x, 0) - |x| erfc(|x| / sqrt 2) / 2`: no difference of
    /// nearly equal numbers on either side.
    #[inline(always)]
    fn at<L: Lanes<WIDE>>(lanes: L, x: L::Vector) -> L::Vector {
        /// From `a5` down to `a1`.
        const TERMS: [f32; 5] = [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6];
        /// `p / sqrt 2`
        const P: f32 = 0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2;
        let size = lanes.abs(x);
        let one = lanes.splat(1.0);
        let t = lanes.div(one, lanes.fma(lanes.splat(P), size, one));
        let mut sum = lanes.splat(0.0);
        for term in TERMS {
            sum = lanes.mul(lanes.add(sum, lanes.splat(term)), t);
        }
        let bell = exp(lanes, lanes.mul(lanes.splat(-0.5), lanes.mul(size, size)));
        let below = lanes.mul(lanes.mul(lanes.splat(0.5), size), lanes.mul(sum, bell));
        lanes.sub(Relu::at(lanes, x), below)
    }
}

/// `1 + e^-x`
#[inline(always)]
fn one_plus_exp_minus<L: Lanes<WIDE>>(lanes: L, x: L::Vector) -> L::Vector {
    let minus = lanes.sub(lanes.splat(-0.0), x);
    lanes.add(lanes.splat(1.0), exp(lanes, minus))
}
