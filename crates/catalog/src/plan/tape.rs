//! What one forward pass does and needs, written down: its operations in order, the weights it
//! met, and what threads keep for it.

use baimo_kernels::Format;
use baimo_kernels::attention::{KvElement, KvLayout, PAGE};
use serde::{Deserialize, Serialize};

/// Which part of a model a weight belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Tables of rows for tokens and runs of tokens.
    Embeddings,
    /// Softmax attention and latent attention.
    Attention,
    /// Mixers with a state of fixed size.
    Recurrent,
    /// FFNs that every token meets.
    Ffn,
    /// Experts of which a token meets a few.
    Experts,
    /// What chooses among experts.
    Routers,
    /// Norms, biases and other vectors.
    Vectors,
    /// The map to logits, where it is not the embedding.
    Head,
}

impl Part {
    /// Every part, in the order they are told.
    pub const ALL: [Part; 8] = [
        Part::Embeddings,
        Part::Attention,
        Part::Recurrent,
        Part::Ffn,
        Part::Experts,
        Part::Routers,
        Part::Vectors,
        Part::Head,
    ];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Part::Embeddings => "embeddings",
            Part::Attention => "attention",
            Part::Recurrent => "recurrent mixers",
            Part::Ffn => "ffn",
            Part::Experts => "experts",
            Part::Routers => "routers",
            Part::Vectors => "norms and biases",
            Part::Head => "head",
        }
    }
}

/// Sequences of one length that advance together, and what they run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Sequences.
    pub sequences: usize,
    /// Rows of each.
    pub rows: usize,
    /// Positions before them.
    pub position: usize,
    /// Rows of all whose logits are wanted.
    pub wanted: usize,
    /// How cached numbers are stored.
    pub element: KvElement,
    /// Threads that compute.
    pub threads: usize,
}

impl Shape {
    /// Rows of all sequences.
    pub fn total(&self) -> usize {
        self.sequences * self.rows
    }
}

/// A weight matrix, or several alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matrices {
    /// Of their weights.
    pub format: Format,
    /// Outputs of each.
    pub rows: usize,
    /// Inputs of each.
    pub columns: usize,
    /// How many there are.
    pub count: usize,
}

/// Weights of one part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weight {
    /// Of which part.
    pub part: Part,
    /// How they are stored.
    pub matrices: Matrices,
    /// Bytes that may be mapped from a file.
    pub packed: usize,
    /// Bytes in this process's own memory in any case: vectors, outer scales.
    pub own: usize,
}

/// Products of matrices with rows in one parallel region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Product {
    /// Of each.
    pub matrices: Matrices,
    /// How many of them any row meets.
    pub met: f64,
    /// Rows that each of these meets.
    pub height: f64,
    /// Two matrices a product: the second's outputs gate the first's.
    pub gated: bool,
}

/// Softmax attention of one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attended {
    /// What is cached.
    pub layout: KvLayout,
    /// Query heads.
    pub heads: usize,
    /// Positions that a row sees at most.
    pub window: Option<usize>,
    /// Positions that each row chose, where rows choose.
    pub chosen: Option<usize>,
}

/// One operation of a pass.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Products in one region.
    Products(Vec<Product>),
    /// Softmax attention.
    Attention(Attended),
    /// Scores of all positions by which each row chooses some.
    Choice {
        /// Query heads.
        heads: usize,
        /// Width of a key.
        dim: usize,
        /// Keys that a row meets.
        keys: usize,
    },
    /// Scores of all pooled keys by which each row chooses blocks, for each key head.
    BlockChoice {
        /// Query heads.
        heads: usize,
        /// Key heads.
        kv_heads: usize,
        /// Width of a key.
        dim: usize,
        /// Pooled keys that a row meets.
        keys: usize,
    },
    /// A recurrence.
    Recurrence {
        /// Value heads.
        heads: usize,
        /// Width of a key.
        k_dim: usize,
        /// Width of a value.
        v_dim: usize,
        /// Whether by the delta rule.
        delta: bool,
        /// Whether each key channel has a decay of its own.
        by_channel: bool,
    },
    /// Work on numbers one by one.
    Numbers(Work, usize),
}

/// What is done to numbers one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Norm of whole rows.
    Norm,
    /// Norm of each head.
    HeadNorm,
    /// Rotation.
    Rope,
    /// A function of each number.
    Activate,
    /// A function of each number times another.
    Gate,
    /// Sums and products of two numbers.
    Add,
    /// Rounding of inputs to 8 bits.
    Int8,
    /// Rounding of inputs to 16 bits.
    Int16,
    /// Keys and values on their way to the cache.
    Cache,
    /// A convolution's inputs, by taps.
    Convolve,
    /// Numbers copied by one thread.
    Copy,
    /// Rows of heads laid out by heads, and back.
    Permute,
    /// Rows of a table of weights, read by one thread.
    Lookup,
    /// Cosines and sines, by one thread.
    Angles,
    /// Scores that a router sorts.
    Route,
    /// Outputs of experts that are added up.
    Mix,
    /// Learned decays of a state.
    Decay,
}

/// All that is written down.
#[derive(Debug, Default)]
pub struct Tape {
    /// In order.
    pub operations: Vec<Operation>,
    /// All of the model.
    pub weights: Vec<Weight>,
    /// Numbers that each thread keeps for attention.
    pub workspace: usize,
}

impl Product {
    /// All rows through all the matrices.
    pub fn of(matrices: Matrices, rows: usize) -> Product {
        Product { matrices, met: matrices.count as f64, height: rows as f64, gated: false }
    }
}

impl Attended {
    /// Positions that all tiles of so many tokens go through, one after the other: whole pages.
    pub(super) fn seen(&self, shape: &Shape, tokens: usize) -> f64 {
        let tiles = (0..shape.rows).step_by(tokens).map(|first| {
            let start = shape.position + first;
            let end = shape.position + (first + tokens).min(shape.rows);
            let from = self.window.map_or(0, |window| (start + 1).saturating_sub(window));
            (end.div_ceil(PAGE) - from / PAGE) * PAGE
        });
        tiles.sum::<usize>() as f64
    }
}

impl Operation {
    /// Whether rows go through it one by one, and not through what is cached.
    pub(super) fn is_by_row(&self) -> bool {
        match self {
            Operation::Products(_) | Operation::Numbers(..) => true,
            Operation::Attention(_)
            | Operation::Choice { .. }
            | Operation::BlockChoice { .. }
            | Operation::Recurrence { .. } => false,
        }
    }

    /// What kind it is of.
    pub fn kind(&self) -> String {
        match self {
            Operation::Products(list) => {
                let format = list.first().map_or("none", |product| product.matrices.format.name());
                format!("products, {format}")
            }
            Operation::Attention(_) => "attention".to_owned(),
            Operation::Choice { .. } | Operation::BlockChoice { .. } => "choice".to_owned(),
            Operation::Recurrence { .. } => "recurrence".to_owned(),
            Operation::Numbers(work, _) => format!("{work:?}").to_lowercase(),
        }
    }
}
