//! Grammars as requests bring them.

use super::constraint::plain;
use super::error::GrammarError;
use super::{gbnf, limits, schema};
use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use llguidance::regex_to_lark;
use serde_json::{Value, json};

/// Bytes of a text that is looked ahead of at once.
const FORCED_MAX: usize = 512;

/// What a list of choices is called.
const CHOICE: &str = "choice";

/// White space between the parts of a JSON text: without a bound a model can write it for ever.
const WHITE_SPACE: &str = r"[ \t]{1,2}|\r?\n[ \t]{0,40}";

/// A rule that a whole answer keeps. Made by one of its functions, which check what they are given;
/// what only shows when it is compiled is said by
/// [`TokenEnvironment::constraint`](super::TokenEnvironment::constraint).
#[derive(Clone, Debug, PartialEq)]
pub struct Grammar {
    pub(super) part: Part,
}

/// A grammar by itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// A JSON schema, with what the library is to make of it.
    Json(Value),
    /// In the library's dialect of Lark. `kind` is what it was made of.
    Lark { text: String, kind: &'static str },
}

/// A grammar made of several.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Program {
    /// Lark that names the others as `@name`.
    pub main: String,
    pub parts: Vec<(String, Part)>,
}

impl Grammar {
    /// Any JSON object.
    pub fn json_object() -> Grammar {
        let part = json_part(&json!({ "type": "object" }), true);
        Grammar { part }
    }

    /// JSON that fits a schema. Its objects have their properties in the schema's order. What the
    /// schema asks for and cannot be guaranteed is an error where it is `strict`, else ignored.
    ///
    /// # Errors
    /// A schema that is malformed, too large, or asks for too much.
    pub fn json_schema(schema: &Value, strict: bool) -> Result<Grammar, GrammarError> {
        schema::check(schema, strict)?;
        Ok(Grammar { part: json_part(schema, strict) })
    }

    /// Text that a regular expression matches as a whole; its syntax is that of Rust's `regex`,
    /// with `\d` and `\w` of ASCII.
    ///
    /// # Errors
    /// One that is empty or too long.
    pub fn regex(regex: &str) -> Result<Grammar, GrammarError> {
        not_larger("the regular expression", regex, limits::REGEX_BYTES)?;
        if regex.is_empty() {
            return Err(GrammarError::syntax("regular expression", 1, "it is empty"));
        }
        let text = format!("start: /{}/", regex_to_lark(regex, "dw"));
        Ok(lark_part(text, "regular expression"))
    }

    /// A grammar in the dialect of Lark that `llguidance` reads; it begins with the rule `start`.
    ///
    /// # Errors
    /// One that is too large.
    pub fn lark(grammar: &str) -> Result<Grammar, GrammarError> {
        not_larger("the Lark grammar", grammar, limits::SOURCE_BYTES)?;
        nested("Lark", grammar)?;
        Ok(lark_part(grammar.to_owned(), "Lark"))
    }

    /// A grammar in GBNF, as llama.cpp reads it; it begins with the rule `root`.
    ///
    /// # Errors
    /// One that is too large, malformed, or has no counterpart.
    pub fn gbnf(grammar: &str) -> Result<Grammar, GrammarError> {
        not_larger("the GBNF grammar", grammar, limits::SOURCE_BYTES)?;
        Ok(lark_part(gbnf::to_lark(grammar)?, "GBNF"))
    }

    /// One of these texts.
    ///
    /// # Errors
    /// None of them, or too much.
    pub fn choice(choices: &[String]) -> Result<Grammar, GrammarError> {
        not_larger("the choices", &choices.concat(), limits::SOURCE_BYTES)?;
        if choices.iter().all(String::is_empty) {
            return Err(GrammarError::syntax(CHOICE, 0, "found none, one is wanted at least"));
        }
        let choices: Vec<_> = choices.iter().map(|choice| quoted(choice)).collect();
        Ok(lark_part(format!("start: {}", choices.join(" | ")), CHOICE))
    }

    pub(super) fn program(&self) -> Program {
        let parts = vec![("p0".to_owned(), self.part.clone())];
        Program { main: "start: @p0\n".to_owned(), parts }
    }
}

impl Program {
    /// Two programs of the same key are the same.
    pub fn key(&self) -> String {
        serde_json::to_string(&self.top_level()).expect("strings and values can be written")
    }

