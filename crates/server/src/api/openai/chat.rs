//! `POST /v1/chat/completions`: the answer, whole or as it comes.

use super::convert;
use super::request::ChatRequest;
use super::{Error, event_stream, logprobs_of, timings, usage_of};
use crate::app::{Shared, parse, seconds};
use crate::config::ReasoningField;
use crate::error::Refusal;
use crate::model::{Answer, End, Model, Reason, Said, Usage};
use async_stream::stream;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use baimo_text::voice::{Piece, Reply};
use futures_util::StreamExt;
use futures_util::stream::select_all;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What of an answer is told, and how.
#[derive(Clone, Debug)]
struct Telling {
    app: Shared,
    model: Arc<Model>,
    id: String,
    created: u64,
    /// Thoughts are part of the answer.
    thoughts: bool,
    timings: bool,
    /// The usage, in a last chunk or in every one.
    usage: Option<bool>,
}

/// Answers a conversation.
#[utoipa::path(
    post, path = "/v1/chat/completions", tag = "OpenAI", request_body = ChatRequest,
    responses(
        (status = 200, description = "The answer, or a stream of its parts"),
        (status = 400, description = "A field is wrong or cannot be had"),
        (status = 404, description = "No such model"),
        (status = 413, description = "The body is too large"),
        (status = 429, description = "All places are taken"),
        (status = 503, description = "The model cannot be loaded"),
    )
)]
pub async fn chat(State(app): State<Shared>, body: Bytes) -> Result<Response, Error> {
    let request: ChatRequest = parse(&body)?;
    let model = app.registry.get(request.model.as_deref()).await?;
    let excludes = request.reasoning.as_ref().and_then(|reasoning| reasoning.exclude);
    let options = request.stream_options.unwrap_or_default();
    let telling = Telling {
        id: app.id("chatcmpl-"),
        created: seconds(),
        thoughts: request.include_reasoning.unwrap_or(true) && excludes != Some(true),
        timings: request.timings_per_token == Some(true),
        usage: (options.include_usage == Some(true))
            .then_some(options.continuous_usage_stats == Some(true)),
        app,
        model: model.clone(),
    };
    let streams = request.stream.unwrap_or(false);
    let ask = convert::ask(request)?;
    let answers = model.answers(&ask)?;
    match streams {
        true => Ok(telling.stream(answers)),
        false => Ok(telling.whole(answers).await?),
    }
}

impl Telling {
    async fn whole(self, answers: Vec<Answer>) -> Result<Response, Refusal> {
        let (mut choices, mut usage, mut last) = (Vec::new(), Usage::default(), None);
        // All are under way already: which is waited for first makes no difference.
        for (index, mut answer) in answers.into_iter().enumerate() {
            let (mut reply, mut logprobs) = (Reply::default(), None);
            while let Some(said) = self.app.next(&self.model, &mut answer).await {
                match said? {
                    Said::Piece(piece) => reply.add(&piece),
                    Said::Token(token) => {
                        let told = logprobs_of(answer.tokenizer(), &token);
                        logprobs.get_or_insert_with(Vec::new).push(told);
                    }
                    Said::End(end) => {
                        choices.push(self.choice(index, &reply, logprobs.take(), &end));
                        usage = sum(usage, end.usage);
                        last = Some(end);
                    }
                }
            }
        }
        let mut body = self.body("chat.completion", choices.into());
        body["usage"] = usage_of(&usage);
        if let Some(end) = last.filter(|_| self.timings) {
            body["timings"] = timings(&end);
        }
        Ok(Json(body).into_response())
    }

    fn choice(
        &self,
        index: usize,
        reply: &Reply,
        logprobs: Option<Vec<Value>>,
        end: &End,
    ) -> Value {
        let mut message = Map::new();
        message.insert("role".into(), "assistant".into());
        let silent = reply.content.is_empty() && !reply.calls.is_empty();
        let content = if silent { Value::Null } else { reply.content.clone().into() };
        message.insert("content".into(), content);
        message.insert("refusal".into(), Value::Null);
        if self.thoughts && !reply.reasoning.is_empty() {
            self.reasoning(&mut message, &reply.reasoning);
        }
        if !reply.calls.is_empty() {
            let calls = reply.calls.iter().map(|call| {
                let function = json!({ "name": call.name, "arguments": call.arguments });
                json!({ "id": call.id, "type": "function", "function": function })
            });
            message.insert("tool_calls".into(), calls.collect());
        }
        json!({
            "index": index,
            "message": message,
            "logprobs": logprobs.map(|content| json!({ "content": content, "refusal": null })),
            "finish_reason": finish_reason(&end.reason),
        })
    }

    fn reasoning(&self, to: &mut Map<String, Value>, text: &str) {
        let field = self.app.config.reasoning_field;
        if field != ReasoningField::Reasoning {
            to.insert("reasoning_content".into(), text.into());
        }
        if field != ReasoningField::ReasoningContent {
            to.insert("reasoning".into(), text.into());
        }
    }

