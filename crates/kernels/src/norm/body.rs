//! One row, on any instruction set.

use crate::lanes::{Lanes, Operation, WIDE};

/// `x = weight * (x / sqrt(mean(x^2) + eps))`
pub(super) struct RmsNorm<'a> {
    pub x: &'a mut [f32],
    pub weight: Option<&'a [f32]>,
    pub eps: f32,
}

impl Operation<WIDE> for RmsNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, lanes: L) {
        let mean = sum::<L, Square>(lanes, self.x, 0.0) / self.x.len() as f32;
        let factor = 1.0 / (mean + self.eps).sqrt();
        affine(lanes, self.x, Affine { mean: 0.0, factor, weight: self.weight, bias: None });
    }
}

/// `x = (x - mean) / sqrt(variance + eps) * weight + bias`
pub(super) struct LayerNorm<'a> {
    pub x: &'a mut [f32],
    pub weight: Option<&'a [f32]>,
    pub bias: Option<&'a [f32]>,
    pub eps: f32,
}

impl Operation<WIDE> for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, lanes: L) {
        let cols = self.x.len() as f32;
        let mean = sum::<L, Value>(lanes, self.x, 0.0) / cols;
        let variance = sum::<L, Square>(lanes, self.x, mean) / cols;
        let factor = 1.0 / (variance + self.eps).sqrt();
        affine(lanes, self.x, Affine { mean, factor, weight: self.weight, bias: self.bias });
    }
}

/// What is summed over a row.
trait Term {
    /// `total` and one more term, made of `x`.
    fn add<L: Lanes<WIDE>>(lanes: L, x: L::Vector, total: L::Vector) -> L::Vector;
}

struct Value;
struct Square;

impl Term for Value {
    #[inline(always)]
    fn add<L: Lanes<WIDE>>(lanes: L, x: L::Vector, total: L::Vector) -> L::Vector {
        lanes.add(total, x)
    }
}

impl Term for Square {
    #[inline(always)]
    fn add<L: Lanes<WIDE>>(lanes: L, x: L::Vector, total: L::Vector) -> L::Vector {
        lanes.fma(x, x, total)
    }
}

/// The sum of terms of `x - offset`, what is left at the end as if the row went on with `offset`s.
#[inline(always)]
fn sum<L: Lanes<WIDE>, T: Term>(lanes: L, x: &[f32], offset: f32) -> f32 {
    let subtract = lanes.splat(offset);
    let mut total = lanes.splat(0.0);
    let (vectors, rest) = x.as_chunks::<WIDE>();
    for vector in vectors {
        total = T::add(lanes, lanes.sub(lanes.load(vector), subtract), total);
    }
    if !rest.is_empty() {
        total = T::add(lanes, lanes.sub(lanes.load_padded(rest, offset), subtract), total);
    }
    lanes.sum(total)
}

struct Affine<'a> {
    mean: f32,
    factor: f32,
    weight: Option<&'a [f32]>,
    bias: Option<&'a [f32]>,
}

/// `x = weight * ((x - mean) * factor) + bias`
#[inline(always)]
fn affine<L: Lanes<WIDE>>(lanes: L, x: &mut [f32], by: Affine) {
    let (mean, factor) = (lanes.splat(by.mean), lanes.splat(by.factor));
    for (index, part) in x.chunks_mut(WIDE).enumerate() {
        let columns = index * WIDE..index * WIDE + part.len();
        let mut value = lanes.load_padded(part, 0.0);
        value = lanes.mul(lanes.sub(value, mean), factor);
        if let Some(weight) = by.weight {
            value = lanes.mul(lanes.load_padded(&weight[columns.clone()], 0.0), value);
        }
        if let Some(bias) = by.bias {
            value = lanes.add(value, lanes.load_padded(&bias[columns], 0.0));
        }
        lanes.store_part(value, part);
    }
}
