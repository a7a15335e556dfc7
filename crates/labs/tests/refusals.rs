//! Configurations that are wrong: each error names the key, what it holds and what would run.

use baimo_blueprint::{Prefix, PrefixEnd};
use baimo_labs::{Blueprint, Error};
use serde_json::{Value, json};

fn dense() -> Value {
    json!({
        "architectures": ["Qwen3ForCausalLM"],
        "hidden_act": "silu",
        "hidden_size": 64,
        "intermediate_size": 128,
        "max_position_embeddings": 256,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "vocab_size": 100,
    })
}

fn sparse() -> Value {
    let mut config = dense();
    merge(
        &mut config,
        json!({
            "architectures": ["Qwen3MoeForCausalLM"],
            "moe_intermediate_size": 24,
            "norm_topk_prob": true,
            "num_experts": 8,
            "num_experts_per_tok": 2,
        }),
    );
    config
}

fn latent() -> Value {
    let mut config = dense();
    config.as_object_mut().unwrap().remove("head_dim");
    merge(
        &mut config,
        json!({
            "architectures": ["DeepseekV3ForCausalLM"],
            "kv_lora_rank": 32,
            "moe_intermediate_size": 24,
            "n_group": 4,
            "n_routed_experts": 16,
            "num_experts_per_tok": 4,
            "q_lora_rank": null,
            "qk_nope_head_dim": 16,
            "qk_rope_head_dim": 8,
            "topk_group": 2,
            "v_head_dim": 16,
        }),
    );
    config
}

fn merge(config: &mut Value, changes: Value) {
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    config.as_object_mut().expect("an object").extend(changes);
}

fn read(mut config: Value, changes: Value) -> Result<Blueprint, Error> {
    merge(&mut config, changes);
    baimo_labs::blueprint(&config)
}

/// The message that refuses `config` with `changes`.
fn refusal(config: Value, changes: Value) -> String {
    let error = read(config, changes).expect_err("a configuration that is wrong");
    let message = error.to_string();
    assert!(message.lines().count() <= 2, "{message}");
    message
}

#[test]
fn the_configurations_here_are_right_before_they_are_made_wrong() {
    for config in [dense(), sparse(), latent()] {
        read(config, json!({})).unwrap();
    }
}

#[test]
fn a_missing_key_is_named() {
    let mut config = dense();
    config.as_object_mut().unwrap().remove("hidden_size");
    let expected =
        "config key `hidden_size` is missing; wanted a whole number from 1 to 2147483647";
    assert_eq!(refusal(config, json!({})), expected);
}

#[test]
fn null_is_absent() {
    let message = refusal(dense(), json!({ "vocab_size": null }));
    assert!(message.starts_with("config key `vocab_size` is missing"), "{message}");
    assert!(read(dense(), json!({ "rope_scaling": null, "sliding_window": null })).is_ok());
}

#[test]
fn a_value_of_the_wrong_type_is_shown() {
    for (value, shown) in [
        (json!("64"), "\"64\""),
        (json!(64.5), "64.5"),
        (json!(-1), "-1"),
        (json!(0), "0"),
        (json!([64]), "[64]"),
        (json!(true), "true"),
    ] {
        let message = refusal(dense(), json!({ "hidden_size": value }));
        let expected = format!("config key `hidden_size` is {shown}; wanted a whole number");
        assert!(message.starts_with(&expected), "{message}");
    }
    let message = refusal(dense(), json!({ "rms_norm_eps": "small" }));
    assert_eq!(message, "config key `rms_norm_eps` is \"small\"; wanted a number");
    let message = refusal(dense(), json!({ "rope_scaling": [] }));
    assert_eq!(message, "config key `rope_scaling` is []; wanted an object");
}

#[test]
fn a_long_value_is_cut_in_the_error() {
    let message = refusal(dense(), json!({ "hidden_size": "模".repeat(10_000) }));
    assert!(message.len() < 400, "{} bytes", message.len());
}

