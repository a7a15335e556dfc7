//! Which dialect a client speaks, where a request is refused before its handler sees it.

use super::{anthropic, ollama, openai};
use crate::error::Refusal;
use axum::response::{IntoResponse, Response};

/// Whose words a refusal is told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Also that of doors which are nobody's.
    OpenAi,
    /// Below `/v1/messages`.
    Anthropic,
    /// Below `/api`.
    Ollama,
}

impl Dialect {
    /// Of a path.
    pub fn of(path: &str) -> Dialect {
        let below = |root: &str| {
            let rest = path.strip_prefix(root);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match () {
            () if below("/v1/messages") => Dialect::Anthropic,
            () if below("/api") => Dialect::Ollama,
            () => Dialect::OpenAi,
        }
    }

    /// The refusal of the request of this name.
    pub fn refuse(self, refusal: Refusal, id: &str) -> Response {
        match self {
            Dialect::OpenAi => openai::Error(refusal).into_response(),
            Dialect::Anthropic => {
                anthropic::Error { refusal, request_id: id.to_owned() }.into_response()
            }
            Dialect::Ollama => ollama::Error(refusal).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_whose_dialect_it_is() {
        assert_eq!(Dialect::of("/v1/messages"), Dialect::Anthropic);
        assert_eq!(Dialect::of("/v1/messages/count_tokens"), Dialect::Anthropic);
        assert_eq!(Dialect::of("/v1/messagesx"), Dialect::OpenAi);
        assert_eq!(Dialect::of("/api/chat"), Dialect::Ollama);
        assert_eq!(Dialect::of("/v1/chat/completions"), Dialect::OpenAi);
    }
}
