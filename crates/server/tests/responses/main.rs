//! The Responses API over the built-in poet: what clients send, and what they are told.

mod any;
mod client;
mod fields;
mod kept;

use client::{create, events, post, refused, send, texts};
use serde_json::{Value, json};

/// What every response tells.
const FIELDS: [&str; 33] = [
    "id",
    "object",
    "created_at",
    "completed_at",
    "status",
    "incomplete_details",
    "model",
    "previous_response_id",
    "instructions",
    "output",
    "error",
    "tools",
    "tool_choice",
    "truncation",
    "parallel_tool_calls",
    "text",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "temperature",
    "reasoning",
    "user",
    "usage",
    "max_output_tokens",
    "max_tool_calls",
    "store",
    "background",
    "service_tier",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
];

#[tokio::test]
async fn whole_and_streamed_are_the_same_and_complete() {
    let request = json!({ "input": "写一首关于秋天的诗", "max_output_tokens": 24, "seed": 7 });
    let whole = create(request.clone()).await;
    for field in FIELDS {
        assert!(whole.get(field).is_some(), "{field} is missing");
    }
    assert!(!texts(&whole).is_empty());
    let events = events(request).await;
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds[..2], ["response.created", "response.in_progress"]);
    let last = &events[events.len() - 1];
    assert_eq!(last["type"], format!("response.{}", whole["status"].as_str().unwrap()));
    assert_eq!(texts(&last["response"]), texts(&whole));
    assert_eq!(last["response"]["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
    let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
    let deltas: String = deltas.filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(deltas, texts(&whole));
}

#[tokio::test]
async fn a_text_is_a_message_and_instructions_are_the_system_s() {
    let count = async |request: Value| {
        let (status, body) = send(post("/v1/responses/input_tokens", &request)).await;
        assert_eq!(status, 200, "{body}");
        body["input_tokens"].as_u64().unwrap()
    };
    let text = json!({ "input": "秋", "instructions": "短" });
    let items = json!({ "input": [
        { "role": "developer", "content": "短" },
        { "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "秋" }] },
    ] });
    let tokens = count(text.clone()).await;
    assert_eq!(tokens, count(items).await);
    assert!(tokens > count(json!({ "input": "秋" })).await);
    let mut request = text;
    request["max_output_tokens"] = 1.into();
    assert_eq!(create(request).await["usage"]["input_tokens"], tokens);
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_incomplete() {
    let whole = create(json!({ "input": "诗", "max_output_tokens": 1, "seed": 1 })).await;
    assert_eq!(whole["status"], "incomplete");
    assert_eq!(whole["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!(whole["usage"]["output_tokens"], 1);
}

#[tokio::test]
async fn likelihoods_are_told_where_they_are_wanted() {
    let include = json!(["message.output_text.logprobs"]);
    let whole = create(json!({
        "input": "诗", "max_output_tokens": 6, "temperature": 0, "top_logprobs": 3,
        "include": include,
    }))
    .await;
    let logprobs = whole["output"][0]["content"][0]["logprobs"].as_array().unwrap();
    assert!(!logprobs.is_empty());
    for told in logprobs {
        assert_eq!(told["top_logprobs"].as_array().unwrap().len(), 3);
        assert_eq!(told["top_logprobs"][0]["logprob"], told["logprob"], "greedy is likeliest");
    }
    let whole = create(json!({ "input": "诗", "max_output_tokens": 2 })).await;
    assert_eq!(whole["output"][0]["content"][0]["logprobs"], json!([]));
}

#[tokio::test]
async fn an_input_that_is_too_long_is_refused_or_loses_its_oldest_turns_and_says_so() {
    let turn = |at: usize| {
        let content = format!("{at} {}", "春眠不觉晓，处处闻啼鸟。".repeat(6));
        [
            json!({ "role": "user", "content": content }),
            json!({ "role": "assistant", "content": "好。" }),
        ]
    };
    let mut input: Vec<Value> = (0..200).flat_map(turn).collect();
    input.push(json!({ "role": "user", "content": "秋" }));
    let mut request = json!({ "input": input, "instructions": "短", "max_output_tokens": 8 });
    let error = refused(&request, "input").await;
    assert_eq!(error["code"], "context_length_exceeded");
    request["truncation"] = "auto".into();
    let whole = create(request.clone()).await;
    let notice = whole["notices"][0].as_str().unwrap();
    let left_out: usize = notice.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(left_out > 0 && left_out.is_multiple_of(2), "{notice}");
    // As few as will do: what is left is what the same request without them has.
    let short = json!({
        "input": input[left_out..], "instructions": "短", "max_output_tokens": 8,
    });
    let tokens = &whole["usage"]["input_tokens"];
    assert_eq!(create(short).await["usage"]["input_tokens"], *tokens);
    let room = tokens.as_u64().unwrap() + 8;
    let longer = json!({
        "input": input[left_out - 2..], "instructions": "短",
    });
    let (_, longer) = send(post("/v1/responses/input_tokens", &longer)).await;
    assert!(longer["input_tokens"].as_u64().unwrap() + 8 > 1024 && room <= 1024);
    request["input"] = json!("秋".repeat(5000));
    assert_eq!(refused(&request, "input").await["code"], "context_length_exceeded");
}
