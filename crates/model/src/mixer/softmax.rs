//! Softmax attention with its weights.

use crate::Caches;
use crate::decoder::Pass;
use crate::linear::{Linear, apply_all};
use crate::mixer::blocks::Blocks;
use crate::mixer::recurrent::slot_spans;
use crate::mixer::spans;
use crate::norm::Norm;
use baimo_blueprint as blueprint;
use baimo_blueprint::NormOrder;
use baimo_kernels::activation::{Activation, activate, multiply, scale};
use baimo_kernels::attention::{Attention, Bias, attention};
use baimo_kernels::convolution::{Convolution, convolve};
use baimo_kernels::{Floats, HeadLayout, Kernels, SlotStore};
use std::sync::Arc;

/// Softmax attention; see [`blueprint::Softmax`].
pub struct Softmax {
    pub(crate) shape: blueprint::Softmax,
    pub(crate) q: Linear,
    pub(crate) q_low: Option<LowRank>,
    pub(crate) k: Linear,
    pub(crate) v: Linear,
    pub(crate) o: Linear,
    pub(crate) smoothing: Option<Smoothing>,
    pub(crate) qk_norm: Option<QkNorm>,
    pub(crate) gate: Option<Linear>,
    pub(crate) blocks: Option<Blocks>,
    /// A score for each query head.
    pub(crate) sinks: Option<Vec<f32>>,
    /// Of each head, where scores fall with the distance.
    pub(crate) slopes: Option<Vec<f32>>,
    /// By the distance of the key; layers may share it.
    pub(crate) bias: Option<Arc<Bias>>,
    /// The number of its rotation.
    pub(crate) rotation: Option<usize>,
    /// The number of that of the numbers behind.
    pub(crate) second_rotation: Option<usize>,
    /// The number of its keys and values among the states; what smoothing keeps is before them.
    pub(crate) state: usize,
}

/// A short convolution of keys and values; see [`blueprint::Smoothing`].
pub struct Smoothing {
    pub(crate) taps: usize,
    /// `[taps, kv_heads * qk_dim]`
    pub(crate) k: Vec<f32>,
    /// `[taps, kv_heads * v_dim]`
    pub(crate) v: Vec<f32>,
}

/// A low rank that queries pass; see [`blueprint::LowRank`].
pub struct LowRank {
    pub(crate) down: Linear,
    pub(crate) norm: Norm,
}

/// Norms of queries and keys; see [`blueprint::QkNorm`].
pub struct QkNorm {
    pub(crate) q: Norm,
    pub(crate) k: Norm,
    pub(crate) order: NormOrder,
}

impl Softmax {
    pub(crate) fn forward(&self, pass: &Pass, x: &[f32], caches: &mut Caches) -> Floats {
        let shape = &self.shape;
        let first = self.q_low.as_ref().map_or(&self.q, |low| &low.down);
        let [mut q, mut k, mut v] = apply_all(pass.kernels, x, [first, &self.k, &self.v]);
        if let Some(low) = &self.q_low {
            q = self.q.apply(pass.kernels, &low.norm.apply(pass.kernels, &q));
        }
        if let Some(smoothing) = &self.smoothing {
            smoothing.apply(pass, &mut k, &mut v, caches.slots(self.state - 1));
        }
        match &self.qk_norm {
            None => self.rotate(pass, &mut q, &mut k),
            Some(norm) => match norm.order {
                NormOrder::BeforeRope => {
                    norm.forward(pass, &mut q, &mut k);
                    self.rotate(pass, &mut q, &mut k);
                }
                NormOrder::AfterRope => {
                    self.rotate(pass, &mut q, &mut k);
                    norm.forward(pass, &mut q, &mut k);
                }
            },
        }
        if shape.v_scale != 1.0 {
            scale(pass.kernels, &mut v, shape.v_scale);
        }
        if let Some(positions) = shape.log_beyond {
            multiply_by_logs(pass, &mut q, positions);
        }
        let store = caches.store(self.state);
        let (k_row, v_row) = (shape.kv_heads * shape.qk_dim, shape.kv_heads * shape.v_dim);
        for span in &pass.batch.spans {
            let rows = span.first_row..span.first_row + span.rows;
            let k = &k[rows.start * k_row..rows.end * k_row];
            let v = &v[rows.start * v_row..rows.end * v_row];
            store.write(pass.kernels, &span.pages, span.position, k, v);
        }
        let causal = Attention::causal(shape.heads, shape.scale);
        let how = Attention {
            window: shape.window,
            sinks: self.sinks.as_deref(),
            slopes: self.slopes.as_deref(),
            bias: self.bias.as_deref(),
            ..causal
        };
        let mut mixed = pass.kernels.floats(pass.rows() * shape.heads * shape.v_dim);
        match &self.blocks {
            None => attention(pass.kernels, &how, &q, store, &spans(pass), &mut mixed),
            Some(blocks) => {
                let (pooled, store) = caches.pooled(blocks.state, self.state);
                blocks.attend(pass, &how, &q, pooled, store, &mut mixed);
            }
        }
        if let Some(gate) = &self.gate {
            gated(pass.kernels, gate, x, &mut mixed);
        }
        self.o.apply(pass.kernels, &mixed)
    }

