//! Norms.

use crate::{Fold, Tensor};

/// Brings the numbers of a row, or of each head in it, to one scale; in f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    /// How many numbers are normed together.
    pub width: usize,
    /// What they are divided by.
    pub kind: NormKind,
    /// `[width]`: multiplies the result; ones where absent.
    pub weight: Option<Tensor>,
    /// `[width]`: multiplied into the weight at load. So queries take over the weight of a key norm
    /// whose keys other layers reuse with weights of their own.
    pub times: Option<Tensor>,
    /// Multiplies the result, 1 in most models: folded into weight and bias.
    pub scale: f32,
    /// Added under the root.
    pub eps: f32,
}

/// What a norm divides by.
#[derive(Clone, Debug, PartialEq)]
pub enum NormKind {
    /// The root mean square: `weight * x / sqrt(mean(x²) + eps)` (arXiv:1910.07467).
    Rms,
    /// The deviation from the mean: `weight * (x - mean) / sqrt(variance + eps) + bias`
    /// (arXiv:1607.06450).
    Layer {
        /// `[width]`: added to the result.
        bias: Option<Tensor>,
    },
}

impl Norm {
    /// The root-mean-square norm whose weight is `{name}.weight`.
    pub fn new(name: &str, width: usize, eps: f32) -> Norm {
        let weight = Some(Tensor::new(format!("{name}.weight"), [width]));
        Norm { width, kind: NormKind::Rms, weight, times: None, scale: 1.0, eps }
    }

    /// The root-mean-square norm without a weight.
    pub fn unweighted(width: usize, eps: f32) -> Norm {
        Norm { width, kind: NormKind::Rms, weight: None, times: None, scale: 1.0, eps }
    }

    /// The layer norm of `{name}.weight` and `{name}.bias`.
    pub fn layer(name: &str, width: usize, eps: f32) -> Norm {
        let bias = Some(Tensor::new(format!("{name}.bias"), [width]));
        Norm { kind: NormKind::Layer { bias }, ..Norm::new(name, width, eps) }
    }

    /// Stored as the difference of the weight from one: `(1 + weight) * x / ...`.
    pub fn plus_one(self) -> Norm {
        Norm { weight: self.weight.map(|weight| weight.folded(Fold::PlusOne)), ..self }
    }

    pub(crate) fn tensors<'a>(&'a self, all: &mut Vec<&'a Tensor>) {
        all.extend(&self.weight);
        all.extend(&self.times);
        match &self.kind {
            NormKind::Rms => {}
            NormKind::Layer { bias } => all.extend(bias),
        }
    }
}
