//! The parser's arguments where each stands in markup.

use super::parser::{Parser, State};
use super::typed::{self, Types};
use baimo_blueprint::voice::Argument;
use serde_json::Value;

impl Parser {
    pub(super) fn begin_value(&mut self) {
        let Some(argument) = self.argument() else { return };
        let word = &mut self.word;
        let key = word.key.trim().to_owned();
        let separator = if word.arguments == 0 { "{" } else { ", " };
        let opening = format!("{separator}{}: ", typed::string(&key));
        word.arguments += 1;
        word.close = argument.close.replace('*', &key);
        word.value.clear();
        word.value_begun = false;
        let attributes = std::mem::take(&mut word.attributes);
        let schema = self.tools.as_ref().map(|tools| tools.schema(self.word.name.trim()));
        let types = schema.map(|root| Types::of(root, typed::child(root, root, &key)));
        self.word.streams = argument.quotes.is_none()
            && match argument.string {
                Some(attribute) => attributes.contains(attribute),
                None => types.is_some_and(|types| types.only_string()),
            };
        self.word.key = key;
        self.state = State::Value;
        self.emit_arguments(&opening);
        if self.word.streams {
            self.emit_arguments("\"");
        }
    }

    /// A string is passed on but for a line break that may be its last character.
    pub(super) fn value(&mut self, c: char) {
        let first = !std::mem::replace(&mut self.word.value_begun, true);
        let on_lines = self.argument().is_some_and(|argument| argument.on_lines);
        if first && on_lines && c == '\n' {
            return;
        }
        self.word.value.push(c);
        if self.word.streams && !(on_lines && c == '\n') {
            self.pass_string();
        }
    }

    fn pass_string(&mut self) {
        let json = typed::string(&std::mem::take(&mut self.word.value));
        self.emit_arguments(&json[1..json.len() - 1]);
    }

    pub(super) fn end_value(&mut self, tag: &str) {
        let Some(argument) = self.argument() else { return };
        let mut text = std::mem::take(&mut self.word.value);
        if let Some(quotes) = argument.quotes
            && let Some(quoted) = text.trim_start().strip_prefix(quotes.open)
        {
            let Some(inside) = quoted.trim_end().strip_suffix(quotes.close) else {
                self.word.value = text + tag;
                return;
            };
            text = inside.to_owned();
        } else if argument.on_lines && text.ends_with('\n') {
            text.pop();
        }
        self.state = State::Body;
        if self.word.streams {
            self.word.value = text;
            self.pass_string();
            self.emit_arguments("\"");
            return;
        }
        let json = self.converted(argument, &text);
        self.emit_arguments(&json);
    }

    fn converted(&self, argument: &Argument, text: &str) -> String {
        let schema = self.tools.as_ref().map(|tools| tools.schema(self.word.name.trim()));
        let root = schema.unwrap_or(&Value::Null);
        let schema = typed::child(root, root, &self.word.key);
        if argument.string.is_some() {
            typed::raw(text)
        } else if argument.close.contains('*') && text.contains(argument.head.open) {
            typed::nested(text, argument.head.open, argument.close, root, schema).to_string()
        } else {
            typed::json_of(text, &Types::of(root, schema))
        }
    }
}
