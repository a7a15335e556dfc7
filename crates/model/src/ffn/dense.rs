//! The FFNs that every token meets, with their weights.

use crate::ffn::Gating;
use crate::linear::{Linear, apply, apply_all};
use baimo_kernels::activation::{Activation, activate};
use baimo_kernels::matmul::Gate;
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
        let inner = match self.gate() {
            Some(gate) => apply(kernels, x, &self.up.weight, Some(gate)),
            None => {
                let [gate, up] = apply_all(kernels, x, [&self.gate, &self.up]);
                self.gating.apply(kernels, gate, up)
            }
        };
        self.down.apply(kernels, &inner)
    }

    /// The gate of the product with `up`, where nothing else stands between the two.
    pub(crate) fn gate(&self) -> Option<Gate<'_>> {
        let bare = self.gate.bias.is_none() && self.up.bias.is_none();
        self.gating.gate(&self.gate.weight, &self.up.weight).filter(|_| bare)
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
