//! Which dialect a client speaks, where a request is refused before its handler sees it.

use super::openai;
use crate::error::Refusal;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

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
        let (status, retry_after) = (refusal.status, refusal.retry_after);
        let mut response = match self {
            Dialect::OpenAi => return openai::Error(refusal).into_response(),
            Dialect::Anthropic => {
                let error = json!({ "type": anthropic_kind(status), "message": refusal.message });
                let body = json!({ "type": "error", "error": error, "request_id": id });
                (status, Json(body)).into_response()
            }
            Dialect::Ollama => (status, Json(json!({ "error": refusal.message }))).into_response(),
        };
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn anthropic_kind(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
        StatusCode::GATEWAY_TIMEOUT => "timeout_error",
        status if status.is_server_error() => "api_error",
        _ => "invalid_request_error",
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