    fn rotate(&self, pass: &Pass, q: &mut [f32], k: &mut [f32]) {
        let shape = &self.shape;
        let ropes = [(self.rotation, &shape.rope), (self.second_rotation, &shape.second_rope)];
        let mut start = 0;
        for (rotation, rope) in ropes {
            let (Some(rotation), Some(rope)) = (rotation, rope) else { continue };
            for (heads, x) in [(shape.heads, &mut *q), (shape.kv_heads, &mut *k)] {
                let layout = HeadLayout::packed(heads, shape.qk_dim);
                let layout = HeadLayout { start, width: rope.dim, ..layout };
                pass.rotate(x, layout, rotation, rope.style);
            }
            start += rope.dim;
        }
    }
}

/// Multiplies each row's queries by the logarithm of the positions it sees, to the base `beyond`.
fn multiply_by_logs(pass: &Pass, q: &mut [f32], beyond: usize) {
    let row = q.len() / pass.rows();
    for (q, place) in q.chunks_exact_mut(row).zip(pass.batch.places()) {
        let seen = place.position + 1;
        if seen > beyond {
            let factor = ((seen as f64).ln() / (beyond as f64).ln()) as f32;
            q.iter_mut().for_each(|q| *q *= factor);
        }
    }
}

impl Smoothing {
    fn apply(&self, pass: &Pass, k: &mut Floats, v: &mut Floats, store: &mut SlotStore) {
        let spans = slot_spans(&pass.batch.spans, store);
        let mut start = 0;
        for (weight, x) in [(&self.k, k), (&self.v, v)] {
            let channels = weight.len() / self.taps;
            let how = Convolution { taps: self.taps, channels, weight, bias: None };
            let mut out = pass.kernels.floats(x.len());
            convolve(pass.kernels, &how, x, store, start, &spans, &mut out);
            start += how.kept();
            *x = out;
        }
    }
}

impl QkNorm {
    /// In place, as many numbers together as each norm is wide.
    fn forward(&self, pass: &Pass, q: &mut [f32], k: &mut [f32]) {
        for (norm, x) in [(&self.q, q), (&self.k, k)] {
            let heads = x.len() / pass.rows() / norm.width;
            norm.apply_heads(pass.kernels, x, HeadLayout::packed(heads, norm.width));
        }
    }
}

/// Multiplies what heads give for the rows `x` by `sigmoid(gate(x))`.
pub(super) fn gated(kernels: &Kernels, gate: &Linear, x: &[f32], values: &mut [f32]) {
    let mut gates = gate.apply(kernels, x);
    activate(kernels, Activation::Sigmoid, &mut gates);
    multiply_runs(kernels, values, &gates);
}

/// Multiplies equal runs of `x` by one factor each: as many runs as factors.
pub(super) fn multiply_runs(kernels: &Kernels, x: &mut [f32], factors: &[f32]) {
    let run = x.len() / factors.len().max(1);
    if run == 1 {
        return multiply(kernels, x, factors);
    }
    for (run, factor) in x.chunks_exact_mut(run.max(1)).zip(factors) {
        run.iter_mut().for_each(|x| *x *= factor);
    }
}
