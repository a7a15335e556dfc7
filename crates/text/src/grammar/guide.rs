//! When a constraint counts: after the thoughts, in the answer; and when thoughts have an end.

use super::constraint::{Allowed, Constraint};
use super::environment::TokenEnvironment;
use super::error::GrammarError;
use super::plan::{Plan, Wish};
use crate::stream::Decoder;
use crate::tokenizer::EncodeOptions;
use crate::voice::{Parser, Place};
use baimo_blueprint::Voice;
use baimo_blueprint::voice::Thinking;
use std::collections::VecDeque;

/// Says token by token what a model may write in its turn. What it says depends on the prompt and
/// on the tokens it took, and on nothing else.
#[derive(Debug)]
pub struct Guide {
    environment: TokenEnvironment,
    plan: Plan,
    stage: Stage,
    /// Thoughts may still come before the answer that a constraint decides on.
    opens: bool,
    parser: Parser,
    decoder: Decoder,
    thinking: Option<Thinking>,
    /// The most tokens of thoughts.
    budget: Option<usize>,
    /// Tokens of thoughts so far.
    thought: usize,
    /// Tokens that come next, whatever the model says.
    forced: VecDeque<u32>,
    /// Bits of the tokens of thoughts that an answer has to follow: they do not end the turn.
    lasting: Vec<u32>,
    /// The same, less those that would run over the end of a tag.
    careful: Vec<u32>,
}

#[derive(Debug)]
enum Stage {
    /// Thoughts, or words that are free.
    Free,
    /// The answer, which a constraint decides on.
    Bound(Box<Constraint>),
}

impl Guide {
    /// For the reply to `prompt`; `None` where nothing is asked for.
    ///
    /// # Errors
    /// A grammar or a schema that is malformed or takes too much, or a way of calling tools that
    /// cannot be constrained as asked.
    pub fn new(
        environment: &TokenEnvironment,
        prompt: &str,
        wish: &Wish<'_>,
    ) -> Result<Option<Guide>, GrammarError> {
        let voice = environment.voice();
        let parser = Parser::new(voice, prompt, wish.tools);
        let plan = Plan::new(environment, prompt, wish)?;
        let thinking = voice.and_then(|voice| voice.thinking);
        let budget = wish.budget.filter(|_| thinking.is_some());
        if plan.is_free() && budget.is_none() {
            return Ok(None);
        }
        let tags = voice.map(Voice::tags).unwrap_or_default();
        let decoder = Decoder::continuing(environment.tokenizer().clone(), true).showing(&tags);
        let stage = match &plan.first {
            Some(program) if parser.place() == Place::Answer => {
                Stage::Bound(Box::new(environment.run(program)?))
            }
            _ => Stage::Free,
        };
        // Whatever the model writes first, a fault of the grammar is known before.
        for program in plan.programs() {
            environment.run(program)?;
        }
        let mut guide = Guide {
            environment: environment.clone(),
            opens: plan.opens,
            plan,
            stage,
            parser,
            decoder,
            thinking,
            budget,
            thought: 0,
            forced: VecDeque::new(),
            lasting: environment.lasting_tokens(),
            careful: Vec::new(),
        };
        guide.watch_budget();
        Ok(Some(guide))
    }

