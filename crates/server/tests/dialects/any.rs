//! Whatever a client sends, it is answered or refused, and the server goes on.

use crate::{POET, SPEAKER, Server};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const DOORS: [&str; 5] =
    ["/v1/messages", "/v1/messages/count_tokens", "/api/chat", "/api/generate", "/api/show"];

/// Words that mean something somewhere.
const WORDS: [&str; 40] = [
    "model",
    "messages",
    "role",
    "content",
    "type",
    "text",
    "system",
    "user",
    "assistant",
    "tool",
    "tools",
    "tool_use",
    "tool_result",
    "tool_use_id",
    "thinking",
    "signature",
    "redacted_thinking",
    "data",
    "enabled",
    "adaptive",
    "budget_tokens",
    "id",
    "name",
    "input",
    "input_schema",
    "poet",
    "prompt",
    "options",
    "format",
    "json",
    "think",
    "keep_alive",
    "stop",
    "tool_calls",
    "function",
    "arguments",
    "images",
    "stop_sequences",
    "context_management",
    "edits",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![prop::sample::select(&WORDS[..]).prop_map(str::to_owned), ".{0,4}"]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..40).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((word(), inner), 0..5)
                .prop_map(|fields| fields.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// A request that would be answered, with a few of its fields replaced.
fn request() -> impl Strategy<Value = Value> {
    let turn = json!({"role": "user", "content": "秋"});
    let sound = json!({"model": "poet", "messages": [turn], "max_tokens": 2, "prompt": "秋"});
    let fields = prop::collection::vec((word(), value()), 0..4);
    (fields, prop::option::of(value())).prop_map(move |(fields, content)| {
        let mut body = sound.clone();
        if let Some(content) = content {
            body["messages"][0]["content"] = content;
        }
        body.as_object_mut().expect("an object").extend(fields);
        body
    })
}

/// The request, asking for few tokens: long answers make no better test.
fn short(path: &str, body: &Value) -> Value {
    let mut body = body.clone();
    let Some(fields) = body.as_object_mut() else { return body };
    if fields.get("max_tokens").and_then(Value::as_u64).is_some_and(|most| most > 64) {
        fields.insert("max_tokens".to_owned(), 2.into());
    }
    if path == "/api/chat" || path == "/api/generate" {
        let options = fields.entry("options").or_insert(Value::Null);
        if options.is_null() {
            *options = json!({});
        }
        if let Some(options) = options.as_object_mut() {
            options.insert("num_predict".to_owned(), 2.into());
        }
    }
    body
}

fn holds(server: &Server, path: &str, body: &Value) {
    let reply = server.post(path, &short(path, body));
    let sound = reply.status.is_success() || reply.status.is_client_error();
    assert!(sound, "{path} {body}: {} {}", reply.status, reply.body);
    if reply.status.is_client_error() {
        assert!(reply.json().get("error").is_some(), "{path} {body}: {}", reply.body);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_request_is_answered_or_refused(body in request(), door in 0..DOORS.len()) {
        holds(&POET, DOORS[door], &body);
        holds(&SPEAKER, DOORS[door], &body);
    }

    #[test]
    fn any_json_is_answered_or_refused(body in value(), door in 0..DOORS.len()) {
        holds(&POET, DOORS[door], &body);
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for body in [&b""[..], b"{", b"\xff\xfe", b"{\"model\": \"\xff\"}", b"[]", b"null", b"{} {}"] {
        for door in DOORS {
            let reply = POET.send("POST", door, body.to_vec());
            assert_eq!(reply.status, 400, "{door}: {}", reply.body);
        }
    }
    let deep = "[".repeat(100_000);
    assert_eq!(POET.send("POST", DOORS[0], deep).status, 400);
}
