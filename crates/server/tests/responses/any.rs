//! Whatever a client sends, it is answered or refused.

use crate::client::{post, text};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Words that mean something somewhere.
const WORDS: &[&str] = &[
    "",
    "诗",
    "user",
    "assistant",
    "developer",
    "message",
    "function",
    "custom",
    "namespace",
    "auto",
    "function_call",
    "function_call_output",
    "reasoning",
    "item_reference",
    "input_text",
    "text",
    "output_text",
    "none",
    "required",
    "json_schema",
    "json_object",
    "grammar",
    "regex",
    "lark",
    "web_search",
    "resp_0",
    "msg_0",
    "look",
    "disabled",
    "medium",
    "baimo:aGk=",
];

/// Names of fields, of requests and of what they hold.
const FIELDS: &[&str] = &[
    "input",
    "instructions",
    "previous_response_id",
    "store",
    "max_output_tokens",
    "reasoning",
    "text",
    "tools",
    "tool_choice",
    "truncation",
    "include",
    "top_logprobs",
    "temperature",
    "top_p",
    "stream",
    "stop",
    "metadata",
    "model",
    "seed",
    "type",
    "role",
    "content",
    "id",
    "call_id",
    "name",
    "arguments",
    "output",
    "summary",
    "format",
    "schema",
    "effort",
    "parameters",
    "encrypted_content",
    "namespace",
    "syntax",
    "definition",
    "mode",
    "strict",
    "chat_template_kwargs",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2i64..40).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(WORDS).prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(proptest::sample::select(FIELDS), inner, 0..5).prop_map(|pairs| {
                let pairs = pairs.into_iter().map(|(name, value)| (name.to_owned(), value));
                Value::Object(pairs.collect::<Map<_, _>>())
            }),
        ]
    })
}

/// An item that is nearly sound.
fn item() -> impl Strategy<Value = Value> {
    let kind = proptest::sample::select(&WORDS[2..]);
    (kind.clone(), kind, value(), value()).prop_map(|(kind, role, content, other)| {
        json!({
            "type": kind, "role": role, "content": content, "call_id": "a", "name": "look",
            "arguments": other, "output": content,
        })
    })
}

/// A request that is nearly sound, and short to answer.
fn request() -> impl Strategy<Value = Value> {
    let input = prop_oneof![Just(json!("诗")), value(), vec(item(), 0..4).prop_map(Value::from)];
    let more = btree_map(proptest::sample::select(FIELDS), value(), 0..3);
    (input, more).prop_map(|(input, more)| {
        let mut request = json!({ "input": input });
        for (field, value) in more {
            request[field] = value;
        }
        request["max_output_tokens"] = 1.into();
        request
    })
}

fn answered(path: &str, body: &Value) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (status, text) = runtime.block_on(text(post(path, body)));
    let known = [200, 400, 404];
    assert!(known.contains(&status.as_u16()), "{status} {text} for {body}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_request_is_answered_or_refused(request in request()) {
        answered("/v1/responses", &request);
    }

    #[test]
    fn any_json_is_answered_or_refused(mut value in value()) {
        if let Value::Object(request) = &mut value {
            request.insert("max_output_tokens".to_owned(), 1.into());
        }
        answered("/v1/responses", &value);
        answered("/v1/responses/input_tokens", &value);
    }
}
