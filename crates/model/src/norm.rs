//! Norms with their weights.

use baimo_kernels::norm::{layer_norm, layer_norm_heads, rms_norm, rms_norm_heads};
use baimo_kernels::{Floats, HeadLayout, Kernels};

/// A norm; see [`baimo_blueprint::Norm`].
#[derive(Debug)]
pub struct Norm {
    pub width: usize,
    pub kind: NormKind,
    pub weight: Option<Vec<f32>>,
    pub eps: f32,
}

/// What it divides by; see [`baimo_blueprint::NormKind`].
#[derive(Debug)]
pub enum NormKind {
    /// The root mean square.
    Rms,
    /// The deviation from the mean.
    Layer {
        /// Added to the result.
        bias: Option<Vec<f32>>,
    },
}

impl Norm {
    /// Norms every `width` numbers.
    pub fn apply(&self, kernels: &Kernels, x: &[f32]) -> Floats {
        let (width, weight) = (self.width, self.weight.as_deref());
        let mut out = kernels.floats(x.len());
        match &self.kind {
            NormKind::Rms => rms_norm(kernels, x, width, weight, self.eps, &mut out),
            NormKind::Layer { bias } => {
                layer_norm(kernels, x, width, weight, bias.as_deref(), self.eps, &mut out);
            }
        }
        out
    }

    /// Norms, in place, the slice of each head that `layout` names.
    pub fn apply_heads(&self, kernels: &Kernels, x: &mut [f32], layout: HeadLayout) {
        let weight = self.weight.as_deref();
        match &self.kind {
            NormKind::Rms => rms_norm_heads(kernels, x, layout, weight, self.eps),
            NormKind::Layer { bias } => {
                layer_norm_heads(kernels, x, layout, weight, bias.as_deref(), self.eps);
            }
        }
    }
}
