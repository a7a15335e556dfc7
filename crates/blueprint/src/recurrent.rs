//! Mixers with a matrix for a state: linear attention, the delta rule, state spaces.

use crate::layer::linears;
use crate::{Linear, Norm, Rope, Tensor};

/// A mixer that keeps one matrix `S` of `[k_dim, v_dim]` per head, however long the sequence.
///
/// For each position `S = decay * S`, then `S = S + k · written`, and `S · q * scale` is read, with
/// `written` by [`Write`]. Linear attention with fixed decay (arXiv:2401.04658), the gated delta
/// rule (arXiv:2412.06464), the same with a decay per channel (arXiv:2510.26692) and state spaces
/// in their dual form (arXiv:2405.21060: `C` is the query, `B` the key, `x` the value) differ in
/// the parts below.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurrent {
    /// Value heads.
    pub heads: usize,
    /// Query and key heads, each of `heads / key_heads` value heads.
    pub key_heads: usize,
    /// Of which.
    pub sharing: Sharing,
    /// Width of a query and of a key.
    pub k_dim: usize,
    /// Width of a value.
    pub v_dim: usize,
    /// `[key_heads * k_dim]`
    pub q: Stream,
    /// `[key_heads * k_dim]`
    pub k: Stream,
    /// `[heads * v_dim]`
    pub v: Stream,
    /// Queries and keys are divided by `sqrt(sum of their squares + this)`, each head's alone.
    pub unit_eps: Option<f32>,
    /// Queries and keys are normed and rotated as those of attention are.
    pub turned: Option<Turned>,
    /// Multiplies what is read.
    pub scale: f32,
    /// What remains of the state.
    pub decay: Decay,
    /// What is written to the state.
    pub write: Write,
    /// `[heads]`: times the value, this is added to what is read.
    pub skip: Option<Tensor>,
    /// On all that was read.
    pub norm: GatedNorm,
    /// `[hidden, heads * v_dim]`
    pub o: Linear,
}

/// Which value heads have the same query and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// So many in a row.
    Neighbours,
    /// One after every `key_heads`: the first of each key head, then the second of each.
    Turns,
}

/// What attention does to queries and keys, in a recurrent mixer.
#[derive(Clone, Debug, PartialEq)]
pub struct Turned {
    /// On each query head, before the rotation.
    pub q_norm: Option<Norm>,
    /// On each key head, before the rotation.
    pub k_norm: Option<Norm>,
    /// Rotation of the first numbers of each query and key.
    pub rope: Rope,
}

/// A linear map of the residual stream and what follows it at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// From the residual stream.
    pub map: Linear,
    /// Over the last positions.
    pub convolution: Option<Convolution>,
    /// At the end.
    pub curve: Curve,
}

/// A causal convolution of each channel by itself: a weighted sum of the last `taps` inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// How many inputs a position sees, its own included.
    pub taps: usize,
    /// `[channels, taps]`, the oldest input first.
    pub weight: Tensor,
    /// `[channels]`
    pub bias: Option<Tensor>,
}

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// `x`
    Identity,
    /// `x * sigmoid(x)`
    Silu,
    /// `1 / (1 + e^-x)`
    Sigmoid,
}

/// How a state shrinks at each position.
#[derive(Clone, Debug, PartialEq)]
pub enum Decay {
    /// By the same factor always, one for each head.
    Fixed(Vec<f32>),
    /// By what each position says.
    Learned {
        /// `[heads]` numbers, or `[heads * k_dim]`: a factor for each head, or for each of its key
        /// channels.
        map: Projection,
        /// As many numbers, added to the map's.
        bias: Tensor,
        /// `[heads]`: their exponentials are the heads' rates.
        log_rates: Tensor,
        /// From these to the factors.
        form: DecayForm,
    },
}

