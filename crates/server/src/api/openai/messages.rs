//! Messages as clients write them to messages as chat templates read them.

use crate::error::Refusal;
use serde_json::{Map, Value, json};

/// Messages that a request may have.
const MESSAGES_MAX: usize = 20_000;

/// All messages, in the spelling that templates read: texts as strings, thoughts in
/// `reasoning_content`, a call's arguments as objects.
///
/// # Errors
/// Names the message and field at fault.
pub fn messages(messages: Vec<Value>) -> Result<Vec<Value>, Refusal> {
    if messages.is_empty() || messages.len() > MESSAGES_MAX {
        let found = messages.len();
        let message = format!("found {found} messages, wanted 1 to {MESSAGES_MAX}");
        return Err(Refusal::field("messages", message));
    }
    messages.into_iter().enumerate().map(|(index, one)| message(index, one)).collect()
}

fn message(index: usize, message: Value) -> Result<Value, Refusal> {
    let refuse = |field: &str, text: String| {
        let dot = if field.is_empty() { "" } else { "." };
        Err(Refusal::field(format!("messages[{index}]{dot}{field}"), text))
    };
    let Value::Object(mut message) = message else {
        return refuse("", "wanted an object with `role` and `content`".to_owned());
    };
    let role = match message.get("role").and_then(Value::as_str) {
        Some("developer" | "system") => "system",
        Some(role @ ("user" | "assistant" | "tool")) => role,
        Some("function") => "tool",
        found => {
            let found = found.unwrap_or("nothing");
            let wanted = "system, developer, user, assistant or tool";
            return refuse("role", format!("found {found}, wanted {wanted}"));
        }
    };
    let role: Value = role.into();
    let content = match message.remove("content") {
        None | Some(Value::Null) if role == "assistant" => Value::String(String::new()),
        Some(Value::String(text)) => Value::String(text),
        Some(Value::Array(parts)) => text_of(index, &parts)?.into(),
        found => {
            let found = found.unwrap_or_default();
            return refuse("content", format!("found {}, wanted a text", kind(&found)));
        }
    };
    let mut out = Map::new();
    out.insert("role".into(), role);
    out.insert("content".into(), content);
    let thoughts = ["reasoning_content", "reasoning"].iter().find_map(|name| message.remove(*name));
    if let Some(thoughts) = thoughts.filter(|thoughts| !thoughts.is_null() && *thoughts != "") {
        if !thoughts.is_string() {
            return refuse("reasoning_content", "wanted a text".to_owned());
        }
        out.insert("reasoning_content".into(), thoughts);
    }
    if let Some(calls) = message.remove("tool_calls").filter(|calls| !calls.is_null()) {
        let Value::Array(calls) = calls else {
            return refuse("tool_calls", "wanted a list".to_owned());
        };
        let calls = calls.into_iter().enumerate().map(|(at, one)| call(index, at, &one));
        let calls: Vec<Value> = calls.collect::<Result<_, _>>()?;
        if !calls.is_empty() {
            out.insert("tool_calls".into(), calls.into());
        }
    }
    for name in ["name", "tool_call_id"] {
        match message.remove(name) {
            Some(Value::String(text)) => {
                out.insert(name.into(), text.into());
            }
            None | Some(Value::Null) => {}
            Some(found) => return refuse(name, format!("found {}, wanted a text", kind(&found))),
        }
    }
    // What clients send back as they were given it, and what says nothing to a model.
    let idle = ["role", "refusal", "annotations", "audio", "reasoning_details"];
    match message.iter().find(|(key, value)| !value.is_null() && !idle.contains(&key.as_str())) {
        Some((key, _)) => refuse(key, "no such field of a message".to_owned()),
        None => Ok(Value::Object(out)),
    }
}

/// The text of a message's parts.
fn text_of(index: usize, parts: &[Value]) -> Result<String, Refusal> {
    let mut texts = Vec::with_capacity(parts.len());
    for (at, part) in parts.iter().enumerate() {
        let text = match part["type"].as_str() {
            Some("text" | "input_text" | "output_text") => part["text"].as_str(),
            Some("refusal") => part["refusal"].as_str(),
            _ => part.as_str(),
        };
        match text {
            Some(text) => texts.push(text),
            None => {
                let found = part["type"].as_str().unwrap_or("no type");
                let message = format!("found a part of {found}, wanted `text` with a text");
                return Err(Refusal::field(format!("messages[{index}].content[{at}]"), message));
            }
        }
    }
    Ok(texts.join("\n"))
}

fn call(message: usize, index: usize, call: &Value) -> Result<Value, Refusal> {
    let function = &call["function"];
    let Some(name) = function["name"].as_str() else {
        let param = format!("messages[{message}].tool_calls[{index}].function.name");
        return Err(Refusal::field(param, "wanted the name of a function"));
    };
    let arguments = match &function["arguments"] {
        Value::String(text) => match serde_json::from_str::<Map<String, Value>>(text) {
            Ok(object) => Value::Object(object),
            Err(_) if text.trim().is_empty() => json!({}),
            Err(_) => Value::String(text.clone()),
        },
        Value::Null => json!({}),
        Value::Object(object) => Value::Object(object.clone()),
        found => {
            let param = format!("messages[{message}].tool_calls[{index}].function.arguments");
            return Err(Refusal::field(param, format!("found {}, wanted a text", kind(found))));
        }
    };
    let id = call["id"].as_str().map_or_else(|| format!("call_{index}"), str::to_owned);
    let function = json!({ "name": name, "arguments": arguments });
    Ok(json!({ "id": id, "type": "function", "function": function }))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
