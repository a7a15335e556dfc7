//! The one decoder: a Blueprint with weights, run on a [`Batch`].
//!
//! The model knows no request: a batch is flat and ragged, spans of consecutive positions that each
//! belong to some sequence. A row's result never depends on the other rows of its batch. Reading
//! order: [`batch`], [`decoder`], [`mixer`], [`ffn`], then [`load`] and [`runner`].

pub mod batch;
pub mod caches;
pub mod decoder;
pub mod ffn;
pub mod lengths;
mod linear;
pub mod load;
mod lookup;
pub mod mixer;
mod ngrams;
mod norm;
pub mod opening;
mod residual;
mod rope;
pub mod runner;

pub use batch::{Batch, Logits, Span};
pub use caches::{Caches, StateBytes};
pub use decoder::Decoder;
pub use ffn::expert_cache::Counts as ExpertCounts;
pub use lengths::Lengths;
pub use load::{Kept, Progress};
pub use opening::Opening;
pub use runner::{Inputs, Options, Runner};

pub use baimo_blueprint::{Prefix, PrefixEnd};
pub use baimo_kernels::attention::KvElement;
pub use baimo_kernels::{Kernels, limits};

/// How many tokens before its first row a span tells, where there are so many: what embeddings of
/// runs of tokens look back on.
pub const LOOKBACK: usize = 8;

/// Positions of one sequence that a page of the caches holds.
pub const PAGE_POSITIONS: usize = baimo_kernels::attention::PAGE;