    pub fn top_level(&self) -> TopLevelGrammar {
        // Where a grammar leaves no choice, the library looks ahead to the next place where it
        // does, and chooses the tokens up to there: for ever, in a text that somebody made so.
        let forces = self.parts.iter().all(|(_, part)| part.is_short());
        let header = if forces { "" } else { "%llguidance {\"no_forcing\": true}\n" };
        let mut main = GrammarWithLexer::from_lark(format!("{header}{}", self.main));
        main.name = Some("main".to_owned());
        let mut grammars = vec![main];
        grammars.extend(self.parts.iter().map(|(name, part)| part.grammar(name)));
        TopLevelGrammar { grammars, max_tokens: None }
    }

    /// What the library said, as an error of the part that is at fault.
    pub fn fault(&self, cause: &str) -> GrammarError {
        let cause = plain(cause);
        const SIGNS: [&str; 7] =
            ["too large", "too many", "too complex", "fuel", "limit", "states", "overflow"];
        if SIGNS.iter().any(|sign| cause.contains(sign)) {
            let hint = "shorter lists, smaller repetitions and fewer alternatives take less";
            return GrammarError::TooComplex { fault: cause, hint };
        }
        match self.parts.as_slice() {
            [(_, Part::Json(_))] => {
                // Of an expression's fault, the last line says what it is.
                let fault = cause.lines().rfind(|line| line.starts_with("error: "));
                GrammarError::schema("", fault.unwrap_or(&cause))
            }
            [(_, Part::Lark { kind, .. })] => {
                let (line, fault) = line_of(&cause);
                GrammarError::syntax(kind, line, fault)
            }
            _ => GrammarError::syntax("grammar", 0, cause),
        }
    }
}

impl Part {
    /// Whether nothing in it can stand for a long text all by itself.
    fn is_short(&self) -> bool {
        fn short(value: &Value) -> bool {
            match value {
                Value::String(text) => text.len() <= FORCED_MAX,
                Value::Array(items) => items.iter().all(short),
                Value::Object(members) => members.iter().all(|(key, value)| {
                    let regex = ["pattern", "patternProperties"].contains(&key.as_str());
                    let said = ["description", "title", "$comment", "default", "examples"];
                    let written = !said.contains(&key.as_str());
                    key.len() <= FORCED_MAX && !regex && (!written || short(value))
                }),
                _ => true,
            }
        }
        match self {
            Part::Json(schema) => short(schema),
            Part::Lark { text, kind } => *kind == CHOICE && text.len() <= FORCED_MAX,
        }
    }

    fn grammar(&self, name: &str) -> GrammarWithLexer {
        let mut grammar = match self {
            Part::Json(schema) => GrammarWithLexer::from_json_schema(schema.clone()),
            Part::Lark { text, .. } => GrammarWithLexer::from_lark(text.clone()),
        };
        grammar.name = Some(name.to_owned());
        grammar
    }
}

pub(super) fn json_part(schema: &Value, strict: bool) -> Part {
    let mut schema = match schema {
        Value::Object(_) => schema.clone(),
        // `true`, or `false`, which the library has words for.
        other => json!({ "allOf": [other] }),
    };
    schema["x-guidance"] = json!({
        "whitespace_pattern": WHITE_SPACE,
        "lenient": !strict,
    });
    Part::Json(schema)
}

pub(super) fn lark_part(text: String, kind: &'static str) -> Grammar {
    Grammar { part: Part::Lark { text, kind } }
}

/// A text as Lark writes it.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

pub(super) fn not_larger(what: &str, text: &str, most: usize) -> Result<(), GrammarError> {
    let found = text.len();
    if found <= most {
        return Ok(());
    }
    let what = format!("{what}, in bytes");
    Err(GrammarError::TooLarge { what, found, most, hint: "a smaller one does" })
}

/// Refuses brackets within brackets beyond what the library's reader, which calls itself for each
/// of them, has room for.
pub(super) fn nested(kind: &'static str, text: &str) -> Result<(), GrammarError> {
    let mut depth = 0_usize;
    for (index, line) in text.lines().enumerate() {
        for c in line.chars() {
            match c {
                '(' | '[' | '{' | '~' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > 8 * limits::DEPTH {
                let fault = format!("more than {} brackets are open", 8 * limits::DEPTH);
                return Err(GrammarError::syntax(kind, index + 1, fault));
            }
        }
    }
    Ok(())
}

/// The line in `at 3(5): fault` and the fault.
fn line_of(cause: &str) -> (usize, &str) {
    let place = cause.strip_prefix("at ").unwrap_or(cause);
    let found = place.split_once('(').and_then(|(line, rest)| {
        let (_, fault) = rest.split_once("): ")?;
        Some((line.parse().ok()?, fault.lines().next().unwrap_or(fault)))
    });
    found.unwrap_or((0, cause.lines().next().unwrap_or(cause)))
}
