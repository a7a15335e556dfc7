//! What can be counted without weights: parameters and cache.

use crate::{Blueprint, Ffn, State};

/// The sizes of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// All parameters; a tied head counts once.
    pub parameters: usize,
    /// Parameters that take part in one token: of the experts, only the active ones. An embedding
    /// table that is not the head counts as the row that is read.
    pub active: usize,
    /// Numbers cached per position, all layers together.
    pub cached_per_token: usize,
    /// Numbers kept per sequence beside those, all layers together.
    pub kept_per_sequence: usize,
}

impl Blueprint {
    /// Counts parameters and cache.
    pub fn count(&self) -> Count {
        let parameters = self.tensors().iter().map(|tensor| tensor.elements()).sum::<usize>();
        let idle_experts = self.layers.iter().flat_map(|layer| layer.ffns()).map(|ffn| match ffn {
            Ffn::Dense(_) | Ffn::Plain(_) => 0,
            Ffn::Experts(experts) => {
                let one = 3 * experts.width * self.hidden;
                experts.count.saturating_sub(experts.active) * one
            }
        });
        let idle_rows =
            if self.is_tied() { 0 } else { (self.embedding.shape[0] - 1) * self.hidden };
        let idle_runs = self.ngrams.as_ref().map_or(0, |ngrams| ngrams.idle());
        let states: Vec<State> = self.states().into_iter().flatten().collect();
        Count {
            parameters,
            active: parameters - idle_experts.sum::<usize>() - idle_rows - idle_runs,
            cached_per_token: states.iter().map(State::numbers_per_token).sum(),
            kept_per_sequence: states.iter().map(State::numbers_per_sequence).sum(),
        }
    }
}
