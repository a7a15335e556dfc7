//! Who has a say in the tokens of an answer.

use super::{Model, Prepared};
use crate::ask::{Ask, Format, ToolChoice};
use crate::error::Refusal;
use baimo_engine::{Allowed, Guide};
use baimo_text::grammar::{self, Grammar, GrammarError, TokenEnvironment, Wish};
use std::sync::{Arc, OnceLock};

/// Why a guide gave up, once it has: an answer that it ended is not complete.
pub(super) type Fault = Arc<OnceLock<String>>;

/// A guide, and where to look whether it gave up.
pub(super) type Watched = (Box<dyn Guide>, Fault);

/// The crate `text` knows no engine and the engine no text: here they meet.
#[derive(Debug)]
struct Guided {
    guide: grammar::Guide,
    fault: Fault,
}

impl Guide for Guided {
    fn allowed(&mut self) -> Allowed<'_> {
        if let Some(fault) = self.guide.fault() {
            self.fault.get_or_init(|| fault.to_string());
        }
        match self.guide.allowed() {
            grammar::Allowed::Any => Allowed::Any,
            grammar::Allowed::Only(words) => Allowed::Only(words),
            grammar::Allowed::Forced(token) => Allowed::Forced(token),
            grammar::Allowed::End => Allowed::End,
        }
    }

    fn took(&mut self, token: u32) {
        self.guide.took(token);
    }
}

impl Model {
    /// What a request's form, tools and budget of thoughts ask for.
    ///
    /// # Errors
    /// Where the form cannot be had, naming the field.
    pub(super) fn guide(&self, ask: &Ask, prepared: &Prepared) -> Result<Option<Watched>, Refusal> {
        let answer = form(&ask.format).map_err(|error| refuse("response_format", &error))?;
        let choice = match &ask.tool_choice {
            ToolChoice::Auto | ToolChoice::Among { required: false, .. } => {
                grammar::ToolChoice::Auto
            }
            ToolChoice::None => grammar::ToolChoice::None,
            ToolChoice::Required | ToolChoice::Among { required: true, .. } => {
                grammar::ToolChoice::Required
            }
            ToolChoice::Named(name) => grammar::ToolChoice::Named(name.clone()),
        };
        let wish = Wish {
            answer: answer.as_ref(),
            tools: prepared.tools.as_ref(),
            choice,
            single_call: !ask.parallel_calls,
            budget: ask.thinking.budget,
        };
        // Words alone need no environment, which takes a moment to make.
        let asks = answer.is_some() || wish.tools.is_some() || wish.budget.is_some();
        if !asks {
            return Ok(None);
        }
        let environment = if prepared.speaks { &self.spoken } else { &self.written };
        let environment = environment.get_or_init(|| {
            let voice = self.voice.filter(|_| prepared.speaks);
            let (tokenizer, vocab) = (self.tokenizer.clone(), self.about.vocab);
            TokenEnvironment::new(tokenizer, voice, &self.stop_tokens, vocab)
        });
        let guide = grammar::Guide::new(environment, &prepared.text, &wish);
        let field = if answer.is_some() { "response_format" } else { "tools" };
        let guide = guide.map_err(|error| refuse(field, &error))?;
        Ok(guide.map(|guide| {
            let fault = Fault::default();
            let guided = Guided { guide, fault: fault.clone() };
            (Box::new(guided) as Box<dyn Guide>, fault)
        }))
    }
}

fn form(format: &Format) -> Result<Option<Grammar>, GrammarError> {
    Ok(Some(match format {
        Format::Text => return Ok(None),
        Format::JsonObject => Grammar::json_object(),
        Format::JsonSchema(schema) => Grammar::json_schema(schema, true)?,
        Format::Regex(regex) => Grammar::regex(regex)?,
        Format::Lark(grammar) => Grammar::lark(grammar)?,
        Format::Gbnf(grammar) => Grammar::gbnf(grammar)?,
        Format::Choice(choices) => Grammar::choice(choices)?,
    }))
}

fn refuse(field: &'static str, error: &GrammarError) -> Refusal {
    let field = if matches!(error, GrammarError::Tool { .. }) { "tools" } else { field };
    Refusal::field(field, error.to_string())
}
