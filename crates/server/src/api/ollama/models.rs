//! What Ollama's clients ask of models, beside answers.

use super::{Error, now};
use crate::app::{Shared, parse};
use crate::error::Refusal;
use crate::model::{About, Model};
use crate::registry::Listed;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The version of Ollama whose API is spoken: clients ask for one that is new enough.
const SPOKEN: &str = "0.12.11";

/// The version.
#[utoipa::path(
    get, path = "/api/version", tag = "Ollama",
    responses((status = 200, description = "Of Ollama whose API is spoken, and ours"))
)]
pub async fn version() -> Json<Value> {
    Json(json!({ "version": SPOKEN, "baimo": env!("CARGO_PKG_VERSION") }))
}

/// All models.
#[utoipa::path(
    get, path = "/api/tags", tag = "Ollama",
    responses((status = 200, description = "The models that are served"))
)]
pub async fn tags(State(app): State<Shared>) -> Json<Value> {
    let models: Vec<Value> = app.registry.list().await.iter().map(listed).collect();
    Json(json!({ "models": models }))
}

/// The models that are loaded.
#[utoipa::path(
    get, path = "/api/ps", tag = "Ollama",
    responses((status = 200, description = "The models that are loaded"))
)]
pub async fn running(State(app): State<Shared>) -> Json<Value> {
    let loaded = |model: &Listed| {
        let about = model.about.as_ref()?;
        let mut value = listed(model);
        // Far away, as nothing unloads a model at a known time.
        value["expires_at"] = "2200-01-01T00:00:00Z".into();
        value["size_vram"] = 0.into();
        value["context_length"] = about.context.into();
        Some(value)
    };
    let models: Vec<Value> = app.registry.list().await.iter().filter_map(loaded).collect();
    Json(json!({ "models": models }))
}

fn listed(model: &Listed) -> Value {
    let known_since = DateTime::<Utc>::from_timestamp(model.created as i64, 0).unwrap_or_default();
    json!({
        "name": model.name,
        "model": model.name,
        "modified_at": known_since.to_rfc3339_opts(SecondsFormat::Secs, true),
        "size": model.about.as_ref().map_or(0, |about| about.weight_bytes),
        // Of the name: it tells models of this server apart, and nothing of their files.
        "digest": blake3::hash(model.name.as_bytes()).to_hex().as_str(),
        "details": details(model.about.as_ref()),
    })
}

fn details(about: Option<&About>) -> Value {
    let family = about.map(|about| about.architecture.as_str()).unwrap_or_default();
    let families = if family.is_empty() { json!(null) } else { json!([family]) };
    json!({
        "parent_model": "",
        "format": "",
        "family": family,
        "families": families,
        "parameter_size": about.map(|about| size(about.parameters)).unwrap_or_default(),
        "quantization_level": about.map(|about| about.quantization.as_str()).unwrap_or_default(),
    })
}

/// Parameters in a word: `7.6B`.
fn size(parameters: u64) -> String {
    match parameters {
        0..1_000_000 => format!("{:.1}K", parameters as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1}M", parameters as f64 / 1e6),
        _ => format!("{:.1}B", parameters as f64 / 1e9),
    }
}

/// Which model is asked about.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ollama::ShowRequest)]
pub struct ShowRequest {
    /// The model.
    pub model: Option<String>,
    /// The same, as older clients have it.
    pub name: Option<String>,
    /// Only `false`: the vocabulary is not told.
    pub verbose: Option<bool>,
}

/// What there is to tell of a model; one that is not loaded is loaded for it.
#[utoipa::path(
    post, path = "/api/show", tag = "Ollama", request_body = ShowRequest,
    responses(
        (status = 200, description = "What there is to tell"),
        (status = 400, description = "A field is wrong or cannot be had"),
        (status = 404, description = "No such model"),
        (status = 413, description = "The body is too large"),
        (status = 503, description = "The model cannot be loaded"),
    )
)]
pub async fn show(State(app): State<Shared>, body: Bytes) -> Result<Json<Value>, Error> {
    let request: ShowRequest = parse(&body)?;
    if request.verbose == Some(true) {
        return Err(Refusal::field("verbose", "wanted false").into());
    }
    let Some(name) = request.model.or(request.name) else {
        return Err(Refusal::field("model", "`model` is missing").into());
    };
    let model = app.registry.get(Some(&name)).await?;
    let about = &model.about;
    let family = &about.architecture;
    Ok(Json(json!({
        "modified_at": now(),
        "license": "",
        "modelfile": format!("FROM {}\n", model.name),
        "parameters": parameters(&model),
        "template": model.template.as_ref().map(|t| t.source()).unwrap_or_default(),
        "details": details(Some(about)),
        "model_info": {
            "general.architecture": family,
            "general.parameter_count": about.parameters,
            format!("{family}.context_length"): about.context,
            format!("{family}.embedding_length"): about.hidden,
            format!("{family}.vocab_size"): about.vocab,
        },
        "capabilities": capabilities(&model),
    })))
}

/// What its makers recommend, as a Modelfile has it.
fn parameters(model: &Model) -> String {
    let sampling = &model.sampling;
    format!(
        "temperature {}\ntop_k {}\ntop_p {}\nmin_p {}\nrepeat_penalty {}",
        sampling.temperature,
        sampling.top_k,
        sampling.top_p,
        sampling.min_p,
        sampling.repetition_penalty,
    )
}

fn capabilities(model: &Model) -> Vec<&'static str> {
    let voice = model.voice.filter(|_| model.template.is_some());
    let mut capabilities = vec!["completion"];
    if voice.is_some_and(|voice| voice.calls.is_some()) {
        capabilities.push("tools");
    }
    if voice.is_some_and(|voice| voice.thinking.is_some()) {
        capabilities.push("thinking");
    }
    capabilities
}

/// Ollama keeps models of its own; this server is given them where it starts.
pub async fn not_kept(uri: Uri) -> Error {
    let message = format!(
        "{}: this server keeps no models of its own\n\
         hint: `baimo serve NAME=PATH` offers one that is there; /api/tags lists them",
        uri.path()
    );
    Error(Refusal::new(StatusCode::NOT_FOUND, "not_supported", message))
}
