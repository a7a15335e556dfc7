//! Families with recurrent mixers.

use super::families::{Config, latent, named};
use super::{Gguf, GgufHeader, LAYERS_MAX};
use crate::common::aside;
use baimo_blueprint::{Blueprint, Fold, Linear, Mixer, Projection, Sharing, Tensor};
use serde_json::{Map, Value, json};

pub(crate) const QWEN3_NEXT: Gguf =
    Gguf { config: qwen3_next, adapt: delta_maps_apart, ..Gguf::plain("qwen3next") };
pub(crate) const QWEN35: Gguf = Gguf { config: qwen3_5, adapt: in_turns, ..Gguf::plain("qwen35") };
pub(crate) const QWEN35_MOE: Gguf =
    Gguf { config: qwen3_5, adapt: in_turns, ..Gguf::plain("qwen35moe") };
pub(crate) const KIMI_LINEAR: Gguf = Gguf { config: kimi_linear, ..Gguf::plain("kimi-linear") };
pub(crate) const MAMBA2: Gguf = Gguf { config: mamba2, ..Gguf::plain("mamba2") };

fn qwen3_next(header: &GgufHeader, config: &mut Config) {
    let names = [
        ("ssm.conv_kernel", "linear_conv_kernel_dim"),
        ("ssm.state_size", "linear_key_head_dim"),
        ("ssm.group_count", "linear_num_key_heads"),
        ("ssm.time_step_rank", "linear_num_value_heads"),
        ("full_attention_interval", "full_attention_interval"),
    ];
    named(header, config, &names);
    if let (Some(width), Some(heads)) =
        (header.count("ssm.inner_size"), header.count("ssm.time_step_rank"))
    {
        let width = width.checked_div(heads).unwrap_or(0);
        config.insert("linear_value_head_dim".into(), width.into());
    }
    if let Some(recurrent) = header.counts("attention.recurrent_layers") {
        let layers = header.layers().zip(recurrent);
        let kinds = layers.map(|(_, recurrent)| match recurrent {
            0 => Value::from("full_attention"),
            _ => Value::from("linear_attention"),
        });
        config.insert("layer_types".into(), kinds.collect());
    }
}

/// Which pairs turn by time, height and width does not matter in text.
fn qwen3_5(header: &GgufHeader, config: &mut Config) {
    qwen3_next(header, config);
    header.get("rope.dimension_sections");
}

/// Converters reorder the value heads, so that those of one key head are no longer neighbours.
fn in_turns(header: &GgufHeader, blueprint: &mut Blueprint) {
    for mixer in blueprint.layers.iter_mut().flat_map(|layer| layer.mixers_mut()) {
        if let Mixer::Recurrent(mixer) = mixer {
            mixer.sharing = Sharing::Turns;
        }
    }
    predictions_aside(header, blueprint);
}

/// Converters number the layers that predict further tokens on after the others.
fn predictions_aside(header: &GgufHeader, blueprint: &mut Blueprint) {
    let blocks = header.count("block_count").unwrap_or(0);
    let further = header.layers().end..blocks.min(LAYERS_MAX);
    let names = further.map(|layer| format!("blk.{layer}.*"));
    blueprint.set_aside.extend(names.map(|name| aside(&name, "multi-token prediction")));
}

/// Newer files have the maps of the delta rule one after another and not by key head, those of the
/// gate in a tensor of their own.
fn delta_maps_apart(header: &GgufHeader, blueprint: &mut Blueprint) {
    predictions_aside(header, blueprint);
    for (index, layer) in blueprint.layers.iter_mut().enumerate() {
        if !header.has_tensor(&format!("blk.{index}.attn_qkv.weight")) {
            continue;
        }
        for mixer in layer.mixers_mut() {
            let Mixer::Recurrent(mixer) = mixer else { continue };
            let (keys, values) = (mixer.key_heads * mixer.k_dim, mixer.heads * mixer.v_dim);
            let part = |map: &mut Linear, to: &str, start, rows, of| {
                let name = map.weight.name.replace("in_proj_qkvz", to);
                let fold = Fold::Rows { start, of };
                map.weight = Tensor::new(name, [rows, map.inputs()]).folded(fold);
            };
            let of = 2 * keys + values;
            part(&mut mixer.q.map, "in_proj_qkv", 0, keys, of);
            part(&mut mixer.k.map, "in_proj_qkv", keys, keys, of);
            part(&mut mixer.v.map, "in_proj_qkv", 2 * keys, values, of);
            if let Projection::Direct(map) = &mut mixer.norm.gate {
                part(map, "in_proj_z", 0, values, values);
            }
        }
    }
}

/// Layers without key heads are linear; lists of layers count from one.
fn kimi_linear(header: &GgufHeader, config: &mut Config) {
    latent(header, config);
    named(
        header,
        config,
        &[
            ("expert_used_count", "num_experts_per_token"),
            ("expert_shared_count", "num_shared_experts"),
        ],
    );
    let kv_heads = header.counts("attention.head_count_kv").unwrap_or_default();
    let layers = |linear| -> Value {
        let kinds = header.layers().zip(&kv_heads);
        kinds.filter(|(_, heads)| (**heads == 0) == linear).map(|(layer, _)| layer + 1).collect()
    };
    let mut part = Map::new();
    part.insert("kda_layers".into(), layers(true));
    part.insert("full_attn_layers".into(), layers(false));
    let names = [
        ("attention.head_count", "num_heads"),
        ("kda.head_dim", "head_dim"),
        ("ssm.conv_kernel", "short_conv_kernel_size"),
    ];
    named(header, &mut part, &names);
    config.insert("linear_attn_config".into(), part.into());
}

fn mamba2(header: &GgufHeader, config: &mut Config) {
    let names = [
        ("ssm.conv_kernel", "conv_kernel"),
        ("ssm.state_size", "state_size"),
        ("ssm.time_step_rank", "num_heads"),
        ("ssm.group_count", "n_groups"),
        ("attention.layer_norm_rms_epsilon", "layer_norm_epsilon"),
    ];
    named(header, config, &names);
    let count = |key| header.count(key).unwrap_or(0);
    let inner = count("ssm.inner_size");
    let width = |of: u64| inner.checked_div(of).unwrap_or(0);
    config.insert("head_dim".into(), width(count("ssm.time_step_rank")).into());
    config.insert("expand".into(), width(count("embedding_length")).into());
    let biased = |name: &str| header.has_tensor(&format!("blk.0.{name}.bias"));
    config.insert("use_bias".into(), json!(biased("ssm_in")));
    config.insert("use_conv_bias".into(), json!(biased("ssm_conv1d")));
}
