//! OpenAI's dialect.

pub mod chat;
pub mod completions;
pub mod convert;
pub mod embeddings;
pub mod inputs;
pub mod messages;
pub mod models;
pub mod request;
pub mod schema;

use crate::error::Refusal;
use crate::model::{End, TokenSaid, Usage};
use axum::http::{HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use baimo_text::Tokenizer;
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;

/// A refusal in OpenAI's words.
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

/// `{"error": {message, type, param, code}}`.
pub fn error_body(refusal: &Refusal) -> Value {
    let kind = match refusal.status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    };
    let Refusal { message, param, code, .. } = refusal;
    json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
}

/// How often a silent stream shows that it is alive.
pub(crate) const ALIVE_EVERY: Duration = Duration::from_secs(10);

/// Chunks as server-sent events, with `[DONE]` after the last. A failure is told in an event of its
/// own and ends the stream without it.
fn event_stream(chunks: impl Stream<Item = Result<Value, Refusal>> + Send + 'static) -> Response {
    let events = async_stream::stream! {
        let mut chunks = std::pin::pin!(chunks);
        while let Some(chunk) = chunks.next().await {
            let (value, failed) = match chunk {
                Ok(value) => (value, false),
                Err(refusal) => (error_body(&refusal), true),
            };
            yield Ok::<_, Infallible>(Event::default().data(value.to_string()));
            if failed {
                return;
            }
        }
        yield Ok(Event::default().data("[DONE]"));
    };
    let alive = KeepAlive::new().interval(ALIVE_EVERY);
    let mut response = Sse::new(events).keep_alive(alive).into_response();
    // Proxies that gather what they pass on would hold a stream back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn usage_of(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": { "cached_tokens": usage.cached_tokens },
        "completion_tokens_details": { "reasoning_tokens": usage.reasoning_tokens },
    })
}

/// How long an answer took, as llama.cpp tells it.
fn timings(end: &End) -> Value {
    let End { usage, timings, .. } = end;
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    let rate = |count: usize, time: Duration| match time.as_secs_f64() {
        0.0 => 0.0,
        seconds => count as f64 / seconds,
    };
    let computed = usage.prompt_tokens - usage.cached_tokens.min(usage.prompt_tokens);
    let after_first = usage.completion_tokens.saturating_sub(1);
    json!({
        "cache_n": usage.cached_tokens,
        "prompt_n": computed,
        "prompt_ms": milliseconds(timings.first_token),
        "prompt_per_second": rate(computed, timings.first_token),
        "predicted_n": usage.completion_tokens,
        "predicted_ms": milliseconds(timings.answer),
        "predicted_per_second": rate(after_first, timings.answer),
    })
}

/// A token with its likelihood, as OpenAI tells it.
pub(crate) fn logprobs_of(tokenizer: &Tokenizer, said: &TokenSaid) -> Value {
    let told = |token: u32, logprob: f32| {
        let bytes = tokenizer.token_bytes(token).unwrap_or_default();
        let text = String::from_utf8_lossy(bytes);
        // JSON has no infinity; OpenAI's own servers say this for what is out of the question.
        json!({ "token": text, "logprob": logprob.max(-9999.0), "bytes": bytes })
    };
    let top = said.logprobs.top.iter().map(|&(token, logprob)| told(token, logprob));
    let mut value = told(said.token, said.logprobs.token);
    value["top_logprobs"] = top.collect();
    value
}
