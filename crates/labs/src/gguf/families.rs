//! What single families' files say in another way, and how files of one architecture are told
//! apart. Source: `conversion/` and `src/models/` of <https://github.com/ggml-org/llama.cpp>.

use super::{Gguf, GgufHeader};
use serde_json::{Map, Value};

pub(super) type Config = Map<String, Value>;

/// Files of the architecture `deepseek2` whose router is a softmax.
pub(crate) const LATENT_SOFTMAX: Gguf =
    Gguf { fits: softmax_routed, config: latent, ..Gguf::plain("deepseek2").written() };
/// Those whose router is a sigmoid, with a bias for selection.
pub(crate) const LATENT_SIGMOID: Gguf =
    Gguf { fits: sigmoid_routed, config: latent, ..Gguf::plain("deepseek2").written() };
/// Those without experts.
pub(crate) const LATENT_DENSE: Gguf =
    Gguf { fits: without_experts, config: latent, ..Gguf::plain("deepseek2").written() };

/// Files of the architecture `chatglm` with queries, keys and values apart.
pub(crate) const CHAT_SEPARATE: Gguf = Gguf { fits: separate, ..Gguf::plain("chatglm") };

/// The norm before an FFN is called by what is before it.
pub(crate) const POST_NORM: Option<&[(&str, &str)]> = Some(&[("ffn_norm", "post_attention_norm")]);

pub(crate) const ERNIE_MOE: Gguf = Gguf { config: ernie_moe, ..Gguf::plain("ernie4_5-moe") };
pub(crate) const HUNYUAN_MOE: Gguf = Gguf { config: hunyuan_moe, ..Gguf::plain("hunyuan-moe") };
pub(crate) const HY_V3: Gguf = Gguf { config: hy_v3, ..Gguf::plain("hy_v3") };
pub(crate) const MINIMAX_M2: Gguf = Gguf { config: minimax_m2, ..Gguf::plain("minimax-m2") };

pub(crate) const MINICPM3: Gguf = Gguf { config: latent, ..Gguf::plain("minicpm3") };
pub(crate) const MINICPM: Gguf =
    Gguf { config: scaled, interleaved_qk: true, ..Gguf::plain("minicpm") };
pub(crate) const ORION: Gguf = Gguf { config: layer_normed, ..Gguf::plain("orion") };
pub(crate) const DEEPSEEK_V32: Gguf = Gguf { config: indexed, ..Gguf::plain("deepseek32") };
pub(crate) const GLM_DSA: Gguf = Gguf { config: indexed, ..Gguf::plain("glm-dsa") };

/// Metadata keys that a family's configuration calls by names of its own.
pub(super) fn named(header: &GgufHeader, config: &mut Config, names: &[(&str, &str)]) {
    for (key, name) in names {
        if let Some(value) = header.get(key) {
            config.insert((*name).into(), value.clone());
        }
    }
}

fn ernie_moe(header: &GgufHeader, config: &mut Config) {
    named(
        header,
        config,
        &[
            ("expert_count", "moe_num_experts"),
            ("expert_used_count", "moe_k"),
            ("expert_shared_count", "moe_num_shared_experts"),
            ("interleave_moe_layer_step", "moe_layer_interval"),
            ("leading_dense_block_count", "moe_layer_start_index"),
        ],
    );
    let first = header.count("leading_dense_block_count").unwrap_or(0);
    let biased = header.has_tensor(&format!("blk.{first}.exp_probs_b.bias"));
    config.insert("moe_use_aux_free".into(), biased.into());
}

fn hunyuan_moe(header: &GgufHeader, config: &mut Config) {
    let names = [("expert_used_count", "moe_topk"), ("expert_shared_count", "num_shared_expert")];
    named(header, config, &names);
}

fn hy_v3(header: &GgufHeader, config: &mut Config) {
    named(header, config, &[("expert_weights_scale", "router_scaling_factor")]);
    let width = |key| header.count(key).filter(|width| *width > 0);
    if let (Some(shared), Some(each)) =
        (width("expert_shared_feed_forward_length"), width("expert_feed_forward_length"))
    {
        config.insert("num_shared_experts".into(), (shared / each).into());
    }
    let kinds = header.layers().map(|layer| match has_experts(header, layer) {
        true => Value::from("sparse"),
        false => Value::from("dense"),
    });
    config.insert("mlp_layer_types".into(), kinds.collect());
}

/// Files do not say which layers have experts; one that has none has no router.
pub(super) fn has_experts(header: &GgufHeader, layer: u64) -> bool {
    header.has_tensor(&format!("blk.{layer}.ffn_gate_inp.weight"))
}

