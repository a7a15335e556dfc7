//! Mixers with a matrix for a state, with their weights; see [`blueprint::Recurrent`].
//!
//! A slot holds the inputs that convolutions look back on, stream by stream, then the matrices.

use crate::Caches;
use crate::batch::Span;
use crate::decoder::Pass;
use crate::linear::{Linear, apply_each};
use crate::norm::Norm;
use baimo_blueprint as blueprint;
use baimo_blueprint::{DecayForm, GateOrder, Rope};
use baimo_kernels::activation::{Activation, activate, gated};
use baimo_kernels::convolution::{Convolution, convolve};
use baimo_kernels::norm::rms_norm_heads;
use baimo_kernels::recurrence::{
    Decays, Fed, Recurrence, Sharing, Write, bounded_decays, decays, recur, steps,
};
use baimo_kernels::{Floats, HeadLayout, Kernels, SlotSpan, SlotStore};

/// A mixer with a matrix per head for the whole past; see [`blueprint::Recurrent`].
pub struct Recurrent {
    pub(crate) shape: blueprint::Recurrent,
    pub(crate) q: Stream,
    pub(crate) k: Stream,
    pub(crate) v: Stream,
    /// What makes queries and keys unit vectors: a norm whose weights are `1 / sqrt(k_dim)`.
    pub(crate) unit: Option<Norm>,
    pub(crate) turned: Option<Turned>,
    pub(crate) decay: Decay,
    /// To the strength of the delta rule.
    pub(crate) delta: Option<Linear>,
    pub(crate) skip: Option<Vec<f32>>,
    pub(crate) norm: GatedNorm,
    pub(crate) o: Linear,
    /// The number of its state.
    pub(crate) state: usize,
}

/// See [`blueprint::Turned`].
pub struct Turned {
    pub(crate) q_norm: Option<Norm>,
    pub(crate) k_norm: Option<Norm>,
    /// The number of its rotation.
    pub(crate) rotation: usize,
    pub(crate) rope: Rope,
}

/// See [`blueprint::Stream`].
pub struct Stream {
    pub(crate) map: Linear,
    pub(crate) convolution: Option<Taps>,
    pub(crate) activation: Activation,
}

/// See [`blueprint::Convolution`].
pub struct Taps {
    pub(crate) taps: usize,
    /// `[taps, channels]`
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Option<Vec<f32>>,
}

/// See [`blueprint::Decay`].
pub enum Decay {
    /// A factor per head.
    Fixed(Vec<f32>),
    /// By what each position says.
    Learned {
        /// To a number per head, or per key channel of each head.
        map: Projection,
        /// One for each of these numbers.
        bias: Vec<f32>,
        /// One for each of these numbers.
        rates: Vec<f32>,
        /// From these to factors.
        form: DecayForm,
    },
}

/// See [`blueprint::Projection`].
pub enum Projection {
    /// One map.
    Direct(Linear),
    /// Down and up again.
    LowRank {
        /// To the rank.
        down: Linear,
        /// From the rank.
        up: Linear,
    },
}

/// See [`blueprint::GatedNorm`].
pub struct GatedNorm {
    pub(crate) norm: Norm,
    pub(crate) gate: Projection,
    pub(crate) activation: Activation,
    pub(crate) order: GateOrder,
}

/// How much of the state is kept, and how strongly is written.
struct Control {
    /// Where they are learned.
    factors: Option<Floats>,
    rates: Option<Floats>,
}

impl Recurrent {
    pub(crate) fn forward(&self, pass: &Pass, x: &[f32], caches: &mut Caches) -> Floats {
        let (shape, kernels) = (&self.shape, pass.kernels);
        let store = caches.slots(self.state);
        let spans = slot_spans(&pass.batch.spans, store);
        let mut maps = vec![&self.q.map, &self.k.map, &self.v.map, self.norm.gate.first()];
        maps.extend(self.delta.as_ref());
        maps.extend(self.decay.map().map(Projection::first));
        let mut given = apply_each(kernels, x, &maps).into_iter();
        let mut next = || given.next().expect("an output for each map");
        let [q, k, v, gate] = [next(), next(), next(), next()];
        let rates = self.delta.as_ref().map(|_| next());
        let control = self.control(kernels, rates, self.decay.map().map(|_| next()));
        let mut start = 0;
        let mut follow = |stream: &Stream, x| stream.follow(kernels, x, store, &mut start, &spans);
        let (mut q, mut k, v) = (follow(&self.q, q), follow(&self.k, k), follow(&self.v, v));
        if let Some(unit) = &self.unit {
            let heads = HeadLayout::packed(shape.key_heads, shape.k_dim);
            unit.apply_heads(kernels, &mut q, heads);
            unit.apply_heads(kernels, &mut k, heads);
        }
        if let Some(turned) = &self.turned {
            let heads = HeadLayout::packed(shape.key_heads, shape.k_dim);
            turned.apply(pass, &mut q, &mut k, heads);
        }
        let fed = Fed {
            q: &q,
            k: &k,
            v: &v,
            decays: self.decay.spread(control.factors.as_deref(), shape.heads),
            rates: control.rates.as_deref(),
        };
        let how = Recurrence {
            heads: shape.heads,
            key_heads: shape.key_heads,
            sharing: match shape.sharing {
                blueprint::Sharing::Neighbours => Sharing::Neighbours,
                blueprint::Sharing::Turns => Sharing::Turns,
            },
            k_dim: shape.k_dim,
            v_dim: shape.v_dim,
            scale: shape.scale,
            write: match shape.write {
                blueprint::Write::Value | blueprint::Write::Step => Write::Value,
                blueprint::Write::Delta(_) => Write::Difference,
            },
            skip: self.skip.as_deref(),
        };
        let mut read = kernels.floats(v.len());
        recur(kernels, &how, &fed, store, start, &spans, &mut read);
        let gate = self.norm.gate.rest(kernels, gate);
        let read = self.norm.apply(kernels, &gate, read, shape.heads * shape.v_dim);
        self.o.apply(kernels, &read)
    }

