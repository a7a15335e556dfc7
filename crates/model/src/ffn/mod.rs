//! Blocks that transform each position alone, with their weights.

pub mod dense;
pub mod expert_cache;
pub mod experts;
pub mod router;

use crate::decoder::Pass;
use baimo_blueprint::{Activation, Clamp, ClampOrder};
use baimo_kernels::activation::{self, activate, clamp, multiply};
use baimo_kernels::matmul::{Gate, Matrix};
use baimo_kernels::{Floats, Kernels, activation::Activation as Curve};
use experts::Ahead;

/// An FFN with its weights.
pub enum Ffn {
    /// One for every token.
    Dense(dense::Dense),
    /// One without a gate for every token.
    Plain(dense::Plain),
    /// A mixture of experts.
    Experts(experts::Experts),
}

impl Ffn {
    /// The block's output for the normed rows `x`; where experts come as they are asked for, those
    /// `ahead` may come meanwhile.
    pub(crate) fn forward(&self, pass: &Pass, x: &[f32], ahead: Option<&Ahead>) -> Floats {
        match self {
            Ffn::Dense(dense) => dense.forward(pass.kernels, x),
            Ffn::Plain(plain) => plain.forward(pass.kernels, x),
            Ffn::Experts(experts) => experts.forward(pass.kernels, x, ahead),
        }
    }

    /// The mixture of experts that it is, if so.
    pub(crate) fn experts(&self) -> Option<&experts::Experts> {
        match self {
            Ffn::Experts(experts) => Some(experts),
            Ffn::Dense(_) | Ffn::Plain(_) => None,
        }
    }
}

/// The kernels' name for an activation.
pub(crate) fn curve(activation: Activation) -> Curve {
    match activation {
        Activation::Silu => Curve::Silu,
        Activation::Gelu => Curve::GeluErf,
        Activation::GeluTanh => Curve::GeluTanh,
    }
}

/// What stands between the maps of a gated FFN.
pub(crate) struct Gating {
    pub activation: Activation,
    pub clamp: Option<Clamp>,
}

impl Gating {
    /// The gate of a product with `up`, where the activation is all that stands between the maps.
    fn gate<'a>(&self, gate: &'a Matrix, up: &Matrix) -> Option<Gate<'a>> {
        let alone = self.clamp.is_none() && gate.format() == up.format();
        alone.then(|| Gate { weights: gate, activation: curve(self.activation) })
    }

    /// `activation(gate) * up`, held within the limits.
    fn apply(&self, kernels: &Kernels, mut gate: Floats, mut up: Floats) -> Floats {
        let curve = curve(self.activation);
        if let Some(Clamp { limit, gate: order }) = self.clamp {
            clamp(kernels, &mut up, -limit..=limit);
            match order {
                ClampOrder::BeforeActivation => {
                    clamp(kernels, &mut gate, f32::NEG_INFINITY..=limit);
                    activate(kernels, curve, &mut gate);
                }
                ClampOrder::AfterActivation => {
                    activate(kernels, curve, &mut gate);
                    clamp(kernels, &mut gate, f32::NEG_INFINITY..=limit);
                }
            }
            multiply(kernels, &mut gate, &up);
            return gate;
        }
        let mut inner = kernels.floats(gate.len());
        activation::gated(kernels, curve, &gate, &up, &mut inner);
        inner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_held_before_or_after_its_activation_and_only_from_above() {
        let silu = |x: f32| x / (1.0 + (-x).exp());
        let inner = |order: Option<ClampOrder>| {
            let clamp = order.map(|gate| Clamp { limit: 2.0, gate });
            let gating = Gating { activation: Activation::Silu, clamp };
            let [gate, up] = [vec![3.0, 3.0, -5.0], vec![1.0, 4.0, -4.0]].map(Floats::from);
            gating.apply(&Kernels::new(1), gate, up)
        };
        let cases = [
            (None, [silu(3.0), 4.0 * silu(3.0), -4.0 * silu(-5.0)]),
            (Some(ClampOrder::BeforeActivation), [silu(2.0), 2.0 * silu(2.0), -2.0 * silu(-5.0)]),
            (Some(ClampOrder::AfterActivation), [2.0, 4.0, -2.0 * silu(-5.0)]),
        ];
        for (order, wanted) in cases {
            let found = inner(order);
            let close =
                found.iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-5);
            assert!(close, "{order:?}: {found:?}, not {wanted:?}");
        }
    }
}
