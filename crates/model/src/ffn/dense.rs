//! The gated FFN with its weights.

use crate::linear::{Linear, apply_all};
use baimo_kernels::Kernels;
use baimo_kernels::activation::{Activation, gated};

/// A gated FFN; see [`baimo_blueprint::Dense`].
pub struct Dense {
    pub(crate) activation: Activation,
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

impl Dense {
    pub(crate) fn forward(&self, kernels: &Kernels, x: &[f32]) -> Vec<f32> {
        let [gate, up] = apply_all(kernels, x, [&self.gate, &self.up]);
        let mut hidden = vec![0.0; gate.len()];
        gated(kernels, self.activation, &gate, &up, &mut hidden);
        self.down.apply(kernels, &hidden)
    }
}
