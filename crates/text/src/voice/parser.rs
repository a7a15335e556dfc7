//! The parser's talk: thoughts and words, and where calls begin.

use super::Piece;
use super::call::{Tools, Word};
use super::json::{CallObject, Scanner};
use super::lexer::{Lexeme, Mark, lex};
use super::python::Statement;
use baimo_blueprint::Voice;
use baimo_blueprint::voice::{Calls, Thinking};
use serde_json::Value;

/// Reads a reply as it streams in. The pieces of all calls, put together, do not depend on where
/// the text was cut: it is read character by character, and text that a tag could begin with is
/// held back until that is decided.
///
/// Markup is never shown as content. What looks like a call and is none comes out as it was
/// written; what has become a call stays one, with the arguments the model wrote.
#[derive(Debug)]
pub struct Parser {
    pub(super) voice: Option<&'static Voice>,
    pub(super) tools: Option<Tools>,
    pub(super) state: State,
    channel: Channel,
    /// The call is within a section of calls.
    pub(super) in_section: bool,
    /// The section has had a call.
    pub(super) section_used: bool,
    /// After the tag that opens the answer proper.
    in_answer: bool,
    /// No word of an answer since the beginning, the thoughts or the last call.
    pub(super) fresh: bool,
    after_call: bool,
    skips_breaks: bool,
    /// White space that is part of the text only if more text follows.
    pub(super) space: String,
    /// Text that is not read yet.
    pub(super) pending: String,
    /// What was read of a call that is none yet.
    pub(super) raw: String,
    /// The calls that are complete.
    pub(super) calls: usize,
    pub(super) word: Word,
    out: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Thoughts,
    Answer,
}

/// A part of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Thoughts,
    Answer,
    /// A section of calls, outside of them.
    Section,
    /// A call.
    Call,
}

/// What the next character belongs to.
#[derive(Debug)]
pub(super) enum State {
    /// Thoughts or the answer.
    Talk,
    /// A section, between calls.
    Section,
    /// A call that is one JSON object.
    Object(CallObject),
    /// A call in Python.
    Python(Statement),
    /// The name in a call's head.
    Name,
    /// What follows the name, up to the end of the head.
    Head,
    /// Between arguments.
    Body,
    /// Arguments in JSON.
    Json(Scanner),
    /// An argument's name.
    Key,
    /// What follows it, up to the end of its head.
    KeyHead,
    /// An argument's value.
    Value,
    /// After the arguments, up to the end of the call.
    Tail,
}

impl Parser {
    /// For the reply to `prompt`, which is looked at for the tags it ends with. Calls are looked
    /// for where there are `tools`, OpenAI's list of them. Without a voice everything is content.
    pub fn new(voice: Option<&'static Voice>, prompt: &str, tools: Option<&Value>) -> Parser {
        let prompt = prompt.trim_end();
        let ends_with = |tag: Option<&str>| tag.is_some_and(|tag| prompt.ends_with(tag));
        let thinks = ends_with(voice.and_then(|voice| Some(voice.thinking?.tags.open)));
        let answers = ends_with(voice.and_then(|voice| Some(voice.answer?.open)));
        Parser {
            voice,
            tools: tools.and_then(Tools::new),
            state: State::Talk,
            channel: if thinks { Channel::Thoughts } else { Channel::Answer },
            in_section: false,
            section_used: false,
            in_answer: answers,
            fresh: true,
            after_call: false,
            skips_breaks: thinks || answers,
            space: String::new(),
            pending: String::new(),
            raw: String::new(),
            calls: 0,
            word: Word::default(),
            out: Vec::new(),
        }
    }

    /// Whether what comes next is a thought.
    pub fn is_thinking(&self) -> bool {
        self.channel == Channel::Thoughts
    }

    /// Takes more text; gives what is certain now.
    pub fn push(&mut self, text: &str) -> Vec<Piece> {
        for c in text.chars() {
            self.pending.push(c);
            self.settle(false);
        }
        std::mem::take(&mut self.out)
    }

    /// What was held back, when no more text comes.
    pub fn finish(&mut self) -> Vec<Piece> {
        loop {
            self.settle(true);
            if matches!(self.state, State::Talk) {
                break;
            }
            self.cut_off();
        }
        let space = std::mem::take(&mut self.space);
        if self.channel == Channel::Answer {
            self.emit(&space);
        }
        std::mem::take(&mut self.out)
    }

    /// What the next character belongs to, as far as that is decided.
    pub(crate) fn place(&self) -> Place {
        match self.state {
            State::Talk if self.channel == Channel::Thoughts => Place::Thoughts,
            State::Talk => Place::Answer,
            State::Section => Place::Section,
            _ => Place::Call,
        }
    }

    /// Whether the last line of the thoughts or of the answer is empty so far.
    pub(crate) fn ends_line(&self) -> bool {
        self.space.ends_with('\n')
    }

    /// Text that a tag could begin with, if more of it comes.
    pub(crate) fn undecided(&self) -> &str {
        &self.pending
    }

    /// Reads what is pending as far as it is decided.
    fn settle(&mut self, ends: bool) {
        while let Some(c) = self.pending.chars().next() {
            match self.lex(ends) {
                Lexeme::Undecided => return,
                Lexeme::Tag(mark, length) => {
                    let text: String = self.pending.drain(..length).collect();
                    match self.state {
                        State::Talk => self.talk_tag(mark, text),
                        _ => self.call_tag(mark, text),
                    }
                }
                Lexeme::Character => {
                    self.pending.drain(..c.len_utf8());
                    match self.state {
                        State::Talk => self.talk(c),
                        _ => self.call_character(c),
                    }
                }
            }
        }
    }

