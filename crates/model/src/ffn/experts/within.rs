//! Meeting experts of which only some are in memory.

use super::plan::Plan;
use super::{Ahead, Experts};
use crate::ffn::expert_cache::ExpertCache;
use baimo_kernels::{Floats, Kernels};
use std::sync::{Arc, OnceLock};

/// The cache of a model's experts, if it has one, and which of its layers this is.
#[derive(Default)]
pub(crate) struct Within {
    /// Set when all of the model is loaded.
    pub cache: Arc<OnceLock<ExpertCache>>,
    pub layer: usize,
}

impl Experts {
    /// Every expert's output for its tokens, a round of experts after the other; while one is met,
    /// the next is brought; and when all were asked for, the thread that brings them is told what
    /// the next layer may want. Zeros where experts cannot be brought: the cache tells why.
    pub(super) fn meet_in_rounds(
        &self,
        kernels: &Kernels,
        x: &[f32],
        plan: &Plan,
        cache: &ExpertCache,
        ahead: Option<&Ahead>,
    ) -> Floats {
        let layer = self.within.layer;
        let experts: Vec<usize> = plan.experts().collect();
        cache.chose(layer, &experts);
        let rounds = cache.rounds(layer, &experts);
        let ask = |round: usize| {
            let asked = rounds.get(round).map(|run| &experts[run.clone()])?;
            cache.ask(layer, asked).then_some(asked)
        };
        let mut outputs = kernels.zeros(plan.places() * self.down[0].rows());
        let (mut next, mut done) = (ask(0), 0);
        for (round, run) in rounds.iter().enumerate() {
            let Some(these) = next else { break };
            next = ask(round + 1);
            if let Some(ahead) = ahead.filter(|_| round + 1 == rounds.len()) {
                cache.expect(ahead.layer(), &ahead.guesses(kernels));
            }
            if cache.wait(layer, these) {
                let (met, _) = self.meet(kernels, x, &plan.part(run.clone()));
                outputs[done..][..met.len()].copy_from_slice(&met);
                done += met.len();
            }
            cache.let_go(layer, these);
        }
        outputs
    }
}
