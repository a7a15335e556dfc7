//! The FFNs that every token meets, with their weights.

use crate::ffn::Gating;
use crate::linear::{Linear, apply_all};
use baimo_kernels::{Floats, Kernels};
use baimo_kernels::activation::{Activation, activate};

/// A gated FFN; see [`baimo_blueprint::Dense`].
pub struct Dense {
    pub(crate) gating: Gating,
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

impl Dense {
    pub(crate) fn forward(&self, kernels: &Kernels, x: &[f32]) -> Floats {
        let [gate, up] = apply_all(kernels, x, [&self.gate, &self.up]);
        self.down.apply(kernels, &self.gating.apply(kernels, gate, up))
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
