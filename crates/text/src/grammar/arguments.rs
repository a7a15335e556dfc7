//! The arguments of a call where each is written by itself: in markup, or as Python has it.

use super::calls::{NAME_MAX, SPACE, Tool};
use super::error::GrammarError;
use super::kind::{self, Kind, Text, kinds_of};
use super::source::quoted;
use super::writer::{Piece, Writer};
use crate::voice::typed::{self, Types};
use baimo_blueprint::voice::Argument;
use serde_json::{Value, json};

/// A property of a tool's parameters.
struct Property<'a> {
    name: &'a str,
    schema: &'a Value,
    required: bool,
}

fn properties(tool: &Tool) -> Result<Vec<Property<'_>>, GrammarError> {
    let members = tool.parameters.as_object().expect("parameters are an object");
    let wrong = |fault: String| Err(GrammarError::tool(&tool.name, fault));
    let apart = ["allOf", "anyOf", "oneOf", "$ref", "patternProperties", "minProperties"];
    if let Some(key) = apart.iter().find(|key| members.contains_key(**key))
        && tool.strict
    {
        return wrong(format!(
            "`{key}` of its parameters cannot be guaranteed, as this model writes each argument \
             by itself"
        ));
    }
    let listed = members.get("required").and_then(Value::as_array);
    let required: Vec<&str> = listed.into_iter().flatten().filter_map(Value::as_str).collect();
    let schemas = members.get("properties").and_then(Value::as_object);
    let has = |name: &str| schemas.is_some_and(|schemas| schemas.contains_key(name));
    if let Some(name) = required.iter().find(|name| !has(name)) {
        return wrong(format!("`{name}` is required and is no property of its parameters"));
    }
    let mut all = Vec::new();
    for (name, schema) in schemas.into_iter().flatten() {
        let bad = name.is_empty() || name.len() > NAME_MAX || name.trim() != name;
        if bad || name.contains(|c: char| c.is_control() || "<>\"".contains(c)) {
            return wrong(format!("its argument {name:?} has a name that markup cannot have"));
        }
        all.push(Property { name, schema, required: required.contains(&name.as_str()) });
    }
    Ok(all)
}

/// The ways to write a property, and what the parser takes its schema for.
fn kinds(tool: &Tool, property: &Property<'_>) -> Result<(Vec<Kind>, Types), GrammarError> {
    let types = Types::of(&tool.parameters, property.schema);
    match kinds_of(&tool.parameters, property.schema) {
        Ok(kinds) => Ok((kinds, types)),
        Err(_) if !tool.strict => Ok((vec![Kind::Text(Text::any())], types)),
        Err(fault) => {
            let fault = format!("its argument `{}`: {fault}", property.name);
            Err(GrammarError::tool(&tool.name, fault))
        }
    }
}

/// Arguments in markup, one after the other.
pub(super) fn each(
    writer: &mut Writer<'_>,
    argument: &Argument,
    tool: &Tool,
) -> Result<String, GrammarError> {
    let mut rules = vec![format!("{SPACE}?")];
    for property in properties(tool)? {
        let element = element(writer, argument, tool, &property)?;
        let element = writer.rule(&element);
        let mark = if property.required { "" } else { "?" };
        rules.push(format!("({element} {SPACE}?){mark}"));
    }
    Ok(rules.join(" "))
}

fn element(
    writer: &mut Writer<'_>,
    argument: &Argument,
    tool: &Tool,
    property: &Property<'_>,
) -> Result<String, GrammarError> {
    let (kinds, types) = kinds(tool, property)?;
    let mut ways = Vec::new();
    let head = format!("{} {}", writer.tag(argument.head.open), quoted(property.name));
    let name_end = argument.head.name_ends.first().copied().unwrap_or_default();
    let name_end = writer.tag(name_end);
    let apart = kinds.len() > 1;
    for kind in &kinds {
        let attribute = match (argument.string, kind, argument.head.end) {
            (Some(string), Kind::Text(_), _) => quoted(&format!(" {string}")),
            (Some(string), Kind::Json(schema), _) => other_attribute(string, schema),
            // Between the tags of a pair models write a line break, or nothing.
            (None, _, Some(end)) if end != ">" => "/\\n/?".to_owned(),
            (None, ..) => String::new(),
        };
        let end = argument.head.end.map(|end| writer.tag(end)).unwrap_or_default();
        let value = match kind {
            Kind::Json(schema) => {
                let json = json_value(writer, argument, schema, property.name, tool.strict);
                format!("{attribute} {end} {json}")
            }
            Kind::Text(text) => {
                let mut text = text.clone();
                if argument.string.is_none() {
                    // The parser looks at the text for what it is.
                    let read = |choice: &String| {
                        let json = typed::json_of(choice, &types);
                        serde_json::from_str::<Value>(&json).ok()
                    };
                    text.keep(|choice| read(choice).as_ref() == Some(&json!(choice)));
                    text.unlike_json = apart && !types.are_only(&["string", "null"]);
                }
                if text.choices.as_ref().is_some_and(Vec::is_empty) {
                    let fault = format!("no value of its argument `{}` can be told", property.name);
                    return Err(GrammarError::tool(&tool.name, fault));
                }
                let text = text_value(writer, argument, &text, property.name);
                format!("{attribute} {end} {text}")
            }
        };
        ways.push(value);
    }
    let ways = writer.rule(&ways.join(" | "));
    Ok(format!("{head} {name_end} {ways}"))
}

