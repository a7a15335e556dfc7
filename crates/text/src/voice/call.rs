//! The parser's calls.

use super::json::{CallObject, Fed, Scan, Scanner};
use super::lexer::Mark;
use super::parser::{Parser, State};
use baimo_blueprint::Voice;
use baimo_blueprint::voice::{Argument, Arguments, Calls, Named, Naming};
use serde_json::Value;

/// A name or the attributes after it are not longer than this, in bytes.
const HEAD_MAX: usize = 256;

/// The tools that may be called.
#[derive(Debug)]
pub(super) struct Tools(Vec<Tool>);

#[derive(Debug)]
struct Tool {
    /// Its name, and the end of a line.
    head: String,
    /// JSON schema of its parameters.
    schema: Value,
}

impl Tools {
    /// From OpenAI's list; `None` where it names none.
    pub fn new(list: &Value) -> Option<Tools> {
        let tool = |entry: &Value| {
            let function = entry.get("function").unwrap_or(entry);
            let head = format!("{}\n", function["name"].as_str()?);
            Some(Tool { head, schema: function["parameters"].clone() })
        };
        let tools: Vec<_> = list.as_array()?.iter().filter_map(tool).collect();
        (!tools.is_empty()).then_some(Tools(tools))
    }

    /// Of the tool's parameters; null where there is no such tool.
    pub fn schema(&self, name: &str) -> &Value {
        let tool = self.0.iter().find(|tool| tool.head.trim_end() == name);
        tool.map_or(&Value::Null, |tool| &tool.schema)
    }

    /// Their names, each with the end of a line.
    pub fn heads(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|tool| tool.head.as_str())
    }
}

/// What is known of the call that is being read.
#[derive(Debug, Default)]
pub(super) struct Word {
    /// The name as the head has it.
    pub name: String,
    /// It was announced.
    pub begun: bool,
    /// Arguments that were announced.
    pub arguments: usize,
    /// The argument that is being read: its name.
    pub key: String,
    /// What follows the name in its head.
    pub attributes: String,
    /// What of its value was not passed on.
    pub value: String,
    /// The value has a first character.
    pub value_begun: bool,
    /// The value is a string and is passed on as it comes.
    pub streams: bool,
    /// The tag that ends the value.
    pub close: String,
}

