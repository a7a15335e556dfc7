//! What the next mixture of experts will likely choose: what its router makes of the residual
//! stream as it is now.
//!
//! Each block adds little to the stream, so the answer is often the same as later ("Fast Inference
//! of Mixture-of-Experts Language Models with Offloading", arXiv:2312.17238, section 3.2).

use super::Experts;
use crate::ffn::expert_cache::Guess;
use crate::ffn::router::choose;
use crate::norm::Norm;
use baimo_kernels::{Floats, Kernels};

/// A mixture of experts to come, with the norm before it.
#[derive(Clone, Copy)]
pub(crate) struct Following<'a> {
    pub norm: Option<&'a Norm>,
    pub experts: &'a Experts,
}

impl<'a> Following<'a> {
    /// It with the stream as it is.
    pub fn seeing(self, kernels: &Kernels, stream: &[f32]) -> Ahead<'a> {
        let x = match self.norm {
            Some(norm) => norm.apply(kernels, stream),
            None => stream.to_vec().into(),
        };
        Ahead { experts: self.experts, x }
    }
}

/// A mixture of experts to come, with what it would see if nothing happened before.
pub(crate) struct Ahead<'a> {
    experts: &'a Experts,
    /// `[rows, hidden]`.
    x: Floats,
}

impl Ahead<'_> {
    /// Which of the layers with experts it is.
    pub fn layer(&self) -> usize {
        self.experts.within.layer
    }

    /// Its likely choices: the best of every row, then the second best of every row, and so on;
    /// each expert once.
    pub fn guesses(&self, kernels: &Kernels) -> Vec<Guess> {
        let Experts { active, router, logits, bias, gate, .. } = self.experts;
        let (all, _) = self.experts.logits(kernels, &self.x);
        let rows = all.chunks_exact(logits.weight.rows());
        let rows: Vec<_> = rows.map(|row| choose(router, row, bias.as_deref(), *active)).collect();
        let mut guesses: Vec<Guess> = Vec::new();
        for rank in 0..*active {
            let best = rows.iter().filter_map(|row| row.get(rank));
            for &(expert, _) in best.filter(|(expert, _)| *expert < gate.len()) {
                if guesses.iter().all(|guess| guess.expert != expert) {
                    guesses.push(Guess { expert, rank });
                }
            }
        }
        guesses
    }
}
