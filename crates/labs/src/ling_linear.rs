//! Ling 百灵 (Ant Group): releases most of whose layers keep a state of fixed size.
//!
//! | family     | mixer                                          | ffn                            |
//! |------------|------------------------------------------------|--------------------------------|
//! | Linear 2.0 | linear attention with fixed decay; the last    | dense first, then sigmoid      |
//! |            | layer of each group: softmax, GQA              | experts of groups, one shared |
//! | 2.5        | as Linear 2.0, but the last of a group latent  | as Linear 2.0                  |
//! | 3          | delta rule by channel; the last latent, gated  | as Linear 2.0                  |

mod third;

use crate::attention::{head_dim, softmax};
use crate::common::{decoder, norm, pre_norm, swiglu, with_prediction_layers, word_embedded};
use crate::experts::{first_dense, group_limit, sigmoid_balanced, sum_floor};
use crate::gguf::hybrid::LING3;
use crate::latent::{latent, rope_style};
use crate::recurrent::{fixed_decay, heads};
use crate::rotation::Rotation;
use crate::{Config, Family, Lab, Result, voices};
use baimo_blueprint::{
    Blueprint, Curve, Decay, Ffn, Fold, GateOrder, GatedNorm, GroupScore, Latent, Linear, Mixer,
    Norm, NormOrder, Projection, QkNorm, Recurrent, RopeStyle, Shared, Sharing, Softmax, Stream,
    Tensor, Turned, Write,
};

/// Ant Group's models of this kind.
pub const LING_LINEAR: Lab = Lab {
    name: "Ling",
    hanzi: "百灵",
    house: "Ant Group",
    families: &[
        Family {
            architecture: "BailingMoeLinearV2ForCausalLM",
            models: "Ring-mini-linear-2.0, Ring-flash-linear-2.0",
            blueprint: Some(linear),
            gguf: None,
            voices: &[&voices::LING_3, &voices::LING_THINKING, &voices::LING],
        },
        Family {
            architecture: "BailingMoeV2_5ForCausalLM",
            models: "Ling-2.5-1T, Ring-2.5-1T",
            blueprint: Some(second_and_a_half),
            gguf: None,
            voices: &[&voices::LING_3, &voices::LING_THINKING, &voices::LING],
        },
        Family {
            architecture: "BailingMoeV3ForCausalLM",
            models: "Ling-3.0-tiny, Ling-3.0-flash",
            blueprint: Some(third::third),
            gguf: Some(LING3),
            voices: &[&voices::LING_3, &voices::LING_THINKING, &voices::LING],
        },
        Family {
            architecture: "BailingHybridForCausalLM",
            models: "Ling-3.0 of transformers",
            blueprint: Some(third::third),
            gguf: None,
            voices: &[&voices::LING_3, &voices::LING_THINKING, &voices::LING],
        },
    ],
};

fn linear(c: &Config) -> Result<Blueprint> {
    hybrid(c, |prefix| Ok(Mixer::Softmax(attention(c, prefix)?)))
}

fn second_and_a_half(c: &Config) -> Result<Blueprint> {
    c.only("use_bias", false)?;
    c.only("use_qkv_bias", false)?;
    hybrid(c, |prefix| {
        let name = format!("{prefix}.attention");
        let mixer = latent(c, &name, Some(rope_style(c)?))?;
        let (hidden, width) = (c.size("hidden_size")?, mixer.heads * mixer.v_dim);
        let o = Linear::new(&format!("{name}.dense"), hidden, width);
        Ok(Mixer::Latent(Latent { o, ..mixer }))
    })
}

/// Of each `layer_group_size` layers the last is `full`; so are those beyond the last whole group.
fn hybrid(c: &Config, full: impl Fn(&str) -> Result<Mixer>) -> Result<Blueprint> {
    c.spell(&[("n_routed_experts", "num_experts"), ("n_shared_experts", "num_shared_experts")]);
    c.waive(&["embedding_dropout", "output_dropout", "router_dtype", "max_window_layers"]);
    for key in ["norm_head", "norm_softmax", "use_sliding_window", "linear_silu"] {
        c.only(key, false)?;
    }
    c.only("use_linear_silu", false)?;
    for key in ["use_rmsnorm", "linear_rope", "moe_router_enable_expert_bias"] {
        c.only(key, true)?;
    }
    c.only("score_function", "sigmoid")?;
    let group = c.size("layer_group_size")?;
    let blueprint = decoder(c, |index, prefix| {
        let layers = c.size("num_hidden_layers")?;
        let is_full = (index + 1).is_multiple_of(group) || index >= layers / group * group;
        let (full, linear) = (full(prefix)?, lightning(c, index, prefix)?);
        let mixer = if is_full { full } else { Mixer::Recurrent(Box::new(linear)) };
        pre_norm(c, prefix, mixer, ffn(c, index, prefix)?)
    })?;
    with_prediction_layers(c, word_embedded(blueprint))
}