    fn lex(&self, ends: bool) -> Lexeme {
        let Some(voice) = self.voice else { return Lexeme::Character };
        let mut tags = Vec::with_capacity(12);
        match self.state {
            State::Talk => self.talk_tags(voice, &mut tags),
            _ => self.call_tags(voice, &mut tags),
        }
        lex(&tags, &self.pending, ends)
    }

    fn talk_tags<'a>(&'a self, voice: &'a Voice, tags: &mut Vec<(Mark, &'a str)>) {
        let (answers, fresh) = (self.channel == Channel::Answer, self.fresh);
        if let Some(Thinking { tags: think, .. }) = voice.thinking {
            tags.extend((answers && fresh).then_some((Mark::ThinkOpen, think.open)));
            tags.extend((!answers || fresh).then_some((Mark::ThinkClose, think.close)));
        }
        if let (Some(answer), true) = (voice.answer, answers) {
            tags.extend(fresh.then_some((Mark::AnswerOpen, answer.open)));
            tags.extend(self.in_answer.then_some((Mark::AnswerClose, answer.close)));
        }
        tags.extend(voice.silent.iter().map(|tag| (Mark::Silent, *tag)));
        if let (Some(calls), Some(tools)) = (&voice.calls, &self.tools) {
            let (section, head) = match calls {
                Calls::Json(section) | Calls::Python(section) => (Some(section), None),
                Calls::Named(named) => (named.section.as_ref(), Some(named.head.open)),
                Calls::Bare => (None, None),
            };
            if *calls == Calls::Bare && answers && fresh {
                tags.extend(tools.heads().map(|head| (Mark::NameEnd, head)));
            }
            tags.extend(section.map(|section| (Mark::SectionOpen, section.open)));
            tags.extend(head.map(|open| (Mark::CallOpen, open)));
            let stray = section.filter(|_| self.after_call);
            tags.extend(stray.map(|section| (Mark::SectionClose, section.close)));
        }
    }

    fn talk_tag(&mut self, mark: Mark, text: String) {
        match mark {
            Mark::ThinkOpen => self.channel = Channel::Thoughts,
            Mark::ThinkClose => self.channel = Channel::Answer,
            Mark::AnswerOpen => self.in_answer = true,
            Mark::AnswerClose => self.in_answer = false,
            Mark::SectionOpen => {
                (self.in_section, self.section_used) = (true, false);
                self.raw = text;
                self.state = State::Section;
                return;
            }
            Mark::CallOpen => {
                self.in_section = false;
                self.raw = text;
                self.begin_name();
                return;
            }
            // The line of a bare call: its name.
            Mark::NameEnd => {
                self.in_section = false;
                self.begin_bare(text);
                return;
            }
            // Between turns: whatever an answer may begin with may come again.
            Mark::Silent => {
                self.fresh = true;
                return;
            }
            // A section's end where the section's beginning was left out.
            Mark::SectionClose => return,
            Mark::CallClose | Mark::HeadEnd | Mark::ArgumentOpen | Mark::ArgumentClose => {
                unreachable!("no such tag is looked for in talk")
            }
        }
        self.space.clear();
        self.skips_breaks = true;
    }

    /// A character of thoughts or of the answer. White space waits for what follows it: none is
    /// shown at the end of thoughts or before a call, and no line breaks right after a tag.
    pub(super) fn talk(&mut self, c: char) {
        if c == '\n' && self.skips_breaks {
            return;
        }
        self.space.push(c);
        if c.is_whitespace() && self.voice.is_some() {
            return;
        }
        self.skips_breaks = false;
        if self.channel == Channel::Answer {
            (self.fresh, self.after_call) = (false, false);
        }
        let text = std::mem::take(&mut self.space);
        self.emit(&text);
    }

    fn emit(&mut self, text: &str) {
        match (self.channel, self.out.last_mut()) {
            _ if text.is_empty() => {}
            (Channel::Thoughts, Some(Piece::Reasoning(last)))
            | (Channel::Answer, Some(Piece::Content(last))) => last.push_str(text),
            (Channel::Thoughts, _) => self.out.push(Piece::Reasoning(text.to_owned())),
            (Channel::Answer, _) => self.out.push(Piece::Content(text.to_owned())),
        }
    }

    /// More of the arguments of the call that is on its way.
    pub(super) fn emit_arguments(&mut self, more: &str) {
        match self.out.last_mut() {
            Some(Piece::Arguments { text, .. }) => text.push_str(more),
            _ => self.out.push(Piece::Arguments { index: self.calls, text: more.to_owned() }),
        }
    }

    /// A call begins: nothing of it is text any more.
    pub(super) fn emit_start(&mut self, id: Option<String>, name: String) {
        self.raw.clear();
        self.space.clear();
        self.section_used = true;
        self.out.push(Piece::CallStart { index: self.calls, id, name });
    }

    /// The call is complete.
    pub(super) fn emit_end(&mut self) {
        self.out.push(Piece::CallEnd { index: self.calls });
        self.calls += 1;
        (self.fresh, self.after_call, self.skips_breaks) = (true, true, true);
    }
}
