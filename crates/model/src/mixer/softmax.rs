//! Softmax attention with its weights.

use crate::Caches;
use crate::decoder::Pass;
use crate::linear::{Linear, apply_all};
use crate::mixer::spans;
use crate::norm::Norm;
use baimo_blueprint as blueprint;
use baimo_kernels::HeadLayout;
use baimo_kernels::attention::{Attention, attention};

/// Softmax attention; see [`blueprint::Softmax`].
pub struct Softmax {
    pub(crate) shape: blueprint::Softmax,
    pub(crate) q: Linear,
    pub(crate) k: Linear,
    pub(crate) v: Linear,
    pub(crate) o: Linear,
    pub(crate) q_norm: Option<Norm>,
    pub(crate) k_norm: Option<Norm>,
    /// The number of its rotation.
    pub(crate) rotation: Option<usize>,
    /// The number of its state.
    pub(crate) state: usize,
}

impl Softmax {
    pub(crate) fn forward(&self, pass: &Pass, x: &[f32], caches: &mut Caches) -> Vec<f32> {
        let shape = &self.shape;
        let [mut q, mut k, v] = apply_all(pass.kernels, x, [&self.q, &self.k, &self.v]);
        for (heads, norm, x) in
            [(shape.heads, &self.q_norm, &mut q), (shape.kv_heads, &self.k_norm, &mut k)]
        {
            let layout = HeadLayout::packed(heads, shape.qk_dim);
            if let Some(norm) = norm {
                norm.apply_heads(pass.kernels, x, layout);
            }
            if let (Some(rotation), Some(rope)) = (self.rotation, &shape.rope) {
                pass.rotate(x, HeadLayout { width: rope.dim, ..layout }, rotation, rope.style);
            }
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
        let how = Attention { window: shape.window, ..causal };
        let mut mixed = vec![0.0; pass.rows() * shape.heads * shape.v_dim];
        attention(pass.kernels, &how, &q, store, &spans(pass), &mut mixed);
        self.o.apply(pass.kernels, &mixed)
    }
}
