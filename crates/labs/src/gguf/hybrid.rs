//! Families of which some layers have a state of fixed size and some a cache of all positions.

use super::families::{Config, latent, named};
use super::{Gguf, GgufHeader};
use serde_json::Value;

pub(crate) const MINIMAX_01: Gguf = Gguf { config: minimax_01, ..Gguf::plain("minimax-01") };
pub(crate) const LING3: Gguf = Gguf { config: ling3, ..Gguf::plain("bailingmoe3") };

/// Which layers are recurrent: by a list, or all but each so many-th.
fn recurrent(header: &GgufHeader, every: u64) -> Vec<bool> {
    let list = header.counts("attention.recurrent_layers");
    let every = header.count("full_attention_interval").unwrap_or(every).max(1);
    let of = |layer: u64| match &list {
        Some(list) => list.get(layer as usize).is_some_and(|on| *on != 0),
        None => !(layer + 1).is_multiple_of(every),
    };
    header.layers().map(of).collect()
}

/// One factor stands for the skips of all residuals; outputs have none.
fn minimax_01(header: &GgufHeader, config: &mut Config) {
    named(
        header,
        config,
        &[
            ("expert_count", "num_local_experts"),
            ("rope.dimension_count", "rotary_dim"),
            ("residual_scale", "layernorm_full_attention_alpha"),
            ("residual_scale", "layernorm_linear_attention_alpha"),
            ("residual_scale", "layernorm_mlp_alpha"),
        ],
    );
    config.remove("partial_rotary_factor");
    config.insert("postnorm".into(), true.into());
    let kinds = recurrent(header, 8).into_iter().map(|recurrent| u64::from(!recurrent));
    config.insert("attn_type_list".into(), kinds.collect());
}

/// Layers without key heads have the delta rule.
fn ling3(header: &GgufHeader, config: &mut Config) {
    latent(header, config);
    named(
        header,
        config,
        &[
            ("kda.head_dim", "head_dim"),
            ("kda.safe_gate", "kda_safe_gate"),
            ("kda.gate_lower_bound", "kda_lower_bound"),
            ("ssm.conv_kernel", "short_conv_kernel_size"),
            ("expert_shared_feed_forward_length", "moe_shared_expert_intermediate_size"),
            ("swiglu_clamp_exp", "expert_swiglu_limit_list"),
            ("swiglu_clamp_shexp", "share_expert_swiglu_limit_list"),
        ],
    );
    // Which pairs turn by time, height and width does not matter in text.
    header.get("rope.dimension_sections");
    let kv_heads = header.counts("attention.head_count_kv").unwrap_or_default();
    let kinds = header.layers().zip(kv_heads).map(|(_, heads)| match heads {
        0 => Value::from("linear_attention"),
        _ => Value::from("full_attention"),
    });
    config.insert("layer_types".into(), kinds.collect());
}
