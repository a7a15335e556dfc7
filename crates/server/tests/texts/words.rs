//! `/tokenize`, `/detokenize`, `/apply-template`.

use crate::{EMBEDDER, POET, with};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn both_forms_tell_the_same_tokens() {
    let text = "白日依山尽";
    let plain = json!({ "prompt": text, "add_special_tokens": false, "return_token_strs": true });
    let one = POET.ask("/tokenize", plain);
    let other = POET.ask("/tokenize", json!({ "content": text }));
    assert_eq!(one["tokens"], other["tokens"]);
    assert_eq!(one["count"], one["tokens"].as_array().unwrap().len());
    assert_eq!(one["token_strs"].as_array().unwrap().len(), one["count"]);
    assert!(other["token_strs"].is_null());
    let pieces = POET.ask("/tokenize", json!({ "content": text, "with_pieces": true }));
    for (piece, id) in
        pieces["tokens"].as_array().unwrap().iter().zip(one["tokens"].as_array().unwrap())
    {
        assert_eq!(piece["id"], *id);
        assert!(piece["piece"].is_string() || piece["piece"].is_array());
    }
    let back = POET.ask("/detokenize", json!({ "tokens": one["tokens"] }));
    assert_eq!((&back["prompt"], &back["content"]), (&json!(text), &json!(text)));
}

#[test]
fn special_tokens_are_read_or_are_text() {
    let (embedder, _) = &*EMBEDDER;
    let count = |specials: bool| {
        let asked = json!({ "content": "<|im_end|>", "parse_special": specials });
        embedder.ask("/tokenize", asked)["count"].clone()
    };
    assert_eq!((count(true), count(false)), (json!(1), json!(10)));
}

#[test]
fn a_conversation_has_the_tokens_of_its_text() {
    let (embedder, _) = &*EMBEDDER;
    let chat = json!({
        "messages": [{ "role": "user", "content": "hello" }],
        "chat_template_kwargs": { "enable_thinking": false },
    });
    let text = embedder.ask("/apply-template", chat.clone())["prompt"].take();
    assert!(text.as_str().unwrap().contains("<|im_start|>user\nhello<|im_end|>"), "{text}");
    let tokens = embedder.ask("/tokenize", chat.clone())["tokens"].take();
    assert_eq!(embedder.ask("/tokenize", json!({ "content": text }))["tokens"], tokens);
    let open = embedder.ask("/tokenize", with(chat, "add_generation_prompt", json!(false)));
    assert!(open["count"].as_u64().unwrap() < tokens.as_array().unwrap().len() as u64);
}

#[test]
fn what_is_wrong_is_refused_by_name() {
    POET.refuse("/tokenize", &json!({}), "prompt");
    POET.refuse("/tokenize", &json!({ "prompt": "a", "content": "a" }), "prompt");
    POET.refuse("/tokenize", &json!({ "prompt": 7 }), "prompt");
    POET.refuse("/tokenize", &json!({ "prompt": "a", "more": 7 }), "more");
    POET.refuse("/detokenize", &json!({}), "tokens");
    POET.refuse("/detokenize", &json!({ "tokens": [99_999_999] }), "tokens");
    POET.refuse("/detokenize", &json!({ "tokens": "a" }), "tokens");
    let (embedder, _) = &*EMBEDDER;
    embedder.refuse("/tokenize", &json!({ "messages": [] }), "messages");
    embedder.refuse(
        "/apply-template",
        &json!({ "messages": [{ "role": "x" }] }),
        "messages[0].role",
    );
}

/// JSON of all kinds, the fields of requests more often than others.
fn bodies() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (0..40u32).prop_map(Value::from),
        any::<f32>().prop_map(Value::from),
        "[a你<|im_end>]{0,6}".prop_map(Value::from),
        Just(json!("float")),
    ];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        let object =
            prop::collection::btree_map("text|role|content|[a-z]{1,3}", inner.clone(), 0..3);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            object.prop_map(|object| json!(object)),
        ]
    });
    let field = "prompt|input|query|documents|text_1|text_2|tokens|content|messages|max_tokens|n|\
                 logprobs|prompt_logprobs|echo|stream|stop|top_n|dimensions|encoding_format|\
                 instruction|instruct|add_special_tokens|temperature|max_tokens_per_doc";
    prop::collection::btree_map(field, value, 0..5).prop_map(|object| json!(object))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_body_is_answered_or_refused(body in bodies(), path in prop::sample::select(vec![
        "/v1/completions", "/v1/embeddings", "/v1/rerank", "/v2/rerank", "/score", "/tokenize",
        "/detokenize", "/apply-template",
    ])) {
        let (embedder, _) = &*EMBEDDER;
        let body = with(body, "max_tokens", json!(2));
        let bounded = if path == "/v1/completions" { body } else {
            let mut body = body;
            body.as_object_mut().unwrap().remove("max_tokens");
            body
        };
        let reply = embedder.send(path, bounded.to_string());
        let status = reply.status.as_u16();
        prop_assert!(status == 200 || (400..500).contains(&status), "{status}: {}", reply.body);
    }
}
