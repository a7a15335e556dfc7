//! Calls under a constraint are read by the parser, and their arguments fit the tool's schema.

use crate::speaker::Speaker;
use crate::thoughts::read;
use baimo_blueprint::Voice;
use baimo_blueprint::voice::Calls;
use baimo_labs::voices::{FUNCTION_TAGS, GLM_4, GLM_45, HERMES, HERMES_SWITCHED, VOICES};
use baimo_text::grammar::{Grammar, Guide, ToolChoice, Wish};
use baimo_text::voice::Reply;
use serde_json::{Value, json};

fn tools() -> Value {
    json!([
        { "type": "function", "function": { "name": "get_weather", "strict": true, "parameters": {
            "$defs": { "Unit": { "enum": ["m/s", "km/h", 7] }, "Days": { "type": "integer" } },
            "type": "object",
            "properties": {
                "city": { "type": "string", "minLength": 1, "maxLength": 12 },
                "days": { "$ref": "#/$defs/Days" },
                "unit": { "$ref": "#/$defs/Unit" },
                "code": { "anyOf": [{ "type": "string", "maxLength": 9 }, { "type": "null" }] },
                "mixed": { "type": ["string", "integer"], "maxLength": 9 },
                "places": { "type": "array", "maxItems": 2, "items": {
                    "type": "object", "properties": { "name": { "type": "string" } },
                    "required": ["name"], "additionalProperties": false,
                } },
                "exact": { "type": "boolean" },
                "pattern": { "type": "string", "pattern": "^[a-z]{2}[0-9]+$" },
            },
            "required": ["city", "days", "exact"],
            "additionalProperties": false,
        } } },
        { "type": "function", "function": { "name": "ping" } },
    ])
}

fn of(name: &str) -> Value {
    let tools = tools();
    let tool = tools.as_array().unwrap().iter().find(|tool| tool["function"]["name"] == name);
    tool.map_or(Value::Null, |tool| tool["function"]["parameters"].clone())
}

/// Every call is of a tool there is, with arguments of its schema.
fn check(voice: &Voice, reply: &Reply, text: &str) {
    for call in &reply.calls {
        let arguments: Value = serde_json::from_str(&call.arguments)
            .unwrap_or_else(|e| panic!("{}: {e}: {}\n{text}", voice.name, call.arguments));
        let schema = of(&call.name);
        assert!(["get_weather", "ping"].contains(&call.name.as_str()), "{}: {text}", voice.name);
        if !schema.is_null() {
            let wrong = jsonschema::validate(&schema, &arguments);
            assert!(wrong.is_ok(), "{}: {wrong:?}: {arguments}\n{text}", voice.name);
        }
    }
}

/// The voices that call tools, with a prompt after which no thoughts come.
fn callers() -> impl Iterator<Item = (&'static Voice, String)> {
    VOICES.iter().filter(|voice| voice.calls.is_some()).map(|voice| {
        let tags = voice.thinking.map(|thinking| thinking.tags);
        (*voice, tags.map(|tags| format!("{}{}", tags.open, tags.close)).unwrap_or_default())
    })
}

#[test]
fn a_required_call_is_made_and_fits_its_schema_in_every_voice() {
    let tools = tools();
    let wish = Wish { tools: Some(&tools), choice: ToolChoice::Required, ..Wish::default() };
    let mut several = 0;
    for (index, (voice, prompt)) in callers().enumerate() {
        for special in [true, false] {
            let tags = if special { voice.tags() } else { Vec::new() };
            let mut speaker = Speaker::with_tags(voice, &tags, special, index as u8);
            for _ in 0..3 {
                let guide = Guide::new(&speaker.environment, &prompt, &wish);
                let guide = guide.unwrap_or_else(|e| panic!("{}: {e}", voice.name)).unwrap();
                let (text, _) = speaker.reply(guide);
                let reply = read(voice, &prompt, Some(&tools), &text);
                assert!(!reply.calls.is_empty(), "{}: {text}", voice.name);
                assert!(reply.content.trim().is_empty(), "{}: {reply:?}\n{text}", voice.name);
                check(voice, &reply, &text);
                several += usize::from(reply.calls.len() > 1);
            }
        }
    }
    assert!(several > 20, "{several} replies of several calls");
}

#[test]
fn a_named_tool_is_called_and_a_single_call_stays_single() {
    let tools = tools();
    for (voice, prompt) in callers() {
        let mut speaker = Speaker::with_tags(voice, &voice.tags(), true, 4);
        let choice = ToolChoice::Named("ping".to_owned());
        let wish = Wish { tools: Some(&tools), choice, single_call: true, ..Wish::default() };
        for _ in 0..3 {
            let guide = Guide::new(&speaker.environment, &prompt, &wish).unwrap().unwrap();
            let (text, _) = speaker.reply(guide);
            let reply = read(voice, &prompt, Some(&tools), &text);
            assert_eq!(reply.calls.len(), 1, "{}: {text}", voice.name);
            assert_eq!(reply.calls[0].name, "ping");
            serde_json::from_str::<serde_json::Map<_, _>>(&reply.calls[0].arguments).unwrap();
        }
    }
}

