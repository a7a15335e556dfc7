//! Headers of GGUF files: what they say is read, and what is wrong in them is named.

use baimo_blueprint::{Fold, Mixer};
use baimo_labs::{Blueprint, Error, GgufHeader, GgufTensors};
use serde_json::{Map, Value, json};

/// The shapes of a file's tensors; every float is 2.
struct Tensors(Vec<(&'static str, Vec<usize>)>);

impl GgufTensors for Tensors {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, shape)| shape.clone())
    }

    fn floats(&self, name: &str) -> Option<Vec<f32>> {
        self.shape(name).map(|shape| vec![2.0; shape.iter().product()])
    }
}

fn tensors() -> Tensors {
    Tensors(vec![("token_embd.weight", vec![100, 64]), ("output.weight", vec![100, 64])])
}

fn metadata() -> Map<String, Value> {
    let header = json!({
        "general.architecture": "qwen3",
        "general.name": "anything",
        "qwen3.attention.head_count": 4,
        "qwen3.attention.head_count_kv": 2,
        "qwen3.attention.key_length": 16,
        "qwen3.attention.value_length": 16,
        "qwen3.attention.layer_norm_rms_epsilon": 1e-6,
        "qwen3.block_count": 3,
        "qwen3.context_length": 256,
        "qwen3.embedding_length": 64,
        "qwen3.feed_forward_length": 128,
        "qwen3.rope.freq_base": 10000.0,
        "tokenizer.ggml.model": "gpt2",
    });
    header.as_object().expect("an object").clone()
}

/// The Blueprint of the header with some values replaced; `null` takes the key out.
fn read(changes: Value, tensors: &Tensors) -> Result<Blueprint, Error> {
    let mut header = metadata();
    header.extend(changes.as_object().expect("an object").clone());
    header.retain(|_, value| !value.is_null());
    GgufHeader::new(&header, tensors)?.blueprint()
}

fn refusal(changes: Value) -> String {
    read(changes, &tensors()).expect_err("a header that is wrong").to_string()
}

#[test]
fn a_header_says_the_same_as_its_configuration() {
    let config = json!({
        "architectures": ["Qwen3ForCausalLM"],
        "head_dim": 16,
        "hidden_size": 64,
        "intermediate_size": 128,
        "max_position_embeddings": 256,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "vocab_size": 100,
    });
    let from_config = baimo_labs::blueprint(&config).unwrap();
    assert_eq!(read(json!({}), &tensors()).unwrap(), from_config);
}

#[test]
fn without_an_output_tensor_the_head_is_tied() {
    let tensors = Tensors(vec![("token_embd.weight", vec![100, 64])]);
    assert!(read(json!({}), &tensors).unwrap().is_tied());
    assert!(!read(json!({}), &self::tensors()).unwrap().is_tied());
}

#[test]
fn a_missing_architecture_is_named() {
    let message = refusal(json!({ "general.architecture": null }));
    assert!(message.contains("`general.architecture` is missing"), "{message}");
    let message = refusal(json!({ "general.architecture": 7 }));
    assert!(message.contains("`general.architecture` is missing"), "{message}");
}

#[test]
fn an_unknown_architecture_is_named() {
    let message = refusal(json!({ "general.architecture": "mamba" }));
    assert!(message.contains("architecture `mamba` has no page"), "{message}");
}

#[test]
fn a_missing_number_of_layers_is_named() {
    let message = refusal(json!({ "qwen3.block_count": null }));
    let expected = "config key `qwen3.block_count` is missing; wanted the number of layers";
    assert_eq!(message, expected);
}

#[test]
fn absurd_numbers_are_refused() {
    for layers in [json!(0), json!(4097), json!(u64::MAX)] {
        let message = refusal(json!({ "qwen3.block_count": layers }));
        assert!(message.contains("`num_hidden_layers`"), "{message}");
    }
    let huge = json!({ "qwen3.embedding_length": 1 << 30, "qwen3.feed_forward_length": 1 << 30 });
    assert!(matches!(read(huge, &tensors()), Err(Error::TooLarge { .. })));
}

#[test]
fn a_key_nobody_reads_is_refused() {
    let message = refusal(json!({ "qwen3.attention.sinks": 4 }));
    assert!(message.contains("`qwen3.attention.sinks`"), "{message}");
    assert!(read(json!({ "general.new_key": 4, "tokenizer.new_key": 4 }), &tensors()).is_ok());
}

#[test]
fn one_value_for_all_layers_may_be_a_list() {
    let list = json!({ "qwen3.attention.head_count_kv": [2, 2, 2] });
    assert_eq!(read(list, &tensors()), read(json!({}), &tensors()));
    for list in [json!([]), json!([2, 1, 2])] {
        let message = refusal(json!({ "qwen3.attention.head_count_kv": list }));
        assert!(message.contains("`num_key_value_heads` is ["), "{message}");
    }
}

#[test]
fn an_embedding_without_a_shape_is_an_error() {
    let tensors = Tensors(vec![("token_embd.weight", vec![])]);
    let message = read(json!({}), &tensors).unwrap_err().to_string();
    assert!(message.contains("`vocab_size` is missing"), "{message}");
}

#[test]
fn rope_divisors_must_be_one_for_each_pair() {
    let with = |count| {
        let mut tensors = tensors();
        tensors.0.push(("rope_freqs.weight", vec![count]));
        read(json!({}), &tensors)
    };
    assert!(with(8).unwrap().to_string().contains("with divisors"));
    let message = with(7).unwrap_err().to_string();
    assert!(message.contains("`rope_freqs.weight` is 7 numbers; wanted 8"), "{message}");
}

#[test]
fn queries_keys_and_values_in_one_tensor_are_parts_of_it() {
    let mut tensors = tensors();
    tensors.0.push(("blk.1.attn_qkv.weight", vec![128, 64]));
    let blueprint = read(json!({}), &tensors).unwrap();
    let of_layer = |layer: usize| match blueprint.layers[layer].mixers().next() {
        Some(Mixer::Softmax(mixer)) => [&mixer.q, &mixer.k, &mixer.v].map(|map| &map.weight),
        other => panic!("{other:?}"),
    };
    assert!(of_layer(0).iter().all(|map| map.fold == Fold::AsStored));
    let parts = of_layer(1).map(|map| (map.name.as_str(), map.shape[0], map.fold));
    let name = "model.layers.1.self_attn.qkv_proj.weight";
    let rows = |start| Fold::Rows { start, of: 128 };
    assert_eq!(parts, [(name, 64, rows(0)), (name, 32, rows(64)), (name, 32, rows(96))]);
}
