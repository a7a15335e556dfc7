//! `/v1/embeddings`, `/v1/rerank`, `/v1/score`: the numbers are those of the reference.

use crate::{CASE, EMBEDDER, POET, Server, with};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

const PATH: &str = "/v1/embeddings";

fn embedder() -> &'static Server {
    &EMBEDDER.0
}

fn reference() -> Value {
    baimo_tests::golden::json(CASE, "embeddings.json")
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}

fn vector(body: Value) -> Vec<f64> {
    numbers(&embedder().ask(PATH, body)["data"][0]["embedding"])
}

fn difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn vectors_are_those_of_the_reference() {
    let reference = reference();
    let texts = reference["texts"].as_array().expect("texts");
    let all: Vec<&Value> = texts.iter().map(|text| &text["text"]).collect();
    let told = embedder().ask(PATH, json!({ "input": all }));
    let mut tokens = 0;
    for (index, text) in texts.iter().enumerate() {
        let data = &told["data"][index];
        assert_eq!(data["index"], index);
        let (found, wanted) = (numbers(&data["embedding"]), numbers(&text["vector"]));
        let difference = difference(&found, &wanted);
        assert!(difference < 2e-5, "{}: {difference}", text["text"]);
        assert_eq!(found, vector(json!({ "input": text["text"] })), "in company as alone");
        assert_eq!(found, vector(json!({ "input": text["ids"] })), "tokens as text");
        tokens += text["ids"].as_array().expect("ids").len();
    }
    assert_eq!(told["usage"], json!({ "prompt_tokens": tokens, "total_tokens": tokens }));
}

#[test]
fn a_vector_in_base64_is_the_same() {
    let input = json!({ "input": "autumn" });
    let told = embedder().ask(PATH, with(input.clone(), "encoding_format", json!("base64")));
    let bytes = BASE64_STANDARD.decode(told["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let floats = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    // What JSON has of them may be read a last bit off, as a double.
    let wanted: Vec<f32> = vector(input).iter().map(|&x| x as f32).collect();
    assert_eq!(floats.collect::<Vec<f32>>(), wanted);
}

#[test]
fn fewer_dimensions_are_the_first_ones_at_length_one() {
    let input = json!({ "input": "autumn" });
    let (whole, short) = (vector(input.clone()), vector(with(input, "dimensions", json!(16))));
    let length = whole[..16].iter().map(|x| x * x).sum::<f64>().sqrt();
    let wanted: Vec<f64> = whole[..16].iter().map(|x| x / length).collect();
    assert!(difference(&short, &wanted) < 1e-6);
}

#[test]
fn instructions_stand_before_the_text() {
    let task = "Given a question, find its answer";
    let spelled = format!("Instruct: {task}\nQuery:What is autumn?");
    let asked = json!({ "input": "What is autumn?", "instruct": task });
    assert_eq!(vector(asked), vector(json!({ "input": spelled })));
    let named = |name: &str| vector(json!({ "input": "leaves", "prompt_name": name }));
    let plain = vector(json!({ "input": "leaves" }));
    assert_eq!(named("document"), plain);
    assert_ne!(named("query"), plain);
}

#[test]
fn many_texts_go_through_a_few_places() {
    let texts: Vec<String> = (0..200).map(|index| format!("{index}")).collect();
    let told = embedder().ask(PATH, json!({ "input": texts }));
    let data = told["data"].as_array().unwrap();
    assert_eq!(data.len(), 200);
    assert_eq!(numbers(&data[199]["embedding"]), vector(json!({ "input": "199" })));
}

#[test]
fn scores_are_those_of_the_reference() {
    let reference = reference();
    let cases = reference["documents"].as_array().expect("documents");
    let documents: Vec<&Value> = cases.iter().map(|case| &case["document"]).collect();
    let asked = json!({ "query": reference["query"], "documents": documents });
    let told = embedder().ask("/v1/rerank", asked.clone());
    let results = told["results"].as_array().expect("results");
    assert_eq!(results.len(), cases.len());
    let score = |result: &Value| result["relevance_score"].as_f64().expect("a score");
    assert!(results.is_sorted_by(|a, b| score(a) >= score(b)));
    for result in results {
        let case = &cases[result["index"].as_u64().expect("an index") as usize];
        let difference = (score(result) - case["score"].as_f64().unwrap()).abs();
        assert!(difference < 2e-5, "{case}: {difference}");
        assert_eq!(result["document"]["text"], case["document"]);
    }
    let tokens: u64 = cases.iter().map(|case| case["tokens"].as_u64().unwrap()).sum();
    assert_eq!(told["usage"]["total_tokens"], tokens);
    let pairs = json!({ "text_1": reference["query"], "text_2": documents });
    let pairs = embedder().ask("/v1/score", pairs);
    for result in results {
        let index = result["index"].as_u64().unwrap() as usize;
        assert_eq!(pairs["data"][index]["score"], result["relevance_score"]);
    }
    let best = embedder().ask("/v2/rerank", with(asked, "top_n", json!(1)));
    let best = best["results"].as_array().unwrap();
    assert_eq!((best.len(), &best[0]["index"]), (1, &results[0]["index"]));
    assert!(best[0].get("document").is_none());
}

#[test]
fn documents_may_be_objects_and_cut_and_instructed() {
    let score = |document: Value, field: &str, value: Value| {
        let asked = json!({ "query": "q", "documents": [document] });
        let told = embedder().ask("/rerank", with(asked, field, value));
        told["results"][0]["relevance_score"].clone()
    };
    let plain = score(json!("abc"), "top_n", json!(1));
    assert_eq!(score(json!({ "text": "abc" }), "top_n", json!(5)), plain);
    assert_eq!(score(json!("abcdef"), "max_tokens_per_doc", json!(3)), plain);
    assert_ne!(score(json!("abc"), "instruction", json!("Find the rhyme")), plain);
}

#[test]
fn what_is_wrong_is_refused_by_name() {
    let input = || json!({ "input": "autumn" });
    embedder().refuse(PATH, &json!({}), "input");
    for (field, value) in [
        ("input", json!("")),
        ("input", json!([])),
        ("input", json!([9_999_999])),
        ("input", json!("a".repeat(5_000))),
        ("encoding_format", json!("int8")),
        ("dimensions", json!(0)),
        ("dimensions", json!(4_096)),
        ("prompt_name", json!("poem")),
        ("truncate", json!(true)),
    ] {
        embedder().refuse(PATH, &with(input(), field, value), field);
    }
    embedder().refuse(PATH, &json!({ "input": [1], "instruct": "x" }), "instruct");
    embedder().refuse(PATH, &json!({ "input": ["a", ""] }), "input[1]");
    let asked = || json!({ "query": "q", "documents": ["a"] });
    embedder().refuse("/rerank", &json!({ "query": "q" }), "documents");
    for (field, value) in [
        ("query", json!("")),
        ("documents", json!([])),
        ("documents", json!(vec!["a"; 2049])),
        ("top_n", json!(0)),
        ("max_tokens_per_doc", json!(0)),
        ("rank_fields", json!(["text"])),
    ] {
        embedder().refuse("/rerank", &with(asked(), field, value), field);
    }
    embedder().refuse(
        "/score",
        &json!({ "text_1": ["a", "b"], "text_2": ["a", "b", "c"] }),
        "text_1",
    );
    embedder().refuse("/score", &json!({ "text_1": "a" }), "text_2");
    POET.refuse("/rerank", &asked(), "model");
}