#[test]
fn absurd_sizes_are_refused_where_they_are_read() {
    for key in ["hidden_size", "vocab_size", "num_attention_heads", "head_dim"] {
        for size in [1_u64 << 31, u64::MAX] {
            let message = refusal(dense(), json!({ key: size }));
            assert!(message.contains(&format!("`{key}` is {size}")), "{message}");
        }
    }
    let message = refusal(dense(), json!({ "num_hidden_layers": 4097 }));
    assert_eq!(message, "config key `num_hidden_layers` is 4097; wanted at most 4096");
    let message = refusal(sparse(), json!({ "num_experts": 65_537 }));
    assert_eq!(message, "config key `num_experts` is 65537; wanted at most 65536");
    let message = refusal(latent(), json!({ "num_nextn_predict_layers": 1_000_000 }));
    assert!(message.contains("wanted at most 4096"), "{message}");
}

#[test]
fn sizes_that_are_absurd_together_name_a_tensor() {
    let huge = 1_u64 << 30;
    let error = read(dense(), json!({ "vocab_size": huge, "hidden_size": huge })).unwrap_err();
    let tensor = "model.embed_tokens.weight".to_owned();
    assert_eq!(error, Error::TooLarge { tensor, shape: vec![1 << 30, 1 << 30] });
    let sizes = json!({ "num_attention_heads": huge, "num_key_value_heads": 1, "head_dim": huge });
    assert!(matches!(read(dense(), sizes), Err(Error::TooLarge { .. })));
}

#[test]
fn a_key_nobody_reads_is_refused_by_its_path() {
    let message = refusal(dense(), json!({ "attention_sinks": 4 }));
    let expected = "config has keys that the page of `Qwen3ForCausalLM` does not read: \
                    `attention_sinks`\nhint: ";
    assert!(message.starts_with(expected), "{message}");
    let scaling = json!({ "rope_type": "linear", "factor": 2.0, "foo": 1 });
    let message = refusal(dense(), json!({ "rope_scaling": scaling }));
    assert!(message.contains("`rope_scaling.foo`"), "{message}");
    let quantization = json!({ "quant_method": "fp8", "bits": 8 });
    let message = refusal(dense(), json!({ "quantization_config": quantization }));
    assert!(message.contains("`quantization_config.bits`"), "{message}");
}

#[test]
fn a_quantization_that_does_not_run_is_named() {
    let compressed = |weights: Value| {
        let groups = json!({ "group_0": { "targets": ["Linear"], "weights": weights } });
        json!({ "quant_method": "compressed-tensors", "format": "pack-quantized",
                "config_groups": groups })
    };
    for (quantization, named) in [
        (json!({ "quant_method": "bitsandbytes" }), "quant_method` is \"bitsandbytes\""),
        (json!({ "quant_method": "fp8", "weight_block_size": [64, 64] }), "size` is [64,64]"),
        (json!({ "quant_method": "gptq" }), "`quantization_config.bits` is missing"),
        (json!({ "quant_method": "gptq", "bits": 3 }), "`quantization_config.bits` is 3"),
        (json!({ "quant_method": "gptq", "bits": 4, "checkpoint_format": "gptq_v2" }), "gptq_v2"),
        (json!({ "quant_method": "awq", "bits": 4, "version": "gemv" }), "version` is \"gemv\""),
        (json!({ "quant_method": "compressed-tensors", "format": "int-quantized" }), "int-quant"),
        (compressed(json!({ "num_bits": 2 })), "group_0.weights.num_bits` is 2"),
        (compressed(json!({ "num_bits": 4, "symmetric": false })), "symmetric` is false"),
        (compressed(json!({ "num_bits": 4, "foo": 1 })), "weights.foo`"),
    ] {
        let message = refusal(dense(), json!({ "quantization_config": quantization }));
        assert!(message.contains(named), "{message} has no {named}");
    }
}

#[test]
fn sparse_attention_that_does_not_run_is_named() {
    let changed =
        |sparse: Value| json!({ "architectures": ["MiniCPMForCausalLM"], "sparse_config": sparse });
    assert!(read(dense(), changed(json!({ "dense_len": 64 }))).is_ok());
    for (sparse, named) in [
        (json!({ "kernel_stride": 24 }), "stride` is 24; wanted a divisor of kernel_size"),
        (json!({ "block_size": 24 }), "wanted a divisor of kernel_size and block_size"),
        (json!({ "topk": 2, "init_blocks": 2 }), "topk` is 2; wanted more than 2 first blocks"),
        (json!({ "use_nope": true }), "`sparse_config.use_nope` is true; wanted false"),
        (json!({ "window_size": 0 }), "`sparse_config.window_size` is 0"),
        (json!({ "sink_size": 4 }), "`sparse_config.sink_size`"),
    ] {
        let message = refusal(dense(), changed(sparse));
        assert!(message.contains(named), "{message} has no {named}");
    }
}

