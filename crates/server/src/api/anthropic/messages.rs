//! `POST /v1/messages`: the answer, whole or as it comes; and how long a prompt is.

use super::convert::{Wanted, wanted};
use super::request::MessagesRequest;
use super::turn::Turn;
use super::{Error, error_body};
use crate::app::{App, Shared, parse};
use crate::error::Refusal;
use crate::model::{Answer, End, Model, Reason, Said, Usage};
use crate::record;
use async_stream::stream;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use baimo_text::EncodeOptions;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// How often a silent stream shows that it is alive.
const ALIVE_EVERY: Duration = Duration::from_secs(10);

/// What of an answer is told, and how.
struct Telling {
    app: Shared,
    model: Arc<Model>,
    request_id: String,
    id: String,
    /// Thoughts are told, not only their signature.
    thoughts: bool,
    max_tokens: usize,
    /// What was changed in the conversation, where that was asked for.
    edits: Option<Value>,
}

/// Answers a conversation.
#[utoipa::path(
    post, path = "/v1/messages", tag = "Anthropic", request_body = MessagesRequest,
    responses(
        (status = 200, description = "The answer, or a stream of its parts"),
        (status = 400, description = "A field is wrong or cannot be had"),
        (status = 404, description = "No such model"),
        (status = 413, description = "The body is too large"),
        (status = 429, description = "All places are taken"),
        (status = 503, description = "The model cannot be loaded"),
    )
)]
pub async fn messages(State(app): State<Shared>, body: Bytes) -> Response {
    let request_id = request_id(&app);
    match answer(app, &body, request_id.clone()).await {
        Ok(response) => response,
        Err(refusal) => Error { refusal, request_id }.into_response(),
    }
}

/// Counts the tokens of a conversation's prompt.
#[utoipa::path(
    post, path = "/v1/messages/count_tokens", tag = "Anthropic", request_body = MessagesRequest,
    responses(
        (status = 200, description = "How many tokens the prompt has"),
        (status = 400, description = "A field is wrong or cannot be had"),
        (status = 404, description = "No such model"),
        (status = 413, description = "The body is too large"),
        (status = 503, description = "The model cannot be loaded"),
    )
)]
pub async fn count_tokens(State(app): State<Shared>, body: Bytes) -> Response {
    let request_id = request_id(&app);
    match count(app, &body).await {
        Ok(tokens) => Json(json!({ "input_tokens": tokens })).into_response(),
        Err(refusal) => Error { refusal, request_id }.into_response(),
    }
}

/// What the log and the answer's head call this request.
fn request_id(app: &App) -> String {
    record::current().map_or_else(|| app.id("req_"), |record| record.id().to_owned())
}

async fn count(app: Shared, body: &Bytes) -> Result<usize, Refusal> {
    let request: MessagesRequest = parse(body)?;
    let model = app.registry.get(Some(&request.model)).await?;
    Ok(model.prepare(&wanted(request)?.ask)?.tokens.len())
}

async fn answer(app: Shared, body: &Bytes, request_id: String) -> Result<Response, Refusal> {
    let request: MessagesRequest = parse(body)?;
    let Some(max_tokens) = request.max_tokens else {
        return Err(Refusal::field("max_tokens", "`max_tokens` is missing, wanted a number"));
    };
    let model = app.registry.get(Some(&request.model)).await?;
    let streams = request.stream.unwrap_or(false);
    let manages = request.context_management.is_some();
    let Wanted { ask, thoughts, cleared } = wanted(request)?;
    let edits = manages.then(|| applied(&model, &cleared)).transpose()?;
    let mut answers = model.answers(&ask)?;
    let Some(answer) = answers.pop() else {
        return Err(Refusal::internal("a request without an answer"));
    };
    let id = app.id("msg_");
    let max_tokens = max_tokens as usize;
    let telling = Telling { app, model, request_id, id, thoughts, max_tokens, edits };
    match streams {
        true => Ok(telling.stream(answer)),
        false => telling.whole(answer).await,
    }
}

