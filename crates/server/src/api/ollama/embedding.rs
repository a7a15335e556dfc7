//! `POST /api/embed`: texts to vectors.

use super::Error;
use super::request::KeepAlive;
use super::stay::Stay;
use crate::api::openai::embeddings::{dimensions, prompts, shortened, vectors};
use crate::api::openai::inputs::Inputs;
use crate::app::{Shared, parse};
use crate::error::Refusal;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::time::Instant;
use utoipa::ToSchema;

/// A request for vectors. A field that is not listed is refused by name.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ollama::EmbedRequest)]
pub struct EmbedRequest {
    /// The model.
    pub model: String,
    /// Texts, or tokens as they are: each becomes a vector. Without them, the model is loaded.
    pub input: Option<Inputs>,
    /// Only `false`: what is longer than the context is refused.
    pub truncate: Option<bool>,
    /// Only the first so many numbers, scaled to length one again.
    #[schema(minimum = 1)]
    pub dimensions: Option<usize>,
    /// Only an empty object: nothing is chosen, and the server loads models its own way.
    #[schema(value_type = Option<Object>)]
    pub options: Option<Map<String, Value>>,
    /// How long the model stays loaded.
    pub keep_alive: Option<KeepAlive>,
}

/// Gives the vectors of texts.
#[utoipa::path(
    post, path = "/api/embed", tag = "Ollama", request_body = EmbedRequest,
    responses(
        (status = 200, description = "A vector for each input"),
        (status = 400, description = "A field is wrong or cannot be had"),
        (status = 404, description = "No such model"),
        (status = 413, description = "The body is too large"),
        (status = 429, description = "All places are taken"),
        (status = 503, description = "The model cannot be loaded"),
        (status = 504, description = "It took longer than the server's deadline"),
    )
)]
pub async fn embed(State(app): State<Shared>, body: Bytes) -> Result<Json<Value>, Error> {
    let begun = Instant::now();
    let request: EmbedRequest = parse(&body)?;
    if request.truncate == Some(true) {
        let message = "wanted false: what is longer than the context is refused";
        return Err(Refusal::field("truncate", message).into());
    }
    if let Some((name, _)) = request.options.iter().flatten().next() {
        let message = "this server sets it when it starts: leave it out";
        return Err(Refusal::field(format!("options.{name}"), message).into());
    }
    let stay = Stay::new(request.keep_alive.as_ref())?;
    let model = app.registry.get(Some(&request.model)).await?;
    let loaded = begun.elapsed();
    stay.begin(&app, &model.name).await?;
    let dimensions = dimensions(request.dimensions, model.about.hidden)?;
    let prompts = request.input.map(|inputs| prompts(&model, inputs, None)).transpose()?;
    let prompts = prompts.unwrap_or_default();
    let vectors = vectors(&app, &model, prompts).await?;
    stay.end(&app, &model.name).await;
    let tokens: usize = vectors.iter().map(|(_, tokens)| tokens).sum();
    let vectors = vectors.into_iter().map(|(vector, _)| shortened(vector, dimensions));
    Ok(Json(json!({
        "model": request.model,
        "embeddings": vectors.collect::<Vec<_>>(),
        "total_duration": begun.elapsed().as_nanos() as u64,
        "load_duration": loaded.as_nanos() as u64,
        "prompt_eval_count": tokens,
    })))
}
