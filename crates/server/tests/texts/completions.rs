//! `/v1/completions`.

use crate::{POET, with};
use serde_json::{Value, json};

const PATH: &str = "/v1/completions";
const TEXT: &str = "床前明月光，";

fn greedy(prompt: Value) -> Value {
    json!({ "prompt": prompt, "max_tokens": 6, "temperature": 0, "ignore_eos": true })
}

fn text(told: &Value) -> &str {
    told["choices"][0]["text"].as_str().expect("a text")
}

/// The tokens of a text, as the model's own tokenizer has them.
fn ids(text: &str) -> Value {
    POET.ask("/tokenize", json!({ "prompt": text }))["tokens"].take()
}

#[test]
fn a_text_and_its_tokens_are_continued_alike() {
    let told = POET.ask(PATH, greedy(json!(TEXT)));
    assert_eq!(told["object"], "text_completion");
    assert_eq!(told["choices"][0]["finish_reason"], "length");
    assert_eq!(told["choices"][0]["logprobs"], Value::Null);
    assert_eq!(told["usage"]["completion_tokens"], 6);
    assert_eq!(told["usage"]["prompt_tokens"], ids(TEXT).as_array().unwrap().len());
    let by_ids = POET.ask(PATH, greedy(ids(TEXT)));
    assert_eq!(text(&by_ids), text(&told));
}

#[test]
fn several_prompts_have_their_answers_in_order() {
    let texts = ["床前", "春眠不觉晓，", "白", "山", "水", "月", "风", "花", "雪", "夜", "秋"];
    let told = POET.ask(PATH, with(with(greedy(json!(texts)), "n", json!(2)), "echo", json!(true)));
    let choices = told["choices"].as_array().expect("choices");
    assert_eq!(choices.len(), 22);
    let mut tokens = 0;
    for (index, choice) in choices.iter().enumerate() {
        assert_eq!(choice["index"], index);
        let prompt = texts[index / 2];
        let alone = POET.ask(PATH, greedy(json!(prompt)));
        assert_eq!(choice["text"], format!("{prompt}{}", text(&alone)));
        tokens += alone["usage"]["prompt_tokens"].as_u64().unwrap() * (index as u64 % 2);
    }
    assert_eq!(told["usage"]["prompt_tokens"], tokens);
    assert_eq!(told["usage"]["completion_tokens"], 22 * 6);
    let lists: Vec<Value> = texts.iter().map(|text| ids(text)).collect();
    let by_ids = POET.ask(PATH, greedy(json!(lists)));
    assert_eq!(
        by_ids["choices"][1]["text"],
        POET.ask(PATH, greedy(lists[1].clone()))["choices"][0]["text"]
    );
}

#[test]
fn a_stream_tells_what_the_whole_tells() {
    let asked = json!({
        "prompt": [TEXT, "白日"], "max_tokens": 12, "seed": 3, "temperature": 1.0, "echo": true,
        "logprobs": 2, "n": 2, "stop": ["\n"],
    });
    let whole = POET.ask(PATH, asked.clone());
    let asked = with(asked, "stream_options", json!({ "include_usage": true }));
    let mut events = POET.stream(PATH, asked);
    let last = events.pop().expect("the usage");
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], whole["usage"]["completion_tokens"]);
    assert_eq!(last["usage"]["prompt_tokens"], whole["usage"]["prompt_tokens"]);
    for choice in whole["choices"].as_array().expect("choices") {
        let parts = events.iter().map(|event| &event["choices"][0]);
        let parts: Vec<&Value> = parts.filter(|part| part["index"] == choice["index"]).collect();
        let text: String = parts.iter().map(|part| part["text"].as_str().unwrap()).collect();
        assert_eq!(text, choice["text"].as_str().unwrap());
        for field in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
            let told = parts.iter().filter_map(|part| part["logprobs"][field].as_array());
            let told: Vec<Value> = told.flatten().cloned().collect();
            assert_eq!(json!(told), choice["logprobs"][field], "{field}");
        }
        let reasons = parts.iter().filter(|part| !part["finish_reason"].is_null());
        assert_eq!(reasons.count(), 1);
        assert_eq!(parts.last().unwrap()["finish_reason"], choice["finish_reason"]);
    }
}

