//! Fields that cannot be had are refused by name.

use crate::client::{create, refused};
use serde_json::{Value, json};

fn with(field: &str, value: Value) -> Value {
    let mut request = json!({ "input": "诗", "max_output_tokens": 1 });
    request[field] = value;
    request
}

#[tokio::test]
async fn what_cannot_be_had_is_refused_by_name() {
    let tool = |kind: &str| json!([{ "type": kind, "name": "look" }]);
    let cases = [
        ("input", json!(null), "input"),
        ("input", json!([]), "input"),
        ("input", json!(3), "input"),
        ("input", json!([{ "role": "tool", "content": "" }]), "input[0].role"),
        ("max_output_tokens", json!(0), "max_output_tokens"),
        ("max_output_tokens", json!(-1), "max_output_tokens"),
        ("temperature", json!(-1), "temperature"),
        ("temperature", json!("hot"), "temperature"),
        ("top_p", json!(2), "top_p"),
        ("top_logprobs", json!(21), "top_logprobs"),
        ("include", json!(["file_search_call.results"]), "include[0]"),
        ("service_tier", json!("flex"), "service_tier"),
        ("truncation", json!("middle"), "truncation"),
        ("conversation", json!("conv_1"), "conversation"),
        ("prompt", json!({ "id": "pmpt_1" }), "prompt"),
        ("previous_response_id", json!("resp_none"), "previous_response_id"),
        ("stream_options", json!({ "include_obfuscation": false }), "stream_options"),
        ("reasoning", json!({ "effort": "much" }), "reasoning.effort"),
        ("reasoning", json!({ "summary": "detailed" }), "reasoning.summary"),
        ("reasoning", json!({ "mode": "pro" }), "reasoning.mode"),
        ("text", json!({ "verbosity": "low" }), "text.verbosity"),
        ("text", json!({ "format": { "type": "xml" } }), "text.format.type"),
        ("text", json!({ "format": { "type": "json_schema" } }), "text.format.schema"),
        ("tools", tool("spoon"), "tools[0].type"),
        ("tools", tool("web_search"), "tools[0].type"),
        ("tool_choice", json!("required"), "tool_choice"),
        ("tool_choice", json!({ "type": "function", "name": "look" }), "tool_choice"),
        ("metadata", json!({ "a": 1 }), "metadata"),
        ("moderation", json!({}), "moderation"),
        ("max_tokens", json!(1), "max_tokens"),
    ];
    for (field, value, refused_for) in cases {
        refused(&with(field, value), refused_for).await;
    }
    let unkept = json!({ "input": "诗", "background": true, "store": false });
    refused(&unkept, "background").await;
    let padded = json!({
        "input": "诗", "stream": true, "stream_options": { "include_obfuscation": true },
    });
    refused(&padded, "stream_options.include_obfuscation").await;
}

#[tokio::test]
async fn what_says_nothing_to_a_model_is_taken() {
    let whole = create(json!({
        "input": "诗", "max_output_tokens": 1, "user": "a", "safety_identifier": "b",
        "prompt_cache_key": "c", "prompt_cache_retention": "24h", "service_tier": "auto",
        "metadata": { "d": "e" }, "client_metadata": { "f": "g" }, "max_tool_calls": 1,
        "parallel_tool_calls": false, "truncation": "disabled", "tool_choice": "none",
        "include": ["reasoning.encrypted_content"], "text": { "verbosity": "medium" },
        "reasoning": { "effort": null, "summary": "auto" }, "temperature": 0.7, "stop": "。",
        "tools": [{ "type": "function", "name": "look", "parameters": {}, "strict": false }],
    }))
    .await;
    assert_eq!(whole["metadata"], json!({ "d": "e" }));
    assert_eq!(whole["temperature"], 0.7);
    assert_eq!(whole["tools"][0]["description"], json!(null));
    assert_eq!(whole["tool_choice"], "none");
}
