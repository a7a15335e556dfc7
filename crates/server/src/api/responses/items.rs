//! Items of an input, each checked, with all its fields: as they are stored, listed and read.

use super::request::Input;
use super::thoughts;
use crate::error::Refusal;
use serde_json::{Value, json};

/// Items that a request may have.
const ITEMS_MAX: usize = 20_000;

/// Where items come from that a request only refers to, and names for those that have none.
pub trait Origins {
    /// The stored item of that name.
    fn item(&self, id: &str) -> Option<Value>;
    /// A name that no other item has, beginning like this.
    fn id(&self, prefix: &str) -> String;
}

/// All items.
///
/// # Errors
/// Names the item and field at fault.
pub fn items(input: Input, origins: &dyn Origins) -> Result<Vec<Value>, Refusal> {
    match input {
        Input::Text(text) => Ok(vec![json!({
            "id": origins.id("msg_"),
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{ "type": "input_text", "text": text }],
        })]),
        Input::Items(list) if list.len() > ITEMS_MAX => {
            let message = format!("found {} items, wanted at most {ITEMS_MAX}", list.len());
            Err(Refusal::field("input", message))
        }
        Input::Items(list) => {
            let one = |(index, item): (usize, &Value)| Reader { index, item, origins }.item();
            list.iter().enumerate().map(one).collect()
        }
    }
}

struct Reader<'a> {
    index: usize,
    item: &'a Value,
    origins: &'a dyn Origins,
}

