//! Messages.

use crate::{POET, SPEAKER};
use serde_json::{Value, json};

const PATH: &str = "/v1/messages";

fn asked(more: Value) -> Value {
    let mut body = json!({
        "model": "poet",
        "max_tokens": 12,
        "temperature": 0,
        "messages": [{"role": "user", "content": "写一首关于秋天的诗"}],
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn counted(more: Value) -> u64 {
    let counted = SPEAKER.answered("/v1/messages/count_tokens", &asked(more));
    counted["input_tokens"].as_u64().unwrap()
}

/// The events of a stream: name and body.
fn events(text: &str) -> Vec<(String, Value)> {
    let one = |event: &str| {
        let mut lines = event.lines();
        let name = lines.next()?.strip_prefix("event: ")?.to_owned();
        Some((name, serde_json::from_str(lines.next()?.strip_prefix("data: ")?).ok()?))
    };
    text.split("\n\n").filter(|event| !event.is_empty()).map(|e| one(e).expect(e)).collect()
}

#[test]
fn a_stream_says_what_the_whole_answer_says() {
    let whole = POET.answered(PATH, &asked(json!({})));
    let reply = POET.post(PATH, &asked(json!({"stream": true})));
    let events = events(&reply.body);
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[..3], ["message_start", "ping", "content_block_start"]);
    assert_eq!(names[names.len() - 3..], ["content_block_stop", "message_delta", "message_stop"]);
    assert!(events.iter().all(|(name, body)| body["type"] == *name));
    let text: String = events.iter().filter_map(|(_, e)| e["delta"]["text"].as_str()).collect();
    assert_eq!(whole["content"][0]["text"], text);
    let (_, last) = &events[events.len() - 2];
    assert_eq!(last["delta"]["stop_reason"], whole["stop_reason"]);
    assert_eq!(last["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
    assert_eq!(whole["stop_reason"], "max_tokens");
    assert_eq!(whole["usage"]["output_tokens"], 12);
}

#[test]
fn the_prompt_has_as_many_tokens_as_were_counted() {
    let usage = &POET.answered(PATH, &asked(json!({"system": "你好"})))["usage"];
    let counted = POET.answered("/v1/messages/count_tokens", &asked(json!({"system": "你好"})));
    let read = usage["cache_read_input_tokens"].as_u64().unwrap();
    let computed = usage["input_tokens"].as_u64().unwrap();
    assert_eq!(counted["input_tokens"], read + computed);
}

#[test]
fn a_stop_sequence_is_named() {
    let whole = POET.answered(PATH, &asked(json!({})));
    let text: Vec<char> = whole["content"][0]["text"].as_str().unwrap().chars().collect();
    let stop = text[3].to_string();
    let found = POET.answered(PATH, &asked(json!({"stop_sequences": [stop]})));
    assert_eq!(found["stop_reason"], "stop_sequence");
    assert_eq!(found["stop_sequence"], stop);
}

#[test]
fn nothing_allowed_only_reads_the_prompt() {
    let found = POET.answered(PATH, &asked(json!({"max_tokens": 0})));
    assert_eq!(found["content"], json!([]));
    assert_eq!(found["stop_reason"], "max_tokens");
    assert_eq!(found["usage"]["output_tokens"], 0);
}

#[test]
fn an_answer_that_fills_the_context_says_so() {
    let context = POET.model().about.context;
    let long = "秋".repeat(context - 40);
    let turn = json!([{"role": "user", "content": long}]);
    let found = POET.answered(PATH, &asked(json!({"messages": turn, "max_tokens": 9999})));
    let reason = found["stop_reason"].as_str().unwrap();
    assert!(["model_context_window_exceeded", "end_turn"].contains(&reason), "{reason}");
}

#[test]
fn a_refusal_is_said_in_anthropics_words() {
    let reply = POET.post(PATH, &asked(json!({"top_k": -5})));
    let body = reply.json();
    assert_eq!(body["type"], "error");
    assert_eq!(body["error"]["type"], "invalid_request_error");
    assert!(body["request_id"].as_str().unwrap().starts_with("req_"));
    let missing = POET.post(PATH, &asked(json!({"model": "other"})));
    assert_eq!(missing.status, 404);
    assert_eq!(missing.json()["error"]["type"], "not_found_error");
}

#[test]
fn what_cannot_be_had_is_refused_by_name() {
    let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let assistant = |block: Value| {
        let turn = json!({"role": "assistant", "content": [block]});
        json!({"messages": [turn, {"role": "user", "content": "?"}]})
    };
    let tool = |tool: Value| json!({"tools": [tool]});
    for (more, field) in [
        (json!({"container": "x"}), "container"),
        (json!({"service_tier": "priority"}), "service_tier"),
        (json!({"speed": "fast"}), "speed"),
        (json!({"cache_control": {"type": "eternal"}}), "cache_control"),
        (json!({"temperature": "warm"}), "temperature"),
        (json!({"stop_sequences": ["a", ""]}), "stop_sequences[1]"),
        (json!({"thinking": {"type": "between_tools"}}), "thinking.type"),
        (json!({"thinking": {"type": "enabled"}}), "thinking.budget_tokens"),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 12}}), "thinking.budget_tokens"),
        (json!({"thinking": {"type": "adaptive", "display": "x"}}), "thinking.display"),
        (json!({"output_config": {"effort": "none"}}), "output_config.effort"),
        (json!({"output_config": {"format": {"type": "json"}}}), "output_config.format"),
        (json!({"tool_choice": {"type": "any"}}), "tool_choice"),
        (json!({"tool_choice": {"type": "tool"}}), "tool_choice.name"),
        (tool(json!({"type": "web_search_20250305", "name": "web_search"})), "tools[0].type"),
        (tool(json!({"name": "f"})), "tools[0].input_schema"),
        (tool(json!({"name": "f", "input_schema": 3})), "tools[0].input_schema"),
        (tool(json!({"name": "", "input_schema": {}})), "tools[0].name"),
        (tool(json!({"name": "f", "input_schema": {}, "defer_loading": true})), "defer_loading"),
        (json!({"system": [{"type": "image"}]}), "system[0].type"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": [{"role": "poet", "content": "x"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "user", "content": "x", "name": "y"}]}), "messages[0].name"),
        (user(json!([{"type": "image", "source": {}}])), "messages[0].content[0].type"),
        (user(json!([{"type": "document", "source": {}}])), "messages[0].content[0].type"),
        (user(json!([{"type": "text"}])), "messages[0].content[0].text"),
        (user(json!([{"type": "tool_result"}])), "messages[0].content[0].tool_use_id"),
        (user(json!(3)), "messages[0].content"),
        (assistant(json!({"type": "redacted_thinking", "data": "x"})), "content[0].data"),
        (assistant(json!({"type": "tool_use", "id": "a", "name": "f"})), "content[0].input"),
        (
            json!({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}),
            "context_management.edits[0].type",
        ),
    ] {
        let message = POET.refused(PATH, &asked(more.clone()));
        assert!(message.contains(field), "{more}: {message}");
    }
}

#[test]
fn a_conversation_of_blocks_is_that_of_its_texts() {
    let text = |text: &str| json!({"type": "text", "text": text, "cache_control": null});
    let plain = json!({
        "system": "你好",
        "messages": [
            {"role": "user", "content": "a\nb"},
            {"role": "assistant", "content": "cd"},
            {"role": "user", "content": "e"},
        ],
    });
    let blocks = json!({
        "system": [text("你好")],
        "messages": [
            {"role": "user", "content": [text("a"), text("b")]},
            {"role": "assistant", "content": [text("c")]},
            {"role": "assistant", "content": [text("d")]},
            {"role": "user", "content": "e"},
        ],
    });
    assert_eq!(counted(plain), counted(blocks));
}

#[test]
fn thoughts_come_back_whichever_way_they_travel() {
    let call = json!({"type": "tool_use", "id": "a", "name": "f", "input": {}});
    let turns = |thinking: Value| {
        let result = json!({"type": "tool_result", "tool_use_id": "a", "content": "ok"});
        json!({"messages": [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": [thinking, call]},
            {"role": "user", "content": [result]},
        ]})
    };
    let told = json!({"type": "thinking", "thinking": "秋天", "signature": "baimo1:"});
    // The same thoughts in base64.
    let carried = json!({"type": "thinking", "thinking": "", "signature": "baimo1:56eL5aSp"});
    let none = json!({"type": "thinking", "thinking": "", "signature": "another's"});
    assert_eq!(counted(turns(told.clone())), counted(turns(carried)));
    assert!(counted(turns(none.clone())) < counted(turns(told.clone())));
    let mut clears = turns(told);
    clears["context_management"] = json!({"edits": [
        {"type": "clear_thinking_20251015", "keep": {"type": "thinking_turns", "value": 1}},
    ]});
    assert!(counted(turns(none)) < counted(clears));
}
