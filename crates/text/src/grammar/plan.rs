//! What is asked of one answer, and the grammars that come of it.

use super::calls::Calls;
use super::environment::TokenEnvironment;
use super::error::GrammarError;
use super::source::{Grammar, Program};
use super::writer::{GAP, Writer};
use baimo_blueprint::Voice;
use baimo_blueprint::voice::Tags;
use serde_json::Value;

/// What a request asks of its answer.
#[derive(Clone, Debug, Default)]
pub struct Wish<'a> {
    /// The rule that the answer keeps, less its calls of tools.
    pub answer: Option<&'a Grammar>,
    /// OpenAI's list of tools.
    pub tools: Option<&'a Value>,
    /// Whether they are called.
    pub choice: ToolChoice,
    /// At most one call.
    pub single_call: bool,
    /// The most tokens of thoughts; 0 ends them at once. It counts where the model has tags for
    /// thoughts.
    pub budget: Option<usize>,
}

/// Whether tools are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides. Calls of tools that are `strict` have arguments of their schemas.
    #[default]
    Auto,
    /// None is called.
    None,
    /// One at least is called, whichever it is.
    Required,
    /// This one is called.
    Named(String),
}

/// The grammars that an answer may need. They begin where they are needed: what came before, a
/// tag say, is no part of them.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// From the beginning on, where no thoughts were begun.
    pub first: Option<Program>,
    /// Behind the thoughts.
    pub after: Option<Program>,
    /// Behind the tag that opens a section of calls.
    pub in_section: Option<Program>,
    /// Behind the tag that opens a call.
    pub in_call: Option<Program>,
    /// Thoughts may come first.
    pub opens: bool,
    /// Tags after which one of the grammars counts.
    pub watched: Vec<&'static str>,
}

impl Plan {
    pub fn new(
        environment: &TokenEnvironment,
        prompt: &str,
        wish: &Wish<'_>,
    ) -> Result<Plan, GrammarError> {
        let voice = environment.voice();
        let calls = Calls::new(voice, wish)?;
        let must_call = matches!(wish.choice, ToolChoice::Required | ToolChoice::Named(_));
        if wish.answer.is_none() && calls.is_none() {
            return Ok(Plan::default());
        }
        let thinking = voice.and_then(|voice| voice.thinking);
        let in_answer = ends_with(prompt, voice.and_then(|voice| voice.answer), false);
        let thought = thinking.map(|thinking| thinking.tags);
        let opens = thinking.is_some()
            && !in_answer
            && !ends_with(prompt, thought, true)
            && wish.budget != Some(0);
        let mut plan = Plan { opens, ..Plan::default() };
        if let Some(calls) = &calls {
            plan.in_section = calls.in_section(environment)?;
            plan.in_call = calls.in_call(environment)?;
            plan.watched.extend(calls.opening_tags());
        }
        if wish.answer.is_some() || must_call {
            let answer = wish.answer.filter(|_| !must_call);
            let body = Body { voice, answer, calls: calls.as_ref(), in_answer };
            let opening = thought.filter(|_| opens);
            plan.first = Some(body.program(environment, opening, false)?);
            if let Some(tags) = thought {
                plan.after =
                    Some(Body { in_answer: false, ..body }.program(environment, None, true)?);
                plan.watched.push(tags.close);
            }
        }
        Ok(plan)
    }

    /// Whether there is nothing to constrain.
    pub fn is_free(&self) -> bool {
        self.programs().next().is_none()
    }

    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        [&self.first, &self.after, &self.in_section, &self.in_call].into_iter().flatten()
    }
}

/// An answer from its beginning.
#[derive(Clone, Copy)]
struct Body<'a> {
    voice: Option<&'static Voice>,
    answer: Option<&'a Grammar>,
    calls: Option<&'a Calls>,
    /// The prompt has opened the answer proper.
    in_answer: bool,
}

impl Body<'_> {
    /// `opening`: thoughts may come in its place. `gap`: line breaks may come before it.
    fn program(
        &self,
        environment: &TokenEnvironment,
        opening: Option<Tags>,
        gap: bool,
    ) -> Result<Program, GrammarError> {
        let mut writer = Writer::new(environment);
        let mut bodies = Vec::new();
        let tags = self.voice.and_then(|voice| voice.answer);
        if let Some(answer) = self.answer {
            let answer = writer.part(answer.part.clone());
            bodies.push(self.in_tags(&writer, tags, &answer));
        }
        if let Some(calls) = self.calls {
            let calls = calls.write(&mut writer)?;
            bodies.push(self.in_tags(&writer, tags, &calls));
        }
        let silent = self.voice.map_or(&[][..], |voice| voice.silent);
        let silent: Vec<_> = silent.iter().map(|tag| writer.tag(tag)).collect();
        if !silent.is_empty() {
            let silent = writer.rule(&silent.join(" | "));
            bodies = bodies.into_iter().map(|body| format!("({body}) {silent}?")).collect();
        }
        if let Some(tags) = opening {
            // What comes with the tag in one token is not the answer's.
            bodies.push(format!("{GAP}? {} /(?s:.)*/", writer.tag(tags.open)));
        }
        let body = writer.rule(&bodies.join(" | "));
        let gap = if gap { format!("{GAP}? ") } else { String::new() };
        Ok(writer.finish(&format!("{gap}{body}")))
    }

    /// With the tags around it that an answer proper may have.
    fn in_tags(&self, writer: &Writer<'_>, tags: Option<Tags>, body: &str) -> String {
        let Some(tags) = tags else { return body.to_owned() };
        let (open, close) = (writer.tag(tags.open), writer.tag(tags.close));
        match self.in_answer {
            true => format!("{GAP}? {body} ({GAP}? {close} {GAP}?)?"),
            false => format!("{body} | {open} {GAP}? {body} {GAP}? {close} {GAP}?"),
        }
    }
}

/// Whether the prompt ends with the opening one of these tags or, where `closed`, the closing one.
fn ends_with(prompt: &str, tags: Option<Tags>, closed: bool) -> bool {
    let prompt = prompt.trim_end();
    tags.is_some_and(|tags| prompt.ends_with(tags.open) || (closed && prompt.ends_with(tags.close)))
}
