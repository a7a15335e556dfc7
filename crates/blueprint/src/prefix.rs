//! What is read in both directions before anything is written.

use crate::Tensor;
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
    /// What segments a sequence falls into; it is all one without.
    pub segments: Option<Segments>,
}

/// How a sequence falls into segments, and how any two of them are related.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segments {
    /// Segments are of kinds: the lead is of one, all else of another. The relation of a row to a
    /// key is `kind of the row * kinds + kind of the key`.
    Kinds {
        /// How many kinds there are.
        kinds: usize,
        /// That of the lead.
        lead: usize,
        /// That of what is given and written.
        given: usize,
    },
    /// A token begins each segment of the prompt: first a root, then in turns a child of the root
    /// and its child. The relation of a row to a key is `up * depth_max + down`, by the steps up
    /// from the row's segment to the next one above both, and down from there to the key's.
    Tree {
        /// Begins a segment.
        start: u32,
        /// More than there are steps.
        depth_max: usize,
    },
}

/// A further table, of which a row is added to each embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Lookup {
    /// `[rows, hidden]`.
    pub table: Tensor,
    /// Which row.
    pub by: LookupBy,
}

/// Which row of a table is added to an embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupBy {
    /// One for rows of the lead, another for all else.
    Kind {
        /// That of the lead.
        lead: usize,
        /// That of what is given and written.
        given: usize,
    },
}

/// Where a prefix ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixEnd {
    /// With the prompt.
    Prompt,
    /// Before the first such token of the prompt, or with a prompt that has none.
    Before(u32),
    /// Before the last such token of the prompt, or with a prompt that has none.
    BeforeLast(u32),
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
