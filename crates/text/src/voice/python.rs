//! Calls as Python writes them: `name(key="value", other=[1, 2])`.

use super::parser::{Parser, State};
use super::typed::string;
use serde_json::Number;

/// Values within values beyond this are no call.
const DEPTH_MAX: usize = 32;

/// One call as it streams in: it is read when its last parenthesis is there.
#[derive(Debug, Default)]
pub(super) struct Statement {
    text: String,
    /// Brackets that are open.
    depth: usize,
    /// The string that the next character belongs to.
    quoted: Option<Quoted>,
    escaped: bool,
    /// The quote of an empty string right before: a third one opens a long string.
    doubled: Option<char>,
}

#[derive(Clone, Copy, Debug)]
struct Quoted {
    quote: char,
    /// Three quotes end it.
    long: bool,
    /// Where in the text its first character is.
    start: usize,
}

/// What a character did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fed {
    More,
    /// It ends the call.
    Last,
    /// What was read is the language of a code block.
    Language,
    /// This is no call.
    Wrong,
}

impl Statement {
    /// Whether the next character is inside a string: no tag is looked for there.
    pub fn in_string(&self) -> bool {
        self.quoted.is_some()
    }

    fn feed(&mut self, c: char) -> Fed {
        self.text.push(c);
        let doubled = self.doubled.take();
        match self.quoted {
            Some(quoted) => {
                self.feed_quoted(quoted, c);
                Fed::More
            }
            None => match c {
                '"' | '\'' if self.depth > 0 => {
                    let long = doubled == Some(c);
                    self.quoted = Some(Quoted { quote: c, long, start: self.text.len() });
                    Fed::More
                }
                _ => self.feed_plain(c),
            },
        }
    }

    fn feed_quoted(&mut self, Quoted { quote, long, start }: Quoted, c: char) {
        if std::mem::take(&mut self.escaped) {
            return;
        }
        let inside = &self.text[start..];
        let ends = match long {
            true => inside.ends_with([quote; 3].iter().collect::<String>().as_str()),
            false => c == quote,
        };
        self.escaped = c == '\\';
        if ends {
            self.doubled = (!long && inside.len() == c.len_utf8()).then_some(quote);
            self.quoted = None;
        }
    }

    fn feed_plain(&mut self, c: char) -> Fed {
        match (self.depth, c) {
            (_, '(') | (1.., '[' | '{') => self.depth += 1,
            (1, ')') => return Fed::Last,
            (1, ']' | '}') => return Fed::Wrong,
            (1.., ')' | ']' | '}') => self.depth -= 1,
            (1.., _) => {}
            (0, _) if c.is_alphanumeric() || c == '_' || c == '.' => {}
            (0, _) if c.is_whitespace() && self.text.trim_end() == "python" => {
                return Fed::Language;
            }
            (0, _) => return Fed::Wrong,
        }
        Fed::More
    }
}

impl Parser {
    /// A character of a section of calls in Python that may begin one.
    pub(super) fn begin_python(&mut self, c: char) {
        self.state = State::Python(Statement::default());
        self.python(c);
    }

    /// The next character of a call in Python.
    pub(super) fn python(&mut self, c: char) {
        self.raw.push(c);
        let State::Python(statement) = &mut self.state else { return };
        match statement.feed(c) {
            Fed::More => {}
            Fed::Language => self.state = State::Section,
            Fed::Wrong => self.reject(""),
            Fed::Last => match call(&statement.text) {
                None => self.reject(""),
                Some((name, arguments)) => {
                    self.emit_start(None, name);
                    self.emit_arguments(&arguments);
                    self.emit_end();
                    self.leave();
                }
            },
        }
    }
}

/// The name of a call and its arguments as a JSON object; `None` where this is no call, or one with
/// arguments that have no names.
fn call(text: &str) -> Option<(String, String)> {
    let mut reader = Reader { rest: text, depth: 0 };
    let name = reader.name()?.to_owned();
    let arguments = reader.list('(', ')', |reader| {
        let key = reader.name()?;
        reader.takes('=').then_some(())?;
        Some(format!("{}: {}", string(key), reader.value()?))
    })?;
    reader.rest.is_empty().then(|| (name, format!("{{{}}}", arguments.items.join(", "))))
}

/// What is between brackets.
struct List {
    items: Vec<String>,
    /// A comma stands after the last.
    trailing: bool,
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// Whether `c` comes next, which then is read, with the white space before it.
    fn takes(&mut self, c: char) -> bool {
        let rest = self.rest.trim_start();
        let after = rest.strip_prefix(c);
        self.rest = after.unwrap_or(rest);
        after.is_some()
    }

    /// A name, with dots in it where it has parts.
    fn name(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        let goes_on = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let (name, after) = rest.split_at(rest.find(|c| !goes_on(c)).unwrap_or(rest.len()));
        let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        is_name.then(|| self.rest = after).map(|()| name)
    }