/// What was changed in the conversation: thoughts that the model is not shown.
fn applied(model: &Model, cleared: &[Value]) -> Result<Value, Refusal> {
    let mut tokens = 0;
    for thoughts in cleared.iter().filter_map(Value::as_str) {
        tokens += model.encode(thoughts, EncodeOptions::TEMPLATE)?.len();
    }
    let edit = json!({
        "type": "clear_thinking_20251015",
        "cleared_thinking_turns": cleared.len(),
        "cleared_input_tokens": tokens,
    });
    let edits = if cleared.is_empty() { Vec::new() } else { vec![edit] };
    Ok(json!({ "applied_edits": edits }))
}

impl Telling {
    async fn whole(self, mut answer: Answer) -> Result<Response, Refusal> {
        let mut turn = Turn::new(self.thoughts);
        let mut end = None;
        while let Some(said) = self.app.next(&self.model, &mut answer).await {
            match said? {
                Said::Piece(piece) => drop(turn.push(piece)),
                Said::Token(_) => {}
                Said::End(last) => end = Some(last),
            }
        }
        let end = end.ok_or_else(|| Refusal::internal("an answer without an end"))?;
        let mut body = self.message(&end.usage);
        body["content"] = turn.content().into();
        self.tell_end(&mut body, &end);
        if let Some(edits) = &self.edits {
            body["context_management"] = edits.clone();
        }
        Ok(Json(body).into_response())
    }

    fn stream(self, mut answer: Answer) -> Response {
        let events = stream! {
            let start = self.message(&answer.usage());
            yield event(&json!({ "type": "message_start", "message": start }));
            yield event(&json!({ "type": "ping" }));
            let mut turn = Turn::new(self.thoughts);
            while let Some(said) = self.app.next(&self.model, &mut answer).await {
                let told = match said {
                    Ok(Said::Piece(piece)) => turn.push(piece),
                    Ok(Said::Token(_)) => Vec::new(),
                    Ok(Said::End(end)) => {
                        let mut told = turn.finish();
                        told.push(self.last_delta(&end));
                        told.push(json!({ "type": "message_stop" }));
                        told
                    }
                    Err(refusal) => vec![error_body(&refusal, &self.request_id)],
                };
                for one in &told {
                    yield event(one);
                }
            }
        };
        let ping = Event::default().event("ping").data(json!({ "type": "ping" }).to_string());
        let alive = KeepAlive::new().interval(ALIVE_EVERY).event(ping);
        let mut response = Sse::new(events).keep_alive(alive).into_response();
        // Proxies that gather what they pass on would hold a stream back.
        response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }

    /// A message without content yet.
    fn message(&self, usage: &Usage) -> Value {
        json!({
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model.name,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": usage_of(usage),
        })
    }

    fn last_delta(&self, end: &End) -> Value {
        let mut delta = json!({});
        self.tell_end(&mut delta, end);
        let mut event = json!({
            "type": "message_delta", "delta": delta, "usage": usage_of(&end.usage),
        });
        if let Some(edits) = &self.edits {
            event["context_management"] = edits.clone();
        }
        event
    }

    fn tell_end(&self, to: &mut Value, end: &End) {
        let reason = match &end.reason {
            // Nothing was allowed.
            _ if self.max_tokens == 0 => "max_tokens",
            Reason::Stop => "end_turn",
            Reason::StopText(_) => "stop_sequence",
            Reason::Calls => "tool_use",
            Reason::Length if end.usage.completion_tokens < self.max_tokens => {
                "model_context_window_exceeded"
            }
            Reason::Length => "max_tokens",
        };
        let stop = match &end.reason {
            Reason::StopText(stop) => Value::from(stop.as_str()),
            Reason::Stop | Reason::Length | Reason::Calls => Value::Null,
        };
        to["stop_reason"] = reason.into();
        to["stop_sequence"] = stop;
    }
}

/// An event, named by its type.
fn event(body: &Value) -> Result<Event, Infallible> {
    let kind = body["type"].as_str().unwrap_or_default();
    Ok(Event::default().event(kind).data(body.to_string()))
}

/// Tokens of the prompt are those that were computed and those that were found computed; finding
/// them later costs nothing, so none are counted as written.
fn usage_of(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.prompt_tokens.saturating_sub(usage.cached_tokens),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": { "thinking_tokens": usage.reasoning_tokens },
        "service_tier": "standard",
    })
}
