//! The dialects, and the doors to them.

pub mod anthropic;
pub mod dialect;
pub mod ollama;
pub mod openai;
pub mod operation;
pub mod page;
pub mod rerank;
pub mod responses;
pub mod tokens;

use crate::app::Shared;
use crate::config::Config;
use crate::error::Refusal;
use crate::gate::gate;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::any::Any;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{Any as Anybody, CorsLayer};
use utoipa::OpenApi;

/// All doors.
pub fn router(app: Shared) -> Router {
    let doors = Router::new()
        .route("/v1/chat/completions", post(openai::chat::chat))
        .merge(anthropic::routes())
        .merge(ollama::routes())
        .route("/v1/completions", post(openai::completions::completions))
        .route("/v1/embeddings", post(openai::embeddings::embeddings))
        .route("/rerank", post(rerank::rerank))
        .route("/v1/rerank", post(rerank::rerank))
        .route("/v2/rerank", post(rerank::second_rerank))
        .route("/score", post(rerank::score))
        .route("/v1/score", post(rerank::score))
        .route("/tokenize", post(tokens::tokenize))
        .route("/detokenize", post(tokens::detokenize))
        .route("/apply-template", post(tokens::apply_template))
        .route("/v1/responses", post(responses::create))
        .route("/v1/responses/input_tokens", post(responses::input_tokens))
        .route("/v1/responses/{id}", get(responses::retrieve).delete(responses::delete))
        .route("/v1/responses/{id}/cancel", post(responses::cancel))
        .route("/v1/responses/{id}/input_items", get(responses::input_items))
        .route("/v1/models", get(openai::models::list))
        .route("/v1/models/{*model}", get(openai::models::one).post(operation::change_model))
        .route("/models/load", post(operation::load_model))
        .route("/models/unload", post(operation::unload_model))
        .route("/", get(page::index))
        .route("/page/{file}", get(page::file))
        .route("/health", get(operation::health))
        .route("/v1/health", get(operation::health))
        .route("/ready", get(operation::ready))
        .route("/metrics", get(operation::metrics))
        .route("/version", get(operation::version))
        .route("/openapi.json", get(operation::openapi))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        // The gate has read the body, within its limits.
        .layer(DefaultBodyLimit::disable())
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(app.clone(), gate));
    match cors(&app.config) {
        Some(cors) => doors.layer(cors).with_state(app),
        None => doors.with_state(app),
    }
}

/// What the doors are, as OpenAPI has it.
#[derive(Debug, OpenApi)]
#[openapi(
    info(title = "baimo", description = "Models behind the APIs that clients know."),
    paths(
        anthropic::messages::count_tokens,
        anthropic::messages::messages,
        ollama::embedding::embed,
        ollama::generation::chat,
        ollama::generation::generate,
        ollama::models::running,
        ollama::models::show,
        ollama::models::tags,
        ollama::models::version,
        openai::chat::chat,
        openai::completions::completions,
        openai::embeddings::embeddings,
        responses::create,
        responses::input_tokens,
        responses::retrieve,
        responses::delete,
        responses::cancel,
        responses::input_items,
        openai::models::list,
        openai::models::one,
        operation::change_model,
        operation::health,
        operation::load_model,
        operation::metrics,
        operation::ready,
        operation::unload_model,
        operation::version,
        rerank::rerank,
        rerank::second_rerank,
        rerank::score,
        tokens::tokenize,
        tokens::detokenize,
        tokens::apply_template,
    )
)]
pub struct Doors;

/// Pages of other origins, where there are any that may use the server.
fn cors(config: &Config) -> Option<CorsLayer> {
    let origins = &config.cors_origins;
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(Anybody)
        .expose_headers([header::RETRY_AFTER, header::HeaderName::from_static("x-request-id")]);
    match origins.iter().any(|origin| origin == "*") {
        true => Some(layer.allow_origin(Anybody)),
        false if origins.is_empty() => None,
        false => {
            let known = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
            Some(layer.allow_origin(known.collect::<Vec<_>>()))
        }
    }
}

async fn unknown(method: Method, uri: Uri) -> Response {
    let message = format!("{method} {}: no such path\nhint: /openapi.json lists them", uri.path());
    refuse(&uri, Refusal::new(StatusCode::NOT_FOUND, "not_found", message))
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let message = format!("{method} {}: this path takes another method", uri.path());
    refuse(&uri, Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message))
}

fn refuse(uri: &Uri, refusal: Refusal) -> Response {
    let record = crate::record::current();
    let id = record.as_ref().map_or("", |record| record.id());
    dialect::Dialect::of(uri.path()).refuse(refusal, id)
}

/// A mistake of ours, which takes down nothing but its own request.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    openai::Error(Refusal::internal("the server has made a mistake; its log has more"))
        .into_response()
}
