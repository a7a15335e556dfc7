//! JSON schemas, looked through before the library gets to see them.

use super::error::GrammarError;
use super::limits;
use serde_json::{Map, Value};

/// What JSON Schema has and a grammar cannot express.
const UNSUPPORTED: [&str; 17] = [
    "$dynamicRef",
    "$recursiveRef",
    "contains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "maxContains",
    "minContains",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
    "x-guidance",
];

/// Looks a schema through: its size, its references, what cannot be guaranteed where it is
/// `strict`, and what it would take to merge its parts.
pub(super) fn check(schema: &Value, strict: bool) -> Result<(), GrammarError> {
    shallow(schema)?;
    let found = schema.to_string().len();
    let most = limits::SOURCE_BYTES;
    if found > most {
        let what = "the JSON schema, in bytes".to_owned();
        return Err(GrammarError::TooLarge { what, found, most, hint: "a smaller one does" });
    }
    let mut checked = Checked { root: schema, strict, within: Vec::new(), steps: 0 };
    checked.schema(schema, "")?;
    checked.combinations(schema, "")?;
    Ok(())
}

/// Levels are counted before anything calls itself for each of them.
fn shallow(schema: &Value) -> Result<(), GrammarError> {
    let mut level = vec![schema];
    for _ in 0..=limits::DEPTH {
        let inner = level.iter().flat_map(|value| -> Vec<&Value> {
            match value {
                Value::Array(items) => items.iter().collect(),
                Value::Object(members) => members.values().collect(),
                _ => Vec::new(),
            }
        });
        level = inner.collect();
        if level.is_empty() {
            return Ok(());
        }
    }
    Err(GrammarError::TooLarge {
        what: "levels of the JSON schema".to_owned(),
        found: limits::DEPTH + 1,
        most: limits::DEPTH,
        hint: "`$defs` and `$ref` keep a schema flat",
    })
}

struct Checked<'a> {
    root: &'a Value,
    strict: bool,
    /// References that are being followed.
    within: Vec<String>,
    /// Schemas that were looked at for their combinations.
    steps: usize,
}

impl<'a> Checked<'a> {
    fn schema(&self, schema: &'a Value, pointer: &str) -> Result<(), GrammarError> {
        let members = match schema {
            Value::Bool(_) => return Ok(()),
            Value::Object(members) => members,
            other => {
                let fault = format!("found {}, wanted an object or a boolean", short(other));
                return Err(GrammarError::schema(pointer, fault));
            }
        };
        if let Some(reference) = members.get("$ref") {
            self.reference(reference, pointer)?;
        }
        if let Some(key) = UNSUPPORTED.iter().find(|key| members.contains_key(**key))
            && (self.strict || *key == "x-guidance")
        {
            let fault = format!("`{key}` cannot be guaranteed (hint: leave it out)");
            return Err(GrammarError::schema(pointer, fault));
        }
        measured(members, pointer)?;
        for (place, child) in children(members, pointer)? {
            self.schema(child, &place)?;
        }
        Ok(())
    }

