//! The indexer with its weights: which positions each row attends to.

use crate::Caches;
use crate::decoder::Pass;
use crate::linear::{Linear, apply_all};
use crate::mixer::{spans, write_rows};
use crate::norm::Norm;
use baimo_blueprint as blueprint;
use baimo_kernels::HeadLayout;
use baimo_kernels::attention::{Choice, Chooser, choose};

/// The indexer; see [`blueprint::Indexer`].
pub struct Indexer {
    pub(crate) shape: blueprint::Indexer,
    pub(crate) q: Linear,
    pub(crate) k: Linear,
    pub(crate) k_norm: Norm,
    pub(crate) weights: Linear,
    /// The number of its rotation.
    pub(crate) rotation: Option<usize>,
    /// The number of its state.
    pub(crate) state: usize,
}

impl Indexer {
    /// What each row chooses, given the normed rows `x` and their normed low-rank queries.
    pub(crate) fn forward(
        &self,
        pass: &Pass,
        x: &[f32],
        low: &[f32],
        caches: &mut Caches,
    ) -> Choice {
        let shape = &self.shape;
        let mut q = self.q.apply(pass.kernels, low);
        let [k, weights] = apply_all(pass.kernels, x, [&self.k, &self.weights]);
        let mut k = self.k_norm.apply(pass.kernels, &k);
        if let (Some(rotation), Some(rope)) = (self.rotation, &shape.rope) {
            for (heads, x) in [(shape.heads, &mut q), (1, &mut k)] {
                let whole = HeadLayout::packed(heads, shape.dim);
                let slice = HeadLayout { start: shape.rope_start, width: rope.dim, ..whole };
                pass.rotate(x, slice, rotation, rope.style);
            }
        }
        let store = caches.index(self.state);
        write_rows(pass, &k, shape.dim, |pages, position, keys| {
            store.write(pass.kernels, pages, position, keys);
        });
        let how = Chooser { heads: shape.heads, active: shape.active, q: &q, weights: &weights };
        choose(pass.kernels, &how, store, &spans(pass))
    }
}
