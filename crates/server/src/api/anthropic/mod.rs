//! Anthropic's dialect.

mod blocks;
mod conversation;
mod convert;
pub mod messages;
pub mod request;
mod turn;

use crate::app::Shared;
use crate::error::Refusal;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

/// Its doors.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/messages", post(messages::messages))
        .route("/v1/messages/count_tokens", post(messages::count_tokens))
}

/// A refusal in Anthropic's words.
#[derive(Debug)]
pub struct Error {
    /// What is refused.
    pub refusal: Refusal,
    /// What the request is called.
    pub request_id: String,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.refusal.response(error_body(&self.refusal, &self.request_id))
    }
}

/// `{"type": "error", "error": {type, message}, "request_id"}`.
pub fn error_body(refusal: &Refusal, request_id: &str) -> Value {
    let kind = match refusal.status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => "timeout_error",
        status if status.is_server_error() => "api_error",
        _ => "invalid_request_error",
    };
    let message = refusal.in_words(&FIELDS);
    json!({
        "type": "error",
        "error": { "type": kind, "message": message },
        "request_id": request_id,
    })
}

/// What fields are called here, where the parts that all dialects share say OpenAI's name.
const FIELDS: [(&str, &str); 7] = [
    ("response_format", "output_config.format"),
    ("reasoning_effort", "output_config.effort"),
    ("enable_thinking", "thinking"),
    ("thinking_budget", "thinking.budget_tokens"),
    ("stop", "stop_sequences"),
    (".function.parameters", ".input_schema"),
    (".function", ""),
];