#[test]
#[should_panic(expected = "MiniCPMForCausalLM: a prefix with mixers that only look back")]
fn a_prefix_whose_rows_choose_among_those_before_them_is_our_mistake() {
    let config = json!({ "architectures": ["MiniCPMForCausalLM"], "sparse_config": {} });
    let mut blueprint = read(dense(), config).expect("a model");
    blueprint.check();
    blueprint.prefix =
        Some(Prefix { lead: 0..0, end: PrefixEnd::Prompt, gaps: Vec::new(), segments: None });
    blueprint.check();
}

#[test]
fn an_unknown_architecture_gives_the_nearest_name() {
    let message = refusal(dense(), json!({ "architectures": ["Qwen3LaterForCausalLM"] }));
    assert!(message.starts_with("architecture `Qwen3LaterForCausalLM` has no page"), "{message}");
    assert!(message.contains("the nearest is `Qwen3"), "{message}");
    let message = refusal(dense(), json!({ "architectures": ["XyzForCausalLM"] }));
    assert!(message.contains("none is near"), "{message}");
    for architectures in [json!([]), json!("Qwen3ForCausalLM"), json!([3]), json!(null)] {
        let message = refusal(dense(), json!({ "architectures": architectures }));
        assert!(message.contains("`architectures` is missing"), "{message}");
    }
}

#[test]
fn a_configuration_that_is_no_object_is_refused() {
    let error = baimo_labs::blueprint(&json!([1])).unwrap_err();
    assert_eq!(error, Error::NotAnObject { found: "a list" });
}

#[test]
fn heads_must_share_keys_evenly() {
    let message = refusal(dense(), json!({ "num_key_value_heads": 3 }));
    assert_eq!(message, "config key `num_key_value_heads` is 3; wanted a divisor of 4");
}

#[test]
fn a_head_must_hold_the_pairs_it_rotates() {
    let message = refusal(dense(), json!({ "head_dim": 15 }));
    assert!(message.contains("not 15 numbers"), "{message}");
    let message = refusal(dense(), json!({ "partial_rotary_factor": 2.0 }));
    assert!(message.contains("not 32 numbers"), "{message}");
    let message = refusal(dense(), json!({ "partial_rotary_factor": -1.0 }));
    assert!(message.contains("`partial_rotary_factor` is -1.0"), "{message}");
    let message = refusal(latent(), json!({ "qk_rope_head_dim": 7 }));
    assert_eq!(message, "config key `qk_rope_head_dim` is 7; wanted an even number");
}

#[test]
fn a_token_cannot_meet_more_experts_than_it_may_choose_from() {
    let message = refusal(sparse(), json!({ "num_experts_per_tok": 9 }));
    assert_eq!(message, "config key `num_experts_per_tok` is 9; wanted at most 8");
    // Two groups of four are kept.
    let message = refusal(latent(), json!({ "num_experts_per_tok": 9 }));
    assert_eq!(message, "config key `num_experts_per_tok` is 9; wanted at most 8");
}

#[test]
fn experts_must_fall_into_even_groups() {
    for changes in [json!({ "n_group": 3 }), json!({ "n_group": 16 }), json!({ "topk_group": 5 })] {
        let message = refusal(latent(), changes);
        assert!(message.contains("`n_group` is "), "{message}");
    }
}

#[test]
fn a_value_that_would_change_the_numbers_is_refused() {
    let message = refusal(dense(), json!({ "hidden_act": "gelu" }));
    assert_eq!(message, "config key `hidden_act` is \"gelu\"; wanted \"silu\"");
    let message = refusal(latent(), json!({ "scoring_func": "softmax" }));
    assert_eq!(message, "config key `scoring_func` is \"softmax\"; wanted \"sigmoid\"");
}
