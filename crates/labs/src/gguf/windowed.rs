//! Families whose layers differ: those with a window have sizes and a rope of their own, and keys
//! hold a list with an item for each layer.

use super::families::{Config, has_experts, indexed, named};
use super::{Gguf, GgufHeader};
use baimo_blueprint::{Blueprint, Mixer};
use serde_json::{Map, Value, json};

pub(crate) const MIMO2: Gguf = Gguf { config: mimo2, ..Gguf::plain("mimo2") };
pub(crate) const DOTS_NOTE: Gguf =
    Gguf { config: dots_note, adapt: ranks_folded, ..Gguf::plain("dots3note") };
pub(crate) const STEP35: Gguf = Gguf { config: step35, ..Gguf::plain("step35") };

/// Whether each layer has a window.
fn windows(header: &GgufHeader) -> Vec<bool> {
    let pattern = header.counts("attention.sliding_window_pattern").unwrap_or_default();
    header.layers().map(|layer| pattern.get(layer as usize).is_some_and(|on| *on != 0)).collect()
}

/// Of a list with an item for each layer, that of the first layer with or without a window.
fn of_kind(list: &[u64], windows: &[bool], windowed: bool) -> Option<u64> {
    match list {
        [one] => Some(*one),
        _ => windows.iter().position(|on| *on == windowed).and_then(|at| list.get(at).copied()),
    }
}

/// Puts a number of one kind of layer.
fn put(config: &mut Config, key: &str, number: Option<u64>) {
    number.map(|number| config.insert(key.into(), number.into()));
}

fn mimo2(header: &GgufHeader, config: &mut Config) {
    let windows = windows(header);
    let kv_heads = header.counts("attention.head_count_kv").unwrap_or_default();
    put(config, "num_key_value_heads", of_kind(&kv_heads, &windows, false));
    put(config, "swa_num_key_value_heads", of_kind(&kv_heads, &windows, true));
    named(
        header,
        config,
        &[
            ("attention.head_count", "swa_num_attention_heads"),
            ("attention.key_length", "swa_head_dim"),
            ("attention.value_length", "v_head_dim"),
            ("attention.value_length", "swa_v_head_dim"),
            // Releases have the same number under both names; this one does not count the
            // position itself.
            ("attention.sliding_window", "sliding_window_size"),
            ("attention.value_scale", "attention_value_scale"),
            ("rope.freq_base_swa", "swa_rope_theta"),
        ],
    );
    let sinks = |windowed| {
        let layers = (0..).zip(&windows).filter(|(_, on)| **on == windowed);
        let mut names =
            layers.map(|(layer, _): (usize, _)| format!("blk.{layer}.attn_sinks.weight"));
        names.any(|name| header.has_tensor(&name))
    };
    config.insert("add_full_attention_sink_bias".into(), sinks(false).into());
    config.insert("add_swa_attention_sink_bias".into(), sinks(true).into());
    let pattern = windows.iter().map(|on| u64::from(*on));
    config.insert("hybrid_layer_pattern".into(), pattern.collect());
    let sparse = header.layers().map(|layer| u64::from(has_experts(header, layer)));
    config.insert("moe_layer_freq".into(), sparse.collect());
}

fn dots_note(header: &GgufHeader, config: &mut Config) {
    indexed(header, config);
    let windows = windows(header);
    let heads = header.counts("attention.head_count").unwrap_or_default();
    put(config, "num_attention_heads", of_kind(&heads, &windows, false));
    put(config, "swa_num_attention_heads", of_kind(&heads, &windows, true));
    named(
        header,
        config,
        &[
            ("attention.q_lora_rank", "swa_q_lora_rank"),
            ("attention.kv_lora_rank_swa", "swa_kv_lora_rank"),
            ("attention.value_length_mla_swa", "swa_v_head_dim"),
            ("rope.dimension_count", "swa_qk_rope_head_dim"),
            ("rope.freq_base_swa", "swa_rope_theta"),
            ("expert_feed_forward_length", "moe_shared_expert_intermediate_size"),
        ],
    );
    let count = |key| header.count(key).unwrap_or(0);
    let key = count("attention.key_length_mla_swa");
    put(config, "swa_qk_nope_head_dim", key.checked_sub(count("rope.dimension_count")));
    // Widths in the latent space follow from the others.
    let _ = ["attention.key_length_swa", "attention.value_length_swa"].map(|key| header.get(key));
    let kinds = windows.iter().map(|on| match on {
        true => Value::from("sliding_attention"),
        false => Value::from("full_attention"),
    });
    config.insert("layer_types".into(), kinds.collect());
}

/// Converters have multiplied the norms of small ranks already.
fn ranks_folded(_: &GgufHeader, blueprint: &mut Blueprint) {
    for mixer in blueprint.layers.iter_mut().flat_map(|layer| layer.mixers_mut()) {
        if let Mixer::Latent(mixer) = mixer {
            mixer.kv_scale = 1.0;
            let width = (mixer.nope_dim + mixer.rope_dim) as f64;
            mixer.scale = (1.0 / width.sqrt()) as f32;
        }
    }
}

fn step35(header: &GgufHeader, config: &mut Config) {
    let windows = windows(header);
    let heads = header.counts("attention.head_count").unwrap_or_default();
    let kv_heads = header.counts("attention.head_count_kv").unwrap_or_default();
    put(config, "num_attention_heads", of_kind(&heads, &windows, false));
    put(config, "num_attention_groups", of_kind(&kv_heads, &windows, false));
    let mut other = Map::new();
    put(&mut other, "num_attention_heads", of_kind(&heads, &windows, true));
    put(&mut other, "num_attention_groups", of_kind(&kv_heads, &windows, true));
    config.insert("attention_other_setting".into(), other.into());
    named(
        header,
        config,
        &[
            ("expert_count", "moe_num_experts"),
            ("expert_used_count", "moe_top_k"),
            ("expert_shared_feed_forward_length", "share_expert_dim"),
            ("expert_weights_scale", "moe_router_scaling_factor"),
            ("expert_weights_norm", "norm_expert_weight"),
            ("moe_every_n_layers", "moe_every_n_layer"),
            ("swiglu_clamp_exp", "swiglu_limits"),
            ("swiglu_clamp_shexp", "swiglu_limits_shared"),
        ],
    );
    let by_kind = |full: Value, windowed: Value| -> Value {
        windows.iter().map(|on| if *on { windowed.clone() } else { full.clone() }).collect()
    };
    let kinds = by_kind("full_attention".into(), "sliding_attention".into());
    config.insert("layer_types".into(), kinds);
    // Layers without a window rotate half of what the file says.
    let part = config.remove("partial_rotary_factor").and_then(|part| part.as_f64());
    let part = part.unwrap_or(1.0);
    config.insert("partial_rotary_factors".into(), by_kind((part / 2.0).into(), part.into()));
    let theta = |key, default: f64| header.number(key).unwrap_or(default);
    let full = theta("rope.freq_base", 10_000.0);
    let windowed = theta("rope.freq_base_swa", full);
    config.insert("rope_theta".into(), by_kind(full.into(), windowed.into()));
    let gated = header.has_tensor("blk.0.attn_gate.weight");
    config.insert("use_head_wise_attn_gate".into(), gated.into());
    let sparse = header.layers().filter(|layer| has_experts(header, *layer));
    let sparse: Vec<String> = sparse.map(|layer| layer.to_string()).collect();
    config.insert("moe_layers_enum".into(), json!(sparse.join(",")));
}
