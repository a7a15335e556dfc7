//! What the schema of one argument allows, where strings are written without quotes.

use crate::voice::typed;
use serde_json::{Map, Value, json};

/// One of the ways to write a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A string, as it is.
    Text(Text),
    /// JSON of this schema.
    Json(Value),
}

/// Strings as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Text {
    /// Only these.
    pub choices: Option<Vec<String>>,
    /// Characters, at least and at most.
    pub length: (u64, Option<u64>),
    /// A regular expression that matches somewhere.
    pub pattern: Option<String>,
    /// Nothing that reads like another type.
    pub unlike_json: bool,
    /// Nothing with this character in it.
    pub without: Option<char>,
}

impl Text {
    pub fn any() -> Text {
        Text::default()
    }

    /// Whether nothing at all is one of them.
    pub fn may_be_empty(&self) -> bool {
        self.length.0 == 0 && self.pattern.is_none()
    }

    /// Keeps some of the choices.
    pub fn keep(&mut self, keep: impl Fn(&String) -> bool) {
        if let Some(choices) = &mut self.choices {
            choices.retain(keep);
        }
    }

    /// As a terminal of Lark; nothing in `never` is part of it.
    pub fn terminal(&self, never: &[&str]) -> String {
        let class = match self.without {
            Some(c) => format!("[^{}]", escaped(&c.to_string())),
            None => "(?s:.)".to_owned(),
        };
        let length = match self.length {
            (0, None) => "*".to_owned(),
            (least, None) => format!("{{{least},}}"),
            (least, Some(most)) => format!("{{{least},{most}}}"),
        };
        let mut all = vec![format!("/{class}{length}/")];
        for text in never {
            all.push(format!("~/(?s:.*){}(?s:.*)/", escaped(text)));
        }
        if let Some(pattern) = &self.pattern {
            all.push(format!("/{}/", llguidance::regex_to_lark(&anywhere(pattern), "dw")));
        }
        if self.unlike_json {
            all.push(r"~/(?s:\s*(?i:true|false|null)\s*|\s*[-0-9\[{].*)/".to_owned());
        }
        format!("({})", all.join(" & "))
    }
}

/// A text as a regular expression between slashes.
fn escaped(text: &str) -> String {
    let special = |c: char| "\\/.+*?()|[]{}^$#&-~".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// A pattern that may match anywhere, as one that matches the whole.
fn anywhere(pattern: &str) -> String {
    let (start, rest) = match pattern.strip_prefix('^') {
        Some(rest) => ("", rest),
        None => ("(?s:.*)", pattern),
    };
    match rest.strip_suffix('$').filter(|inside| !inside.ends_with('\\')) {
        Some(inside) => format!("{start}(?:{inside})"),
        None => format!("{start}(?:{rest})(?s:.*)"),
    }
}

/// What a schema says nothing with.
const ANNOTATIONS: [&str; 9] = [
    "title",
    "description",
    "default",
    "examples",
    "example",
    "$comment",
    "deprecated",
    "readOnly",
    "nullable",
];

/// The ways to write a value of `schema`, a part of `root`.
pub(super) fn kinds_of(root: &Value, schema: &Value) -> Result<Vec<Kind>, String> {
    let mut kinds = Vec::new();
    collect(root, schema, 8, &mut kinds)?;
    Ok(kinds)
}

fn collect(
    root: &Value,
    schema: &Value,
    depth: usize,
    kinds: &mut Vec<Kind>,
) -> Result<(), String> {
    let schema = typed::resolved(root, schema);
    let none = Map::new();
    let members = match schema {
        Value::Object(members) => members,
        Value::Bool(true) => &none,
        _ => return Err("it allows nothing".to_owned()),
    };
    let said: Vec<&str> =
        members.keys().map(String::as_str).filter(|key| !ANNOTATIONS.contains(key)).collect();
    if said.is_empty() {
        kinds.push(Kind::Text(Text::any()));
        return Ok(());
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        let Some(parts) = members.get(key).and_then(Value::as_array) else { continue };
        if said.len() > 1 || depth == 0 || (key == "allOf" && parts.len() > 1) {
            return Err(format!("`{key}` beside other rules cannot be guaranteed"));
        }
        return parts.iter().try_for_each(|part| collect(root, part, depth - 1, kinds));
    }
    let one = members.get("const").map(std::slice::from_ref);
    let listed = members.get("enum").and_then(Value::as_array).map(Vec::as_slice);
    if let Some(values) = one.or(listed) {
        let texts: Vec<_> = values.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let others: Vec<_> = values.iter().filter(|value| !value.is_string()).collect();
        if !texts.is_empty() {
            kinds.push(Kind::Text(Text { choices: Some(texts), ..Text::any() }));
        }
        if !others.is_empty() {
            kinds.push(Kind::Json(json!({ "enum": others })));
        }
        return Ok(());
    }
    let types: Vec<&str> = match &members.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => return Err("without a `type` it cannot be guaranteed".to_owned()),
    };
    if types.contains(&"string") {
        let number = |key: &str| members.get(key).and_then(Value::as_u64);
        let pattern = members.get("pattern").and_then(Value::as_str).map(str::to_owned);
        let length = (number("minLength").unwrap_or(0), number("maxLength"));
        kinds.push(Kind::Text(Text { length, pattern, ..Text::any() }));
    }
    let others: Vec<&str> = types.into_iter().filter(|one| *one != "string").collect();
    if !others.is_empty() {
        let mut schema = rooted(root, schema);
        schema["type"] = if others.len() == 1 { others[0].into() } else { others.into() };
        kinds.push(Kind::Json(schema));
    }
    Ok(())
}

/// A part of a schema, with the definitions of the whole.
pub(super) fn rooted(root: &Value, schema: &Value) -> Value {
    let mut schema = match schema {
        Value::Object(_) => schema.clone(),
        other => json!({ "allOf": [other] }),
    };
    for key in ["$defs", "definitions"] {
        if let Some(definitions) = root.get(key) {
            schema[key] = definitions.clone();
        }
    }
    schema
}

/// The same schema, whose strings do not have `c` in them where nothing else is said of them.
pub(super) fn without(schema: &Value, c: char) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(|item| without(item, c)).collect(),
        Value::Object(members) => {
            let changed = members.iter().map(|(key, value)| {
                let literal = ["enum", "const", "default", "examples"].contains(&key.as_str());
                (key.clone(), if literal { value.clone() } else { without(value, c) })
            });
            let mut changed: Map<String, Value> = changed.collect();
            let free = ["pattern", "format", "enum", "const"];
            if changed.get("type").is_some_and(|kind| kind == "string")
                && !free.iter().any(|key| changed.contains_key(*key))
            {
                let class = escaped(&c.to_string());
                changed.insert("pattern".to_owned(), format!("^[^{class}]*$").into());
            }
            Value::Object(changed)
        }
        other => other.clone(),
    }
}
