//! Grammars of each kind.

use crate::speaker::Speaker;
use baimo_text::grammar::{Grammar, GrammarError};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Tokenizers of bytes, of ranks, and of SentencePiece's two kinds.
const KINDS: [(&str, &str); 4] = [
    ("byte_level", "<|im_end|>"),
    ("ranks_nfc", "<|im_end|>"),
    ("sentencepiece_bpe", "</s>"),
    ("sentencepiece_unigram", "</s>"),
];

fn schemas() -> Vec<Value> {
    vec![
        json!({ "type": "object", "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 8 },
            "age": { "type": "integer", "minimum": 0, "maximum": 130 },
            "tags": { "type": "array", "items": { "enum": ["a", "b\n", "北京"] }, "maxItems": 3 },
        }, "required": ["name", "age"], "additionalProperties": false }),
        json!({ "$defs": { "tree": { "type": "object", "properties": {
            "value": { "type": ["number", "null"], "minimum": -9, "maximum": 9 },
            "next": { "anyOf": [{ "$ref": "#/$defs/tree" }, { "type": "null" }] },
        }, "required": ["value", "next"], "additionalProperties": false } },
            "$ref": "#/$defs/tree" }),
        json!({ "type": "array", "prefixItems": [{ "const": 1 }, { "type": "boolean" }],
            "items": false, "minItems": 2 }),
        json!({ "anyOf": [{ "type": "string", "pattern": "^[a-c]{2,4}$" }, { "const": null }] }),
        json!({ "type": "string", "format": "date" }),
        json!(true),
    ]
}

/// JSON, if need be with numbers that are larger than those of any machine.
fn parsed(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) if error.to_string().starts_with("number out of range") => {
            json!({})
        }
        Err(error) => panic!("{error}: {text}"),
    }
}

#[test]
fn json_under_a_schema_fits_the_schema() {
    for (index, schema) in schemas().iter().enumerate() {
        let grammar = Grammar::json_schema(schema, true).unwrap();
        let validator = jsonschema::options().should_validate_formats(true).build(schema).unwrap();
        for (kind, end) in KINDS {
            let mut speaker = Speaker::new(kind, end, None, index as u8);
            for _ in 0..6 {
                let constraint = speaker.environment.constraint(&grammar).unwrap();
                let text = speaker.say(constraint);
                let value = parsed(&text);
                assert!(validator.is_valid(&value), "{kind}: {text} is not of {schema}");
            }
        }
    }
}

#[test]
fn any_json_object_is_one() {
    for (kind, end) in KINDS {
        let mut speaker = Speaker::new(kind, end, None, 7);
        for _ in 0..6 {
            let constraint = speaker.environment.constraint(&Grammar::json_object()).unwrap();
            let text = speaker.say(constraint);
            let value = parsed(&text);
            assert!(value.is_object(), "{text}");
        }
    }
}

#[test]
fn texts_keep_their_grammar() {
    let choices = ["yes".to_owned(), "no/\"\u{7f}".to_owned(), "也许".to_owned()];
    let words = |text: &str| choices.iter().any(|choice| choice == text);
    let regex = regex_of(r"\d{3}/[a-f]+(x|y)?");
    let lark = "start: item (\",\" item)*\nitem: /[0-9]+/ | \"(\" start \")\"";
    let balanced = |text: &str| {
        let depths = text.chars().scan(0, |depth, c| {
            *depth += i32::from(c == '(') - i32::from(c == ')');
            Some(*depth)
        });
        let depths: Vec<i32> = depths.collect();
        depths.iter().all(|depth| *depth >= 0) && depths.last() == Some(&0)
    };
    type Rule<'a> = (Grammar, &'a dyn Fn(&str) -> bool);
    let rules: [Rule<'_>; 3] = [
        (Grammar::choice(&choices).unwrap(), &words),
        (Grammar::regex(r"\d{3}/[a-f]+(x|y)?").unwrap(), &|text| regex.is_match(text)),
        (Grammar::lark(lark).unwrap(), &balanced),
    ];
    for (kind, end) in KINDS {
        let mut speaker = Speaker::new(kind, end, None, 3);
        for (grammar, keeps) in &rules {
            for _ in 0..8 {
                let constraint = speaker.environment.constraint(grammar).unwrap();
                let text = speaker.say(constraint);
                assert!(keeps(&text), "{kind}: {text:?} under {grammar:?}");
            }
        }
    }
}

fn regex_of(text: &str) -> jsonschema::Validator {
    let schema = json!({ "pattern": format!("^(?:{text})$") });
    jsonschema::validator_for(&schema).unwrap()
}

trait Matches {
    fn is_match(&self, text: &str) -> bool;
}

impl Matches for jsonschema::Validator {
    fn is_match(&self, text: &str) -> bool {
        self.is_valid(&Value::from(text))
    }
}

/// JSON, as GBNF says it: strings, words and recursion.
const JSON: &str = r#"
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value){0,2} )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u00" [0-9]{2}) )* "\"" ws
number ::= ("-"? ([0] | [1-9] [0-9]{0,5})) ("." [0-9]+)? ws
ws     ::= | " " | "\n" [ \t]{0,4}   # not too much
"#;