/// As evaluation harnesses ask: how likely is this prompt?
#[test]
fn an_echo_with_logprobs_has_those_of_each_prompt_token() {
    let prompt = ids("床前明月光，疑是地上霜。");
    let tokens = prompt.as_array().unwrap().len();
    let ask = |max_tokens: usize| {
        let asked = json!({
            "prompt": prompt, "max_tokens": max_tokens, "temperature": 0, "logprobs": 1,
            "echo": true,
        });
        POET.ask(PATH, asked)["choices"][0]["logprobs"].take()
    };
    let (none, one) = (ask(0), ask(1));
    for field in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
        let (none, one) = (none[field].as_array().unwrap(), one[field].as_array().unwrap());
        assert_eq!((none.len(), one.len()), (tokens, tokens + 1), "{field}");
        assert_eq!(none[..], one[..tokens]);
    }
    assert_eq!(none["token_logprobs"][0], Value::Null);
    // Each is what the model says of that token after those before it.
    for position in 1..tokens {
        let before = &prompt.as_array().unwrap()[..position];
        let asked = json!({
            "prompt": before, "max_tokens": 1, "temperature": 0, "logprobs": 1,
            "ignore_eos": true,
        });
        let alone = POET.ask(PATH, asked)["choices"][0]["logprobs"].take();
        let likeliest = alone["token_logprobs"][0].as_f64().unwrap();
        let top = none["top_logprobs"][position].as_object().unwrap();
        let most = top.values().map(|p| p.as_f64().unwrap()).fold(f64::MIN, f64::max);
        assert_eq!(most, likeliest, "position {position}");
        assert!(none["token_logprobs"][position].as_f64().unwrap() <= likeliest);
    }
}

#[test]
fn offsets_are_places_in_the_text() {
    let asked = with(with(greedy(json!("明月")), "echo", json!(true)), "logprobs", json!(0));
    let told = POET.ask(PATH, asked);
    let characters: Vec<char> = text(&told).chars().collect();
    let logprobs = &told["choices"][0]["logprobs"];
    let offsets = logprobs["text_offset"].as_array().unwrap().iter();
    for (token, offset) in logprobs["tokens"].as_array().unwrap().iter().zip(offsets) {
        let token = token.as_str().unwrap();
        let rest: String = characters[offset.as_u64().unwrap() as usize..].iter().collect();
        assert!(rest.starts_with(token) || token.contains('\u{fffd}') || token.contains("<|"));
    }
}

#[test]
fn prompt_logprobs_have_ids_and_ranks() {
    let prompt = ids(TEXT);
    let asked = json!({ "prompt": prompt, "max_tokens": 0, "prompt_logprobs": 2 });
    let told = POET.ask(PATH, asked);
    assert_eq!(text(&told), "");
    let all = told["choices"][0]["prompt_logprobs"].as_array().unwrap();
    assert_eq!(all.len(), prompt.as_array().unwrap().len());
    assert_eq!(all[0], Value::Null);
    for (told, id) in all.iter().zip(prompt.as_array().unwrap()).skip(1) {
        let told = told.as_object().unwrap();
        let own = &told[&id.to_string()];
        assert!(own["logprob"].as_f64().unwrap() <= 0.0);
        let rank = own["rank"].as_u64().unwrap();
        assert_eq!(told.len(), if rank <= 2 { 2 } else { 3 }, "{told:?}");
        let mut ranks: Vec<u64> = told.values().map(|t| t["rank"].as_u64().unwrap()).collect();
        ranks.sort_unstable();
        assert_eq!(ranks[..2], [1, 2]);
    }
}

#[test]
fn the_most_prompt_is_the_context_and_no_more() {
    let models = POET.ask("/tokenize", json!({ "content": "山" }));
    let context = models["max_model_len"].as_u64().unwrap() as usize;
    let id = models["tokens"][0].clone();
    let asked = |count: usize, most: usize| {
        let prompt = vec![id.clone(); count];
        json!({ "prompt": prompt, "max_tokens": most, "temperature": 0 })
    };
    assert_eq!(text(&POET.ask(PATH, asked(context, 0))), "");
    POET.refuse(PATH, &asked(context, 1), "prompt");
    POET.refuse(PATH, &asked(context + 1, 0), "prompt");
}

#[test]
fn what_cannot_be_had_is_refused_by_name() {
    let base = || greedy(json!(TEXT));
    POET.refuse(PATH, &json!({}), "prompt");
    for (field, value) in [
        ("prompt", json!([])),
        ("prompt", json!("")),
        ("prompt", json!(7)),
        ("prompt", json!([1, 99_999_999])),
        ("suffix", json!("end")),
        ("best_of", json!(2)),
        ("n", json!(0)),
        ("n", json!(17)),
        ("logprobs", json!(21)),
        ("logprobs", json!(true)),
        ("prompt_logprobs", json!(21)),
        ("max_tokens", json!(-1)),
        ("temperature", json!(-0.1)),
        ("top_p", json!(1.1)),
        ("stop", json!(vec!["a"; 17])),
        ("stream_options", json!({ "include_usage": true })),
        ("cache_prompt", json!(false)),
        ("messages", json!([])),
        ("no_such_field", json!(1)),
    ] {
        POET.refuse(PATH, &with(base(), field, value), field);
    }
    POET.refuse(PATH, &with(base(), "prompt", json!(["a", ""])), "prompt[1]");
    let both = with(with(base(), "stream", json!(true)), "prompt_logprobs", json!(1));
    POET.refuse(PATH, &both, "prompt_logprobs");
}
