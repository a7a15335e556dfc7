//! What a mixer keeps between steps: all that the cache manager knows of a model.

/// What a mixer keeps for each sequence between steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A key and a value per head for every position.
    Rows {
        /// Key and value heads.
        heads: usize,
        /// Width of a key.
        k_dim: usize,
        /// Width of a value.
        v_dim: usize,
        /// Only the last so many positions are ever read; all where absent.
        window: Option<usize>,
    },
    /// One latent and one rotated key for every position, shared by all heads.
    LatentRows {
        /// Width of the latent.
        rank: usize,
        /// Width of the rotated key.
        rope_dim: usize,
    },
}

impl State {
    /// Numbers kept for each position.
    pub fn numbers_per_token(&self) -> usize {
        match *self {
            State::Rows { heads, k_dim, v_dim, .. } => heads * (k_dim + v_dim),
            State::LatentRows { rank, rope_dim } => rank + rope_dim,
        }
    }
}
