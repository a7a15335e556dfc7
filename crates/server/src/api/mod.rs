//! The dialects, and the doors to them.

pub mod openai;
pub mod operation;

use crate::app::Shared;
use crate::error::Refusal;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use axum::routing::{get, post};
use utoipa::OpenApi;

/// All doors.
pub fn router(app: Shared) -> Router {
    let body_bytes = app.config.body_bytes;
    Router::new()
        .route("/v1/chat/completions", post(openai::chat::chat))
        .route("/v1/models", get(openai::models::list))
        .route("/v1/models/{*model}", get(openai::models::one))
        .route("/health", get(operation::health))
        .route("/v1/health", get(operation::health))
        .route("/metrics", get(operation::metrics))
        .route("/version", get(operation::version))
        .route("/openapi.json", get(operation::openapi))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(body_bytes))
        .with_state(app)
}

/// What the doors are, as OpenAPI has it.
#[derive(Debug, OpenApi)]
#[openapi(
    info(title = "baimo", description = "Models behind the APIs that clients know."),
    paths(
        openai::chat::chat,
        openai::models::list,
        openai::models::one,
        operation::health,
        operation::metrics,
        operation::version,
    )
)]
pub struct Doors;

async fn unknown(method: Method, uri: Uri) -> openai::Error {
    let message = format!("{method} {}: no such path\nhint: /openapi.json lists them", uri.path());
    Refusal::new(StatusCode::NOT_FOUND, "not_found", message).into()
}

async fn wrong_method(method: Method, uri: Uri) -> openai::Error {
    let message = format!("{method} {}: this path takes another method", uri.path());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).into()
}