    /// From what the delta rule's map and the first of the decay's gave.
    fn control(
        &self,
        kernels: &Kernels,
        mut delta: Option<Floats>,
        factors: Option<Floats>,
    ) -> Control {
        if let Some(rates) = &mut delta {
            activate(kernels, Activation::Sigmoid, rates);
        }
        let (Decay::Learned { map, bias, rates, form }, Some(factors)) = (&self.decay, factors)
        else {
            return Control { factors: None, rates: delta };
        };
        let mut factors = map.rest(kernels, factors);
        let mut stepped = None;
        match *form {
            DecayForm::Bounded { lowest } => {
                bounded_decays(kernels, &mut factors, bias, rates, lowest);
            }
            DecayForm::Softplus { least, most } => {
                steps(kernels, &mut factors, bias, &(least..=most));
                if self.shape.write == blueprint::Write::Step {
                    let mut copy = kernels.floats(factors.len());
                    copy.copy_from_slice(&factors);
                    stepped = Some(copy);
                }
                decays(kernels, &mut factors, rates);
            }
        }
        Control { factors: Some(factors), rates: delta.or(stepped) }
    }
}

/// Where each span's sequence keeps its state; those of new sequences are cleared.
pub(super) fn slot_spans(spans: &[Span], store: &mut SlotStore) -> Vec<SlotSpan> {
    let slot_span = |span: &Span| {
        if span.position == 0 {
            store.clear(span.slot);
        }
        SlotSpan { first_row: span.first_row, rows: span.rows, slot: span.slot }
    };
    spans.iter().map(slot_span).collect()
}

impl Turned {
    /// In place, each head of queries and keys.
    fn apply(&self, pass: &Pass, q: &mut [f32], k: &mut [f32], heads: HeadLayout) {
        for (norm, x) in [(&self.q_norm, q), (&self.k_norm, k)] {
            if let Some(norm) = norm {
                norm.apply_heads(pass.kernels, x, heads);
            }
            let first = HeadLayout { width: self.rope.dim, ..heads };
            pass.rotate(x, first, self.rotation, self.rope.style);
        }
    }
}

impl Stream {
    /// What follows the map; `start` moves behind what the stream keeps in a slot.
    fn follow(
        &self,
        kernels: &Kernels,
        mut x: Floats,
        store: &mut SlotStore,
        start: &mut usize,
        spans: &[SlotSpan],
    ) -> Floats {
        if let Some(Taps { taps, weight, bias }) = &self.convolution {
            let channels = self.map.weight.rows();
            let how = Convolution { taps: *taps, channels, weight, bias: bias.as_deref() };
            let mut out = kernels.floats(x.len());
            convolve(kernels, &how, &x, store, *start, spans, &mut out);
            *start += how.kept();
            x = out;
        }
        if self.activation != Activation::Identity {
            activate(kernels, self.activation, &mut x);
        }
        x
    }
}

impl Decay {
    /// Where it is learned.
    fn map(&self) -> Option<&Projection> {
        match self {
            Decay::Fixed(_) => None,
            Decay::Learned { map, .. } => Some(map),
        }
    }

    /// Which state each factor is for, of `learned` ones where they are.
    fn spread<'a>(&'a self, learned: Option<&'a [f32]>, heads: usize) -> Decays<'a> {
        match (self, learned) {
            (Decay::Fixed(factors), _) => Decays::Fixed(factors),
            (Decay::Learned { bias, .. }, Some(factors)) if bias.len() == heads => {
                Decays::PerHead(factors)
            }
            (Decay::Learned { .. }, factors) => Decays::PerChannel(factors.unwrap_or_default()),
        }
    }
}

impl Projection {
    /// The map that takes what the mixer does.
    fn first(&self) -> &Linear {
        match self {
            Projection::Direct(map) | Projection::LowRank { down: map, .. } => map,
        }
    }

    /// What follows the first map.
    fn rest(&self, kernels: &Kernels, x: Floats) -> Floats {
        match self {
            Projection::Direct(_) => x,
            Projection::LowRank { up, .. } => up.apply(kernels, &x),
        }
    }
}

impl GatedNorm {
    /// Norms the rows `read`, of `width` numbers each, and gates them.
    fn apply(&self, kernels: &Kernels, gate: &[f32], read: Floats, width: usize) -> Floats {
        match self.order {
            GateOrder::NormFirst => self.gated(kernels, gate, &self.normed(kernels, read, width)),
            GateOrder::GateFirst => self.normed(kernels, self.gated(kernels, gate, &read), width),
        }
    }

    fn gated(&self, kernels: &Kernels, gate: &[f32], read: &[f32]) -> Floats {
        let mut out = kernels.floats(read.len());
        gated(kernels, self.activation, gate, read, &mut out);
        out
    }

    fn normed(&self, kernels: &Kernels, mut read: Floats, width: usize) -> Floats {
        let group = self.norm.width;
        let weight = match &self.norm.weight {
            Some(weight) if weight.len() > group => weight,
            Some(_) | None => {
                let groups = HeadLayout::packed(width / group, group);
                self.norm.apply_heads(kernels, &mut read, groups);
                return read;
            }
        };
        for (index, weight) in weight.chunks_exact(group).enumerate() {
            let one = HeadLayout {
                row_stride: width,
                start: index * group,
                heads: 1,
                head_stride: group,
                width: group,
            };
            rms_norm_heads(kernels, &mut read, one, Some(weight), self.norm.eps);
        }
        read
    }
}
