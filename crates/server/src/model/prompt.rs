//! From what a client wants to the tokens that are continued.

use super::Model;
use crate::ask::{Ask, Prompt, ThinkingAsk, ToolChoice};
use crate::error::Refusal;
use crate::normalize;
use crate::thoughts::Conversation;
use axum::http::StatusCode;
use baimo_text::voice::{NoSwitch, switch_thinking};
use baimo_text::{Chat, EncodeOptions, Template};
use serde_json::Value;

/// A prompt, ready to be continued.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What the model is given.
    pub tokens: Vec<u32>,
    /// The end of the text they stand for, by which the beginning of the answer is read; empty
    /// where there is none to read.
    pub text: String,
    /// Whether the answer is read by the model's voice: thoughts, words and calls apart.
    pub speaks: bool,
    /// The tools that the model knows of.
    pub tools: Option<Value>,
    /// What the conversation is known by; `None` where it is not one.
    pub conversation: Option<Conversation>,
}

impl Model {
    /// The tokens of a request.
    ///
    /// # Errors
    /// Where the model has no chat template, its template refuses the conversation, or thinking is
    /// asked for that the model cannot do.
    pub fn prepare(&self, ask: &Ask) -> Result<Prepared, Refusal> {
        match &ask.prompt {
            Prompt::Chat(chat) => self.prepare_chat(chat, ask),
            Prompt::Text(text) => Ok(Prepared {
                tokens: self
                    .encode(text, EncodeOptions::PROMPT)
                    .map_err(|refusal| refusal.at("prompt"))?,
                text: String::new(),
                speaks: false,
                tools: None,
                conversation: None,
            }),
            Prompt::Tokens(tokens) => Ok(Prepared {
                tokens: tokens.clone(),
                text: String::new(),
                speaks: false,
                tools: None,
                conversation: None,
            }),
        }
    }

    fn prepare_chat(&self, chat: &Chat, ask: &Ask) -> Result<Prepared, Refusal> {
        let Some(template) = &self.template else {
            let hint = "hint: use /v1/completions";
            let message = format!("model `{}` has no chat template\n{hint}", self.name);
            return Err(Refusal::field("messages", message));
        };
        let mut chat = chat.clone();
        if self.normalize_headers {
            normalize::drop_volatile_lines(&mut chat.messages);
        }
        let conversation = self.thoughts.recall(&self.name, &mut chat.messages);
        chat.tools = match &ask.tool_choice {
            ToolChoice::None => None,
            ToolChoice::Auto | ToolChoice::Required => chat.tools.take(),
            ToolChoice::Named(name) => only(chat.tools.take(), std::slice::from_ref(name)),
            ToolChoice::Among { names, .. } => only(chat.tools.take(), names),
        };
        self.ask_to_think(&mut chat, &ask.thinking)?;
        let text = render(template, &mut chat).map_err(|error| {
            Refusal::field("messages", format!("the chat template refuses them: {error}"))
        })?;
        let tokens = self
            .encode(&text, EncodeOptions::TEMPLATE)
            .map_err(|refusal| refusal.at("messages"))?;
        let (tools, conversation) = (chat.tools, Some(conversation));
        Ok(Prepared { tokens, text, speaks: true, tools, conversation })
    }

    /// Where the turns of a conversation end: what a next request may part from this one after.
    pub(super) fn turns(&self, prepared: &Prepared) -> Vec<usize> {
        let tokens = prepared.tokens.iter().enumerate().filter(|_| prepared.speaks);
        let ends = tokens.filter(|(_, token)| self.stop_tokens.contains(token));
        ends.map(|(position, _)| position).collect()
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// Where the tokenizer cannot read it.
    pub fn encode(&self, text: &str, options: EncodeOptions) -> Result<Vec<u32>, Refusal> {
        let encoded = self.tokenizer.encode(text, options);
        encoded.map_err(|error| {
            Refusal::new(StatusCode::BAD_REQUEST, "invalid_prompt", error.to_string())
        })
    }

    fn ask_to_think(&self, chat: &mut Chat, ask: &ThinkingAsk) -> Result<(), Refusal> {
        let thinking = self.voice.and_then(|voice| voice.thinking);
        if thinking.is_none() && ask.budget.is_some_and(|budget| budget > 0) {
            let hint = "hint: leave the budget out, or ask for another model";
            let message = format!("{}\n{hint}", NoSwitch::NeverThinks);
            return Err(Refusal::field("thinking_budget", message));
        }
        let Some(switch) = ask.switch.or(ask.effort.as_ref().map(|effort| effort != "none")) else {
            return Ok(());
        };
        if let Err(refused) = switch_thinking(chat, switch, self.voice) {
            let wish = match refused {
                NoSwitch::NeverThinks => "ask for no thinking, or for another model",
                NoSwitch::AlwaysThinks => "set a thinking budget, or ask for another model",
            };
            let field = if ask.effort.is_some() { "reasoning_effort" } else { "enable_thinking" };
            return Err(Refusal::field(field, format!("{refused}\nhint: {wish}")));
        }
        if let Some(effort) = ask.effort.as_ref().filter(|_| switch) {
            chat.options.insert("reasoning_effort".to_owned(), effort.clone().into());
        }
        if let (Some(name), Some(budget)) = (thinking.and_then(|t| t.budget), ask.budget) {
            chat.options.insert(name.to_owned(), budget.into());
        }
        Ok(())
    }
}

/// Agents put system messages between others, which some templates take only in the first place:
/// there, they are the user's words.
fn render(template: &Template, chat: &mut Chat) -> baimo_text::Result<String> {
    let rendered = template.render(chat);
    if rendered.is_ok() || !normalize::move_late_system_messages(&mut chat.messages) {
        return rendered;
    }
    match template.render(chat) {
        Ok(text) => {
            tracing::debug!("gave the template late system messages as the user's");
            Ok(text)
        }
        Err(_) => rendered,
    }
}

/// Those of OpenAI's list of tools that have one of these names.
fn only(tools: Option<Value>, names: &[String]) -> Option<Value> {
    let named = |tool: &Value| {
        let name = tool["function"]["name"].as_str();
        name.is_some_and(|name| names.iter().any(|known| known == name))
    };
    let tools = tools?;
    Some(tools.as_array()?.iter().filter(|tool| named(tool)).cloned().collect())
}
