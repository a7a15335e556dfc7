//! Turns of blocks to messages as chat templates read them.

use super::blocks::{At, carried, not_text, text_block, texts};
use crate::error::Refusal;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Turns that a request may have, as in OpenAI's dialect.
const MESSAGES_MAX: usize = 20_000;

/// All messages, in the spelling that templates read. Neighbours of one role are one turn.
///
/// # Errors
/// Names the message, block and field at fault.
pub fn conversation(system: Option<&Value>, turns: &[Value]) -> Result<Vec<Value>, Refusal> {
    if turns.is_empty() || turns.len() > MESSAGES_MAX {
        let message = format!("found {} messages, wanted 1 to {MESSAGES_MAX}", turns.len());
        return Err(Refusal::field("messages", message));
    }
    let mut told = Told::default();
    if let Some(system) = system.filter(|system| !system.is_null()) {
        told.add("system", &texts("system", system)?);
    }
    for (index, turn) in turns.iter().enumerate() {
        let at = At(format!("messages[{index}]"));
        let turn = at.object(turn)?;
        at.only(turn, &["role", "content"])?;
        let content = turn.get("content").unwrap_or(&Value::Null);
        let inside = format!("{}.content", at.0);
        match at.text(turn, "role")? {
            "user" => told.user(&inside, content)?,
            "assistant" => told.assistant(&inside, content)?,
            "system" => told.add("system", &texts(&inside, content)?),
            found => {
                let message = format!("found `{found}`, wanted user, assistant or system");
                return Err(at.refuse("role", message));
            }
        }
    }
    let messages = told.messages;
    match messages.last() {
        Some(last) if last["role"] == "assistant" => {
            let message = "the last message is the assistant's: there is nothing to answer\n\
                           hint: an answer cannot be begun for the model; ask in `system` instead";
            Err(Refusal::field(format!("messages[{}]", turns.len() - 1), message))
        }
        _ => Ok(messages),
    }
}

#[derive(Default)]
struct Told {
    messages: Vec<Value>,
    /// Names of the functions that were called, by the call's id.
    called: HashMap<String, String>,
}

impl Told {
    /// More words of a role.
    fn add(&mut self, role: &str, text: &str) {
        match self.messages.last_mut().filter(|last| last["role"] == role) {
            Some(last) => {
                let before = last["content"].as_str().unwrap_or_default();
                last["content"] = format!("{before}\n{text}").into();
            }
            None => self.messages.push(json!({ "role": role, "content": text })),
        }
    }

    fn user(&mut self, at: &str, content: &Value) -> Result<(), Refusal> {
        let Value::Array(blocks) = content else {
            self.add("user", &texts(at, content)?);
            return Ok(());
        };
        for (index, block) in blocks.iter().enumerate() {
            let at = At(format!("{at}[{index}]"));
            let block = at.object(block)?;
            match at.text(block, "type")? {
                "text" => self.add("user", text_block(&at, block)?),
                "tool_result" => {
                    let result = self.result(&at, block)?;
                    self.messages.push(result);
                }
                found => return Err(at.refuse("type", not_text(found))),
            }
        }
        Ok(())
    }

    fn result(&self, at: &At, block: &Map<String, Value>) -> Result<Value, Refusal> {
        at.only(block, &["type", "tool_use_id", "content", "is_error", "cache_control"])?;
        let id = at.text(block, "tool_use_id")?;
        let content = match block.get("content") {
            None | Some(Value::Null) => String::new(),
            Some(content) => texts(&format!("{}.content", at.0), content)?,
        };
        let failed = match block.get("is_error") {
            None | Some(Value::Null) => false,
            Some(failed) => {
                failed.as_bool().ok_or_else(|| at.refuse("is_error", "wanted true or false"))?
            }
        };
        // Templates know no failed tools, and models are told in words.
        let content = if failed { format!("Error: {content}") } else { content };
        let mut message = json!({ "role": "tool", "content": content, "tool_call_id": id });
        if let Some(name) = self.called.get(id) {
            message["name"] = name.as_str().into();
        }
        Ok(message)
    }

    fn assistant(&mut self, at: &str, content: &Value) -> Result<(), Refusal> {
        let mut turn = match self.messages.pop() {
            Some(last) if last["role"] == "assistant" => last,
            other => {
                self.messages.extend(other);
                json!({ "role": "assistant", "content": "" })
            }
        };
        match content {
            Value::String(text) => append(&mut turn, "content", text),
            Value::Array(blocks) => {
                for (index, block) in blocks.iter().enumerate() {
                    let at = At(format!("{at}[{index}]"));
                    self.said(&at, at.object(block)?, &mut turn)?;
                }
            }
            _ => return Err(Refusal::field(at.to_owned(), "wanted a text or blocks")),
        }
        self.messages.push(turn);
        Ok(())
    }

    /// A block of what the model said.
    fn said(
        &mut self,
        at: &At,
        block: &Map<String, Value>,
        turn: &mut Value,
    ) -> Result<(), Refusal> {
        match at.text(block, "type")? {
            "text" => append(turn, "content", text_block(at, block)?),
            "thinking" => {
                at.only(block, &["type", "thinking", "signature", "cache_control"])?;
                let signature = block.get("signature").and_then(Value::as_str).unwrap_or_default();
                let thoughts = match at.text(block, "thinking")? {
                    "" => carried(signature).unwrap_or_default(),
                    text => text.to_owned(),
                };
                append(turn, "reasoning_content", &thoughts);
            }
            "redacted_thinking" => {
                at.only(block, &["type", "data", "cache_control"])?;
                let Some(thoughts) = carried(at.text(block, "data")?) else {
                    let message = "thoughts of another service, which cannot be read here\n\
                                   hint: leave the block out";
                    return Err(at.refuse("data", message));
                };
                append(turn, "reasoning_content", &thoughts);
            }
            "tool_use" => {
                at.only(block, &["type", "id", "name", "input", "cache_control", "caller"])?;
                let (id, name) = (at.text(block, "id")?, at.text(block, "name")?);
                let Some(input) = block.get("input").filter(|input| input.is_object()) else {
                    return Err(at.refuse("input", "wanted an object"));
                };
                self.called.insert(id.to_owned(), name.to_owned());
                let function = json!({ "name": name, "arguments": input });
                let call = json!({ "id": id, "type": "function", "function": function });
                match turn["tool_calls"].as_array_mut() {
                    Some(calls) => calls.push(call),
                    None => turn["tool_calls"] = json!([call]),
                }
            }
            found => return Err(at.refuse("type", not_text(found))),
        }
        Ok(())
    }
}

fn append(turn: &mut Value, field: &str, text: &str) {
    if !text.is_empty() {
        let before = turn[field].as_str().unwrap_or_default();
        turn[field] = format!("{before}{text}").into();
    }
}

/// Takes the thoughts out of all turns but the last `keep` that have some, and gives them.
pub fn clear_thinking(messages: &mut [Value], keep: usize) -> Vec<Value> {
    let thinks = |message: &&mut Value| message["reasoning_content"].is_string();
    let older = messages.iter_mut().rev().filter(thinks).skip(keep);
    // Empty, and not absent: what is absent is looked for among what this server remembers.
    older.map(|message| std::mem::replace(&mut message["reasoning_content"], "".into())).collect()
}