impl Parser {
    fn named(&self) -> Option<&'static Named> {
        match self.voice?.calls.as_ref()? {
            Calls::Json(_) | Calls::Python(_) | Calls::Bare => None,
            Calls::Named(named) => Some(named),
        }
    }

    pub(super) fn argument(&self) -> Option<&'static Argument> {
        match &self.named()?.arguments {
            Arguments::Json => None,
            Arguments::Each(argument) => Some(argument),
        }
    }

    pub(super) fn call_tags<'a>(&'a self, voice: &'a Voice, tags: &mut Vec<(Mark, &'a str)>) {
        let named = self.named();
        let section = match voice.calls.as_ref() {
            Some(Calls::Json(section) | Calls::Python(section)) => Some(section),
            Some(Calls::Named(named)) => named.section.as_ref(),
            Some(Calls::Bare) | None => None,
        };
        let section_open = section.map(|section| (Mark::SectionOpen, section.open));
        let section_close = section.map(|section| (Mark::SectionClose, section.close));
        let call_open = named.map(|named| (Mark::CallOpen, named.head.open));
        let call_close = named.map(|named| (Mark::CallClose, named.close));
        let argument = self.argument();
        let argument_open = argument.map(|argument| (Mark::ArgumentOpen, argument.head.open));
        let silent = voice.silent.iter().map(|tag| (Mark::Silent, *tag));
        let ends = |ends: &'a [&'a str]| ends.iter().map(|end| (Mark::NameEnd, *end));
        match &self.state {
            State::Talk => unreachable!("talk has its own tags"),
            State::Section => {
                tags.extend(section_open.into_iter().chain(section_close).chain(call_open));
                tags.extend(silent);
            }
            State::Object(object) if object.in_string() => {}
            State::Object(_) => {
                tags.extend(section_open.into_iter().chain(section_close).chain(call_close));
            }
            State::Python(statement) if statement.in_string() => {}
            State::Python(_) => tags.extend(section_close),
            State::Name => {
                tags.extend(named.into_iter().flat_map(|named| ends(named.head.name_ends)));
                tags.extend(argument_open.into_iter().chain(call_close).chain(section_close));
            }
            State::Head => {
                let end = named.and_then(|named| named.head.end);
                tags.extend(end.map(|end| (Mark::HeadEnd, end)));
            }
            State::Body => {
                tags.extend(argument_open.into_iter().chain(call_close).chain(section_close));
                tags.extend(silent);
            }
            State::Json(scanner) if scanner.in_string() => {}
            State::Json(_) => tags.extend(call_close.into_iter().chain(section_close)),
            State::Key => {
                tags.extend(argument.into_iter().flat_map(|one| ends(one.head.name_ends)));
            }
            State::KeyHead => {
                let end = argument.and_then(|argument| argument.head.end);
                tags.extend(end.map(|end| (Mark::HeadEnd, end)));
            }
            State::Value => tags.push((Mark::ArgumentClose, &self.word.close)),
            State::Tail => {
                tags.extend(section_open.into_iter().chain(section_close));
                tags.extend(call_open.into_iter().chain(call_close).chain(silent));
            }
        }
    }

    pub(super) fn begin_name(&mut self) {
        self.word = Word::default();
        self.state = State::Name;
    }

    /// After a tool's name on a line.
    pub(super) fn begin_bare(&mut self, line: String) {
        self.word = Word { name: line.trim_end().to_owned(), ..Word::default() };
        self.raw = line;
        self.state = State::Body;
    }

    pub(super) fn call_tag(&mut self, mark: Mark, text: String) {
        match (&self.state, mark) {
            (State::Section, Mark::SectionClose) if self.section_used => {
                self.in_section = false;
                self.state = State::Talk;
            }
            (State::Section, Mark::SectionOpen) if self.section_used => {}
            (State::Section, Mark::CallOpen) => {
                self.raw += &text;
                self.begin_name();
            }
            (State::Section | State::Body, Mark::Silent) => self.raw += &text,
            (State::Name, Mark::NameEnd | Mark::ArgumentOpen | Mark::CallClose) => {
                self.name_ends(mark, text);
            }
            (State::Head, Mark::HeadEnd) => {
                self.raw += &text;
                self.state = State::Body;
            }
            (State::Body, Mark::ArgumentOpen) => {
                self.begin();
                self.word.key.clear();
                self.state = State::Key;
            }
            (State::Body, Mark::CallClose) => self.complete(),
            (State::Body, Mark::SectionClose) => {
                self.complete();
                self.pending.insert_str(0, &text);
            }
            (State::Json(_) | State::Object(_), Mark::CallClose) if self.word.begun => {
                self.emit_end();
                self.leave();
            }
            (State::Key, Mark::NameEnd) => match self.argument().and_then(|one| one.head.end) {
                Some(_) => self.state = State::KeyHead,
                None => self.begin_value(),
            },
            (State::KeyHead, Mark::HeadEnd) => self.begin_value(),
            (State::Value, Mark::ArgumentClose) => self.end_value(&text),
            (State::Tail, Mark::CallClose) => self.leave(),
            (State::Tail, Mark::Silent) => {}
            (State::Tail, _) => {
                self.leave();
                self.pending.insert_str(0, &text);
            }
            // Everything else is out of place: no call, or the end of one.
            _ => self.reject(&text),
        }
    }

    pub(super) fn call_character(&mut self, c: char) {
        let head_begins = self.word.name.trim().is_empty();
        let calls = self.voice.and_then(|voice| voice.calls);
        let python = matches!(calls, Some(Calls::Python(_)));
        match &mut self.state {
            State::Section if python && (c.is_alphabetic() || c == '_') => self.begin_python(c),
            State::Section if python && "`;".contains(c) => self.raw.push(c),
            State::Python(_) => self.python(c),
            State::Section if c == '{' => self.begin_object(c),
            State::Section if c.is_whitespace() || "[],".contains(c) => self.raw.push(c),
            State::Object(object) => {
                let fed = object.feed(c);
                self.object_fed(fed, c);
            }
            State::Name if head_begins && c == '{' => self.begin_object(c),
            State::Name if name_goes_on(&self.word.name, c) => {
                self.word.name.push(c);
                self.raw.push(c);
            }
            State::Head | State::Body if c == '{' && self.word.arguments == 0 => {
                self.begin();
                self.word.arguments = 1;
                self.state = State::Json(Scanner::default());
                self.json(c);
            }
            State::Head if self.raw.len() < 2 * HEAD_MAX => self.raw.push(c),
            State::Body if c.is_whitespace() => self.raw.push(c),
            State::Body if self.word.begun => {}
            State::Json(_) => self.json(c),
            State::Key if self.word.key.len() < HEAD_MAX => self.word.key.push(c),
            State::KeyHead if self.word.attributes.len() < HEAD_MAX => {
                self.word.attributes.push(c);
            }
            State::Value => self.value(c),
            State::Tail if c.is_whitespace() || c == '`' => {}
            State::Tail => {
                self.leave();
                self.pending.insert(0, c);
            }
            _ => self.reject(c.encode_utf8(&mut [0; 4])),
        }
    }

    /// The stream ends within a call: one that has begun is cut there, anything else is text.
    pub(super) fn cut_off(&mut self) {
        match self.state {
            State::Tail => self.leave(),
            State::Section if self.section_used => self.state = State::Talk,
            State::Body if self.word.begun => self.complete(),
            _ => self.reject(""),
        }
    }

    /// What was read is no call: it is said as it was written. One that has begun ends here.
    /// `text` is read again.
    pub(super) fn reject(&mut self, text: &str) {
        self.pending.insert_str(0, text);
        if self.word.begun {
            self.emit_end();
            self.leave();
            return;
        }
        self.in_section = false;
        self.state = State::Talk;
        for c in std::mem::take(&mut self.raw).chars() {
            self.talk(c);
        }
    }

    /// To where the call was.
    pub(super) fn leave(&mut self) {
        self.word = Word::default();
        self.raw.clear();
        self.state = if self.in_section { State::Section } else { State::Talk };
    }

    fn name_ends(&mut self, mark: Mark, text: String) {
        if self.word.name.trim().is_empty() {
            match text.trim().is_empty() {
                true => self.raw += &text,
                false => self.reject(&text),
            }
            return;
        }
        let attributes = self.named().is_some_and(|named| named.head.end.is_some());
        self.state = if attributes { State::Head } else { State::Body };
        match mark {
            Mark::NameEnd => self.raw += &text,
            _ => self.pending.insert_str(0, &text),
        }
    }

    /// Announces the call that the head names, where that is not done.
    fn begin(&mut self) {
        if std::mem::replace(&mut self.word.begun, true) {
            return;
        }
        let head = self.word.name.trim().to_owned();
        match self.named().map(|named| named.naming) {
            None | Some(Naming::Plain) => self.emit_start(None, head),
            Some(Naming::Numbered) => {
                let name = head.strip_prefix("functions.").unwrap_or(&head);
                let (name, number) = name.rsplit_once(':').unwrap_or((name, ""));
                let (name, numbered) = (name.to_owned(), !number.is_empty());
                self.emit_start(numbered.then_some(head), name);
            }
        }
    }

    /// The arguments are complete that were read one by one.
    fn complete(&mut self) {
        self.begin();
        self.emit_arguments(if self.word.arguments == 0 { "{}" } else { "}" });
        self.emit_end();
        self.leave();
    }

    fn begin_object(&mut self, c: char) {
        self.word = Word::default();
        self.state = State::Object(CallObject::default());
        self.call_character(c);
    }

    fn object_fed(&mut self, fed: Fed, c: char) {
        if !self.word.begun && !matches!(fed, Fed::Wrong) {
            self.raw.push(c);
        }
        match fed {
            Fed::More => {}
            Fed::Whole(arguments) => {
                self.announce();
                self.emit_arguments(&arguments);
            }
            Fed::Begins => {
                self.announce();
                self.emit_arguments(c.encode_utf8(&mut [0; 4]));
            }
            Fed::Argument => self.emit_arguments(c.encode_utf8(&mut [0; 4])),
            Fed::Done => {
                if !self.word.begun {
                    self.announce();
                    self.emit_arguments("{}");
                }
                self.emit_end();
                match self.in_section {
                    true => self.leave(),
                    false => self.state = State::Tail,
                }
            }
            Fed::Wrong => self.reject(c.encode_utf8(&mut [0; 4])),
        }
    }

    fn announce(&mut self) {
        if let State::Object(object) = &mut self.state {
            let (id, name) = (object.id.take(), object.name.clone().unwrap_or_default());
            self.word.begun = true;
            self.emit_start(id, name);
        }
    }

    fn json(&mut self, c: char) {
        let State::Json(scanner) = &mut self.state else { return };
        let scan = scanner.feed(c);
        self.emit_arguments(c.encode_utf8(&mut [0; 4]));
        if scan == Scan::Last {
            self.emit_end();
            self.state = State::Tail;
        }
    }
}

/// Whether a name may go on with this character: white space only stands around it.
fn name_goes_on(name: &str, c: char) -> bool {
    let inside = !name.trim_start().is_empty();
    let ended = inside && name.ends_with(char::is_whitespace);
    name.len() < HEAD_MAX && !"<>{}[]\"".contains(c) && (c.is_whitespace() || !ended)
}