    fn list(
        &mut self,
        open: char,
        close: char,
        mut item: impl FnMut(&mut Reader<'a>) -> Option<String>,
    ) -> Option<List> {
        (self.takes(open) && self.depth < DEPTH_MAX).then(|| self.depth += 1)?;
        let (mut items, mut trailing) = (Vec::new(), false);
        while !self.takes(close) {
            (items.is_empty() || trailing).then_some(())?;
            items.push(item(self)?);
            trailing = self.takes(',');
        }
        self.depth -= 1;
        Some(List { items, trailing })
    }

    /// A value as JSON. Names that stand for nothing here are strings, as the lab's parser has it.
    fn value(&mut self) -> Option<String> {
        self.rest = self.rest.trim_start();
        match self.rest.chars().next()? {
            '"' | '\'' => self.strings(),
            '[' => {
                let list = self.list('[', ']', Reader::value)?;
                Some(format!("[{}]", list.items.join(", ")))
            }
            '(' => {
                let list = self.list('(', ')', Reader::value)?;
                match &list.items[..] {
                    [one] if !list.trailing => Some(one.clone()),
                    items => Some(format!("[{}]", items.join(", "))),
                }
            }
            '{' => {
                let list = self.list('{', '}', |reader| {
                    let key = reader.value()?;
                    let key = if key.starts_with('"') { key } else { string(&key) };
                    reader.takes(':').then_some(())?;
                    Some(format!("{key}: {}", reader.value()?))
                })?;
                Some(format!("{{{}}}", list.items.join(", ")))
            }
            '-' | '+' | '.' | '0'..='9' => self.number(),
            _ => match self.name()? {
                "True" | "true" => Some("true".into()),
                "False" | "false" => Some("false".into()),
                "None" | "null" => Some("null".into()),
                name => Some(string(name)),
            },
        }
    }

    fn number(&mut self) -> Option<String> {
        let sign = usize::from(self.rest.starts_with(['-', '+']));
        let body = &self.rest[sign..];
        let mut last = '0';
        let mut goes_on = |c: char| {
            let exponent = "+-".contains(c) && "eE".contains(last);
            last = c;
            exponent || c.is_ascii_digit() || "._eE".contains(c)
        };
        let end = body.find(|c| !goes_on(c)).unwrap_or(body.len());
        let digits = body[..end].replace('_', "");
        let text = if self.rest.starts_with('-') { format!("-{digits}") } else { digits };
        self.rest = &body[end..];
        if serde_json::from_str::<Number>(&text).is_ok() {
            return Some(text);
        }
        Number::from_f64(text.parse().ok()?).map(|number| number.to_string())
    }

    /// A string, or several that stand side by side and are one.
    fn strings(&mut self) -> Option<String> {
        let mut all = String::new();
        loop {
            self.rest = self.rest.trim_start();
            let quote = match self.rest.chars().next() {
                Some(quote @ ('"' | '\'')) => quote,
                _ => return Some(string(&all)),
            };
            let long: String = [quote; 3].iter().collect();
            let end = if self.rest.starts_with(&long) { long } else { quote.to_string() };
            self.rest = &self.rest[end.len()..];
            while !self.rest.starts_with(&end) {
                self.character(&mut all)?;
            }
            self.rest = &self.rest[end.len()..];
        }
    }

    /// One character of a string, or what a backslash and what follows it stand for.
    fn character(&mut self, all: &mut String) -> Option<()> {
        let mut next = || {
            let c = self.rest.chars().next()?;
            self.rest = &self.rest[c.len_utf8()..];
            Some(c)
        };
        let c = next()?;
        if c != '\\' {
            all.push(c);
            return Some(());
        }
        let c = next()?;
        let digits = match c {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        if digits > 0 {
            let code: Option<String> = (0..digits).map(|_| next()).collect();
            all.push(char::from_u32(u32::from_str_radix(&code?, 16).ok()?)?);
            return Some(());
        }
        match c {
            'n' => all.push('\n'),
            't' => all.push('\t'),
            'r' => all.push('\r'),
            'b' => all.push('\u{8}'),
            'f' => all.push('\u{c}'),
            '0' => all.push('\0'),
            '\n' => {}
            '\\' | '\'' | '"' => all.push(c),
            _ => all.extend(['\\', c]),
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_json() {
        for (python, json) in [
            ("f()", "{}"),
            ("f(a=1, b=-2.5, c=1_000, d=.5,)", r#"{"a": 1, "b": -2.5, "c": 1000, "d": 0.5}"#),
            ("f(a=True, b=None, c=red)", r#"{"a": true, "b": null, "c": "red"}"#),
            (r#"f(a='it\'s', b="\u5317\x41\n")"#, r#"{"a": "it's", "b": "北A\n"}"#),
            ("f(a=\"\"\"long \"one\"\n\"\"\")", r#"{"a": "long \"one\"\n"}"#),
            ("f(a='x' \"y\")", r#"{"a": "xy"}"#),
            ("f(a=[1, (2,), (3), {'k': [], 4: ''}])", r#"{"a": [1, [2], 3, {"k": [], "4": ""}]}"#),
            ("f( from = 'here' )", r#"{"from": "here"}"#),
            ("f(a=1e3)", r#"{"a": 1e3}"#),
        ] {
            assert_eq!(call(python), Some(("f".into(), json.into())), "{python}");
            assert!(serde_json::from_str::<serde_json::Value>(json).is_ok());
        }
        assert_eq!(call("api.v1.f(a=1)").unwrap().0, "api.v1.f");
    }

    #[test]
    fn what_is_no_call_is_none() {
        for python in [
            "f(1)",
            "f(a=)",
            "f(a=1 b=2)",
            "f(a={1})",
            "f(a='\\u12')",
            "f(a=1-2)",
            "f(a=g(1))",
            "f(a=1) + 1",
            "1(a=1)",
        ] {
            assert_eq!(call(python), None, "{python}");
        }
        let deep = format!("f(a={}{})", "[".repeat(40), "]".repeat(40));
        assert_eq!(call(&deep), None);
    }
}
