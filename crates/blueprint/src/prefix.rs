//! What is read in both directions before anything is written.

use std::ops::Range;

/// The beginning of a sequence, whose positions all see each other; what follows sees it whole and
/// is causal (prefix language models: arXiv:1910.10683, section 3.2.1, and arXiv:2103.10360).
#[derive(Clone, Debug, PartialEq)]
pub struct Prefix {
    /// Rows of the embedding table that stand before everything a sequence is given: they are
    /// learned and no token's (arXiv:2104.08691).
    pub lead: Range<u32>,
    /// Where it ends.
    pub end: PrefixEnd,
    /// Tokens that stand for text to be written. The first of these that a prompt holds decides
    /// where rows behind the prefix stand; without any they count on.
    pub gaps: Vec<Gap>,
}

/// Where a prefix ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixEnd {
    /// With the prompt.
    Prompt,
    /// Before the first such token of the prompt, or with a prompt that has none.
    Before(u32),
}

/// A token that stands for text to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Its number.
    pub token: u32,
    /// Where what is written for it stands.
    pub written: Standing,
}

/// Where a row behind the prefix stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// At its own position.
    Onward,
    /// All of them at the position of the token that they are written for.
    InGap,
}

/// What of a row is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    /// Where it stands.
    Sequence,
    /// How many positions it is behind the prefix; zero within.
    Written,
}
