//! Requests that were made to take for ever: each is an error, or does no harm.

use crate::speaker::Speaker;
use baimo_text::grammar::{Grammar, GrammarError};
use serde_json::{Value, json};

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!({}), |inner, _| json!({ "items": inner }))
}

/// `allOf` of `parts` lists of `alternatives`.
fn product(parts: usize, alternatives: usize) -> Value {
    let list = |part: usize| {
        let one = |index: usize| json!({ "required": [format!("{part} {index}")] });
        json!({ "anyOf": (0..alternatives).map(one).collect::<Vec<_>>() })
    };
    json!({ "type": "object", "allOf": (0..parts).map(list).collect::<Vec<_>>() })
}

/// Definitions, each of which has the next one twice.
fn doubled(levels: usize, key: &str) -> Value {
    let next = |level: usize| json!({ "$ref": format!("#/$defs/d{}", level + 1) });
    let one = |level| (format!("d{level}"), json!({ key: [next(level), next(level)] }));
    let mut defs: serde_json::Map<_, _> = (0..levels).map(one).collect();
    defs.insert(format!("d{levels}"), json!({ "type": "integer" }));
    json!({ "$defs": defs, "$ref": "#/$defs/d0" })
}

fn large(bytes: usize) -> Value {
    let one = |index: usize| (format!("property {index}"), json!({ "type": "string" }));
    let all: serde_json::Map<_, _> = (0..bytes / 40).map(one).collect();
    json!({ "type": "object", "properties": all })
}

/// Compiles it and says some tokens: an error at either step is `false`.
fn stands(speaker: &mut Speaker, grammar: Result<Grammar, GrammarError>) -> bool {
    let compiled = grammar.and_then(|grammar| speaker.environment.constraint(&grammar));
    let Ok(mut constraint) = compiled else { return false };
    for step in 0..50 {
        match speaker.choose(constraint.allowed(), step) {
            Some(token) if token != speaker.end => constraint.took(token),
            _ => break,
        }
    }
    constraint.fault().is_none()
}

#[test]
fn schemas_without_measure_are_errors() {
    let mut speaker = Speaker::new("byte_level", "<|im_end|>", None, 1);
    let cycle = json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/a" } } });
    for (name, schema) in [
        ("levels", nested(100)),
        ("products", product(24, 8)),
        ("references", doubled(40, "allOf")),
        ("references to one of two", doubled(40, "anyOf")),
        ("a megabyte", large(1 << 20)),
        ("properties", large(200 << 10)),
        ("a divisor", json!({ "type": "integer", "multipleOf": 999_999_937 })),
        ("looking ahead", json!({ "type": "string", "pattern": "(?=a)b" })),
        ("a circle", cycle),
    ] {
        for strict in [true, false] {
            let grammar = Grammar::json_schema(&schema, strict);
            assert!(!stands(&mut speaker, grammar), "{name}");
        }
    }
}

#[test]
fn schemas_that_ask_for_much_do_no_harm() {
    let mut speaker = Speaker::new("byte_level", "<|im_end|>", None, 1);
    for schema in [
        json!({ "type": "array", "minItems": 1_000_000_000 }),
        json!({ "type": "array", "maxItems": 1_000_000_000 }),
        json!({ "type": "string", "minLength": 1_000_000_000 }),
        json!({ "type": "string", "maxLength": 1_000_000_000 }),
        json!({ "type": "string", "pattern": "((a{1,1000}){1,1000}){1,1000}" }),
        json!({ "type": "string", "pattern": "(.*a.{30}){8}" }),
        json!({ "type": "object", "minProperties": 1_000_000 }),
        json!({ "type": "integer", "multipleOf": 9973 }),
        json!({ "type": "number", "multipleOf": 0.01 }),
        json!({ "enum": (0..2_000).collect::<Vec<_>>() }),
        json!({ "const": "long ".repeat(4_000) }),
        json!({ "oneOf": (0..300).map(|i| json!({ "const": i })).collect::<Vec<_>>() }),
        product(2, 16),
        large(15 << 10),
    ] {
        let text: String = schema.to_string().chars().take(80).collect();
        assert!(stands(&mut speaker, Grammar::json_schema(&schema, false)), "{text}");
    }
}

#[test]
fn expressions_and_grammars_without_measure_do_no_harm() {
    let mut speaker = Speaker::new("byte_level", "<|im_end|>", None, 1);
    let deep = format!("start: {}\"a\"{}", "(".repeat(100_000), ")".repeat(100_000));
    let doubled = |index| format!("r{index}: r{0} r{0}\n", index + 1);
    let wide: String = (0..40).map(doubled).collect();
    let deep_gbnf = format!("root ::= {}\"a\"{}", "(".repeat(100_000), ")".repeat(100_000));
    for (grammar, name, wanted) in [
        (Grammar::lark(&deep), "deep", false),
        (Grammar::gbnf(&deep_gbnf), "deep GBNF", false),
        (Grammar::lark(&format!("start: r0\n{wide}r40: \"a\"")), "wide", true),
        (Grammar::lark("start: start start | \"a\" | \"\""), "ambiguous", true),
        (Grammar::lark("start: start"), "empty", false),
        (Grammar::lark("start: (\"a\"{1,10000}){1,10000}"), "repeated", true),
        (Grammar::lark(&"x".repeat(1 << 20)), "long", false),
        (Grammar::lark(&"~".repeat(100_000)), "tildes", false),
        (Grammar::regex(&"(".repeat(10_000)), "brackets", false),
        (Grammar::regex(&format!("{}a{}", "(".repeat(5_000), ")*".repeat(5_000))), "stars", false),
        (Grammar::regex("(((((a{100}){100}){100}){100}){100}){100}"), "powers", true),
        (Grammar::regex("(x+x+)+y"), "backtracking", true),
        (Grammar::regex(".*a.{200}"), "states", true),
        (Grammar::regex(r"\p{L}{1,10000}"), "letters", true),
    ] {
        assert_eq!(stands(&mut speaker, grammar), wanted, "{name}");
    }
}