#[test]
fn words_are_free_until_a_call_begins_and_then_it_fits() {
    let tools = tools();
    let wish = Wish { tools: Some(&tools), single_call: true, ..Wish::default() };
    for (voice, prompt) in callers() {
        let mut speaker = Speaker::with_tags(voice, &voice.tags(), true, 8);
        let guide = Guide::new(&speaker.environment, &prompt, &wish);
        let open = match voice.calls.unwrap() {
            Calls::Bare => {
                assert!(guide.unwrap_err().to_string().contains("tool_choice"), "{}", voice.name);
                continue;
            }
            Calls::Json(section) | Calls::Python(section) => section.open,
            Calls::Named(named) => named.section.map_or(named.head.open, |section| section.open),
        };
        let mut guide = guide.unwrap().unwrap();
        let tokens = speaker.tokens(&format!("Yes: {open}"));
        for token in &tokens {
            assert!(guide.allowed().has(*token), "{}", voice.name);
            guide.took(*token);
        }
        let (text, _) = speaker.reply(guide);
        let text = format!("Yes: {open}{text}");
        let reply = read(voice, &prompt, Some(&tools), &text);
        assert_eq!(
            (reply.calls.len(), reply.content.as_str()),
            (1, "Yes:"),
            "{}: {text}",
            voice.name
        );
        check(voice, &reply, &text);
    }
}

#[test]
fn an_answer_under_a_rule_may_be_a_call_instead() {
    let tools = tools();
    let grammar = Grammar::json_schema(&json!({ "type": "integer" }), true).unwrap();
    let wish = Wish { answer: Some(&grammar), tools: Some(&tools), ..Wish::default() };
    for voice in [&HERMES, &GLM_45, &FUNCTION_TAGS, &GLM_4] {
        let mut speaker = Speaker::with_tags(voice, &voice.tags(), true, 11);
        let mut calls = 0;
        for _ in 0..30 {
            let guide = Guide::new(&speaker.environment, "", &wish).unwrap().unwrap();
            let (text, _) = speaker.reply(guide);
            let reply = read(voice, "", Some(&tools), &text);
            check(voice, &reply, &text);
            match reply.calls.is_empty() {
                true => assert!(reply.content.parse::<f64>().is_ok(), "{}: {text}", voice.name),
                false => calls += 1,
            }
        }
        assert!(calls > 0, "{}", voice.name);
    }
}

#[test]
fn thoughts_come_before_a_required_call() {
    let tools = tools();
    let (choice, budget) = (ToolChoice::Required, Some(20));
    let wish = Wish { tools: Some(&tools), choice, budget, ..Wish::default() };
    let tags = HERMES_SWITCHED.tags();
    let mut speaker = Speaker::with_tags(&HERMES_SWITCHED, &tags, false, 6);
    for _ in 0..6 {
        let guide = Guide::new(&speaker.environment, "<think>\n", &wish).unwrap().unwrap();
        let (text, _) = speaker.reply(guide);
        let reply = read(&HERMES_SWITCHED, "<think>\n", Some(&tools), &text);
        assert!(!reply.calls.is_empty(), "{text}");
        check(&HERMES_SWITCHED, &reply, &text);
    }
}

#[test]
fn what_cannot_be_guaranteed_is_refused_by_name() {
    let speaker = Speaker::with_tags(&FUNCTION_TAGS, &FUNCTION_TAGS.tags(), true, 1);
    let fault = |tools: Value, choice: ToolChoice| {
        let wish = Wish { tools: Some(&tools), choice, ..Wish::default() };
        Guide::new(&speaker.environment, "", &wish).map(|_| ()).unwrap_err().to_string()
    };
    let one = |parameters: Value| {
        let function = json!({ "name": "f", "strict": true, "parameters": parameters });
        json!([{ "function": function }])
    };
    let found = fault(one(json!({ "properties": { "a": { "not": {} } } })), ToolChoice::Auto);
    assert!(
        found.starts_with("tool `f`: its parameters: JSON schema, at `/properties/a`"),
        "{found}"
    );
    let both =
        json!({ "properties": { "a": { "type": "string", "anyOf": [{ "minLength": 2 }] } } });
    let found = fault(one(both), ToolChoice::Required);
    assert!(found.starts_with("tool `f`: its argument `a`: `anyOf`"), "{found}");
    let found = fault(one(json!({ "type": "array" })), ToolChoice::Auto);
    assert!(found.contains("of type \"array\""), "{found}");
    let found = fault(json!([]), ToolChoice::Required);
    assert!(found.contains("there is no tool"), "{found}");
    let found = fault(tools(), ToolChoice::Named("pong".to_owned()));
    assert!(found.starts_with("tool `pong`"), "{found}");
    let plain = Speaker::new("byte_level", "<|im_end|>", None, 1);
    let tools = tools();
    let wish = Wish { tools: Some(&tools), choice: ToolChoice::Required, ..Wish::default() };
    let found = Guide::new(&plain.environment, "", &wish).map(|_| ()).unwrap_err().to_string();
    assert!(found.contains("no syntax"), "{found}");
}

#[test]
fn where_tools_cannot_be_called_and_need_not_be_an_answer_is_constrained_all_the_same() {
    let mut speaker = Speaker::new("byte_level", "<|im_end|>", None, 1);
    let tools = json!([{ "function": { "name": "f" } }]);
    let grammar = Grammar::choice(&["yes".to_owned(), "no".to_owned()]).unwrap();
    let wish = Wish { answer: Some(&grammar), tools: Some(&tools), ..Wish::default() };
    let guide = Guide::new(&speaker.environment, "", &wish).unwrap().unwrap();
    fn travels<T: Send>(guide: T) -> T {
        guide
    }
    let (text, _) = speaker.reply(travels(guide));
    assert!(["yes", "no"].contains(&text.as_str()), "{text}");
}
