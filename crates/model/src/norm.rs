//! Norms with their weights.

use baimo_kernels::norm::{rms_norm, rms_norm_heads};
use baimo_kernels::{HeadLayout, Kernels};

/// A root-mean-square norm.
#[derive(Debug)]
pub struct Norm {
    pub weight: Vec<f32>,
    pub eps: f32,
}

impl Norm {
    /// Norms every row of `weight.len()` numbers.
    pub fn apply(&self, kernels: &Kernels, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len()];
        rms_norm(kernels, x, self.weight.len(), Some(&self.weight), self.eps, &mut out);
        out
    }

    /// Norms, in place, the slice of each head that `layout` names.
    pub fn apply_heads(&self, kernels: &Kernels, x: &mut [f32], layout: HeadLayout) {
        rms_norm_heads(kernels, x, layout, Some(&self.weight), self.eps);
    }
}