/// From the numbers `x` of a map with its bias to factors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DecayForm {
    /// `e^(-rate * step)` with `step = softplus(x)`, held within two limits.
    Softplus {
        /// The least step.
        least: f32,
        /// The greatest step.
        most: f32,
    },
    /// `e^(lowest * sigmoid(rate * x))`
    Bounded {
        /// The logarithm of the smallest factor.
        lowest: f32,
    },
}

impl DecayForm {
    /// The softplus without limits.
    pub const SOFTPLUS: DecayForm = DecayForm::Softplus { least: 0.0, most: f32::INFINITY };
}

/// What a position writes to the state, beside its key.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// The value.
    Value,
    /// The value times the step of the head's decay.
    Step,
    /// The value less what the shrunk state says of the key, times `sigmoid` of this map
    /// (`[heads, hidden]`): the delta rule.
    Delta(Linear),
}

/// One linear map, or two with a small rank between them.
#[derive(Clone, Debug, PartialEq)]
pub enum Projection {
    /// One map.
    Direct(Linear),
    /// Down and up again.
    LowRank {
        /// `[rank, inputs]`
        down: Linear,
        /// `[outputs, rank]`
        up: Linear,
    },
}

/// A norm over groups of numbers, and a gate from the residual stream.
#[derive(Clone, Debug, PartialEq)]
pub struct GatedNorm {
    /// As many numbers together as it is wide: those of a head, of some heads or of all. Its weight
    /// is as wide, or has a number for each of `heads * v_dim`.
    pub norm: Norm,
    /// `[heads * v_dim]` from the residual stream.
    pub gate: Projection,
    /// On the gate.
    pub curve: Curve,
    /// Norm or gate first.
    pub order: GateOrder,
}

/// Which comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateOrder {
    /// The norm sees what the gate left.
    GateFirst,
    /// The gate multiplies what the norm gave.
    NormFirst,
}

impl Projection {
    /// Numbers it gives.
    pub fn outputs(&self) -> usize {
        match self {
            Projection::Direct(map) | Projection::LowRank { up: map, .. } => map.outputs(),
        }
    }

    fn tensors<'a>(&'a self, all: &mut Vec<&'a Tensor>) {
        match self {
            Projection::Direct(map) => map.tensors(all),
            Projection::LowRank { down, up } => linears(&[down, up], all),
        }
    }
}

impl Convolution {
    /// Numbers it keeps between steps: all inputs a position sees but its own.
    pub fn kept(&self) -> usize {
        (self.taps - 1) * self.weight.shape[0]
    }
}

impl Stream {
    /// A map alone.
    pub fn plain(map: Linear) -> Stream {
        Stream { map, convolution: None, curve: Curve::Identity }
    }

    fn tensors<'a>(&'a self, all: &mut Vec<&'a Tensor>) {
        self.map.tensors(all);
        if let Some(Convolution { taps: _, weight, bias }) = &self.convolution {
            all.push(weight);
            all.extend(bias);
        }
    }
}

impl Recurrent {
    /// Its streams: queries, keys, values.
    pub fn streams(&self) -> [&Stream; 3] {
        [&self.q, &self.k, &self.v]
    }

    pub(crate) fn tensors<'a>(&'a self, all: &mut Vec<&'a Tensor>) {
        self.streams().into_iter().for_each(|stream| stream.tensors(all));
        if let Some(Turned { q_norm, k_norm, rope: _ }) = &self.turned {
            q_norm.iter().chain(k_norm).for_each(|norm| norm.tensors(all));
        }
        match &self.decay {
            Decay::Fixed(_) => (),
            Decay::Learned { map, bias, log_rates, form: _ } => {
                map.tensors(all);
                all.extend([bias, log_rates]);
            }
        }
        match &self.write {
            Write::Value | Write::Step => (),
            Write::Delta(map) => map.tensors(all),
        }
        all.extend(&self.skip);
        self.norm.norm.tensors(all);
        self.norm.gate.tensors(all);
        self.o.tensors(all);
    }
}
