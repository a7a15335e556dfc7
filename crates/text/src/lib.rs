//! Words to tokens and back: tokenizers, streams of text, chat templates.
//!
//! - [`Tokenizer`] reads what a model comes with (`tokenizer.json`, tiktoken ranks, SentencePiece,
//!   GGUF metadata) and turns text into the ids the model was trained with.
//! - [`Decoder`] turns ids into text one by one and never shows half a character;
//!   [`StopMatcher`] ends it at a stop string.
//! - [`Template`] renders a [`Chat`] as the model's own Jinja template has it.
//! - [`voice`] takes what the model writes apart: thoughts, words and calls of tools.
//! - [`grammar`] constrains what it may write: JSON, calls of tools, a budget of thoughts.
//!
//! Nothing here guesses: a vocabulary that is not understood is an [`Error`] that says so.

mod added;
mod bpe;
mod error;
pub mod grammar;
mod longest;
mod patterns;
mod pipeline;
mod source;
mod split;
mod stop;
mod stream;
mod template;
mod tokenizer;
mod vocabulary;
pub mod voice;
mod whitespace;

pub use error::{Error, Result};
pub use source::{GgufExport, GgufVocabulary};
pub use stop::{StopMatcher, StopOutcome};
pub use stream::Decoder;
pub use template::{Chat, Template};
pub use tokenizer::{EncodeOptions, Tokenizer};
