//! What operators ask: health, models in and out, metrics, the version, the list of doors.

use super::Doors;
use super::openai::Error;
use crate::app::{Shared, parse};
use crate::closing::Phase;
use crate::error::Refusal;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use utoipa::{OpenApi, ToSchema};

/// Whether the server lives.
#[utoipa::path(
    get, path = "/health", tag = "operation",
    responses((status = 200, description = "It does"))
)]
pub async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// Whether the first model is loaded.
#[utoipa::path(
    get, path = "/ready", tag = "operation",
    responses(
        (status = 200, description = "It is"),
        (status = 503, description = "It is being loaded, or the server is shutting down"),
    )
)]
pub async fn ready(State(app): State<Shared>) -> (StatusCode, Json<Value>) {
    let (status, word) = match (app.ready.load(Ordering::Acquire), app.closing.phase()) {
        (true, Phase::Open) => (StatusCode::OK, "ready"),
        (false, Phase::Open) => (StatusCode::SERVICE_UNAVAILABLE, "loading"),
        (_, Phase::Draining | Phase::Cut | Phase::Over) => {
            (StatusCode::SERVICE_UNAVAILABLE, "shutting down")
        }
    };
    (status, Json(json!({ "status": word })))
}

/// Which model is meant.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Its name.
    pub model: String,
}

/// Loads a model, so that the first to ask need not wait.
#[utoipa::path(
    post, path = "/models/load", tag = "operation", request_body = Which,
    responses(
        (status = 200, description = "It is loaded"),
        (status = 400, description = "The body is no JSON, or has other fields"),
        (status = 404, description = "No such model"),
        (status = 503, description = "It cannot be loaded"),
    )
)]
pub async fn load_model(State(app): State<Shared>, body: Bytes) -> Result<Json<Value>, Error> {
    let Which { model } = parse(&body)?;
    change(&app, &model, true).await
}

/// Unloads a model once its last answer has ended; who asks for it again loads it again.
#[utoipa::path(
    post, path = "/models/unload", tag = "operation", request_body = Which,
    responses(
        (status = 200, description = "It is not loaded any more"),
        (status = 400, description = "The body is no JSON, or has other fields"),
        (status = 404, description = "No such model"),
    )
)]
pub async fn unload_model(State(app): State<Shared>, body: Bytes) -> Result<Json<Value>, Error> {
    let Which { model } = parse(&body)?;
    change(&app, &model, false).await
}

/// Loads or unloads the model that the path names.
#[utoipa::path(
    post, path = "/v1/models/{model}", tag = "operation",
    params(("model" = String, Path, description = "Its name, then `/load` or `/unload`")),
    responses(
        (status = 200, description = "It is done"),
        (status = 404, description = "No such model, or no such change"),
        (status = 503, description = "It cannot be loaded"),
    )
)]
pub async fn change_model(
    State(app): State<Shared>,
    Path(path): Path<String>,
) -> Result<Json<Value>, Error> {
    // A model's name may have slashes of its own.
    match path.rsplit_once('/') {
        Some((model, "load")) => change(&app, model, true).await,
        Some((model, "unload")) => change(&app, model, false).await,
        Some(_) | None => {
            let message = format!("found `{path}`, wanted MODEL/load or MODEL/unload");
            Err(Refusal::new(StatusCode::NOT_FOUND, "not_found", message).into())
        }
    }
}

async fn change(app: &Shared, model: &str, load: bool) -> Result<Json<Value>, Error> {
    if load {
        app.registry.get(Some(model)).await?;
    } else {
        app.registry.unload(model).await?;
    }
    let status = if load { "loaded" } else { "unloaded" };
    Ok(Json(json!({ "success": true, "model": model, "status": status })))
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
