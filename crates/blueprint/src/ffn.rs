//! Blocks that transform each position alone.

use crate::layer::linears;
use crate::{Linear, Tensor};

/// A block that transforms each position alone.
#[derive(Clone, Debug, PartialEq)]
pub enum Ffn {
    /// One gated FFN for every token.
    Dense(Dense),
    /// One FFN without a gate for every token.
    Plain(Plain),
    /// A mixture of experts: each token meets a few of many.
    Experts(Experts),
}

/// A gated FFN: `down(activation(gate(x)) * up(x))` (arXiv:2002.05202).
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// Width between the maps.
    pub width: usize,
    /// On the gate.
    pub activation: Activation,
    /// Limits between the maps.
    pub clamp: Option<Clamp>,
    /// `[width, hidden]`.
    pub gate: Linear,
    /// `[width, hidden]`.
    pub up: Linear,
    /// `[hidden, width]`.
    pub down: Linear,
}

/// An FFN without a gate: `down(activation(up(x)))` (arXiv:1706.03762, section 3.3).
#[derive(Clone, Debug, PartialEq)]
pub struct Plain {
    /// Width between the maps.
    pub width: usize,
    /// Between the maps.
    pub activation: Activation,
    /// `[width, hidden]`.
    pub up: Linear,
    /// `[hidden, width]`.
    pub down: Linear,
}

/// The non-linearity of an FFN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// `x` times the share of a normal distribution below it (arXiv:1606.08415).
    Gelu,
    /// Its approximation by a hyperbolic tangent (same paper).
    GeluTanh,
}

/// Limits on what stands between a gated FFN's maps: `up` stays within `-limit..=limit`, the gate
/// at or below `limit`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clamp {
    /// Above zero.
    pub limit: f32,
    /// Where the gate is held.
    pub gate: ClampOrder,
}

/// Where a gate is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClampOrder {
    /// `activation(min(gate, limit))`.
    BeforeActivation,
    /// `min(activation(gate), limit)`.
    AfterActivation,
}

/// A mixture of gated FFNs (arXiv:2401.06066).
#[derive(Clone, Debug, PartialEq)]
pub struct Experts {
    /// How many experts there are.
    pub count: usize,
    /// How many further choices the router has that give a token back as it is (arXiv:2509.01322,
    /// section 2.1): after the experts in its numbering, and without tensors.
    pub identities: usize,
    /// How many of all these each token meets.
    pub active: usize,
    /// Width between an expert's maps.
    pub width: usize,
    /// On the gate.
    pub activation: Activation,
    /// Limits between an expert's maps.
    pub clamp: Option<Clamp>,
    /// Which experts, with which weights.
    pub router: Router,
    /// `[count]`, or `[1, count]` as some are stored: a factor on the weight of each expert.
    pub factors: Option<Tensor>,
    /// `[count, width, hidden]`.
    pub gate: Tensor,
    /// `[count, width, hidden]`.
    pub up: Tensor,
    /// `[count, hidden, width]`.
    pub down: Tensor,
    /// An FFN that every token meets besides.
    pub shared: Option<Shared>,
}

/// The FFN that every token meets beside its experts.
#[derive(Clone, Debug, PartialEq)]
pub struct Shared {
    /// Its maps.
    pub dense: Dense,
    /// `[1, hidden]`: its output is multiplied by `sigmoid(gate(x))`.
    pub gate: Option<Linear>,
}

/// How a token chooses its experts and weighs them.
///
/// Scores come from the logits; selection is by score plus bias, within the best groups where
/// groups are limited; the weights are the chosen scores without the bias, divided by their sum
/// where `renormalize`, then multiplied by `scale`.
#[derive(Clone, Debug, PartialEq)]
pub struct Router {
    /// `[width, hidden]`: a layer before the logits, with a hyperbolic tangent after it.
    pub inner: Option<Linear>,
    /// `[count + identities, hidden]`, or from the width of `inner`; logits are computed in f32.
    pub logits: Linear,
    /// The logits of a token are divided by their standard deviation, as that of a sample, and
    /// multiplied by this (arXiv:2406.06563).
    pub deviation: Option<f32>,
    /// From logits to scores.
    pub scores: Scores,
    /// `[count + identities]`: added to the scores for selection only (arXiv:2408.15664).
    pub bias: Option<Tensor>,
    /// Selection only from the best groups.
    pub groups: Option<GroupLimit>,
    /// Experts lie in so many equal groups, of which each gives the same number of experts, its
    /// best (arXiv:2505.21411).
    pub spread: Option<usize>,
    /// The chosen scores are divided by their sum, or by this where the sum is smaller.
    pub renormalize: Option<f32>,
    /// Multiplies the weights.
    pub scale: f32,
}

/// From a router's logits to scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scores {
    /// Over all experts.
    Softmax,
    /// Each expert alone.
    Sigmoid,
}

/// Experts in equal groups, of which a token may use only the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLimit {
    /// How many groups.
    pub groups: usize,
    /// How many of them are kept.
    pub kept: usize,
    /// What a group is judged by.
    pub score: GroupScore,
}

/// What a group of experts is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupScore {
    /// Its best expert.
    Best,
    /// The sum of its two best.
    BestTwo,
}

impl Ffn {
    pub(crate) fn tensors<'a>(&'a self, all: &mut Vec<&'a Tensor>) {
        match self {
            Ffn::Dense(dense) => dense.tensors(all),
            Ffn::Plain(plain) => linears(&[&plain.up, &plain.down], all),
            Ffn::Experts(experts) => {
                experts.router.inner.iter().for_each(|inner| inner.tensors(all));
                experts.router.logits.tensors(all);
                all.extend(&experts.router.bias);
                all.extend(&experts.factors);
                all.extend([&experts.gate, &experts.up, &experts.down]);
                if let Some(shared) = &experts.shared {
                    shared.dense.tensors(all);
                    shared.gate.iter().for_each(|gate| gate.tensors(all));
                }
            }
        }
    }
}

impl Dense {
    /// The usual three maps without bias: `{name}.gate_proj`, `.up_proj`, `.down_proj`.
    pub fn new(name: &str, hidden: usize, width: usize, activation: Activation) -> Dense {
        Dense {
            width,
            activation,
            clamp: None,
            gate: Linear::new(&format!("{name}.gate_proj"), width, hidden),
            up: Linear::new(&format!("{name}.up_proj"), width, hidden),
            down: Linear::new(&format!("{name}.down_proj"), hidden, width),
        }
    }

    /// With the biases `{name}.gate_proj.bias`, `.up_proj.bias`, `.down_proj.bias` where `present`.
    pub fn biased(mut self, name: &str, present: bool) -> Dense {
        self.gate = self.gate.biased(&format!("{name}.gate_proj"), present);
        self.up = self.up.biased(&format!("{name}.up_proj"), present);
        self.down = self.down.biased(&format!("{name}.down_proj"), present);
        self
    }

    fn tensors<'a>(&'a self, all: &mut Vec<&'a Tensor>) {
        linears(&[&self.gate, &self.up, &self.down], all);
    }
}
