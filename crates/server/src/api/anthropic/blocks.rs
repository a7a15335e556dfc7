//! Blocks of a message, read with care: each field is taken or refused by name.

use crate::error::Refusal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// What the signature of our thoughts begins with.
const SIGNATURE: &str = "baimo1:";

/// Where something stands in a request, for errors: `messages[2].content[0]`.
pub struct At(pub String);

impl At {
    /// A refusal that names a field of what stands here; the empty name is the thing itself.
    pub fn refuse(&self, field: &str, message: impl Into<String>) -> Refusal {
        let dot = if field.is_empty() { "" } else { "." };
        Refusal::field(format!("{}{dot}{field}", self.0), message)
    }

    /// An object.
    ///
    /// # Errors
    /// Anything else.
    pub fn object<'a>(&self, value: &'a Value) -> Result<&'a Map<String, Value>, Refusal> {
        value.as_object().ok_or_else(|| self.refuse("", format!("wanted an object, found {value}")))
    }

    /// A text in an object.
    ///
    /// # Errors
    /// None there, or something else.
    pub fn text<'a>(
        &self,
        object: &'a Map<String, Value>,
        field: &str,
    ) -> Result<&'a str, Refusal> {
        let text = object.get(field).and_then(Value::as_str);
        text.ok_or_else(|| self.refuse(field, format!("`{field}` is missing, wanted a text")))
    }

    /// Refuses fields that are not among `known`; nulls say nothing.
    ///
    /// # Errors
    /// Names the first such field.
    pub fn only(&self, object: &Map<String, Value>, known: &[&str]) -> Result<(), Refusal> {
        let idle = |key: &str, value: &Value| known.contains(&key) || value.is_null();
        match object.iter().find(|(key, value)| !idle(key, value)) {
            Some((key, _)) => Err(self.refuse(key, "no such field, or none that is known here")),
            None => Ok(()),
        }
    }
}

/// A text, or blocks of nothing but text, joined line by line.
///
/// # Errors
/// Names the block that is something else.
pub fn texts(at: &str, content: &Value) -> Result<String, Refusal> {
    match content {
        Value::String(text) => Ok(text.clone()),
        Value::Array(blocks) => {
            let mut texts = Vec::with_capacity(blocks.len());
            for (index, block) in blocks.iter().enumerate() {
                let at = At(format!("{at}[{index}]"));
                let block = at.object(block)?;
                match at.text(block, "type")? {
                    "text" => texts.push(text_block(&at, block)?),
                    found => return Err(at.refuse("type", not_text(found))),
                }
            }
            Ok(texts.join("\n"))
        }
        _ => Err(Refusal::field(at.to_owned(), "wanted a text or blocks")),
    }
}

/// The text of a block.
///
/// # Errors
/// A field that cannot be had.
pub fn text_block<'a>(at: &At, block: &'a Map<String, Value>) -> Result<&'a str, Refusal> {
    at.only(block, &["type", "text", "cache_control", "citations"])?;
    let cited = block.get("citations").and_then(Value::as_array);
    if cited.is_some_and(|citations| !citations.is_empty()) {
        return Err(at.refuse("citations", "wanted none: there are no documents to cite"));
    }
    at.text(block, "text")
}

/// Why a block of this kind cannot be read.
pub fn not_text(kind: &str) -> String {
    let why = match kind {
        "image" | "document" => "this server reads text\nhint: put into words what is in it",
        _ => "wanted a text",
    };
    format!("found a block of type `{kind}`: {why}")
}

/// What brings thoughts back where they are not told: the thoughts themselves, where a client is
/// not to show them, else only a mark of whose they are.
pub fn signature(thoughts: &str, told: bool) -> String {
    let carried = if told { String::new() } else { STANDARD.encode(thoughts) };
    format!("{SIGNATURE}{carried}")
}

/// The thoughts that a signature carries; `None` where it is not ours or carries none.
pub fn carried(signature: &str) -> Option<String> {
    let encoded = signature.strip_prefix(SIGNATURE).filter(|rest| !rest.is_empty())?;
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}