#[test]
fn gbnf_means_what_llama_cpp_means_by_it() {
    let grammar = Grammar::gbnf(JSON).unwrap();
    for (kind, end) in KINDS {
        let mut speaker = Speaker::new(kind, end, None, 4);
        for _ in 0..4 {
            let constraint = speaker.environment.constraint(&grammar).unwrap();
            let text = speaker.say(constraint);
            let value = parsed(&text);
            assert!(value.is_object(), "{text}");
        }
    }
}

#[test]
fn a_special_token_is_no_text_and_can_be_named() {
    let mut speaker = Speaker::new("byte_level", "<|im_end|>", None, 1);
    let start = speaker.tokenizer.special_id("<|im_start|>").unwrap();
    let any = Grammar::regex("(?s:.)*").unwrap();
    let mut constraint = speaker.environment.constraint(&any).unwrap();
    let allowed = constraint.allowed();
    assert!(!allowed.has(start) && allowed.has(speaker.end));
    let named = Grammar::lark("start: \"a\" <|im_start|> \"b\"").unwrap();
    let constraint = speaker.environment.constraint(&named).unwrap();
    assert_eq!(speaker.say(constraint), "a<|im_start|>b");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let speaker = Speaker::new("byte_level", "<|im_end|>", None, 1);
    let schema = |schema: Value| Grammar::json_schema(&schema, true).unwrap_err().to_string();
    let not = json!({ "type": "object", "properties": { "a/b": { "not": {} } } });
    assert_eq!(
        schema(not.clone()),
        "JSON schema, at `/properties/a~1b`: `not` cannot be guaranteed (hint: leave it out)"
    );
    assert!(Grammar::json_schema(&not, false).is_ok());
    let found = schema(json!({ "items": { "$ref": "https://a.example/b" } }));
    assert!(found.starts_with("JSON schema, at `/items`: `$ref` is"), "{found}");
    let found = schema(json!({ "properties": [1] }));
    assert_eq!(found, "JSON schema, at `/properties`: found [1], wanted an object of schemas");
    for (grammar, place) in [
        ("start: \"a\"\nother: (", "Lark, line 2"),
        ("start: \"a\"\nend: missing", "Lark, line "),
        ("start: missing", "Lark, line 1"),
        ("other: \"a\"", "Lark, line 0"),
    ] {
        let grammar = Grammar::lark(grammar).unwrap();
        let found = speaker.environment.constraint(&grammar).map(|_| ());
        if let Err(error) = found {
            assert!(error.to_string().starts_with(place), "{error}");
        }
    }
    let broken = speaker.environment.constraint(&Grammar::regex("a(b").unwrap()).unwrap_err();
    assert!(matches!(broken, GrammarError::Syntax { kind: "regular expression", .. }));
}

#[test]
fn a_constraint_answers_the_same_whatever_was_asked_before() {
    let speaker = Speaker::new("byte_level", "<|im_end|>", None, 1);
    let grammar = Grammar::json_schema(&schemas()[0], true).unwrap();
    let mut masks = Vec::new();
    for _ in 0..2 {
        let mut constraint = speaker.environment.constraint(&grammar).unwrap();
        let mut other = Speaker::new("byte_level", "<|im_end|>", None, 9);
        let mut seen = Vec::new();
        for step in 0..40 {
            let allowed = constraint.allowed();
            seen.push(format!("{allowed:?}"));
            match other.choose(allowed, step) {
                Some(token) if token != other.end => constraint.took(token),
                _ => break,
            }
        }
        masks.push(seen);
    }
    assert_eq!(masks[0], masks[1]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn objects_of_any_plain_schema_fit_it(
        properties in prop::collection::btree_map("[a-z\"é ]{1,5}", 0..6_usize, 0..4),
        required in any::<bool>(),
        seed in any::<u8>(),
    ) {
        let kinds = [
            json!({ "type": "integer" }),
            json!({ "type": "number", "exclusiveMinimum": -1.5, "maximum": 8 }),
            json!({ "type": "string", "maxLength": 5 }),
            json!({ "type": "boolean" }),
            json!({ "type": "array", "items": { "type": "null" }, "maxItems": 2 }),
            json!({ "enum": [1, "one", null, { "a": [1] }] }),
        ];
        let names: Vec<_> = properties.keys().cloned().collect();
        let members = properties.into_iter().map(|(name, kind)| (name, kinds[kind].clone()));
        let mut schema = json!({ "type": "object", "additionalProperties": false });
        schema["properties"] = Value::Object(members.collect());
        schema["required"] = json!(if required { names } else { Vec::new() });
        let grammar = Grammar::json_schema(&schema, true).unwrap();
        let mut speaker = Speaker::new("byte_level", "<|im_end|>", None, seed);
        let constraint = speaker.environment.constraint(&grammar).unwrap();
        let text = speaker.say(constraint);
        let value: Value = serde_json::from_str(&text).unwrap();
        prop_assert!(jsonschema::is_valid(&schema, &value), "{} is not of {}", text, schema);
    }
}
