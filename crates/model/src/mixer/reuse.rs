//! Softmax attention over keys and values that another layer cached, with its weights.

use crate::Caches;
use crate::decoder::Pass;
use crate::linear::Linear;
use crate::mixer::spans;
use crate::norm::Norm;
use baimo_blueprint as blueprint;
use baimo_kernels::attention::{Attention, attention};
use baimo_kernels::{Floats, HeadLayout};

/// Softmax attention over another layer's keys and values; see [`blueprint::Reuse`].
pub struct Reuse {
    pub(crate) shape: blueprint::Reuse,
    pub(crate) q: Linear,
    pub(crate) o: Linear,
    pub(crate) q_norm: Option<Norm>,
    /// The number of its rotation.
    pub(crate) rotation: Option<usize>,
    /// The number of the state it reads, which holds this batch's rows already.
    pub(crate) state: usize,
}

impl Reuse {
    pub(crate) fn forward(&self, pass: &Pass, x: &[f32], caches: &mut Caches) -> Floats {
        let shape = &self.shape;
        let mut q = self.q.apply(pass.kernels, x);
        let heads = HeadLayout::packed(shape.heads, shape.qk_dim);
        if let (Some(rotation), Some(rope)) = (self.rotation, &shape.rope) {
            pass.rotate(&mut q, HeadLayout { width: rope.dim, ..heads }, rotation, rope.style);
        }
        if let Some(norm) = &self.q_norm {
            norm.apply_heads(pass.kernels, &mut q, heads);
        }
        let how = Attention::causal(shape.heads, shape.scale);
        let mut mixed = pass.kernels.floats(pass.rows() * shape.heads * shape.v_dim);
        attention(pass.kernels, &how, &q, caches.store(self.state), &spans(pass), &mut mixed);
        self.o.apply(pass.kernels, &mixed)
    }
}
