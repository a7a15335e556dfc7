//! `GET /v1/models`, for OpenAI's clients and Anthropic's: their fields have different names.

use super::Error;
use crate::app::Shared;
use crate::error::Refusal;
use crate::registry::Listed;
use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

/// All models.
#[utoipa::path(
    get, path = "/v1/models", tag = "OpenAI",
    responses((status = 200, description = "The models that are served"))
)]
pub async fn list(State(app): State<Shared>) -> Json<Value> {
    let models: Vec<Value> = app.registry.list().await.iter().map(model).collect();
    let names = app.registry.names();
    Json(json!({
        "object": "list",
        "data": models,
        "has_more": false,
        "first_id": names.first(),
        "last_id": names.last(),
    }))
}

/// One model.
#[utoipa::path(
    get, path = "/v1/models/{model}", tag = "OpenAI",
    params(("model" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The model"),
        (status = 404, description = "No such model"),
    )
)]
pub async fn one(
    State(app): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Error> {
    let list = app.registry.list().await;
    let found = list.iter().find(|listed| listed.name == name);
    let listed = found.ok_or_else(|| Refusal::no_model(&name, &app.registry.names()))?;
    Ok(Json(model(listed)))
}

fn model(listed: &Listed) -> Value {
    let created = DateTime::<Utc>::from_timestamp(listed.created as i64, 0).unwrap_or_default();
    let mut value = json!({
        "id": listed.name,
        "object": "model",
        "type": "model",
        "display_name": listed.name,
        "created": listed.created,
        "created_at": created.to_rfc3339_opts(SecondsFormat::Secs, true),
        "owned_by": "baimo",
        "status": { "value": if listed.about.is_some() { "loaded" } else { "unloaded" } },
    });
    if let Some(about) = &listed.about {
        value["max_model_len"] = about.context.into();
        value["max_input_tokens"] = about.context.into();
        value["max_tokens"] = about.context.into();
        value["meta"] = json!({
            "architecture": about.architecture,
            "n_vocab": about.vocab,
            "n_ctx": about.context,
            "n_ctx_train": about.context_trained,
            "n_embd": about.hidden,
            "n_params": about.parameters,
            "size": about.weight_bytes,
        });
    }
    value
}
