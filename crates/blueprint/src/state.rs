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
    /// A block of one size, however many positions it stands for.
    Fixed {
        /// Inputs of convolutions.
        inputs: usize,
        /// Heads with a matrix each.
        heads: usize,
        /// Rows of a matrix.
        k_dim: usize,
        /// Columns of a matrix.
        v_dim: usize,
    },
    /// One key for every position, to choose positions by.
    Keys {
        /// Width of the key.
        dim: usize,
    },
    /// The mean key of each head over every run of positions, to choose positions by; the keys are
    /// those of the next state in rows.
    Pooled {
        /// Key heads.
        heads: usize,
        /// Width of a key.
        dim: usize,
        /// Positions in a run.
        run: usize,
        /// Positions from the beginning of a run to that of the next.
        stride: usize,
    },
}

impl State {
    /// Numbers kept for each position.
    pub fn numbers_per_token(&self) -> usize {
        match *self {
            State::Rows { heads, k_dim, v_dim, .. } => heads * (k_dim + v_dim),
            State::LatentRows { rank, rope_dim } => rank + rope_dim,
            State::Keys { dim } => dim,
            State::Pooled { heads, dim, stride, .. } => (heads * dim).div_ceil(stride),
            State::Fixed { .. } => 0,
        }
    }

    /// Numbers kept for each sequence, beside those for its positions.
    pub fn numbers_per_sequence(&self) -> usize {
        match *self {
            State::Rows { .. }
            | State::LatentRows { .. }
            | State::Keys { .. }
            | State::Pooled { .. } => 0,
            State::Fixed { inputs, heads, k_dim, v_dim } => inputs + heads * k_dim * v_dim,
        }
    }
}
