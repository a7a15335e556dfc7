//! Activations, gates and the other operations on each number by itself.

mod curve;
#[cfg(test)]
mod tests;

use crate::lanes::{Lanes, Operation, WIDE, on_wide};
use crate::{Isa, Kernels};
use curve::{Curve, GeluErf, GeluTanh, Identity, Relu, ReluSquared, Sigmoid, Silu};
use std::ops::RangeInclusive;

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x`
    Identity,
    /// `x / (1 + e^-x)`, also called swish.
    Silu,
    /// `x * (1 + erf(x / sqrt 2)) / 2` (arXiv:1606.08415), the error function within 1.5e-7.
    GeluErf,
    /// `x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2` (arXiv:1606.08415).
    GeluTanh,
    /// `max(x, 0)`
    Relu,
    /// `max(x, 0)^2`
    ReluSquared,
    /// `1 / (1 + e^-x)`
    Sigmoid,
}

impl Activation {
    /// Every activation: tests go through them.
    pub const ALL: [Activation; 7] = [
        Activation::Identity,
        Activation::Silu,
        Activation::GeluErf,
        Activation::GeluTanh,
        Activation::Relu,
        Activation::ReluSquared,
        Activation::Sigmoid,
    ];

    /// `x = activation(x) * up`, number by number, on this thread.
    pub(crate) fn gate(self, isa: Isa, x: &mut [f32], up: &[f32]) {
        on_wide(isa, Activate { activation: self, x, up: Some(up) });
    }
}

/// `out = activation(gate) * up`, number by number.
pub fn gated(kernels: &Kernels, activation: Activation, gate: &[f32], up: &[f32], out: &mut [f32]) {
    assert_eq!(gate.len(), out.len(), "a gate for each output");
    assert_eq!(up.len(), out.len(), "an up value for each output");
    kernels.pool.run_rows(out, 1, &|first, out| {
        let part = first..first + out.len();
        out.copy_from_slice(&gate[part.clone()]);
        on_wide(kernels.isa, Activate { activation, x: out, up: Some(&up[part]) });
    });
}

/// `out = silu(gate) * up`, the gate of SwiGLU (arXiv:2002.05202).
pub fn silu_mul(kernels: &Kernels, gate: &[f32], up: &[f32], out: &mut [f32]) {
    gated(kernels, Activation::Silu, gate, up, out);
}

/// `x = activation(x)`, number by number.
pub fn activate(kernels: &Kernels, activation: Activation, x: &mut [f32]) {
    kernels.pool.run_rows(x, 1, &|_, x| {
        on_wide(kernels.isa, Activate { activation, x, up: None });
    });
}

/// `x = x + y`
pub fn add(kernels: &Kernels, x: &mut [f32], y: &[f32]) {
    add_scaled(kernels, x, y, 1.0);
}

/// `x = x + y * factor`, the product rounded before it is added.
pub fn add_scaled(kernels: &Kernels, x: &mut [f32], y: &[f32], factor: f32) {
    assert_eq!(x.len(), y.len(), "as many numbers to add as to add to");
    kernels.pool.run_rows(x, 1, &|first, x| {
        on_wide(kernels.isa, AddScaled { y: &y[first..first + x.len()], x, factor });
    });
}

/// `x = x * factor`
pub fn scale(kernels: &Kernels, x: &mut [f32], factor: f32) {
    kernels.pool.run_rows(x, 1, &|_, x| on_wide(kernels.isa, Scale { x, factor }));
}

/// `x = x * y`, number by number.
pub fn multiply(kernels: &Kernels, x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len(), "as many factors as numbers");
    kernels.pool.run_rows(x, 1, &|first, x| {
        let up = Some(&y[first..first + x.len()]);
        on_wide(kernels.isa, Activate { activation: Activation::Identity, x, up });
    });
}

/// Every number of `x` brought into `range`; both ends may be infinite.
pub fn clamp(kernels: &Kernels, x: &mut [f32], range: RangeInclusive<f32>) {
    let (low, high) = range.into_inner();
    kernels.pool.run_rows(x, 1, &|_, x| on_wide(kernels.isa, Clamp { x, low, high }));
}

struct Activate<'a> {
    activation: Activation,
    x: &'a mut [f32],
    up: Option<&'a [f32]>,
}

impl Operation<WIDE> for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, lanes: L) {
        match self.activation {
            Activation::Identity => along::<L, Identity>(lanes, self.x, self.up),
            Activation::Silu => along::<L, Silu>(lanes, self.x, self.up),
            Activation::GeluErf => along::<L, GeluErf>(lanes, self.x, self.up),
            Activation::GeluTanh => along::<L, GeluTanh>(lanes, self.x, self.up),
            Activation::Relu => along::<L, Relu>(lanes, self.x, self.up),
            Activation::ReluSquared => along::<L, ReluSquared>(lanes, self.x, self.up),
            Activation::Sigmoid => along::<L, Sigmoid>(lanes, self.x, self.up),
        }
    }
}

/// `x = curve(x) * up`
#[inline(always)]
fn along<L: Lanes<WIDE>, C: Curve>(lanes: L, x: &mut [f32], up: Option<&[f32]>) {
    match up {
        None => x.chunks_mut(WIDE).for_each(|x| {
            lanes.store_part(C::at(lanes, lanes.load_padded(x, 0.0)), x);
        }),
        Some(up) => x.chunks_mut(WIDE).zip(up.chunks(WIDE)).for_each(|(x, up)| {
            let value = C::at(lanes, lanes.load_padded(x, 0.0));
            lanes.store_part(lanes.mul(value, lanes.load_padded(up, 0.0)), x);
        }),
    }
}

struct AddScaled<'a> {
    x: &'a mut [f32],
    y: &'a [f32],
    factor: f32,
}

impl Operation<WIDE> for AddScaled<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, _lanes: L) {
        // Nothing is summed across lanes and Rust never fuses, so plain code is exact everywhere.
        for (x, y) in self.x.iter_mut().zip(self.y) {
            *x += *y * self.factor;
        }
    }
}

struct Clamp<'a> {
    x: &'a mut [f32],
    low: f32,
    high: f32,
}

impl Operation<WIDE> for Clamp<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, _lanes: L) {
        for x in self.x {
            *x = x.clamp(self.low, self.high);
        }
    }
}

struct Scale<'a> {
    x: &'a mut [f32],
    factor: f32,
}

impl Operation<WIDE> for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, _lanes: L) {
        for x in self.x {
            *x *= self.factor;
        }
    }
}