    /// The tokens that may come next.
    pub fn allowed(&mut self) -> Allowed<'_> {
        if let Some(token) = self.forced.front() {
            return Allowed::Forced(*token);
        }
        let careful = matches!(self.stage, Stage::Free) && self.forbids();
        let lasts = self.lasts();
        match &mut self.stage {
            Stage::Bound(constraint) => constraint.allowed(),
            Stage::Free if careful => Allowed::Only(&self.careful),
            Stage::Free if lasts => Allowed::Only(&self.lasting),
            Stage::Free => Allowed::Any,
        }
    }

    /// Learns which came.
    pub fn took(&mut self, token: u32) {
        self.forced.pop_front();
        let bound = match &mut self.stage {
            Stage::Bound(constraint) => {
                constraint.took(token);
                true
            }
            Stage::Free => false,
        };
        if bound && !self.opens {
            return;
        }
        // A token beyond the vocabulary has no text.
        let text = self.decoder.push(token).unwrap_or_default();
        let thought = self.parser.place() == Place::Thoughts;
        for (index, c) in text.char_indices() {
            let before = self.parser.place();
            self.parser.push(c.encode_utf8(&mut [0; 4]));
            if self.moved(before, &text[index + c.len_utf8()..]) {
                break;
            }
        }
        self.thought += usize::from(thought);
        self.watch_budget();
    }

    /// Why nothing is allowed any more, where that is not because the answer is complete.
    pub fn fault(&self) -> Option<&GrammarError> {
        match &self.stage {
            Stage::Bound(constraint) => constraint.fault(),
            Stage::Free => None,
        }
    }

    /// Whether an answer has to follow.
    fn lasts(&self) -> bool {
        self.plan.after.is_some() && self.parser.place() == Place::Thoughts
    }

    /// Looks at where the reply has got to, `rest` being the text after that. Whether a constraint
    /// decides from there.
    fn moved(&mut self, before: Place, rest: &str) -> bool {
        let after = self.parser.place();
        if before == after {
            return false;
        }
        let program = match after {
            Place::Thoughts => {
                self.stage = Stage::Free;
                return false;
            }
            _ if matches!(self.stage, Stage::Bound(_)) => return false,
            Place::Answer if before == Place::Thoughts => &self.plan.after,
            Place::Answer => return false,
            Place::Section => &self.plan.in_section,
            Place::Call => &self.plan.in_call,
        };
        let Some(program) = program else { return false };
        let Ok(mut constraint) = self.environment.run(program) else { return false };
        for token in self.environment.any_tokens(rest) {
            constraint.took(token);
        }
        self.stage = Stage::Bound(Box::new(constraint));
        self.opens = false;
        true
    }

    /// Ends the thoughts that have used their budget up, at the end of a character.
    fn watch_budget(&mut self) {
        let (Some(thinking), Some(budget)) = (self.thinking, self.budget) else { return };
        let thinks = self.parser.place() == Place::Thoughts;
        if !thinks || self.thought < budget || !self.forced.is_empty() || self.decoder.waits() {
            return;
        }
        let from_tag = thinking.cut.trim_start_matches('\n');
        // The end, or the line break before it, may have come already.
        let begun = self.parser.undecided();
        let text = match from_tag.strip_prefix(begun) {
            Some(rest) if !begun.is_empty() => rest,
            _ if self.thought > 0 && self.parser.ends_line() => from_tag,
            _ => thinking.cut,
        };
        let tokens = self.environment.tokenizer().encode(text, EncodeOptions::TEMPLATE);
        self.forced.extend(tokens.unwrap_or_default());
    }

    /// Where a tag after which a constraint decides is on its way: forbids the tokens that would
    /// end it and go on with what the constraint has not seen. Whether there are any.
    fn forbids(&mut self) -> bool {
        let begun = self.parser.undecided();
        if begun.is_empty() {
            return false;
        }
        let tags = self.plan.watched.iter().filter(|tag| tag.starts_with(begun));
        let rests: Vec<&str> = tags.map(|tag| &tag[begun.len()..]).collect();
        if rests.is_empty() {
            return false;
        }
        let lasts = self.lasts();
        let tokenizer = self.environment.tokenizer();
        let mut found = false;
        for id in 0..tokenizer.vocab_size() as u32 {
            let bytes = tokenizer.token_bytes(id).unwrap_or_default();
            let mut beyond = rests.iter().filter_map(|rest| bytes.strip_prefix(rest.as_bytes()));
            if beyond.any(|more| !more.is_empty()) {
                if !std::mem::replace(&mut found, true) {
                    self.careful.clone_from(&self.lasting);
                    for end in self.environment.ends().iter().filter(|_| !lasts) {
                        self.careful[*end as usize / 32] |= 1 << (end % 32);
                    }
                }
                self.careful[id as usize / 32] &= !(1 << (id % 32));
            }
        }
        found
    }
}
