//! Multi-head latent attention with its weights, in the absorbed form: a head's query is taken to
//! the latent's space, meets the cached latents there, and the mixed latent is taken to the value.
//! One form for one token and for many, so that a row's result does not depend on its company.

use crate::Caches;
use crate::decoder::Pass;
use crate::linear::Linear;
use crate::mixer::indexer::Indexer;
use crate::mixer::softmax::gated;
use crate::mixer::{spans, write_rows};
use crate::norm::Norm;
use baimo_blueprint as blueprint;
use baimo_kernels::attention::{Attention, attention};
use baimo_kernels::matmul::{Activations, Matrix, Product, products};
use baimo_kernels::{Floats, HeadLayout};

/// Multi-head latent attention; see [`blueprint::Latent`].
pub struct Latent {
    pub(crate) shape: blueprint::Latent,
    pub(crate) query: Query,
    pub(crate) kv_down: Linear,
    pub(crate) kv_norm: Norm,
    /// Per head `[rank, nope_dim]`.
    pub(crate) k_up: Vec<Matrix>,
    /// Per head `[v_dim, rank]`.
    pub(crate) v_up: Vec<Matrix>,
    pub(crate) o: Linear,
    pub(crate) rope_norm: Option<Norm>,
    pub(crate) gate: Option<Linear>,
    pub(crate) choice: Option<Choice>,
    /// The number of its rotation.
    pub(crate) rotation: Option<usize>,
    /// The number of its state.
    pub(crate) state: usize,
}

/// Which positions a row meets; see [`blueprint::Choice`].
pub enum Choice {
    /// Those of its own indexer.
    Indexed(Box<Indexer>),
    /// Those of the nearest layer below with an indexer.
    Shared,
}

/// How queries are made; see [`blueprint::Query`].
pub enum Query {
    /// One map.
    Direct(Linear),
    /// Down to a small rank, a norm, and up again.
    LowRank {
        /// To the rank.
        down: Linear,
        /// On the rank.
        norm: Norm,
        /// From the rank.
        up: Linear,
    },
}

impl Latent {
    pub(crate) fn forward(&self, pass: &Pass, x: &[f32], caches: &mut Caches) -> Floats {
        let shape = &self.shape;
        let width = shape.rank + shape.rope_dim;
        let (mut q, low) = self.queries(pass, x);
        let mut kv = self.kv_down.apply(pass.kernels, x);
        let whole = HeadLayout { row_stride: width, start: 0, heads: 1, head_stride: width, width };
        let latent = HeadLayout { width: shape.rank, ..whole };
        self.kv_norm.apply_heads(pass.kernels, &mut kv, latent);
        let key = HeadLayout { start: shape.rank, width: shape.rope_dim, ..whole };
        if let Some(norm) = &self.rope_norm {
            norm.apply_heads(pass.kernels, &mut kv, key);
        }
        if let (Some(rotation), Some(rope)) = (self.rotation, &shape.rope) {
            pass.rotate(&mut kv, key, rotation, rope.style);
            let heads = HeadLayout {
                start: shape.nope_dim,
                width: shape.rope_dim,
                ..HeadLayout::packed(shape.heads, shape.nope_dim + shape.rope_dim)
            };
            pass.rotate(&mut q, heads, rotation, rope.style);
        }
        match &self.choice {
            Some(Choice::Indexed(indexer)) => {
                let low = low.as_deref().expect("an indexer asks with the low-rank query");
                pass.choice.replace(Some(indexer.forward(pass, x, low, caches)));
            }
            Some(Choice::Shared) | None => (),
        }
        let choice = pass.choice.borrow();
        let store = caches.store(self.state);
        write_rows(pass, &kv, width, |pages, position, keys| {
            store.write(pass.kernels, pages, position, keys, &[]);
        });
        let q = self.absorb(pass, &q);
        let how = Attention {
            window: shape.window,
            choice: self.choice.as_ref().and(choice.as_ref()),
            ..Attention::causal(shape.heads, shape.scale)
        };
        let mut mixed = pass.kernels.floats(pass.rows() * shape.heads * shape.rank);
        attention(pass.kernels, &how, &q, store, &spans(pass), &mut mixed);
        let values = per_head(pass, &self.v_up, &mixed, 0..shape.rank, shape.rank);
        let mut joined = pass.kernels.floats(pass.rows() * shape.heads * shape.v_dim);
        by_row(pass, &values, shape.heads, &mut joined, shape.v_dim, |value, from, _| {
            value.copy_from_slice(from);
        });
        if let Some(gate) = &self.gate {
            gated(pass.kernels, gate, x, &mut joined);
        }
        self.o.apply(pass.kernels, &joined)
    }

