//! Latent attention: its weights as it runs on them.

use super::Loader;
use crate::mixer::indexer::Indexer;
use crate::mixer::latent::{Choice, Latent, Query};
use baimo_blueprint as blueprint;
use baimo_weights::{Error, Role};

impl Loader<'_, '_> {
    /// Its states are the model's from the `state`-th on.
    pub(super) fn latent(
        &mut self,
        shape: &blueprint::Latent,
        state: usize,
    ) -> Result<Latent, Error> {
        Ok(Latent {
            query: match &shape.query {
                blueprint::Query::Direct(map) => Query::Direct(self.linear(map)?),
                blueprint::Query::LowRank { down, norm, up } => Query::LowRank {
                    down: self.linear(down)?,
                    norm: self.norm(norm)?,
                    up: self.linear(up)?,
                },
            },
            kv_down: self.linear(&shape.kv_down)?,
            kv_norm: self.scaled(&shape.kv_norm, shape.kv_scale)?,
            k_up: self.heads(&shape.k_up)?,
            v_up: self.heads(&shape.v_up)?,
            o: self.linear(&shape.o)?,
            rope_norm: shape.rope_norm.as_ref().map(|norm| self.norm(norm)).transpose()?,
            gate: self.gate(&shape.gate, shape.heads)?,
            choice: self.choice(&shape.choice, state + 1)?,
            rotation: shape.rope.as_ref().map(|rope| self.rotations.index(rope)),
            state,
            shape: shape.clone(),
        })
    }

    /// Its keys are kept in the model's `state`-th state.
    fn choice(
        &mut self,
        choice: &Option<blueprint::Choice>,
        state: usize,
    ) -> Result<Option<Choice>, Error> {
        Ok(match choice {
            None => None,
            Some(blueprint::Choice::Shared) => Some(Choice::Shared),
            Some(blueprint::Choice::Indexed(shape)) => Some(Choice::Indexed(Box::new(Indexer {
                q: self.linear(&shape.q)?,
                k: self.linear(&shape.k)?,
                k_norm: self.norm(&shape.k_norm)?,
                weights: self.linear_as(&shape.weights, Role::Router)?,
                rotation: shape.rope.as_ref().map(|rope| self.rotations.index(rope)),
                state,
                shape: shape.clone(),
            }))),
        })
    }
}
