//! What can be counted without weights: parameters and cache.

use crate::{Blueprint, Ffn};

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
}

impl Blueprint {
    /// Counts parameters and cache.
    pub fn count(&self) -> Count {
        let parameters = self.tensors().iter().map(|tensor| tensor.elements()).sum::<usize>();
        let idle_experts = self.layers.iter().flat_map(|layer| layer.ffns()).map(|ffn| match ffn {
            Ffn::Dense(_) => 0,
            Ffn::Experts(experts) => {
                let one = 3 * experts.width * self.hidden;
                (experts.count - experts.active) * one
            }
        });
        let idle_rows = if self.is_tied() { 0 } else { (self.vocab - 1) * self.hidden };
        let cached = self.states().iter().flatten().map(|state| state.numbers_per_token()).sum();
        Count {
            parameters,
            active: parameters - idle_experts.sum::<usize>() - idle_rows,
            cached_per_token: cached,
        }
    }
}
