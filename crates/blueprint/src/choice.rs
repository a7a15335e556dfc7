//! Attention to a part of what came before.

use crate::layer::linears;
use crate::{Linear, Norm, Rope, Tensor};

/// Which positions a row meets, where it does not meet all.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// Those that the layer's own indexer chooses.
    Indexed(Indexer),
    /// Those that the nearest layer below with an indexer chose (arXiv:2603.12201).
    Shared,
}

/// Chooses for each row the positions with the largest scores
/// `sum over heads h of weights(x)[h] * max(0, q[h] · k)`, of equal ones the earlier
/// (the lightning indexer of arXiv:2512.02556, section 2.1).
///
/// Positive factors that references apply to all scores are left out, as they choose the same;
/// so are Hadamard turns of `q` and `k`, which change no product.
#[derive(Clone, Debug, PartialEq)]
pub struct Indexer {
    /// Query heads; they share one key.
    pub heads: usize,
    /// Width of a query and of the key.
    pub dim: usize,
    /// Positions a row meets at most; it meets all where there are no more.
    pub active: usize,
    /// Rotation of a slice of each query and of the key.
    pub rope: Option<Rope>,
    /// Where in a query and key the rotated slice begins.
    pub rope_start: usize,
    /// `[heads * dim, rank]`, from the normed low-rank query of the attention.
    pub q: Linear,
    /// `[dim, hidden]`.
    pub k: Linear,
    /// On the key, before its rotation.
    pub k_norm: Norm,
    /// `[heads, hidden]`, computed in f32.
    pub weights: Linear,
}

/// Whole blocks of positions, chosen for the query heads of each key head together, by keys that
/// are means of runs of positions (InfLLM-v2, arXiv:2509.24663, section 3).
///
/// A run's score is the sum over these heads of `exp(scale * q · mean) / sum of exp(scale * q ·
/// coarse mean)`, of runs that end at or before the row; coarse runs are longer and farther apart.
/// A block's score is the best of the runs that begin in it or one stride before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Rows of a sequence that has reached so many positions choose; those of a shorter one meet
    /// all positions before them. A sequence has reached its whole prompt at once.
    pub reached: usize,
    /// Positions in a block.
    pub positions: usize,
    /// Blocks that a row meets at most; it meets all where there are no more.
    pub active: usize,
    /// So many from the first on are met always.
    pub first: usize,
    /// So many up to the row's own are met always.
    pub latest: usize,
    /// Positions in a run.
    pub run: usize,
    /// Positions from the beginning of a run to that of the next: a divisor of `run` and of
    /// `positions`.
    pub stride: usize,
    /// How many times longer and farther apart coarse runs are.
    pub coarse: usize,
}

impl Choice {
    pub(crate) fn tensors<'a>(&'a self, all: &mut Vec<&'a Tensor>) {
        match self {
            Choice::Indexed(indexer) => {
                linears(&[&indexer.q, &indexer.k, &indexer.weights], all);
                indexer.k_norm.tensors(all);
            }
            Choice::Shared => (),
        }
    }
}