fn ffn(c: &Config, index: usize, prefix: &str) -> Result<Ffn> {
    first_dense(c, index, prefix, |experts| {
        sigmoid_balanced(experts, &format!("{prefix}.mlp.gate.expert_bias"));
        experts.router.groups = group_limit(c, GroupScore::BestTwo)?;
        experts.router.renormalize = sum_floor(c, true)?.filter(|_| experts.active > 1);
        let width = c.size_or("moe_shared_expert_intermediate_size", experts.width)?;
        let shared = c.count_or("n_shared_experts", 0)?;
        if shared > 0 {
            let dense = swiglu(c, &format!("{prefix}.mlp.shared_experts"), shared * width)?;
            experts.shared = Some(Shared { dense, gate: None });
        }
        Ok(())
    })
}

/// Queries, keys and values in one map, all heads of each together: these heads' rows of it.
fn part(c: &Config, prefix: &str, start: usize, rows: usize, of: usize) -> Result<Linear> {
    let name = format!("{prefix}.attention.query_key_value");
    let is_biased = c.flag_or("use_qkv_bias", false)? || c.flag_or("use_bias", false)?;
    let fold = Fold::Rows { start, of };
    let bias = || Tensor::new(format!("{name}.bias"), [rows]).folded(fold);
    let shape = [rows, c.size("hidden_size")?];
    let weight = Tensor::new(format!("{name}.weight"), shape).folded(fold);
    Ok(Linear { weight, bias: is_biased.then(bias) })
}

fn dense(c: &Config, prefix: &str, inputs: usize) -> Result<Linear> {
    let name = format!("{prefix}.attention.dense");
    let map = Linear::new(&name, c.size("hidden_size")?, inputs);
    Ok(map.biased(&name, c.flag_or("use_bias", false)?))
}

/// Norms of each head of queries and keys, where `use_qk_norm`.
fn head_norms(c: &Config, prefix: &str, dim: usize) -> Result<Option<[Norm; 2]>> {
    let head_norm = |name| norm(c, &format!("{prefix}.attention.{name}"), dim);
    let norms = [head_norm("query_layernorm")?, head_norm("key_layernorm")?];
    Ok(c.flag_or("use_qk_norm", false)?.then_some(norms))
}

fn attention(c: &Config, prefix: &str) -> Result<Softmax> {
    let mixer = softmax(c, prefix, head_dim(c)?)?;
    let dim = mixer.qk_dim;
    let (queries, keys) = (mixer.heads * dim, mixer.kv_heads * dim);
    let of = queries + 2 * keys;
    let norms = head_norms(c, prefix, dim)?;
    Ok(Softmax {
        q: part(c, prefix, 0, queries, of)?,
        k: part(c, prefix, queries, keys, of)?,
        v: part(c, prefix, queries + keys, keys, of)?,
        o: dense(c, prefix, queries)?,
        qk_norm: norms.map(|[q, k]| QkNorm { q, k, order: NormOrder::BeforeRope }),
        ..mixer
    })
}

/// Linear attention (arXiv:2401.04658) with rotated queries and keys.
fn lightning(c: &Config, index: usize, prefix: &str) -> Result<Recurrent> {
    let (heads, dim) = (heads(c, "num_attention_heads", 1)?, head_dim(c)?);
    let (width, layers) = (heads * dim, c.size("num_hidden_layers")?);
    let rope = Rotation::read(c)?.partial(c, dim, 1.0, RopeStyle::Half)?;
    let [q_norm, k_norm] = head_norms(c, prefix, dim)?.map_or([None, None], |two| two.map(Some));
    let stream = |place| Ok(Stream::plain(part(c, prefix, place * width, width, 3 * width)?));
    let groups = c.size_or("group_norm_size", 1)?;
    if !width.is_multiple_of(groups) {
        return Err(c.unsupported("group_norm_size", format!("a divisor of {width}")));
    }
    let read_norm = norm(c, &format!("{prefix}.attention.g_norm"), width)?;
    let hidden = c.size("hidden_size")?;
    let gate = Linear::new(&format!("{prefix}.attention.g_proj"), width, hidden);
    Ok(Recurrent {
        heads,
        key_heads: heads,
        sharing: Sharing::Neighbours,
        k_dim: dim,
        v_dim: dim,
        q: stream(0)?,
        k: stream(1)?,
        v: stream(2)?,
        unit_eps: None,
        turned: Some(Turned { q_norm, k_norm, rope }),
        scale: (1.0 / (dim as f64).sqrt()) as f32,
        decay: decay(heads, index, layers),
        write: Write::Value,
        skip: None,
        norm: GatedNorm {
            norm: Norm { width: width / groups, ..read_norm },
            gate: Projection::Direct(gate),
            curve: Curve::Sigmoid,
            order: GateOrder::NormFirst,
        },
        o: dense(c, prefix, width)?,
    })
}

/// The more the earlier the layer; the `- 1` is the releases', their loss asks for it.
fn decay(heads: usize, index: usize, layers: usize) -> Decay {
    fixed_decay(heads, 1.0 - (index as f64 - 1.0) / (layers.max(2) - 1) as f64 + 1e-5)
}
