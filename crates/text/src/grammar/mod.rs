//! What a model may say: JSON of a schema, text of a grammar, calls of tools.
//!
//! A [`Grammar`] is a rule for text, from a request. A [`TokenEnvironment`] is made once for each
//! model and turns it into a [`Constraint`], which says token by token what may come next. Where
//! that depends on what the model has written so far, on thoughts above all, [`Guide`] decides
//! when a constraint counts.
//!
//! The work is done by the crate `llguidance`; this module decides what is asked of it, and within
//! which limits, so that a hostile schema is an error and not a standstill.

mod arguments;
mod calls;
mod constraint;
mod environment;
mod error;
mod gbnf;
mod guide;
mod kind;
mod limits;
mod plan;
mod schema;
mod source;
mod writer;

pub use constraint::{Allowed, Constraint};
pub use environment::TokenEnvironment;
pub use error::GrammarError;
pub use guide::Guide;
pub use plan::{ToolChoice, Wish};
pub use source::Grammar;
