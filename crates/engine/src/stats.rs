//! What the engine has done and has in hand.

/// Counts since the engine was made, and how things stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Sequences that hold pages.
    pub running: usize,
    /// Sequences that wait for their turn, paused ones among them.
    pub waiting: usize,
    /// All pages.
    pub pages: usize,
    /// Pages that no sequence holds.
    pub pages_free: usize,
    /// Of these, pages whose rows are kept for sequences that begin alike.
    pub pages_kept: usize,
    /// Bytes of copies of slots.
    pub snapshot_bytes: usize,
    /// Bytes of files that keep what memory need not.
    pub spill_bytes: u64,
    /// How often a sequence was paused, as pages were short.
    pub preemptions: u64,
    /// Tokens of prompts that ran.
    pub prefix_queried: u64,
    /// Of these, tokens that were not computed, as the caches had their rows.
    pub prefix_hit: u64,
    /// Steps that computed something.
    pub steps: u64,
    /// Tokens computed, of prompts or once more.
    pub prompt_computed: u64,
    /// Tokens chosen.
    pub generated: u64,
}
