//! What a model writes, taken apart: thoughts, words and calls of tools.
//!
//! [`Parser`] reads the stream by the [`Voice`](baimo_blueprint::Voice) of the model's family,
//! character by character, so that where the stream is cut makes no difference. [`Reply`] puts the
//! pieces together again.

mod argument;
mod call;
mod json;
mod lexer;
mod parser;
mod python;
mod reply;
mod switch;
pub(crate) mod typed;

pub use baimo_blueprint::Voice;
pub use parser::Parser;
pub(crate) use parser::Place;
pub use reply::{Call, Reply};
pub use switch::{NoSwitch, switch_thinking};

/// A piece of a reply, in the order of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// More of the thoughts.
    Reasoning(String),
    /// More of the answer.
    Content(String),
    /// A call begins.
    CallStart {
        /// Which call of the reply, from 0.
        index: usize,
        /// The id that the model gave it, in the syntaxes where it does.
        id: Option<String>,
        /// The function.
        name: String,
    },
    /// More of a call's arguments: all of them together are the text of a JSON object, where the
    /// model wrote one and was not cut off.
    Arguments {
        /// Which call.
        index: usize,
        /// The next part.
        text: String,
    },
    /// The call's arguments are complete, or the stream has ended within them.
    CallEnd {
        /// Which call.
        index: usize,
    },
}
