//! Blocks that transform each position alone, with their weights.

pub mod dense;
pub mod experts;
pub mod router;

use crate::decoder::Pass;

/// An FFN with its weights.
pub enum Ffn {
    /// One for every token.
    Dense(dense::Dense),
    /// A mixture of experts.
    Experts(experts::Experts),
}

impl Ffn {
    /// The block's output for the normed rows `x`.
    pub(crate) fn forward(&self, pass: &Pass, x: &[f32]) -> Vec<f32> {
        match self {
            Ffn::Dense(dense) => dense.forward(pass.kernels, x),
            Ffn::Experts(experts) => experts.forward(pass.kernels, x),
        }
    }
}
