//! A response as it is made: pieces of the answer to items, and the events that tell of them.

use super::thoughts;
use super::tools::{Origin, Tools};
use crate::app::{Shared, seconds};
use crate::error::Refusal;
use crate::model::{End, Reason, Usage};
use axum::http::StatusCode;
use baimo_text::voice::Piece;
use serde_json::{Value, json};
use std::fmt;

/// What a response becomes.
pub struct Teller {
    app: Shared,
    /// The response, without its output.
    response: Value,
    tools: Tools,
    /// Thoughts are told in a sealed form as well.
    seals: bool,
    /// Items that are complete.
    output: Vec<Value>,
    open: Option<Open>,
    /// Tokens whose text has not come yet.
    waiting: Vec<Value>,
    sequence: u64,
}

/// An item that is not complete.
#[derive(Debug)]
struct Open {
    id: String,
    kind: Kind,
    text: String,
    logprobs: Vec<Value>,
}

#[derive(Debug)]
enum Kind {
    Thoughts,
    Words,
    Call { call_id: String, origin: Origin },
}

impl fmt::Debug for Teller {
    /// Without the server, which knows it in turn.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let mut told = formatter.debug_struct("Teller");
        told.field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl Teller {
    /// Of a response that has nothing yet.
    pub fn new(app: Shared, response: Value, tools: Tools, seals: bool) -> Teller {
        Teller {
            app,
            response,
            tools,
            seals,
            output: Vec::new(),
            open: None,
            waiting: Vec::new(),
            sequence: 0,
        }
    }

    /// The response as it stands.
    pub fn response(&self) -> Value {
        let mut response = self.response.clone();
        let status = if response["status"] == "in_progress" { "in_progress" } else { "incomplete" };
        let open = self.open.as_ref().map(|open| self.item(open, status));
        response["output"] = self.output.iter().cloned().chain(open).collect();
        response
    }

    /// It is there, and waits or is under way.
    pub fn begin(&mut self) -> Vec<Value> {
        let state = if self.response["status"] == "queued" { "queued" } else { "in_progress" };
        vec![self.whole("response.created"), self.whole(&format!("response.{state}"))]
    }

    /// It waits no more.
    pub fn wake(&mut self) -> Option<Value> {
        (self.response["status"] == "queued").then(|| {
            self.response["status"] = "in_progress".into();
            self.whole("response.in_progress")
        })
    }

    /// A token, before its text.
    pub fn token(&mut self, told: Value) {
        self.waiting.push(told);
    }

    /// More of the answer.
    pub fn piece(&mut self, piece: Piece) -> Vec<Value> {
        match piece {
            Piece::Reasoning(text) => {
                self.waiting.clear();
                let mut events = match &self.open {
                    Some(Open { kind: Kind::Thoughts, .. }) => Vec::new(),
                    _ => self.open("rs_", Kind::Thoughts),
                };
                events.extend(self.delta(&text));
                events
            }
            Piece::Content(text) => {
                let mut events = match &self.open {
                    Some(Open { kind: Kind::Words, .. }) => Vec::new(),
                    _ => self.open("msg_", Kind::Words),
                };
                events.extend(self.delta(&text));
                events
            }
            Piece::CallStart { id, name, .. } => {
                // What the syntax of a call is made of is no part of the answer's words.
                self.waiting.clear();
                let origin = self.tools.origin(&name);
                let call_id = id.unwrap_or_else(|| self.app.id("call_"));
                let prefix = if origin.custom { "ctc_" } else { "fc_" };
                self.open(prefix, Kind::Call { call_id, origin })
            }
            Piece::Arguments { text, .. } => self.delta(&text),
            Piece::CallEnd { .. } => {
                self.waiting.clear();
                self.close("completed")
            }
        }
    }

    /// Nothing more comes.
    pub fn end(&mut self, end: &End) -> Vec<Value> {
        let status = match end.reason {
            Reason::Length => "incomplete",
            Reason::Stop | Reason::StopText(_) | Reason::Calls => "completed",
        };
        let mut events = self.close(status);
        self.response["status"] = status.into();
        self.response["usage"] = usage_of(&end.usage);
        match status {
            "completed" => self.response["completed_at"] = seconds().into(),
            _ => self.response["incomplete_details"] = json!({ "reason": "max_output_tokens" }),
        }
        events.push(self.whole(&format!("response.{status}")));
        events
    }

    /// It cannot go on.
    pub fn fail(&mut self, refusal: &Refusal) -> Vec<Value> {
        let mut events = self.close("incomplete");
        let Refusal { message, param, code, .. } = refusal;
        let told = json!({ "code": code, "message": message, "param": param });
        events.push(self.event("error", told));
        self.response["status"] = "failed".into();
        self.response["error"] = json!({ "code": error_code(refusal), "message": message });
        events.push(self.whole("response.failed"));
        events
    }

    /// Nobody wants more of it, if there is more to come.
    pub fn cancel(&mut self) {
        if self.response["status"] == "queued" || self.response["status"] == "in_progress" {
            self.close("incomplete");
            self.response["status"] = "cancelled".into();
        }
    }

    /// Begins an item, after the one before.
    fn open(&mut self, prefix: &str, kind: Kind) -> Vec<Value> {
        let mut events = self.close("completed");
        let id = self.app.id(prefix);
        let open = Open { id, kind, text: String::new(), logprobs: Vec::new() };
        let mut item = self.item(&open, "in_progress");
        let part = match open.kind {
            Kind::Thoughts | Kind::Words => Some(item["content"][0].take()),
            Kind::Call { .. } => None,
        };
        if part.is_some() {
            item["content"] = json!([]);
        }
        let added = json!({ "output_index": self.output.len(), "item": item });
        events.push(self.event("response.output_item.added", added));
        if let Some(part) = part {
            let mut added = self.place(&open, true);
            added["part"] = part;
            events.push(self.event("response.content_part.added", added));
        }
        self.open = Some(open);
        events
    }

    /// More text of the open item.
    fn delta(&mut self, text: &str) -> Vec<Value> {
        let Some(mut open) = self.open.take() else { return Vec::new() };
        open.text += text;
        let mut told = self.place(&open, !matches!(open.kind, Kind::Call { .. }));
        told["delta"] = text.into();
        let kind = match &open.kind {
            Kind::Thoughts => Some("response.reasoning_text.delta"),
            Kind::Words => {
                let waiting = std::mem::take(&mut self.waiting);
                told["logprobs"] = waiting.clone().into();
                open.logprobs.extend(waiting);
                Some("response.output_text.delta")
            }
            // Free text is told when all of the argument that it stands in is there.
            Kind::Call { origin: Origin { custom: true, .. }, .. } => None,
            Kind::Call { .. } => Some("response.function_call_arguments.delta"),
        };
        self.open = Some(open);
        kind.map(|kind| self.event(kind, told)).into_iter().collect()
    }

    /// Ends the open item, if there is one.
    fn close(&mut self, status: &str) -> Vec<Value> {
        let Some(mut open) = self.open.take() else { return Vec::new() };
        let (mut events, mut done) = (Vec::new(), self.place(&open, true));
        match &open.kind {
            Kind::Thoughts => {
                done["text"] = open.text.as_str().into();
                events.push(self.event("response.reasoning_text.done", done));
            }
            Kind::Words => {
                open.logprobs.append(&mut self.waiting);
                done["text"] = open.text.as_str().into();
                done["logprobs"] = open.logprobs.clone().into();
                events.push(self.event("response.output_text.done", done));
            }
            Kind::Call { origin: Origin { custom: true, .. }, .. } => {
                let (mut delta, input) = (self.place(&open, false), free_text(&open.text));
                let mut done = delta.clone();
                delta["delta"] = input.as_str().into();
                events.push(self.event("response.custom_tool_call_input.delta", delta));
                done["input"] = input.into();
                events.push(self.event("response.custom_tool_call_input.done", done));
            }
            Kind::Call { origin, .. } => {
                let mut done = self.place(&open, false);
                done["name"] = origin.name.as_str().into();
                done["arguments"] = open.text.as_str().into();
                events.push(self.event("response.function_call_arguments.done", done));
            }
        }
        let item = self.item(&open, status);
        if !matches!(open.kind, Kind::Call { .. }) {
            let mut done = self.place(&open, true);
            done["part"] = item["content"][0].clone();
            events.push(self.event("response.content_part.done", done));
        }
        let done = json!({ "output_index": self.output.len(), "item": item });
        self.output.push(item);
        events.push(self.event("response.output_item.done", done));
        events
    }

    /// An item with what there is of it.
    fn item(&self, open: &Open, status: &str) -> Value {
        let text = open.text.as_str();
        let mut item = json!({ "id": open.id, "type": null, "status": status });
        match &open.kind {
            Kind::Thoughts => {
                item["type"] = "reasoning".into();
                item["summary"] = json!([]);
                item["content"] = json!([{ "type": "reasoning_text", "text": text }]);
                if self.seals {
                    item["encrypted_content"] = thoughts::seal(text).into();
                }
            }
            Kind::Words => {
                let part = json!({
                    "type": "output_text",
                    "text": text,
                    "annotations": [],
                    "logprobs": open.logprobs,
                });
                item["type"] = "message".into();
                item["role"] = "assistant".into();
                item["content"] = json!([part]);
            }
            Kind::Call { call_id, origin } => {
                item["type"] = "function_call".into();
                item["call_id"] = call_id.as_str().into();
                item["name"] = origin.name.as_str().into();
                if let Some(namespace) = &origin.namespace {
                    item["namespace"] = namespace.as_str().into();
                }
                if origin.custom {
                    item["type"] = "custom_tool_call".into();
                    item["input"] = free_text(text).into();
                } else {
                    item["arguments"] = text.into();
                }
            }
        }
        item
    }

    /// Where the open item is, and its only part where it has parts.
    fn place(&self, open: &Open, part: bool) -> Value {
        let mut place = json!({ "item_id": open.id, "output_index": self.output.len() });
        if part {
            place["content_index"] = 0.into();
        }
        place
    }

    fn whole(&mut self, kind: &str) -> Value {
        let response = self.response();
        self.event(kind, json!({ "response": response }))
    }

    fn event(&mut self, kind: &str, told: Value) -> Value {
        let mut event = json!({ "type": kind, "sequence_number": self.sequence });
        if let (Some(event), Value::Object(told)) = (event.as_object_mut(), told) {
            event.extend(told);
        }
        self.sequence += 1;
        event
    }
}

/// What an answer took, in this API's words.
pub fn usage_of(usage: &Usage) -> Value {
    let computed = usage.prompt_tokens - usage.cached_tokens.min(usage.prompt_tokens);
    json!({
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": computed,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": { "reasoning_tokens": usage.reasoning_tokens },
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    })
}

/// Why a response failed, in one of the words that clients know.
fn error_code(refusal: &Refusal) -> &'static str {
    match refusal.status {
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_exceeded",
        status if status.is_client_error() => "invalid_prompt",
        _ => "server_error",
    }
}

/// The free text in a custom tool's only argument; what the model wrote, where it is no such thing.
fn free_text(arguments: &str) -> String {
    let parsed = serde_json::from_str::<Value>(arguments).ok();
    let input = parsed.as_ref().and_then(|object| object["input"].as_str());
    input.unwrap_or(arguments).to_owned()
}

#[cfg(test)]
mod tests;
