//! Recurrences with a matrix for a state, one per head: linear attention, the delta rule and
//! state spaces are the same loop with another way to forget and to write.
//!
//! For each row, with the head's state `S` of `[k_dim, v_dim]`:
//!
//! ```text
//! S = decay * S                            forget: one factor, or one for each key channel
//! S = S + k (rate * v)^T                   write; or, by the delta rule,
//! S = S + k (rate * (v - S^T k))^T         only what the state does not say yet
//! out = scale * S^T q + skip * v
//! ```
//!
//! (Linear attention: Katharopoulos et al., arXiv:2006.16236; the delta rule: arXiv:2406.06484;
//! both gated: arXiv:2412.06464; state spaces in this form: arXiv:2405.21060.)
//!
//! Rows follow one another and every sum runs over the key channels upwards, so a row's bits
//! depend neither on how its sequence was cut nor on its company. Columns of a state never meet:
//! a panel of them stays in the first cache while many rows pass, and threads share heads or,
//! where heads are few, panels.

mod columns;
mod forget;
mod step;
#[cfg(test)]
mod tests;
mod tile;

pub use forget::{bounded_decays, decays, steps};

use crate::lanes::on_wide;
use crate::threads::Shared;
use crate::{Kernels, SlotSpan, SlotStore};
use step::Task;
use tile::Part;

/// Columns of a state that lie together: 128 rows of them fit the first cache.
pub(crate) const PANEL: usize = 32;

/// Tasks that leave no thread without work for long.
const TASKS_PER_THREAD: usize = 4;

/// What a recurrence computes.
#[derive(Clone, Copy, Debug)]
pub struct Recurrence<'a> {
    /// Heads of values.
    pub heads: usize,
    /// Heads of queries and keys, each of `heads / key_heads` heads of values.
    pub key_heads: usize,
    /// Of which.
    pub sharing: Sharing,
    /// Width of a query and of a key.
    pub k_dim: usize,
    /// Width of a value.
    pub v_dim: usize,
    /// Multiplies what is read.
    pub scale: f32,
    /// What is written.
    pub write: Write,
    /// For each head the part of the value that is added to what is read.
    pub skip: Option<&'a [f32]>,
}

/// Which heads of values have the same queries and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// So many in a row: head `h` those of head `h / (heads / key_heads)`.
    Neighbours,
    /// One after every `key_heads`: head `h` those of head `h % key_heads`.
    Turns,
}

/// What a row adds to the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The value.
    Value,
    /// The value less what the state says of the key: the delta rule.
    Difference,
}

/// What a recurrence is fed with, for every row.
#[derive(Clone, Copy, Debug)]
pub struct Fed<'a> {
    /// `[rows, key_heads, k_dim]`
    pub q: &'a [f32],
    /// `[rows, key_heads, k_dim]`
    pub k: &'a [f32],
    /// `[rows, heads, v_dim]`
    pub v: &'a [f32],
    /// What remains of the state.
    pub decays: Decays<'a>,
    /// `[rows, heads]`: how strongly is written; one where absent.
    pub rates: Option<&'a [f32]>,
}

/// The factors by which states shrink.
#[derive(Clone, Copy, Debug)]
pub enum Decays<'a> {
    /// `[heads]`, the same in every row.
    Fixed(&'a [f32]),
    /// `[rows, heads]`
    PerHead(&'a [f32]),
    /// `[rows, heads, k_dim]`
    PerChannel(&'a [f32]),
}

/// Numbers that the states of all heads take in a slot: `[heads, panels, k_dim, 32]`, a panel
/// being 32 columns of a state, the last filled up with zeros.
pub fn kept(heads: usize, k_dim: usize, v_dim: usize) -> usize {
    heads * v_dim.div_ceil(PANEL) * PANEL * k_dim
}

/// Runs the rows of each span one after another on the states that `store` keeps from number
/// `start` of the span's slot on. `out` is `[rows, heads, v_dim]`; rows outside all spans are left
/// as they are.
///
/// # Panics
/// Where shapes do not agree, spans do not ascend or two of them have one slot.
pub fn recur(
    kernels: &Kernels,
    how: &Recurrence,
    fed: &Fed,
    store: &mut SlotStore,
    start: usize,
    spans: &[SlotSpan],
    out: &mut [f32],
) {
    let kept = kept(how.heads, how.k_dim, how.v_dim);
    store.check(start..start + kept, spans, check(how, fed, out));
    let panels = how.v_dim.div_ceil(PANEL);
    // A head's panels share its keys; where heads are few, threads share its panels.
    let enough = spans.len() * how.heads >= TASKS_PER_THREAD * kernels.pool.threads();
    let together = if enough { panels } else { 1 };
    let (each, out, states) = (store.each, Shared::new(out), Shared::new(&mut store.numbers));
    let per_head = panels / together;
    kernels.pool.run(spans.len() * how.heads * per_head, &|task| {
        let (span, head) = (spans[task / per_head / how.heads], task / per_head % how.heads);
        let panel = task % per_head * together;
        let first = span.slot * each + start + (head * panels + panel) * how.k_dim * PANEL;
        // SAFETY: slots differ between spans (`check`), panels within a span.
        let state = unsafe { states.part(first..first + together * how.k_dim * PANEL) };
        let part = Part { head, panels: panel..panel + together };
        on_wide(kernels.isa, Task { how, fed, span, part, state, out: &out });
    });
}

/// The number of rows, where shapes agree.
fn check(how: &Recurrence, fed: &Fed, out: &[f32]) -> usize {
    let Recurrence { heads, key_heads, k_dim, v_dim, .. } = *how;
    assert!(heads > 0 && k_dim > 0 && v_dim > 0 && key_heads > 0, "{how:?}");
    assert!(heads.is_multiple_of(key_heads), "{heads} heads on {key_heads}");
    let rows = out.len() / (heads * v_dim);
    assert_eq!(out.len(), rows * heads * v_dim, "an output of whole rows");
    assert_eq!(fed.v.len(), out.len(), "a value for each output");
    assert_eq!(fed.q.len(), rows * key_heads * k_dim, "a query for each row and key head");
    assert_eq!(fed.k.len(), fed.q.len(), "a key for each query");
    let (decays, wanted) = match fed.decays {
        Decays::Fixed(decays) => (decays, heads),
        Decays::PerHead(decays) => (decays, rows * heads),
        Decays::PerChannel(decays) => (decays, rows * heads * k_dim),
    };
    assert_eq!(decays.len(), wanted, "a decay for each state");
    assert!(fed.rates.is_none_or(|rates| rates.len() == rows * heads), "a rate for each head");
    assert!(how.skip.is_none_or(|skip| skip.len() == heads), "a skip for each head");
    rows
}
