//! Items to messages as chat templates read them.

use super::tools::shown_name;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The messages of items that [`super::items`] has checked, after `instructions`.
///
/// What one turn of the model came as, thoughts, words and calls, is one message again. System
/// messages at the beginning are one, as most templates want it.
pub fn messages(instructions: Option<&str>, items: &[Value]) -> Vec<Value> {
    let mut turns = Turns::default();
    if let Some(instructions) = instructions.filter(|text| !text.is_empty()) {
        turns.message("system", instructions.to_owned());
    }
    for item in items {
        turns.item(item);
    }
    turns.end_thoughts();
    turns.messages
}

#[derive(Default)]
struct Turns {
    messages: Vec<Value>,
    /// Thoughts that belong to what comes next.
    thoughts: String,
    /// Names of the tools that were called, by call.
    called: HashMap<String, String>,
}

impl Turns {
    fn item(&mut self, item: &Value) {
        let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
        match item["type"].as_str() {
            Some("reasoning") => self.thoughts += &texts(&item["content"]),
            Some("message") if item["role"] == "assistant" => {
                let fits = |last: &Value| {
                    last["content"].as_str() == Some("") && last.get("tool_calls").is_none()
                };
                self.turn(fits)["content"] = texts(&item["content"]).into();
            }
            Some("message") => {
                let role = match item["role"].as_str() {
                    Some("developer" | "system") => "system",
                    _ => "user",
                };
                self.message(role, texts(&item["content"]));
            }
            Some("function_call") => {
                let arguments = text("arguments");
                let arguments = match serde_json::from_str::<Map<String, Value>>(&arguments) {
                    Ok(object) => object.into(),
                    Err(_) if arguments.trim().is_empty() => json!({}),
                    Err(_) => arguments.into(),
                };
                self.call(item, arguments);
            }
            Some("custom_tool_call") => self.call(item, json!({ "input": text("input") })),
            Some("function_call_output" | "custom_tool_call_output") => {
                self.end_thoughts();
                let output = match item["output"].as_str() {
                    Some(text) => text.to_owned(),
                    None => texts(&item["output"]),
                };
                let id = text("call_id");
                let mut message = json!({ "role": "tool", "tool_call_id": id, "content": output });
                if let Some(name) = self.called.get(&id) {
                    message["name"] = name.as_str().into();
                }
                self.messages.push(message);
            }
            _ => {}
        }
    }

    fn call(&mut self, item: &Value, arguments: Value) {
        let name = item["name"].as_str().unwrap_or_default();
        let name = shown_name(item["namespace"].as_str(), name);
        let id = item["call_id"].as_str().unwrap_or_default();
        self.called.insert(id.to_owned(), name.clone());
        let function = json!({ "name": name, "arguments": arguments });
        let call = json!({ "id": id, "type": "function", "function": function });
        let turn = self.turn(|_| true);
        match turn["tool_calls"].as_array_mut() {
            Some(calls) => calls.push(call),
            None => turn["tool_calls"] = json!([call]),
        }
    }

    /// The assistant's turn under way, where nothing new was thought and it `fits`; else a new one.
    fn turn(&mut self, fits: impl Fn(&Value) -> bool) -> &mut Value {
        let last = self.messages.last();
        let goes_on = last.is_some_and(|last| last["role"] == "assistant" && fits(last));
        if !goes_on || !self.thoughts.is_empty() {
            let mut turn = json!({ "role": "assistant", "content": "" });
            if !self.thoughts.is_empty() {
                turn["reasoning_content"] = std::mem::take(&mut self.thoughts).into();
            }
            self.messages.push(turn);
        }
        let last = self.messages.len() - 1;
        &mut self.messages[last]
    }

    /// A turn may have ended within its thoughts.
    fn end_thoughts(&mut self) {
        if !self.thoughts.is_empty() {
            self.turn(|_| false);
        }
    }

    fn message(&mut self, role: &str, text: String) {
        self.end_thoughts();
        match self.messages.as_mut_slice() {
            [first] if role == "system" && first["role"] == "system" => {
                let before = first["content"].as_str().unwrap_or_default();
                first["content"] = format!("{before}\n\n{text}").into();
            }
            _ => self.messages.push(json!({ "role": role, "content": text })),
        }
    }
}

/// The texts of parts.
fn texts(parts: &Value) -> String {
    let parts = parts.as_array().into_iter().flatten();
    let texts: Vec<&str> = parts.filter_map(|part| part["text"].as_str()).collect();
    texts.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> Value {
        json!([{ "type": "input_text", "text": text }])
    }

    fn message(role: &str, text: &str) -> Value {
        json!({ "type": "message", "role": role, "content": part(text) })
    }

    fn thoughts(text: &str) -> Value {
        json!({ "type": "reasoning", "content": [{ "type": "reasoning_text", "text": text }] })
    }

    fn call(id: &str) -> Value {
        let (kind, arguments) = ("function_call", "{\"city\": \"北京\"}");
        json!({ "type": kind, "call_id": id, "name": "weather", "arguments": arguments })
    }

    fn output(id: &str, output: Value) -> Value {
        json!({ "type": "function_call_output", "call_id": id, "output": output })
    }

    #[test]
    fn a_turn_is_one_message_again() {
        let items = [
            message("developer", "Be kind."),
            message("user", "how is it?"),
            thoughts("I must look."),
            message("assistant", "One moment."),
            call("a"),
            call("b"),
            output("a", "rain".into()),
            output("b", part("sun")),
            thoughts("Now I know."),
            message("assistant", "Rain, then sun."),
        ];
        let messages = messages(Some("You are a poet."), &items);
        let function = json!({ "name": "weather", "arguments": { "city": "北京" } });
        let call = |id: &str| json!({ "id": id, "type": "function", "function": function });
        let wanted = json!([
            { "role": "system", "content": "You are a poet.\n\nBe kind." },
            { "role": "user", "content": "how is it?" },
            {
                "role": "assistant",
                "content": "One moment.",
                "reasoning_content": "I must look.",
                "tool_calls": [call("a"), call("b")],
            },
            { "role": "tool", "tool_call_id": "a", "content": "rain", "name": "weather" },
            { "role": "tool", "tool_call_id": "b", "content": "sun", "name": "weather" },
            {
                "role": "assistant",
                "content": "Rain, then sun.",
                "reasoning_content": "Now I know.",
            },
        ]);
        assert_eq!(Value::from(messages), wanted);
    }

    #[test]
    fn custom_calls_and_namespaces_are_what_the_model_knows_them_as() {
        let items = [
            json!({ "type": "custom_tool_call", "call_id": "a", "name": "patch", "input": "x" }),
            json!({
                "type": "function_call", "call_id": "b", "name": "find", "namespace": "docs",
                "arguments": "no JSON",
            }),
        ];
        let messages = messages(None, &items);
        let calls = &messages[0]["tool_calls"];
        assert_eq!(calls[0]["function"]["arguments"], json!({ "input": "x" }));
        assert_eq!(calls[1]["function"]["name"], "docs__find");
        assert_eq!(calls[1]["function"]["arguments"], "no JSON");
    }

    #[test]
    fn a_turn_that_ended_within_its_thoughts_is_kept() {
        let messages = messages(None, &[thoughts("hm"), message("user", "go on")]);
        assert_eq!(messages[0]["reasoning_content"], "hm");
        assert_eq!(messages.len(), 2);
    }
}