fn minimax_m2(header: &GgufHeader, config: &mut Config) {
    let names = [
        ("expert_count", "num_local_experts"),
        ("expert_feed_forward_length", "intermediate_size"),
        ("rope.dimension_count", "rotary_dim"),
    ];
    named(header, config, &names);
    config.remove("partial_rotary_factor");
}

/// Files hold the factors that the configuration's keys come to: of a branch
/// `scale_depth / √layers`, and the divisor `hidden / dim_model_base` before the head.
fn scaled(header: &GgufHeader, config: &mut Config) {
    named(header, config, &[("embedding_scale", "scale_emb")]);
    let layers = header.count("block_count").unwrap_or(0) as f64;
    if let Some(branch) = header.number("residual_scale") {
        config.insert("scale_depth".into(), (branch * layers.sqrt()).into());
    }
    if let (Some(width), Some(divisor)) =
        (header.number("embedding_length"), header.number("logit_scale"))
    {
        config.insert("dim_model_base".into(), ((width / divisor).round() as u64).into());
    }
}

fn layer_normed(header: &GgufHeader, config: &mut Config) {
    named(header, config, &[("attention.layer_norm_epsilon", "rms_norm_eps")]);
}

pub(super) fn indexed(header: &GgufHeader, config: &mut Config) {
    latent(header, config);
    let names = [
        ("attention.indexer.head_count", "index_n_heads"),
        ("attention.indexer.key_length", "index_head_dim"),
        ("attention.indexer.top_k", "index_topk"),
    ];
    named(header, config, &names);
    if let Some(own) = header.counts("attention.indexer.types") {
        let kinds = header.layers().zip(own).map(|(_, own)| match own {
            0 => Value::from("shared"),
            _ => Value::from("full"),
        });
        config.insert("indexer_types".into(), kinds.collect());
    }
}

/// Files do not say that the chosen scores are renormalized where all releases do it.
pub(crate) fn renormalized(_: &GgufHeader, config: &mut Config) {
    config.insert("norm_topk_prob".into(), true.into());
}

fn separate(header: &GgufHeader) -> bool {
    header.has_tensor("blk.0.attn_q.weight")
}

fn without_experts(header: &GgufHeader) -> bool {
    header.count("expert_count").unwrap_or(0) == 0
}

/// Older files have no key for the scores, but only sigmoid routers have the bias.
fn sigmoid_routed(header: &GgufHeader) -> bool {
    let first = header.count("leading_dense_block_count").unwrap_or(0);
    match header.count("expert_gating_func") {
        Some(scores) => scores == 2,
        None => header.has_tensor(&format!("blk.{first}.exp_probs_b.bias")),
    }
}

fn softmax_routed(header: &GgufHeader) -> bool {
    !without_experts(header) && !sigmoid_routed(header)
}

/// Keys of latent attention; what files leave out is what every release has.
pub(super) fn latent(header: &GgufHeader, config: &mut Config) {
    let rope_dim = header.count("rope.dimension_count").unwrap_or(64);
    let key = header.count("attention.key_length_mla").or(header.count("attention.key_length"));
    let value =
        header.count("attention.value_length_mla").or(header.count("attention.value_length"));
    config.remove("head_dim");
    config.remove("partial_rotary_factor");
    let mut put = |key: &str, value: Option<u64>| {
        value.map(|value| config.insert(key.into(), value.into()));
    };
    put("qk_rope_head_dim", Some(rope_dim));
    put("qk_nope_head_dim", key.and_then(|key| key.checked_sub(rope_dim)));
    put("v_head_dim", value);
    // Files of the two large releases that are older than the keys.
    let (groups, kept) = match (header.count("expert_count"), sigmoid_routed(header)) {
        (Some(256), true) => (8, 4),
        (Some(160), false) => (8, 3),
        (Some(_), _) | (None, _) => (1, 1),
    };
    let groups = header.count("expert_group_count").unwrap_or(groups);
    put("n_group", Some(groups));
    put("topk_group", Some(header.count("expert_group_used_count").unwrap_or(kept)));
    if groups > 1 && !sigmoid_routed(header) {
        config.insert("topk_method".into(), "group_limited_greedy".into());
    }
    // llama.cpp writes 0.1 × mscale_all_dim; the releases have mscale equal to it.
    let multiplier = header.number("rope.scaling.yarn_log_multiplier").unwrap_or(0.1);
    if let Some(Value::Object(scaling)) = config.get_mut("rope_scaling")
        && scaling.get("rope_type").and_then(Value::as_str) == Some("yarn")
    {
        scaling.insert("mscale".into(), (multiplier * 10.0).into());
        scaling.insert("mscale_all_dim".into(), (multiplier * 10.0).into());
    }
}
