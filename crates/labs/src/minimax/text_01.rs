//! MiniMax-Text-01: seven layers of linear attention with fixed decay, then one of softmax
//! attention; what a block gives is added to what its norm gave.

use crate::attention::{head_dim, softmax};
use crate::common::{decoder, norm};
use crate::experts::{SUM_FLOOR, experts_of};
use crate::recurrent::{fixed_decay, heads, is_full_or};
use crate::rotation::Rotation;
use crate::{Config, Result};
use baimo_blueprint::{
    Block, Blueprint, Curve, Ffn, GateOrder, GatedNorm, Layer, Linear, Mixer, Norm, Projection,
    Recurrent, Residual, RopeStyle, Sharing, Skip, Softmax, Stream, Sublayer, Write,
};

/// The norm inside linear attention has this eps whatever the configuration says.
const INNER_NORM_EPS: f32 = 1e-6;

/// How a configuration calls the factors of a residual: of the skip and of the block's output.
struct Factors {
    full: [&'static str; 2],
    linear: [&'static str; 2],
    ffn: [&'static str; 2],
}

/// As the lab released it.
pub(super) fn text_01(c: &Config) -> Result<Blueprint> {
    let factors = Factors {
        full: ["layernorm_full_attention_alpha", "layernorm_full_attention_beta"],
        linear: ["layernorm_linear_attention_alpha", "layernorm_linear_attention_beta"],
        ffn: ["layernorm_mlp_alpha", "layernorm_mlp_beta"],
    };
    no_shared(c)?;
    c.waive(&["shared_moe_mode"]);
    let kinds = c.counts("attn_type_list")?;
    let skip = match c.flag_or("postnorm", false)? {
        true => Skip::Normed,
        false => Skip::Stream,
    };
    decoder(c, |index, prefix| {
        let full = match kinds.get(index) {
            Some(1) => true,
            Some(0) => false,
            Some(_) | None => {
                return Err(c.unsupported("attn_type_list", "0 or 1 for each layer"));
            }
        };
        layer(c, index, prefix, full, &factors, skip)
    })
}

/// As `transformers` has it.
pub(super) fn converted(c: &Config) -> Result<Blueprint> {
    let factors = Factors {
        full: ["full_attn_alpha_factor", "full_attn_beta_factor"],
        linear: ["linear_attn_alpha_factor", "linear_attn_beta_factor"],
        ffn: ["mlp_alpha_factor", "mlp_beta_factor"],
    };
    decoder(c, |index, prefix| {
        let full = is_full_or(c, index, index.is_multiple_of(2))?;
        layer(c, index, prefix, full, &factors, Skip::Normed)
    })
}

/// Zero, or a list of zeros: no release has an FFN that every token meets.
fn no_shared(c: &Config) -> Result<()> {
    let key = "shared_intermediate_size";
    match c.counts(key) {
        Ok(widths) if widths.iter().all(|&width| width == 0) => Ok(()),
        Ok(_) => Err(c.unsupported(key, "0: no shared FFN")),
        Err(_) => c.only(key, 0),
    }
}

fn layer(
    c: &Config,
    index: usize,
    prefix: &str,
    full: bool,
    factors: &Factors,
    skip: Skip,
) -> Result<Layer> {
    c.only("hidden_act", "silu")?;
    c.only("sliding_window", serde_json::Value::Null)?;
    c.waive(&["block_size", "router_jitter_noise"]);
    let [linear, full_attention, ffn] = [factors.linear, factors.full, factors.ffn];
    let residual = |name: &str, [of_skip, of_output]: [&str; 2]| {
        let before = norm(c, &format!("{prefix}.{name}"), c.size("hidden_size")?)?;
        let skip_scale = c.float_or(of_skip, 1.0)? as f32;
        let scale = c.float_or(of_output, 1.0)? as f32;
        Ok(Residual { skip, skip_scale, scale, ..Residual::pre_norm(before) })
    };
    let (linear, full_attention) =
        (residual("input_layernorm", linear)?, residual("input_layernorm", full_attention)?);
    let (linear_mixer, full_mixer) = (lightning(c, index, prefix)?, attention(c, prefix)?);
    let (residual_of_mixer, mixer) = match full {
        true => (full_attention, full_mixer),
        false => (linear, linear_mixer),
    };
    Ok(Layer {
        sublayers: vec![
            Sublayer { residual: residual_of_mixer, block: Block::Mixer(mixer) },
            Sublayer {
                residual: residual("post_attention_layernorm", ffn)?,
                block: Block::Ffn(experts(c, prefix)?),
            },
        ],
    })
}

fn attention(c: &Config, prefix: &str) -> Result<Mixer> {
    let dim = head_dim(c)?;
    let rotation = Rotation::read_or(c, 1_000_000.0)?;
    let rope = match c.size_option("rotary_dim")? {
        None => rotation.partial(c, dim, 1.0, RopeStyle::Half)?,
        Some(part) => rotation.first(c, "rotary_dim", part, dim, RopeStyle::Half)?,
    };
    Ok(Mixer::Softmax(Softmax { rope: Some(rope), ..softmax(c, prefix, dim)? }))
}

/// Linear attention (arXiv:2401.04658): silu on queries, keys and values, which `qkv_proj` holds
/// for each head; a norm over all heads, then a sigmoid gate.
fn lightning(c: &Config, index: usize, prefix: &str) -> Result<Mixer> {
    let (heads, dim) = (heads(c, "num_attention_heads", 32)?, head_dim(c)?);
    let (hidden, layers) = (c.size("hidden_size")?, c.size("num_hidden_layers")?);
    let (name, width) = (format!("{prefix}.self_attn"), heads * dim);
    if !heads.is_power_of_two() {
        return Err(c.unsupported("num_attention_heads", "a power of two, for the slopes"));
    }
    // From 1 in the first layer to nearly 0 in the last (arXiv:2501.08313).
    let share = 1.0 - index as f64 / ((layers - 1) as f64 + 1e-5) + 1e-5;
    let stream = |part| Stream {
        map: Linear::new(&format!("{name}.qkv_proj"), 3 * width, hidden).head_part(
            heads,
            part * dim,
            dim,
            3 * dim,
        ),
        convolution: None,
        curve: Curve::Silu,
    };
    let gate = Linear::new(&format!("{name}.output_gate"), width, hidden);
    Ok(Mixer::Recurrent(Box::new(Recurrent {
        heads,
        key_heads: heads,
        sharing: Sharing::Neighbours,
        k_dim: dim,
        v_dim: dim,
        q: stream(0),
        k: stream(1),
        v: stream(2),
        unit_eps: None,
        turned: None,
        scale: 1.0,
        decay: fixed_decay(heads, share),
        write: Write::Value,
        skip: None,
        norm: GatedNorm {
            norm: Norm::new(&format!("{name}.norm"), width, INNER_NORM_EPS),
            gate: Projection::Direct(gate),
            curve: Curve::Sigmoid,
            order: GateOrder::NormFirst,
        },
        o: Linear::new(&format!("{name}.out_proj"), hidden, width),
    })))
}

fn experts(c: &Config, prefix: &str) -> Result<Ffn> {
    let folder = format!("{prefix}.block_sparse_moe");
    let mut experts = experts_of(c, 0, &folder, &super::EXPERT_KEYS, ["w1", "w3", "w2"])?;
    experts.router.renormalize = Some(SUM_FLOOR);
    Ok(Ffn::Experts(experts))
}
