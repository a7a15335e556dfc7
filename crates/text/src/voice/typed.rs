//! Arguments that were written as plain text, as the JSON that the tool's schema asks for.

use serde_json::{Map, Value};

/// References that are followed from one to the next.
const REFERENCES_MAX: usize = 8;

/// The types that a schema allows, all of JSON Schema's seven; none where it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Types(Vec<String>);

impl Types {
    /// Of a schema's `type`, or of the alternatives of `anyOf`, `oneOf`, `allOf`; of its `enum` or
    /// `const` where there is neither. The schema is part of `root`.
    pub fn of(root: &Value, schema: &Value) -> Types {
        let mut types = Vec::new();
        collect(root, schema, 8, &mut types);
        Types(types)
    }

    /// Whether it is known that there are no others.
    pub fn are_only(&self, names: &[&str]) -> bool {
        !self.0.is_empty() && self.0.iter().all(|name| names.contains(&name.as_str()))
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }

    /// Whether every text is meant as a string.
    pub fn only_string(&self) -> bool {
        self.are_only(&["string"])
    }
}

fn collect(root: &Value, schema: &Value, depth: usize, types: &mut Vec<String>) {
    let schema = resolved(root, schema);
    match &schema["type"] {
        Value::String(name) => types.push(name.to_ascii_lowercase()),
        Value::Array(names) => {
            types.extend(names.iter().filter_map(Value::as_str).map(str::to_ascii_lowercase));
        }
        _ if depth > 0 => {
            for key in ["anyOf", "oneOf", "allOf"] {
                for alternative in schema[key].as_array().into_iter().flatten() {
                    collect(root, alternative, depth - 1, types);
                }
            }
            let listed = schema["enum"].as_array().into_iter().flatten();
            types.extend(listed.chain(schema.get("const")).map(|value| kind(value).to_owned()));
        }
        _ => {}
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What a schema that only refers to a place in `root` refers to.
pub(crate) fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    for _ in 0..REFERENCES_MAX {
        let place = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        let Some(target) = place.and_then(|place| root.pointer(place)) else { break };
        schema = target;
    }
    schema
}

/// The schema of a property of an object, or of the items of an array.
pub(super) fn child<'a>(root: &'a Value, schema: &'a Value, name: &str) -> &'a Value {
    let schema = resolved(root, schema);
    let child = &schema["properties"][name];
    match (child, name) {
        (Value::Null, "item") if !schema["items"].is_null() => &schema["items"],
        (Value::Null, _) if schema["additionalProperties"].is_object() => {
            &schema["additionalProperties"]
        }
        _ => child,
    }
}

/// The JSON of a value. What is not of the type asked for stays a string, so that nothing is lost;
/// where no type is known, only lists and objects are taken for what they look like.
pub(crate) fn json_of(text: &str, types: &Types) -> String {
    let trimmed = text.trim();
    let parsed = serde_json::from_str::<Value>(trimmed).ok();
    let is = |name: &str| types.has(name);
    let lower = trimmed.to_ascii_lowercase();
    let number = is("number") || is("integer");
    match parsed {
        Some(Value::Number(_)) if number => return trimmed.to_owned(),
        Some(Value::Array(_)) if is("array") || types.0.is_empty() => return trimmed.to_owned(),
        Some(Value::Object(_)) if is("object") || types.0.is_empty() => return trimmed.to_owned(),
        _ => {}
    }
    match lower.as_str() {
        "true" | "false" if is("boolean") => return lower,
        "null" if is("null") || (!types.0.is_empty() && !is("string")) => return lower,
        _ => {}
    }
    string(text)
}

/// A value whose syntax says that it is no string: JSON as it is, or else a string after all.
pub(super) fn raw(text: &str) -> String {
    match serde_json::from_str::<Value>(text.trim()) {
        Ok(_) => text.trim().to_owned(),
        Err(_) => string(text),
    }
}

/// A JSON string.
pub(super) fn string(text: &str) -> String {
    Value::from(text).to_string()
}

/// A value that may be made of elements `open NAME>..close` itself, `*` in `close` being the name.
pub(super) fn nested(text: &str, open: &str, close: &str, root: &Value, schema: &Value) -> Value {
    let mut rest = text;
    let mut children: Vec<(&str, Value)> = Vec::new();
    while let Some((name, inside, after)) = element(rest, open, close) {
        let schema = child(root, schema, name);
        children.push((name, nested(inside, open, close, root, schema)));
        rest = after;
    }
    if children.is_empty() {
        let json = json_of(text, &Types::of(root, schema));
        return serde_json::from_str(&json).unwrap_or_else(|_| Value::from(text));
    }
    if children.iter().all(|(name, _)| *name == "item") {
        return children.into_iter().map(|(_, value)| value).collect();
    }
    let named = children.into_iter().map(|(name, value)| (name.to_owned(), value));
    Value::Object(named.collect::<Map<_, _>>())
}

/// The first element: its name, what is inside, and what comes after it.
fn element<'a>(text: &'a str, open: &str, close: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let (_, after) = text.split_once(open)?;
    let (name, body) = after.split_once('>')?;
    let (inside, after) = body.split_once(&close.replace('*', name))?;
    Some((name, inside, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_text_becomes_what_its_schema_says_and_else_stays_a_string() {
        let converted = |text: &str, schema: Value| json_of(text, &Types::of(&schema, &schema));
        let one = |kind: &str| json!({ "type": kind });
        assert_eq!(converted(" 42 ", one("integer")), "42");
        assert_eq!(converted("4.50", one("number")), "4.50");
        assert_eq!(converted("True", one("boolean")), "true");
        assert_eq!(converted("null", one("array")), "null");
        assert_eq!(converted("[1, 2]", one("array")), "[1, 2]");
        assert_eq!(converted("{\"b\": 1, \"a\": 2}", one("object")), "{\"b\": 1, \"a\": 2}");
        assert_eq!(converted("42", one("string")), "\"42\"");
        assert_eq!(converted("null", one("string")), "\"null\"");
        assert_eq!(converted("  two\nlines\n", one("string")), "\"  two\\nlines\\n\"");
        assert_eq!(converted("forty", one("integer")), "\"forty\"");
        assert_eq!(converted("7", json!({ "type": ["string", "integer"] })), "7");
        assert_eq!(converted("7", json!({ "anyOf": [one("null"), one("number")] })), "7");
        assert_eq!(converted("null", json!({ "type": ["string", "null"] })), "null");
        assert_eq!(converted("b", json!({ "enum": ["a", "b"] })), "\"b\"");
        assert_eq!(converted("02134", Value::Null), "\"02134\"");
        assert_eq!(converted("7", Value::Null), "\"7\"");
        assert_eq!(converted("[7]", Value::Null), "[7]");
    }

    #[test]
    fn a_reference_is_what_it_refers_to() {
        let root = json!({
            "$defs": { "count": { "$ref": "#/$defs/number" }, "number": { "type": "integer" } },
            "properties": { "days": { "$ref": "#/$defs/count" }, "loop": { "$ref": "#" } },
        });
        let days = child(&root, &root, "days");
        assert_eq!(json_of("3", &Types::of(&root, days)), "3");
        assert!(!child(&root, &root, "loop").is_null());
    }

    #[test]
    fn elements_within_a_value_are_an_object_or_a_list() {
        let schema = json!({ "properties": {
            "count": { "type": "integer" },
            "names": { "type": "array", "items": { "type": "string" } },
        } });
        let text = "^<count>3^</count>^<names>^<item>1^</item>^<item>b^</item>^</names>";
        let value = nested(text, "^<", "^</*>", &schema, &schema);
        assert_eq!(value, json!({ "count": 3, "names": ["1", "b"] }));
    }
}
