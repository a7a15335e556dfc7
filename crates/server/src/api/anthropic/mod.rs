//! Anthropic's dialect.

mod blocks;
mod conversation;
mod convert;
pub mod messages;
pub mod request;
mod turn;

use crate::app::Shared;
use crate::error::Refusal;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

/// Its doors.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/messages", post(messages::messages))
        .route("/v1/messages/count_tokens", post(messages::count_tokens))
}

/// The header by which a request is named in an answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

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
        let body = error_body(&self.refusal, &self.request_id);
        let mut response = (self.refusal.status, Json(body)).into_response();
        if let Some(seconds) = self.refusal.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        name_request(&mut response, &self.request_id);
        response
    }
}

/// Says in a header what the request is called.
fn name_request(response: &mut Response, request_id: &str) {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
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
