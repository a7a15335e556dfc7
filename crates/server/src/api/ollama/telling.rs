//! An answer in Ollama's words.

use super::stay::Stay;
use super::{lines, now};
use crate::api::openai::logprobs_of;
use crate::app::Shared;
use crate::error::Refusal;
use crate::model::{Answer, End, Model, Reason, Said};
use async_stream::stream;
use axum::Json;
use axum::response::{IntoResponse, Response};
use baimo_text::voice::{Call, Piece, Reply};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Which of two forms an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A message.
    Chat,
    /// A text.
    Text,
}

/// What of an answer is told, and how.
#[derive(Debug)]
pub struct Telling {
    /// The server.
    pub app: Shared,
    /// Who answers.
    pub model: Arc<Model>,
    /// In which form.
    pub form: Form,
    /// When the request came.
    pub begun: Instant,
    /// How long the model took to load.
    pub load: Duration,
    /// How long the model stays loaded.
    pub stay: Stay,
}

impl Telling {
    /// The answer in one object.
    ///
    /// # Errors
    /// Where the model failed.
    pub async fn whole(self, mut answer: Answer) -> Result<Response, Refusal> {
        let (mut reply, mut logprobs, mut end) = (Reply::default(), Vec::new(), None);
        while let Some(said) = self.app.next(&self.model, &mut answer).await {
            match said? {
                Said::Piece(piece) => reply.add(&piece),
                Said::Token(token) => logprobs.push(logprobs_of(answer.tokenizer(), &token)),
                Said::End(last) => end = Some(last),
            }
        }
        let end = end.ok_or_else(|| Refusal::internal("an answer without an end"))?;
        let mut body = self.part(&reply.content);
        if !reply.reasoning.is_empty() {
            self.of(&mut body)["thinking"] = reply.reasoning.into();
        }
        if !reply.calls.is_empty() {
            let calls = reply.calls.iter().enumerate().map(|(index, call)| told(index, call));
            self.of(&mut body)["tool_calls"] = calls.collect();
        }
        tell_logprobs(&mut body, logprobs);
        self.tell_end(&mut body, &end);
        self.stay.end(&self.app, &self.model.name).await;
        Ok(Json(body).into_response())
    }

    /// The answer as it comes, an object a line.
    pub fn stream(self, mut answer: Answer) -> Response {
        lines(stream! {
            let (mut reply, mut logprobs) = (Reply::default(), Vec::new());
            while let Some(said) = self.app.next(&self.model, &mut answer).await {
                match said {
                    Ok(Said::Piece(piece)) => {
                        if let Some(mut part) = self.line(&piece, &mut reply) {
                            tell_logprobs(&mut part, std::mem::take(&mut logprobs));
                            yield Ok(part);
                        }
                    }
                    Ok(Said::Token(token)) => {
                        logprobs.push(logprobs_of(answer.tokenizer(), &token));
                    }
                    Ok(Said::End(end)) => {
                        let mut last = self.part("");
                        tell_logprobs(&mut last, std::mem::take(&mut logprobs));
                        self.tell_end(&mut last, &end);
                        self.stay.end(&self.app, &self.model.name).await;
                        yield Ok(last);
                    }
                    Err(refusal) => yield Err(refusal),
                }
            }
        })
    }

    /// What a piece adds; a call is told once it is complete.
    fn line(&self, piece: &Piece, reply: &mut Reply) -> Option<Value> {
        match piece {
            Piece::Content(text) => Some(self.part(text)),
            Piece::Reasoning(text) => {
                let mut part = self.part("");
                self.of(&mut part)["thinking"] = text.as_str().into();
                Some(part)
            }
            Piece::CallStart { .. } | Piece::Arguments { .. } => {
                reply.add(piece);
                None
            }
            Piece::CallEnd { index } => {
                let call = reply.calls.get(*index)?;
                let mut part = self.part("");
                self.of(&mut part)["tool_calls"] = json!([told(*index, call)]);
                Some(part)
            }
        }
    }

    /// An object with this text, not the last.
    pub fn part(&self, text: &str) -> Value {
        let mut part = json!({ "model": self.model.name, "created_at": now() });
        match self.form {
            Form::Chat => part["message"] = json!({ "role": "assistant", "content": text }),
            Form::Text => part["response"] = text.into(),
        }
        part["done"] = false.into();
        part
    }

    /// Where an answer's other parts stand beside its text.
    fn of<'a>(&self, body: &'a mut Value) -> &'a mut Value {
        match self.form {
            Form::Chat => &mut body["message"],
            Form::Text => body,
        }
    }

    fn tell_end(&self, body: &mut Value, end: &End) {
        let nanoseconds = |time: Duration| time.as_nanos() as u64;
        let reason = match end.reason {
            Reason::Length => "length",
            Reason::Stop | Reason::StopText(_) | Reason::Calls => "stop",
        };
        body["done"] = true.into();
        body["done_reason"] = reason.into();
        body["total_duration"] = nanoseconds(self.begun.elapsed()).into();
        body["load_duration"] = nanoseconds(self.load).into();
        body["prompt_eval_count"] = end.usage.prompt_tokens.into();
        body["prompt_eval_duration"] = nanoseconds(end.timings.first_token).into();
        body["eval_count"] = end.usage.completion_tokens.into();
        body["eval_duration"] = nanoseconds(end.timings.answer).into();
    }
}

/// A call; arguments that are no JSON object, as where the answer was cut off, are shown under a
/// name that no function has.
fn told(index: usize, call: &Call) -> Value {
    let arguments = match serde_json::from_str::<Map<String, Value>>(&call.arguments) {
        Ok(object) => object.into(),
        Err(_) if call.arguments.trim().is_empty() => json!({}),
        Err(_) => json!({ "INVALID_JSON": call.arguments }),
    };
    let function = json!({ "index": index, "name": call.name, "arguments": arguments });
    json!({ "id": call.id, "function": function })
}

fn tell_logprobs(body: &mut Value, logprobs: Vec<Value>) {
    if !logprobs.is_empty() {
        body["logprobs"] = logprobs.into();
    }
}
