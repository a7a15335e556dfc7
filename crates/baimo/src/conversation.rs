//! Messages to prompts, and `baimo chat-template`.

use crate::args::{ChatFlags, ChatTemplate};
use crate::source;
use anyhow::{Context, Result, bail};
use baimo_labs::Voice;
use baimo_labs::voices;
use baimo_text::Chat;
use baimo_text::voice::switch_thinking;
use serde_json::{Value, json};
use std::io::Write;

/// The conversation so far, with the system message and the switches of the flags as the model's
/// `voice` spells them.
///
/// # Errors
/// Where thinking is asked of a model that cannot, or forbidden to one that always does.
pub fn chat(flags: &ChatFlags, messages: &[Value], voice: Option<&Voice>) -> Result<Chat> {
    let system = flags.system.iter().map(|text| json!({ "role": "system", "content": text }));
    let mut chat = Chat {
        messages: system.chain(messages.iter().cloned()).collect(),
        add_generation_prompt: true,
        ..Chat::default()
    };
    if let Some(think) = flags.think {
        let asked = if think { "think on" } else { "think off" };
        switch_thinking(&mut chat, think, voice).context(asked)?;
    }
    chat.options.extend(flags.template_variable.iter().cloned());
    Ok(chat)
}

/// A message of the user.
pub fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
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
    let template = source::template(&arguments.model)?;
    let voice = voices::voice("", Some(&template.source()));
    let mut chat = chat(&arguments.chat, messages, voice)?;
    chat.tools = tools;
    chat.add_generation_prompt = !arguments.no_generation_prompt;
    let prompt = template.render(&chat)?;
    write!(std::io::stdout().lock(), "{prompt}")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(think: bool, voice: Option<&Voice>) -> Result<Chat> {
        let flags = ChatFlags { think: Some(think), ..ChatFlags::default() };
        chat(&flags, &[user("Why?")], voice)
    }

    #[test]
    fn thinking_is_asked_for_as_each_voice_has_it() {
        let off = |voice| asked(false, Some(voice)).unwrap();
        assert_eq!(off(&voices::HERMES_SWITCHED).options["enable_thinking"], false);
        assert_eq!(off(&voices::DEEPSEEK_V31).options["thinking"], false);
        assert_eq!(off(&voices::MINIMAX_M3).options["thinking_mode"], "disabled");
        assert_eq!(off(&voices::SEED_OSS).options["thinking_budget"], 0);
        assert_eq!(off(&voices::PANGU).messages[0]["content"], "Why? /no_think");
        assert!(off(&voices::HERMES).options.is_empty());
        assert_eq!(asked(true, None).unwrap().options.len(), 2);
    }

    #[test]
    fn what_a_model_cannot_do_is_refused() {
        assert!(asked(false, Some(&voices::MINIMAX_M2)).is_err());
        assert!(asked(true, Some(&voices::MINIMAX_M2)).is_ok());
        assert!(asked(true, Some(&voices::HERMES)).is_err());
    }
}
