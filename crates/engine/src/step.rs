//! What a step is and what bounds it.

use crate::chain::Key;
use crate::request::RequestId;
use baimo_model::Opening;
use std::sync::Arc;
use std::time::Duration;

/// What bounds a step, a sequence, and what is kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tokens computed in one step, all sequences together; a prefix that is read in both
    /// directions is never cut, so one sequence of a step may go beyond with it.
    pub tokens_per_step: usize,
    /// Tokens of one sequence computed in one step, beside such a prefix.
    pub tokens_per_span: usize,
    /// Of these, most tokens of prompts in a step in which somebody waits for the next token of an
    /// answer.
    pub tokens_beside: usize,
    /// How much longer such a step should take for them: they are fewer where it took more. Where
    /// answers alone take longer than that, as long as they.
    pub time_beside: Duration,
    /// Sequences that run at once; never more than there are tokens in a step, so that each that
    /// runs comes forward in every step.
    pub sequences: usize,
    /// Requests that wait for their turn; more are refused.
    pub waiting: usize,
    /// Positions a sequence may have.
    pub context: usize,
    /// Whether what was computed of a sequence is kept for those that begin alike.
    pub reuse: bool,
    /// Bytes of copies of what sequences had in their slots, of models that have slots.
    pub snapshot_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            tokens_per_step: 512,
            tokens_per_span: 512,
            tokens_beside: 256,
            time_beside: Duration::from_millis(100),
            sequences: 16,
            waiting: 256,
            context: usize::MAX,
            reuse: true,
            snapshot_bytes: 1 << 30,
        }
    }
}

/// A decision: who runs, which tokens, where they are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// What the caches get back first, in this order.
    pub refills: Vec<Refill>,
    /// One entry for each sequence that runs.
    pub work: Vec<Work>,
}

/// What was in the caches before, and is needed there again.
#[derive(Clone, Debug, PartialEq)]
pub struct Refill {
    /// Where it goes.
    pub place: Place,
    /// As it was read from there.
    pub bytes: Arc<[u8]>,
}

/// A place in the caches, in all layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A page.
    Page(u32),
    /// A slot.
    Slot(usize),
}

/// One sequence's part of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Whose.
    pub request: RequestId,
    /// The tokens to compute.
    pub tokens: Vec<u32>,
    /// The position of the first of them.
    pub position: usize,
    /// How many tokens the sequence was given before it grew by itself.
    pub prompt: usize,
    /// How its beginning is read.
    pub opening: Opening,
    /// The tokens before them, so many as spans tell.
    pub before: Vec<u32>,
    /// The sequence's pages, enough for all of them. Those before the first token's may be other
    /// sequences' too.
    pub pages: Vec<u32>,
    /// The sequence's slot, its alone while it runs.
    pub slot: usize,
    /// Positions whose logits are wanted, ascending.
    pub wanted: Vec<usize>,
    /// Whether the hidden state of the last token is wanted.
    pub embedded: bool,
    /// Whether what is then in the slot is to be kept.
    pub snapshot: Option<Snapshot>,
}

/// A copy of a slot that is worth its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub key: Key,
    /// The one that it makes needless.
    pub instead_of: Option<Key>,
}