impl Reader<'_> {
    fn item(&self) -> Result<Value, Refusal> {
        if !self.item.is_object() {
            return Err(self.wrong("", "wanted an object with a `type`"));
        }
        match self.item["type"].as_str() {
            Some("message") => self.message(),
            None if self.item.get("role").is_some() => self.message(),
            Some("function_call") => self.call("arguments", "fc_"),
            Some("custom_tool_call") => self.call("input", "ctc_"),
            Some("function_call_output") => self.output("fco_"),
            Some("custom_tool_call_output") => self.output("ctco_"),
            Some("reasoning") => self.reasoning(),
            Some("item_reference") => self.reference(),
            None if self.item.get("id").is_some() => self.reference(),
            found => {
                let message = format!(
                    "found {}, wanted message, reasoning, function_call, function_call_output, \
                     custom_tool_call, custom_tool_call_output or item_reference",
                    found.unwrap_or("none")
                );
                Err(self.wrong(".type", message))
            }
        }
    }

    fn message(&self) -> Result<Value, Refusal> {
        self.only(&["type", "id", "role", "content", "status", "phase"])?;
        let role = match self.item["role"].as_str() {
            Some(role @ ("user" | "assistant" | "system" | "developer")) => role,
            found => {
                let found = found.unwrap_or("nothing");
                let message = format!("found {found}, wanted user, assistant, system, developer");
                return Err(self.wrong(".role", message));
            }
        };
        let content = match &self.item["content"] {
            Value::String(text) => vec![part(role, text)],
            Value::Array(parts) => {
                let texts = parts.iter().enumerate().map(|(at, part)| self.text(at, part));
                texts.map(|text| text.map(|text| part(role, text))).collect::<Result<_, _>>()?
            }
            _ => return Err(self.wrong(".content", "wanted a text or a list of parts")),
        };
        let mut item = json!({
            "id": self.id("msg_")?,
            "type": "message",
            "role": role,
            "status": "completed",
            "content": content,
        });
        match &self.item["phase"] {
            Value::Null => {}
            phase if phase == "commentary" || phase == "final_answer" => {
                item["phase"] = phase.clone();
            }
            _ => return Err(self.wrong(".phase", "wanted commentary or final_answer")),
        }
        Ok(item)
    }

    /// A part's text.
    fn text(&self, at: usize, part: &Value) -> Result<String, Refusal> {
        let text = match part["type"].as_str() {
            Some("input_text" | "output_text" | "text") => part["text"].as_str(),
            Some("refusal") => part["refusal"].as_str(),
            _ => None,
        };
        text.map(str::to_owned).ok_or_else(|| {
            let field = if self.item["output"].is_array() { "output" } else { "content" };
            let found = part["type"].as_str().unwrap_or("no type");
            let message = format!("found a part of {found}, wanted input_text or output_text");
            self.wrong(&format!(".{field}[{at}]"), message)
        })
    }

    fn call(&self, said: &str, prefix: &str) -> Result<Value, Refusal> {
        self.only(&["type", "id", "call_id", "name", "status", "namespace", said])?;
        let mut item = json!({
            "id": self.id(prefix)?,
            "type": self.item["type"],
            "status": "completed",
            "call_id": self.needed("call_id")?,
            "name": self.needed("name")?,
        });
        item[said] = self.needed(said)?.into();
        match &self.item["namespace"] {
            Value::Null => {}
            Value::String(namespace) => item["namespace"] = namespace.as_str().into(),
            _ => return Err(self.wrong(".namespace", "wanted a text")),
        }
        Ok(item)
    }

    fn output(&self, prefix: &str) -> Result<Value, Refusal> {
        self.only(&["type", "id", "call_id", "output", "status", "name", "namespace"])?;
        let output: Value = match &self.item["output"] {
            Value::String(text) => text.as_str().into(),
            Value::Array(parts) => {
                let texts = parts.iter().enumerate().map(|(at, part)| self.text(at, part));
                let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
                texts.iter().map(|text| json!({ "type": "input_text", "text": text })).collect()
            }
            _ => return Err(self.wrong(".output", "wanted a text or a list of parts")),
        };
        Ok(json!({
            "id": self.id(prefix)?,
            "type": self.item["type"],
            "status": "completed",
            "call_id": self.needed("call_id")?,
            "output": output,
        }))
    }

    fn reasoning(&self) -> Result<Value, Refusal> {
        self.only(&["type", "id", "summary", "content", "encrypted_content", "status"])?;
        let summary = self.texts("summary", "summary_text")?;
        let summary = summary.iter().map(|text| json!({ "type": "summary_text", "text": text }));
        let mut said = self.texts("content", "reasoning_text")?.concat();
        match &self.item["encrypted_content"] {
            Value::Null => {}
            Value::String(sealed) => match thoughts::unseal(sealed) {
                Some(thoughts) if said.is_empty() => said = thoughts,
                Some(_) => {}
                None => {
                    let message = "this is none of this server's\nhint: leave the item out";
                    return Err(self.wrong(".encrypted_content", message));
                }
            },
            _ => return Err(self.wrong(".encrypted_content", "wanted a text")),
        }
        Ok(json!({
            "id": self.id("rs_")?,
            "type": "reasoning",
            "status": "completed",
            "summary": summary.collect::<Vec<_>>(),
            "content": [{ "type": "reasoning_text", "text": said }],
        }))
    }

    /// The texts of parts, which are all of one kind; none where there are no parts.
    fn texts(&self, field: &str, kind: &str) -> Result<Vec<&str>, Refusal> {
        let parts = match &self.item[field] {
            Value::Null => return Ok(Vec::new()),
            Value::Array(parts) => parts,
            _ => return Err(self.wrong(&format!(".{field}"), "wanted a list of parts")),
        };
        let mut texts = Vec::with_capacity(parts.len());
        for (at, part) in parts.iter().enumerate() {
            match part["text"].as_str().filter(|_| part["type"] == kind) {
                Some(text) => texts.push(text),
                None => {
                    let message = format!("wanted {kind} with a `text`");
                    return Err(self.wrong(&format!(".{field}[{at}]"), message));
                }
            }
        }
        Ok(texts)
    }

    fn reference(&self) -> Result<Value, Refusal> {
        self.only(&["type", "id"])?;
        let id = self.needed("id")?;
        self.origins.item(id).ok_or_else(|| {
            let hint = "hint: responses are kept with `store`: true, the latest of them";
            self.wrong(
                ".id",
                format!("found `{id}`, which is no stored item's, or is there already\n{hint}"),
            )
        })
    }

    /// The item's own name, or a new one.
    fn id(&self, prefix: &str) -> Result<String, Refusal> {
        match &self.item["id"] {
            Value::String(id) if (1..=256).contains(&id.len()) => Ok(id.clone()),
            Value::Null => Ok(self.origins.id(prefix)),
            _ => Err(self.wrong(".id", "wanted a text of 1 to 256 bytes")),
        }
    }

    fn needed(&self, field: &str) -> Result<&str, Refusal> {
        let text = self.item[field].as_str();
        text.ok_or_else(|| self.wrong(&format!(".{field}"), format!("`{field}` wants a text")))
    }

    /// No other fields than these have a value.
    fn only(&self, fields: &[&str]) -> Result<(), Refusal> {
        let mut object = self.item.as_object().into_iter().flatten();
        let other = object.find(|(key, value)| !value.is_null() && !fields.contains(&key.as_str()));
        match other {
            Some((key, _)) => {
                let message = format!("`{key}` cannot be had, wanted only: {}", fields.join(", "));
                Err(self.wrong(&format!(".{key}"), message))
            }
            None => Ok(()),
        }
    }

    fn wrong(&self, field: &str, message: impl Into<String>) -> Refusal {
        Refusal::field(format!("input[{}]{field}", self.index), message)
    }
}