    fn stream(self, answers: Vec<Answer>) -> Response {
        let several = answers.into_iter().enumerate().map(|(index, mut answer)| {
            let telling = self.clone();
            Box::pin(stream! {
                yield Ok((telling.chunk(index, json!({"role": "assistant", "content": ""})), None));
                let mut waiting = Vec::new();
                while let Some(said) = telling.app.next(&telling.model, &mut answer).await {
                    match said {
                        Err(refusal) => {
                            yield Err(refusal);
                            return;
                        }
                        Ok(Said::Token(token)) => {
                            waiting.push(logprobs_of(answer.tokenizer(), &token));
                        }
                        Ok(Said::Piece(piece)) => {
                            let Some(delta) = telling.delta(&piece) else { continue };
                            let mut chunk = telling.chunk(index, delta);
                            tell_logprobs(&mut chunk, &mut waiting);
                            telling.usage_so_far(&mut chunk, &answer.usage());
                            yield Ok((chunk, None));
                        }
                        Ok(Said::End(end)) => {
                            let mut chunk = telling.chunk(index, json!({}));
                            tell_logprobs(&mut chunk, &mut waiting);
                            let reason = finish_reason(&end.reason);
                            chunk["choices"][0]["finish_reason"] = reason.into();
                            telling.usage_so_far(&mut chunk, &end.usage);
                            if telling.timings {
                                chunk["timings"] = timings(&end);
                            }
                            yield Ok((chunk, Some(end.usage)));
                        }
                    }
                }
            })
        });
        let mut all = select_all(several.collect::<Vec<_>>());
        let telling = self;
        event_stream(stream! {
            let mut usage = Usage::default();
            while let Some(told) = all.next().await {
                match told {
                    Err(refusal) => {
                        yield Err(refusal);
                        return;
                    }
                    Ok((chunk, spent)) => {
                        usage = sum(usage, spent.unwrap_or_default());
                        yield Ok(chunk);
                    }
                }
            }
            if telling.usage.is_some() {
                let mut chunk = telling.body("chat.completion.chunk", json!([]));
                chunk["usage"] = usage_of(&usage);
                yield Ok(chunk);
            }
        })
    }

    /// What a piece adds to the message; nothing where it is not told.
    fn delta(&self, piece: &Piece) -> Option<Value> {
        match piece {
            Piece::Reasoning(_) if !self.thoughts => None,
            Piece::Reasoning(text) => {
                let mut delta = Map::new();
                self.reasoning(&mut delta, text);
                Some(delta.into())
            }
            Piece::Content(text) => Some(json!({ "content": text })),
            Piece::CallStart { index, id, name } => {
                let function = json!({ "name": name, "arguments": "" });
                let call = json!({
                    "index": index, "id": id, "type": "function", "function": function,
                });
                Some(json!({ "tool_calls": [call] }))
            }
            Piece::Arguments { index, text } => {
                let call = json!({ "index": index, "function": { "arguments": text } });
                Some(json!({ "tool_calls": [call] }))
            }
            Piece::CallEnd { .. } => None,
        }
    }

    fn chunk(&self, index: usize, delta: Value) -> Value {
        let choice =
            json!({ "index": index, "delta": delta, "logprobs": null, "finish_reason": null });
        let mut chunk = self.body("chat.completion.chunk", json!([choice]));
        if self.usage.is_some() {
            chunk["usage"] = Value::Null;
        }
        chunk
    }

    fn usage_so_far(&self, chunk: &mut Value, usage: &Usage) {
        if self.usage == Some(true) {
            chunk["usage"] = usage_of(usage);
        }
    }

    fn body(&self, object: &str, choices: Value) -> Value {
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model.name,
            "system_fingerprint": concat!("baimo-", env!("CARGO_PKG_VERSION")),
            "choices": choices,
        })
    }
}

fn tell_logprobs(chunk: &mut Value, waiting: &mut Vec<Value>) {
    if !waiting.is_empty() {
        let content = std::mem::take(waiting);
        chunk["choices"][0]["logprobs"] = json!({ "content": content, "refusal": null });
    }
}

pub(super) fn finish_reason(reason: &Reason) -> &'static str {
    match reason {
        Reason::Stop | Reason::StopText(_) => "stop",
        Reason::Length => "length",
        Reason::Calls => "tool_calls",
    }
}

/// The prompt is one for all answers.
pub(super) fn sum(all: Usage, one: Usage) -> Usage {
    Usage {
        prompt_tokens: all.prompt_tokens.max(one.prompt_tokens),
        cached_tokens: all.cached_tokens.max(one.cached_tokens),
        completion_tokens: all.completion_tokens + one.completion_tokens,
        reasoning_tokens: all.reasoning_tokens + one.reasoning_tokens,
    }
}
