//! What operators ask: health, metrics, the version, the list of doors.

use super::Doors;
use crate::app::Shared;
use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::{Value, json};
use utoipa::OpenApi;

/// Whether the server answers.
#[utoipa::path(
    get, path = "/health", tag = "operation",
    responses((status = 200, description = "It does"))
)]
pub async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// What is counted, for Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "Prometheus' text format", content_type = "text/plain"))
)]
pub async fn metrics(State(app): State<Shared>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.text())
}

/// The version.
#[utoipa::path(
    get, path = "/version", tag = "operation",
    responses((status = 200, description = "The version"))
)]
pub async fn version() -> Json<Value> {
    Json(json!({ "version": env!("CARGO_PKG_VERSION") }))
}

/// The list of doors, as OpenAPI has it.
pub async fn openapi() -> impl IntoResponse {
    let text = Doors::openapi().to_json().unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], text)
}
