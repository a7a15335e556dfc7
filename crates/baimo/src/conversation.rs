//! Messages to prompts, and `baimo chat-template`.

use crate::args::{ChatFlags, ChatTemplate};
use crate::source;
use anyhow::{Context, Result, bail};
use baimo_text::Chat;
use serde_json::{Value, json};
use std::io::Write;

/// The conversation so far, with the system message and the switches of the flags.
pub fn chat(flags: &ChatFlags, messages: &[Value]) -> Chat {
    let system = flags.system.iter().map(|text| json!({ "role": "system", "content": text }));
    let mut chat = Chat {
        messages: system.chain(messages.iter().cloned()).collect(),
        add_generation_prompt: true,
        ..Chat::default()
    };
    if let Some(think) = flags.think {
        // Families spell the switch differently; templates ignore names they do not read.
        for name in ["enable_thinking", "thinking"] {
            chat.options.insert(name.to_owned(), think.into());
        }
    }
    chat.options.extend(flags.template_variable.iter().cloned());
    chat
}

/// A message of the user.
pub fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
}

/// A message of the model.
pub fn assistant(text: &str) -> Value {
    json!({ "role": "assistant", "content": text })
}

/// Prints the prompt that a file of messages becomes.
pub fn run(arguments: &ChatTemplate) -> Result<()> {
    let path = arguments.messages.display();
    let text = std::fs::read_to_string(&arguments.messages).with_context(|| path.to_string())?;
    let parsed: Value = serde_json::from_str(&text).with_context(|| format!("{path}: not JSON"))?;
    let (messages, tools) = match &parsed {
        Value::Array(messages) => (messages, None),
        Value::Object(object) => match object.get("messages").and_then(Value::as_array) {
            Some(messages) => (messages, object.get("tools").cloned()),
            None => bail!("{path}: `messages` is missing; wanted a list of messages"),
        },
        _ => bail!("{path}: wanted a list of messages, or an object with `messages`"),
    };
    let mut chat = chat(&arguments.chat, messages);
    chat.tools = tools;
    chat.add_generation_prompt = !arguments.no_generation_prompt;
    let prompt = source::template(&arguments.model)?.render(&chat)?;
    write!(std::io::stdout().lock(), "{prompt}")?;
    Ok(())
}
