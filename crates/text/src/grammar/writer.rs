//! A grammar of several parts, as it is written down.

use super::environment::TokenEnvironment;
use super::source::{Part, Program, json_part, quoted};
use serde_json::Value;

/// Line breaks between a tag and what it is about.
pub(super) const GAP: &str = "/\\n{1,2}/";

/// Writes rules one by one. What its functions return stands for the rule in other rules.
pub(super) struct Writer<'a> {
    pub environment: &'a TokenEnvironment,
    rules: String,
    count: usize,
    parts: Vec<(String, Part)>,
}

/// A part of a tag: some tokens are no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    Text(&'t str),
    Token(u32),
}

impl<'a> Writer<'a> {
    pub fn new(environment: &'a TokenEnvironment) -> Writer<'a> {
        Writer { environment, rules: String::new(), count: 0, parts: Vec::new() }
    }

    /// A rule with this body.
    pub fn rule(&mut self, body: &str) -> String {
        self.count += 1;
        self.rules += &format!("r{}: {body}\n", self.count);
        format!("r{}", self.count)
    }

    /// A terminal, of which a token is never the end of one and the beginning of another kind.
    pub fn terminal(&mut self, body: &str) -> String {
        self.count += 1;
        self.rules += &format!("T{}: {body}\n", self.count);
        format!("T{}", self.count)
    }

    /// A grammar by itself.
    pub fn part(&mut self, part: Part) -> String {
        let known = self.parts.iter().position(|(_, known)| *known == part);
        let index = known.unwrap_or_else(|| {
            self.parts.push((format!("p{}", self.parts.len()), part));
            self.parts.len() - 1
        });
        format!("@p{index}")
    }

    /// JSON of a schema.
    pub fn json(&mut self, schema: &Value, strict: bool) -> String {
        self.part(json_part(schema, strict))
    }

    /// A tag, as the tokens it is made of.
    pub fn tag(&self, tag: &str) -> String {
        let pieces = self.pieces(tag).into_iter().map(|piece| match piece {
            Piece::Text(text) => quoted(text),
            Piece::Token(id) => format!("<[{id}]>"),
        });
        pieces.collect::<Vec<_>>().join(" ")
    }

    /// A tag, cut at the tokens that are no text.
    pub fn pieces<'t>(&self, tag: &'t str) -> Vec<Piece<'t>> {
        let mut pieces = Vec::new();
        let mut rest = tag;
        while !rest.is_empty() {
            let markers = self.environment.markers().iter();
            let found = markers
                .filter(|(_, text)| !text.is_empty())
                .filter_map(|(id, text)| Some((rest.find(text.as_str())?, *id, text.len())))
                .min_by_key(|(start, _, length)| (*start, std::cmp::Reverse(*length)));
            let (start, after) = match found {
                Some((start, _, length)) => (start, start + length),
                None => (rest.len(), rest.len()),
            };
            pieces.extend((start > 0).then(|| Piece::Text(&rest[..start])));
            pieces.extend(found.map(|(_, id, _)| Piece::Token(id)));
            rest = &rest[after..];
        }
        pieces
    }

    /// The whole, beginning with the rule `start`.
    pub fn finish(self, start: &str) -> Program {
        let text = format!("start: {start}\n{}", self.rules);
        Program { main: text, parts: self.parts }
    }
}