fn part(role: &str, text: impl Into<String>) -> Value {
    let text: String = text.into();
    match role {
        "assistant" => {
            json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
        }
        _ => json!({ "type": "input_text", "text": text }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stored;

    impl Origins for Stored {
        fn item(&self, id: &str) -> Option<Value> {
            (id == "msg_old").then(|| json!({ "type": "message", "id": "msg_old" }))
        }
        fn id(&self, prefix: &str) -> String {
            format!("{prefix}new")
        }
    }

    fn read(item: Value) -> Result<Value, Refusal> {
        items(Input::Items(vec![item]), &Stored).map(|mut list| list.remove(0))
    }

    fn refused(item: Value, field: &str) {
        assert_eq!(read(item).unwrap_err().param.as_deref(), Some(field));
    }

    #[test]
    fn what_clients_leave_out_is_filled_in() {
        let message = read(json!({ "role": "user", "content": "诗" })).unwrap();
        assert_eq!(message["content"], json!([{ "type": "input_text", "text": "诗" }]));
        assert_eq!(message["id"], "msg_new");
        assert_eq!(read(json!({ "id": "msg_old" })).unwrap()["id"], "msg_old");
        let sealed = thoughts::seal("hm");
        let item = json!({ "type": "reasoning", "summary": [], "encrypted_content": sealed });
        assert_eq!(read(item).unwrap()["content"][0]["text"], "hm");
    }

    #[test]
    fn what_is_wrong_is_named() {
        refused(json!(1), "input[0]");
        refused(json!({}), "input[0].type");
        refused(json!({ "type": "web_search_call" }), "input[0].type");
        refused(json!({ "role": "tool", "content": "" }), "input[0].role");
        refused(json!({ "role": "user", "content": 1 }), "input[0].content");
        let image = json!([{ "type": "input_image", "image_url": "data:," }]);
        refused(json!({ "role": "user", "content": image }), "input[0].content[0]");
        refused(json!({ "type": "function_call", "call_id": "a" }), "input[0].name");
        let output = json!({ "type": "function_call_output", "call_id": "a", "output": image });
        refused(output, "input[0].output[0]");
        refused(json!({ "type": "item_reference", "id": "msg_none" }), "input[0].id");
        let sealed = json!({ "type": "reasoning", "encrypted_content": "gAAA" });
        refused(sealed, "input[0].encrypted_content");
        refused(json!({ "role": "user", "content": "", "x": 1 }), "input[0].x");
    }
}
