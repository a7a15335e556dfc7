//! Who has a say in the tokens of an answer.

use super::{Model, Prepared};
use crate::ask::{Ask, Format, ToolChoice};
use crate::error::Refusal;
use baimo_engine::{Allowed, Guide};
use baimo_text::grammar::{self, Grammar, GrammarError, TokenEnvironment, Wish};

/// The crate `text` knows no engine and the engine no text: here they meet.
#[derive(Debug)]
struct Guided(grammar::Guide);

impl Guide for Guided {
    fn allowed(&mut self) -> Allowed<'_> {
        match self.0.allowed() {
            grammar::Allowed::Any => Allowed::Any,
            grammar::Allowed::Only(words) => Allowed::Only(words),
            grammar::Allowed::Forced(token) => Allowed::Forced(token),
            grammar::Allowed::End => Allowed::End,
        }
    }

    fn took(&mut self, token: u32) {
        self.0.took(token);
    }
}

impl Model {
    /// What a request's form, tools and budget of thoughts ask for.
    ///
    /// # Errors
    /// Where the form cannot be had, naming the field.
    pub(super) fn guide(
        &self,
        ask: &Ask,
        prepared: &Prepared,
    ) -> Result<Option<Box<dyn Guide>>, Refusal> {
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
        Ok(guide.map(|guide| Box::new(Guided(guide)) as Box<dyn Guide>))
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
