//! The FFNs that every token meets, with their weights.

use crate::ffn::Gating;
use crate::linear::{Linear, apply_all, apply_gated};
use baimo_kernels::activation::{Activation, activate};
use baimo_kernels::{Floats, Kernels};

/// A gated FFN; see [`baimo_blueprint::Dense`].
pub struct Dense {
    pub(crate) gating: Gating,
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

impl Dense {
    pub(crate) fn forward(&self, kernels: &Kernels, x: &[f32]) -> Floats {
        let maps = [&self.gate, &self.up];
        let plain = self.gating.plain();
        let inner = plain.and_then(|activation| apply_gated(kernels, x, activation, maps));
        let inner = inner.unwrap_or_else(|| {
            let [gate, up] = apply_all(kernels, x, maps);
            self.gating.apply(kernels, gate, up)
        });
        self.down.apply(kernels, &inner)
    }
}

/// An FFN without a gate; see [`baimo_blueprint::Plain`].
pub struct Plain {
    pub(crate) activation: Activation,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

impl Plain {
    pub(crate) fn forward(&self, kernels: &Kernels, x: &[f32]) -> Floats {
        let mut inner = self.up.apply(kernels, x);
        activate(kernels, self.activation, &mut inner);
        self.down.apply(kernels, &inner)
    }
}