    fn reference(&self, reference: &Value, pointer: &str) -> Result<&'a Value, GrammarError> {
        let text = reference.as_str().unwrap_or_default();
        let fault = match text.strip_prefix('#') {
            Some(place) => match self.root.pointer(&unescaped(place)) {
                Some(target) => return Ok(target),
                None => format!("`$ref` is {}, and there is nothing", short(reference)),
            },
            None => format!("`$ref` is {}, wanted a place in this schema", short(reference)),
        };
        Err(GrammarError::schema(pointer, format!("{fault} (hint: put it below `$defs`)")))
    }

    /// How many alternatives a schema has, those of its parts within one another multiplied. Parts
    /// that have to be merged (`allOf`, or what stands beside `anyOf` and `$ref`) are merged
    /// alternative by alternative.
    fn combinations(&mut self, schema: &'a Value, pointer: &str) -> Result<usize, GrammarError> {
        let Value::Object(members) = schema else { return Ok(1) };
        self.steps += 1;
        if self.steps > 32 * limits::COMBINATIONS {
            return Err(too_many(pointer, "references within references"));
        }
        let (mut own, mut merged) = (1_usize, 0);
        for key in ["anyOf", "oneOf"] {
            let Some(parts) = members.get(key).and_then(Value::as_array) else { continue };
            let mut sum = 0_usize;
            for (index, part) in parts.iter().enumerate() {
                sum += self.combinations(part, &format!("{pointer}/{key}/{index}"))?;
            }
            own = own.saturating_mul(sum.max(1));
            merged += 1;
        }
        for (index, part) in list(members, "allOf").iter().enumerate() {
            let part = self.combinations(part, &format!("{pointer}/allOf/{index}"))?;
            own = own.saturating_mul(part);
            merged += 1;
        }
        if let Some(reference) = members.get("$ref") {
            let target = self.reference(reference, pointer)?;
            let name = reference.to_string();
            if !self.within.contains(&name) {
                self.within.push(name);
                own = own.saturating_mul(self.combinations(target, pointer)?);
                self.within.pop();
            }
            merged += 1;
        }
        let mut inner = 1;
        for (place, child) in children(members, pointer)? {
            let part = place[pointer.len()..].split('/').nth(1).unwrap_or_default();
            if !["anyOf", "oneOf", "allOf"].contains(&part) {
                let combinations = self.combinations(child, &place)?;
                let counts = !["$defs", "definitions"].contains(&part);
                inner = inner.max(if counts { combinations } else { 1 });
            }
        }
        let all = own.saturating_mul(inner);
        match merged > 1 && all > limits::COMBINATIONS {
            true => Err(too_many(pointer, "alternatives that are to be merged")),
            false => Ok(all),
        }
    }
}

/// What the library takes too long for.
fn measured(members: &Map<String, Value>, pointer: &str) -> Result<(), GrammarError> {
    let properties = members.get("properties").and_then(Value::as_object);
    let found = properties.map_or(0, Map::len);
    if found > limits::PROPERTIES {
        return Err(GrammarError::TooLarge {
            what: format!("properties at `{pointer}` of the JSON schema"),
            found,
            most: limits::PROPERTIES,
            hint: "objects within objects take more",
        });
    }
    let Some(divisor) = members.get("multipleOf").and_then(Value::as_f64) else { return Ok(()) };
    let scaled = (0..=6).map(|power| divisor * 10_f64.powi(power));
    let whole = scaled.into_iter().find(|scaled| (scaled - scaled.round()).abs() < 1e-9);
    match whole {
        Some(whole) if whole > 0.0 && whole <= limits::DIVISOR => Ok(()),
        _ => {
            let most = limits::DIVISOR;
            let fault = format!("`multipleOf` is {divisor}, wanted at most {most} or six decimals");
            Err(GrammarError::schema(pointer, fault))
        }
    }
}

fn too_many(pointer: &str, what: &str) -> GrammarError {
    let place = if pointer.is_empty() { "the JSON schema" } else { pointer };
    let hint = "one list of alternatives that stands alone takes less";
    GrammarError::TooComplex { fault: format!("{place} has too many {what}"), hint }
}

fn list<'a>(members: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    members.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The schemas within a schema, and where they are.
fn children<'a>(
    members: &'a Map<String, Value>,
    pointer: &str,
) -> Result<Vec<(String, &'a Value)>, GrammarError> {
    let mut children = Vec::new();
    for (key, value) in members {
        let place = format!("{pointer}/{key}");
        let wrong = |wanted: &str| {
            let fault = format!("found {}, wanted {wanted}", short(value));
            Err(GrammarError::schema(&place, fault))
        };
        match (key.as_str(), value) {
            ("properties" | "patternProperties" | "$defs" | "definitions", Value::Object(all)) => {
                let named = all.iter();
                children
                    .extend(named.map(|(name, one)| (format!("{place}/{}", escaped(name)), one)));
            }
            ("properties" | "patternProperties" | "$defs" | "definitions", _) => {
                return wrong("an object of schemas");
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems" | "items", Value::Array(all)) => {
                let indexed = all.iter().enumerate();
                children.extend(indexed.map(|(index, one)| (format!("{place}/{index}"), one)));
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", _) => {
                return wrong("a list of schemas");
            }
            ("items" | "additionalItems" | "additionalProperties", _) => {
                children.push((place, value));
            }
            _ => {}
        }
    }
    Ok(children)
}

/// A name as a JSON pointer has it.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A pointer out of the fragment of an address.
fn unescaped(fragment: &str) -> String {
    fragment.replace("%24", "$").replace("%25", "%")
}

/// A value, not all of it where it is long.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
