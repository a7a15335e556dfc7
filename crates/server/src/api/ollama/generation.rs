//! `POST /api/chat` and `/api/generate`: the answer, whole or as it comes.

use super::convert;
use super::request::{ChatRequest, GenerateRequest};
use super::stay::Stay;
use super::telling::{Form, Telling};
use super::{Error, now};
use crate::app::{Shared, parse};
use crate::ask::Ask;
use crate::error::Refusal;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use std::time::Instant;

/// Answers a conversation.
#[utoipa::path(
    post, path = "/api/chat", tag = "Ollama", request_body = ChatRequest,
    responses(
        (status = 200, description = "The answer, or its parts line by line"),
        (status = 400, description = "A field is wrong or cannot be had"),
        (status = 404, description = "No such model"),
        (status = 413, description = "The body is too large"),
        (status = 429, description = "All places are taken"),
        (status = 503, description = "The model cannot be loaded"),
    )
)]
pub async fn chat(State(app): State<Shared>, body: Bytes) -> Result<Response, Error> {
    let begun = Instant::now();
    let mut request: ChatRequest = parse(&body)?;
    let (name, stream) = (request.model.clone(), request.stream.unwrap_or(true));
    let stay = Stay::new(request.keep_alive.take().as_ref())?;
    let model = app.registry.get(Some(&name)).await?;
    let load = begun.elapsed();
    stay.begin(&app, &model.name).await?;
    let ask = convert::chat(request, &model)?;
    let telling = Telling { app, model, form: Form::Chat, begun, load, stay };
    answer(telling, ask, stream).await
}

/// Answers or continues a text.
#[utoipa::path(
    post, path = "/api/generate", tag = "Ollama", request_body = GenerateRequest,
    responses(
        (status = 200, description = "The answer, or its parts line by line"),
        (status = 400, description = "A field is wrong or cannot be had"),
        (status = 404, description = "No such model"),
        (status = 413, description = "The body is too large"),
        (status = 429, description = "All places are taken"),
        (status = 503, description = "The model cannot be loaded"),
    )
)]
pub async fn generate(State(app): State<Shared>, body: Bytes) -> Result<Response, Error> {
    let begun = Instant::now();
    let mut request: GenerateRequest = parse(&body)?;
    let (name, stream) = (request.model.clone(), request.stream.unwrap_or(true));
    let stay = Stay::new(request.keep_alive.take().as_ref())?;
    let model = app.registry.get(Some(&name)).await?;
    let load = begun.elapsed();
    stay.begin(&app, &model.name).await?;
    let ask = convert::generate(request, &model)?;
    let telling = Telling { app, model, form: Form::Text, begun, load, stay };
    answer(telling, ask, stream).await
}

async fn answer(telling: Telling, ask: Option<Ask>, stream: bool) -> Result<Response, Error> {
    let Some(ask) = ask else {
        let reason = if telling.stay == Stay::Leave { "unload" } else { "load" };
        let mut body = telling.part("");
        body["created_at"] = now().into();
        body["done"] = true.into();
        body["done_reason"] = reason.into();
        telling.stay.end(&telling.app, &telling.model.name).await;
        return Ok(Json(body).into_response());
    };
    let mut answers = telling.model.answers(&ask)?;
    let Some(answer) = answers.pop() else {
        return Err(Refusal::internal("a request without an answer").into());
    };
    match stream {
        true => Ok(telling.stream(answer)),
        false => Ok(telling.whole(answer).await?),
    }
}