    /// Every head's query, and the normed low-rank query where they come from one.
    fn queries(&self, pass: &Pass, x: &[f32]) -> (Floats, Option<Floats>) {
        match &self.query {
            Query::Direct(map) => (map.apply(pass.kernels, x), None),
            Query::LowRank { down, norm, up } => {
                let low = norm.apply(pass.kernels, &down.apply(pass.kernels, x));
                (up.apply(pass.kernels, &low), Some(low))
            }
        }
    }

    /// From `[rows, heads, nope | rope]` to `[rows, heads, rank | rope]`.
    fn absorb(&self, pass: &Pass, q: &[f32]) -> Floats {
        let shape = &self.shape;
        let (before, width) = (shape.nope_dim + shape.rope_dim, shape.rank + shape.rope_dim);
        let latents = per_head(pass, &self.k_up, q, 0..shape.nope_dim, before);
        let mut absorbed = pass.kernels.floats(pass.rows() * shape.heads * width);
        by_row(pass, &latents, shape.heads, &mut absorbed, width, |new, latent, place| {
            new[..shape.rank].copy_from_slice(latent);
            new[shape.rank..].copy_from_slice(&q[place * before..][shape.nope_dim..before]);
        });
        absorbed
    }
}

/// Maps the numbers `part` of each head's `stride` in `x` (`[rows, heads, stride]`) by the head's
/// own map, all heads in one region: `[heads, rows, outputs]`.
fn per_head(
    pass: &Pass,
    maps: &[Matrix],
    x: &[f32],
    part: std::ops::Range<usize>,
    stride: usize,
) -> Floats {
    let (rows, heads, outputs) = (pass.rows(), maps.len(), maps[0].rows());
    let mut by_head = pass.kernels.floats(rows * heads * part.len());
    pass.kernels.pool.run_rows(&mut by_head, part.len(), &|first, to| {
        for (index, to) in (first..).zip(to.chunks_exact_mut(part.len())) {
            let (head, row) = (index / rows, index % rows);
            to.copy_from_slice(&x[(row * heads + head) * stride..][part.clone()]);
        }
    });
    let input = Activations::new(pass.kernels, &by_head, part.len(), maps);
    let rows_of: Vec<u32> = (0..(heads * rows) as u32).collect();
    let mut y = pass.kernels.floats(heads * rows * outputs);
    let mut list: Vec<Product> = maps
        .iter()
        .zip(rows_of.chunks_exact(rows))
        .zip(y.chunks_exact_mut(rows * outputs))
        .map(|((weights, rows), output)| Product {
            weights,
            gate: None,
            input: &input,
            input_rows: Some(rows),
            output,
        })
        .collect();
    products(pass.kernels, &mut list);
    drop(list);
    y
}

/// Makes `[rows, heads, stride]` of `[heads, rows, width]`: `fill` gets what to write, what stands
/// there of its head and row, and its place.
fn by_row(
    pass: &Pass,
    from: &[f32],
    heads: usize,
    to: &mut [f32],
    stride: usize,
    fill: impl Fn(&mut [f32], &[f32], usize) + Sync,
) {
    let rows = pass.rows();
    let width = from.len() / (heads * rows);
    pass.kernels.pool.run_rows(to, stride, &|first, to| {
        for (place, to) in (first..).zip(to.chunks_exact_mut(stride)) {
            let (row, head) = (place / heads, place % heads);
            fill(to, &from[(head * rows + row) * width..][..width], place);
        }
    });
}
