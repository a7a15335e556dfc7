//! Chats and texts.

use crate::POET;
use serde_json::{Value, json};

fn asked(more: Value) -> Value {
    let mut body = json!({
        "model": "poet",
        "stream": false,
        "options": {"num_predict": 12, "temperature": 0},
        "messages": [{"role": "user", "content": "写一首关于秋天的诗"}],
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn text(more: Value) -> Value {
    let mut body = asked(json!({"prompt": "写一首关于秋天的诗"}));
    let fields = body.as_object_mut().unwrap();
    fields.remove("messages");
    fields.extend(more.as_object().unwrap().clone());
    body
}

/// The lines of a stream, which is what comes where nothing is said.
fn lines(path: &str, mut body: Value) -> Vec<Value> {
    body.as_object_mut().unwrap().remove("stream");
    let reply = POET.post(path, &body);
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_stream_says_what_the_whole_answer_says() {
    let whole = POET.answered("/api/chat", &asked(json!({})));
    let parts = lines("/api/chat", asked(json!({})));
    let told: String = parts.iter().filter_map(|p| p["message"]["content"].as_str()).collect();
    assert_eq!(whole["message"]["content"], told);
    let last = parts.last().unwrap();
    for name in ["done", "done_reason", "prompt_eval_count", "eval_count"] {
        assert_eq!(whole[name], last[name], "{name}");
    }
    assert_eq!(last["done_reason"], "length");
    assert_eq!(last["eval_count"], 12);
    assert!(parts[..parts.len() - 1].iter().all(|part| part["done"] == false));
    for name in ["total_duration", "load_duration", "prompt_eval_duration", "eval_duration"] {
        assert!(last[name].is_u64(), "{name}");
    }
}

#[test]
fn a_text_is_answered_as_a_question_and_continued_as_it_is() {
    let chat = POET.answered("/api/chat", &asked(json!({})));
    let answer = POET.answered("/api/generate", &text(json!({})));
    assert_eq!(answer["response"], chat["message"]["content"]);
    assert_eq!(answer["prompt_eval_count"], chat["prompt_eval_count"]);
    let raw = POET.answered("/api/generate", &text(json!({"raw": true})));
    assert!(raw["prompt_eval_count"].as_u64() < answer["prompt_eval_count"].as_u64());
    let parts = lines("/api/generate", text(json!({"raw": true})));
    let told: String = parts.iter().filter_map(|part| part["response"].as_str()).collect();
    assert_eq!(raw["response"], told);
}

#[test]
fn each_token_is_told_with_its_likelihood() {
    let found = POET.answered("/api/chat", &asked(json!({"logprobs": true, "top_logprobs": 2})));
    let tokens = found["logprobs"].as_array().unwrap();
    assert_eq!(tokens.len(), 12);
    for token in tokens {
        assert!(token["logprob"].as_f64().unwrap() <= 0.0);
        // The likeliest is the one that was chosen.
        assert_eq!(token["top_logprobs"][0]["token"], token["token"]);
        assert_eq!(token["top_logprobs"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn what_cannot_be_had_is_refused_by_name() {
    for (more, field) in [
        (json!({"nonsense": 1}), "nonsense"),
        (json!({"truncate": true}), "truncate"),
        (json!({"shift": true}), "shift"),
        (json!({"think": "enormous"}), "think"),
        (json!({"format": "xml"}), "format"),
        (json!({"keep_alive": "soon"}), "keep_alive"),
        (json!({"top_logprobs": 2}), "top_logprobs"),
        (json!({"options": {"num_gpu": 1}}), "num_gpu"),
        (json!({"options": {"num_ctx": 1_000_000_000}}), "options.num_ctx"),
        (json!({"options": {"num_predict": -3}}), "options.num_predict"),
        (json!({"options": {"mirostat": 1}}), "options.mirostat"),
        (json!({"options": {"tfs_z": 0.5}}), "options.tfs_z"),
        (json!({"options": {"typical_p": 0.5}}), "options.typical_p"),
        (json!({"options": {"repeat_last_n": 64}}), "options.repeat_last_n"),
        (json!({"options": {"penalize_newline": false}}), "options.penalize_newline"),
        (json!({"messages": [{"role": "user", "content": "", "images": ["a"]}]}), ".images"),
        (json!({"messages": [{"role": "poet", "content": ""}]}), "messages[0].role"),
    ] {
        let message = POET.refused("/api/chat", &asked(more.clone()));
        assert!(message.contains(field), "{more}: {message}");
    }
    for (more, field) in [
        (json!({"suffix": "x"}), "suffix"),
        (json!({"template": "x"}), "template"),
        (json!({"context": [1]}), "context"),
        (json!({"images": ["x"]}), "images"),
        (json!({"raw": true, "system": "x"}), "system"),
        (json!({"raw": true, "think": true}), "think"),
    ] {
        let message = POET.refused("/api/generate", &text(more.clone()));
        assert!(message.contains(field), "{more}: {message}");
    }
}

#[test]
fn models_are_listed_and_shown() {
    let shown = POET.answered("/api/show", &json!({"model": "poet:latest"}));
    assert_eq!(shown["capabilities"], json!(["completion"]));
    assert_eq!(shown["details"]["quantization_level"], "bf16");
    let listed = POET.get("/api/tags").json();
    assert_eq!(listed["models"][0]["name"], "poet");
    assert_eq!(listed["models"].as_array().unwrap().len(), 1);
    assert!(POET.get("/api/version").json()["version"].is_string());
    let reply = POET.post("/api/show", &json!({"model": "other"}));
    assert_eq!(reply.status, 404);
    assert!(reply.json()["error"].as_str().unwrap().contains("poet"));
}

#[test]
fn a_model_is_loaded_and_unloaded_by_an_empty_request() {
    let server = crate::Server::start(&[]);
    let empty = json!({"model": "poet", "messages": []});
    assert_eq!(server.answered("/api/chat", &empty)["done_reason"], "load");
    assert_eq!(server.get("/api/ps").json()["models"].as_array().unwrap().len(), 1);
    let leaves = json!({"model": "poet", "keep_alive": "0s"});
    assert_eq!(server.answered("/api/generate", &leaves)["done_reason"], "unload");
    assert_eq!(server.get("/api/ps").json()["models"], json!([]));
}

#[test]
fn texts_become_vectors() {
    let asked = |input: Value, more: Value| {
        let mut body = json!({"model": "poet", "input": input});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let one = POET.answered("/api/embed", &asked(json!("秋"), json!({})));
    let two = POET.answered("/api/embed", &asked(json!(["秋", "春天"]), json!({})));
    assert_eq!(one["embeddings"][0], two["embeddings"][0]);
    assert_ne!(two["embeddings"][0], two["embeddings"][1]);
    assert!(two["prompt_eval_count"].as_u64() > one["prompt_eval_count"].as_u64());
    let short = POET.answered("/api/embed", &asked(json!("秋"), json!({"dimensions": 3})));
    assert_eq!(short["embeddings"][0].as_array().unwrap().len(), 3);
    let none = POET.answered("/api/embed", &json!({"model": "poet"}));
    assert_eq!(none["embeddings"], json!([]));
    for (more, field) in [
        (json!({"truncate": true}), "truncate"),
        (json!({"options": {"num_ctx": 4}}), "options.num_ctx"),
        (json!({"dimensions": 0}), "dimensions"),
        (json!({"nonsense": 0}), "nonsense"),
    ] {
        let message = POET.refused("/api/embed", &asked(json!("秋"), more.clone()));
        assert!(message.contains(field), "{more}: {message}");
    }
}

#[test]
fn what_is_not_kept_here_says_what_to_do_instead() {
    for (method, path) in [
        ("POST", "/api/pull"),
        ("POST", "/api/push"),
        ("POST", "/api/create"),
        ("POST", "/api/copy"),
        ("DELETE", "/api/delete"),
        ("POST", "/api/blobs/sha256:00"),
    ] {
        let reply = POET.send(method, path, "{}");
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.json()["error"].as_str().unwrap().contains("hint"), "{path}");
    }
}
