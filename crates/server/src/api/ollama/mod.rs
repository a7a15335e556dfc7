//! Ollama's dialect.

mod convert;
pub mod embedding;
pub mod generation;
pub mod models;
pub mod request;
mod stay;
mod telling;

use crate::app::Shared;
use crate::error::Refusal;
use axum::Router;
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, head, post};
use chrono::{SecondsFormat, Utc};
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};
use std::convert::Infallible;

/// Its doors.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/chat", post(generation::chat))
        .route("/api/generate", post(generation::generate))
        .route("/api/embed", post(embedding::embed))
        .route("/api/tags", get(models::tags))
        .route("/api/ps", get(models::running))
        .route("/api/show", post(models::show))
        .route("/api/version", get(models::version))
        .route("/api/pull", post(models::not_kept))
        .route("/api/push", post(models::not_kept))
        .route("/api/create", post(models::not_kept))
        .route("/api/copy", post(models::not_kept))
        .route("/api/delete", delete(models::not_kept))
        .route("/api/blobs/{digest}", head(models::not_kept).post(models::not_kept))
}

/// A refusal in Ollama's words.
#[derive(Debug)]
pub struct Error(pub Refusal);

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error(refusal)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let Error(refusal) = self;
        refusal.response(error_body(&refusal))
    }
}

/// `{"error": ".."}`.
pub fn error_body(refusal: &Refusal) -> Value {
    json!({ "error": refusal.in_words(&FIELDS) })
}

/// What fields are called here, where the parts that all dialects share say OpenAI's name.
const FIELDS: [(&str, &str); 4] = [
    ("response_format", "format"),
    ("reasoning_effort", "think"),
    ("enable_thinking", "think"),
    ("stop", "options.stop"),
];

/// Objects, a line each. A failure is told in a line of its own, the last.
fn lines(objects: impl Stream<Item = Result<Value, Refusal>> + Send + 'static) -> Response {
    let lines = objects.map(|object| {
        let object = object.unwrap_or_else(|refusal| error_body(&refusal));
        Ok::<_, Infallible>(format!("{object}\n"))
    });
    let content_type = (header::CONTENT_TYPE, "application/x-ndjson");
    let unbuffered = (header::HeaderName::from_static("x-accel-buffering"), "no");
    ([content_type, unbuffered], Body::from_stream(lines)).into_response()
}

/// Now, as Ollama writes it.
fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Nanos, true)
}