/// The attribute of a value that is no string, where `string` is the one of strings.
fn other_attribute(string: &str, schema: &Value) -> String {
    let name = string.split('=').next().unwrap_or(string);
    let words: Vec<&str> = match string.ends_with("\"true\"") {
        true => vec!["false"],
        false => match schema["type"].as_str() {
            Some("integer") => vec!["number"],
            Some(one) if one != "string" => vec![one],
            _ => vec!["number", "boolean", "object", "array", "null"],
        },
    };
    let ways = words.iter().map(|word| quoted(&format!(" {name}=\"{word}\"")));
    format!("({})", ways.collect::<Vec<_>>().join(" | "))
}

fn close_of(argument: &Argument, name: &str) -> String {
    argument.close.replace('*', name)
}

fn json_value(
    writer: &mut Writer<'_>,
    argument: &Argument,
    schema: &Value,
    name: &str,
    strict: bool,
) -> String {
    let close = close_of(argument, name);
    let first = close.chars().next().unwrap_or('<');
    let schema = kind::without(schema, first);
    let json = writer.json(&schema, strict);
    let close = writer.tag(&close);
    match argument.on_lines {
        true => format!("\"\\n\" {json} \"\\n\" {close}"),
        false => format!("{json} {close}"),
    }
}

/// A text and the tag that closes it, in which the text never runs on.
fn text_value(writer: &mut Writer<'_>, argument: &Argument, text: &Text, name: &str) -> String {
    let close = close_of(argument, name);
    let (before, after) = if argument.on_lines { ("\\n", "\n") } else { ("", "") };
    let before = if before.is_empty() { String::new() } else { format!("\"{before}\" ") };
    if let Some(choices) = &text.choices {
        let choices: Vec<_> = choices.iter().map(|choice| quoted(choice)).collect();
        let close = writer.tag(&format!("{after}{close}"));
        return format!("{before}({}) {close}", choices.join(" | "));
    }
    let mut never = vec![close.as_str()];
    if argument.close.contains('*') {
        never.push(argument.head.open);
    }
    if let Some(quotes) = argument.quotes {
        let tagged = text.terminal(&[quotes.close]);
        let inside = writer.terminal(&format!("{tagged} {}", quoted(quotes.close)));
        let plain = Text { without: Some('<'), ..text.clone() };
        let plain = writer.terminal(&plain.terminal(&never));
        let (open, close) = (quoted(quotes.open), writer.tag(&close));
        let optional = if text.may_be_empty() { "?" } else { "" };
        return format!("({open} {inside} | {plain}{optional}) {close}");
    }
    let body = text.terminal(&never);
    let whole = format!("{after}{close}");
    let pieces = writer.pieces(&whole);
    let (first, rest) = match pieces.first() {
        // The tag's first characters are part of the terminal: it would take them anyway.
        Some(Piece::Text(first)) => (quoted(first), whole[first.len()..].to_owned()),
        _ => (String::new(), whole.clone()),
    };
    let optional = if first.is_empty() && text.may_be_empty() { "?" } else { "" };
    let terminal = writer.terminal(&format!("{body} {first}"));
    format!("{before}{terminal}{optional} {}", writer.tag(&rest))
}

/// A call as Python writes it.
pub(super) fn python(writer: &mut Writer<'_>, tool: &Tool) -> Result<String, GrammarError> {
    let properties = properties(tool)?;
    let mut after = (String::new(), String::new());
    // From the last to the first: with arguments before it and without.
    for property in properties.iter().rev() {
        let goes_on = |c: char| c.is_alphanumeric() || c == '_';
        if !property.name.chars().all(goes_on) || property.name.starts_with(char::is_numeric) {
            let fault = format!("its argument `{}` has a name that is not Python's", property.name);
            return Err(GrammarError::tool(&tool.name, fault));
        }
        let schema = property.schema;
        let value = match &schema["type"] {
            Value::String(one) if one == "boolean" && schema.get("enum").is_none() => {
                "(\"True\" | \"False\")".to_owned()
            }
            _ => writer.json(&kind::rooted(&tool.parameters, schema), tool.strict),
        };
        let one = writer.rule(&format!("{} {value}", quoted(&format!("{}=", property.name))));
        let (more, fresh) = &after;
        after = match property.required {
            true => (format!("/, ?/ {one} {more}"), format!("{one} {more}")),
            false => (format!("(/, ?/ {one})? {more}"), format!("({one} {more} | {fresh})")),
        };
        after = (writer.rule(&after.0), writer.rule(&after.1));
    }
    Ok(format!("{} {} \")\"", quoted(&format!("{}(", tool.name)), after.1))
}
