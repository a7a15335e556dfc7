//! GLM-130B and ChatGLM-6B, the first generation: a prefix that is read in both directions.

use crate::attention::{Heads, sized};
use crate::common::{Frame, aside, frame, layer_count};
use crate::fused;
use crate::{Config, Result};
use baimo_blueprint::{
    Activation, Along, Block, Blueprint, Dense, Ffn, Gap, Layer, Linear, Mixer, Norm, Plain,
    Prefix, PrefixEnd, Residual, Rope, RopeStyle, Skip, Softmax, Standing, Sublayer,
};
use serde_json::Value;

/// ChatGLM-6B. What is written stands in the prompt's gap, `[gMASK]`, and its place in the answer
/// turns the second half of each head (arXiv:2103.10360, section 2.2).
pub fn chatglm(c: &Config) -> Result<Blueprint> {
    let is_2d = c.flag_or("position_encoding_2d", true)?;
    deep(c, is_2d, |prefix| Ok(Ffn::Plain(plain(c, &format!("{prefix}.mlp"))?)))
}

/// GLM-130B (arXiv:2210.02414), by the names of its class for transformers: one rope, gated FFNs.
pub fn glm_130b(c: &Config) -> Result<Blueprint> {
    c.only("position_encoding_2d", false)?;
    deep(c, false, |prefix| Ok(Ffn::Dense(gated(c, &format!("{prefix}.glu"))?)))
}

fn deep(c: &Config, is_2d: bool, ffn: impl Fn(&str) -> Result<Ffn>) -> Result<Blueprint> {
    c.only("quantization_bit", 0)?;
    c.only("pre_seq_len", Value::Null)?;
    c.waive(&["num_hidden_layers", "prefix_projection", "quantization_embeddings"]);
    let outer = Frame {
        vocab: c.size("vocab_size")?,
        context: c.size("max_sequence_length")?,
        layers: layer_count(c, "num_layers")?,
        norm: norm(c, "transformer.final_layernorm")?,
        embedding: "transformer.word_embeddings".into(),
        layer: "transformer.layers".into(),
        head: "lm_head".into(),
    };
    // As wide as a residual branch may grow in so many layers (arXiv:2203.00555).
    let skip_scale = ((2 * outer.layers) as f64).sqrt() as f32;
    let mut blueprint = frame(c, outer, true, |_, prefix| {
        let sublayer = |name: &str, block| {
            let before = Some(norm(c, &format!("{prefix}.{name}"))?);
            let residual = Residual { before, skip: Skip::Normed, skip_scale, ..Residual::plain() };
            Ok(Sublayer { residual, block })
        };
        let mixer = Mixer::Softmax(mixer(c, &format!("{prefix}.attention"), is_2d)?);
        Ok(Layer {
            sublayers: vec![
                sublayer("input_layernorm", Block::Mixer(mixer))?,
                sublayer("post_attention_layernorm", Block::Ffn(ffn(prefix)?))?,
            ],
        })
    })?;
    if blueprint.is_tied() {
        blueprint.set_aside.push(aside("lm_head.weight", "the embedding once more"));
    }
    blueprint.prefix = Some(prefix(c, is_2d)?);
    Ok(blueprint)
}

/// `[gMASK]` and, in prompts without it, `[MASK]` stand for what is written after the first
/// beginning of a text. Where positions are counted once, `[gMASK]` lets them count on.
fn prefix(c: &Config, is_2d: bool) -> Result<Prefix> {
    let last = c.size("vocab_size")? - 1;
    let token = |key, default| Ok(c.at_most(key, c.count_or(key, default)?, last)? as u32);
    let after_whole = match is_2d {
        true => Standing::InGap,
        false => Standing::Onward,
    };
    Ok(Prefix {
        lead: 0..0,
        segments: None,
        end: PrefixEnd::Before(token("bos_token_id", 130_004)?),
        gaps: vec![
            Gap { token: token("gmask_token_id", 130_001)?, written: after_whole },
            Gap { token: token("mask_token_id", 130_000)?, written: Standing::InGap },
        ],
    })
}

fn norm(c: &Config, name: &str) -> Result<Norm> {
    Ok(Norm::layer(name, c.size("hidden_size")?, c.float_or("layernorm_epsilon", 1e-5)? as f32))
}

/// Queries, keys and values of each head in turn.
fn mixer(c: &Config, name: &str, is_2d: bool) -> Result<Softmax> {
    let (hidden, heads) = (c.size("hidden_size")?, c.size("num_attention_heads")?);
    let (dim, ropes) = (hidden / heads, if is_2d { 2 } else { 1 });
    if !hidden.is_multiple_of(heads) || dim == 0 || !dim.is_multiple_of(2 * ropes) {
        let wanted = format!("equal shares of {hidden}, each a multiple of {}", 2 * ropes);
        return Err(c.unsupported("num_attention_heads", wanted));
    }
    let rope = Rope::new(dim / ropes, RopeStyle::Half, 10_000.0);
    let second_rope = (ropes == 2).then(|| Rope { along: Along::Written, ..rope.clone() });
    let sizes = Heads { heads, kv_heads: heads, qk_dim: dim, v_dim: dim };
    let mixer = sized(c, name, "num_attention_heads", sizes, Some(rope))?;
    let out = format!("{name}.dense");
    Ok(Softmax {
        o: Linear::new(&out, hidden, hidden).biased(&out, true),
        second_rope,
        ..fused::groups(mixer, &format!("{name}.query_key_value"), true)
    })
}

fn plain(c: &Config, name: &str) -> Result<Plain> {
    let (hidden, width) = (c.size("hidden_size")?, c.size("inner_hidden_size")?);
    let (up, down) = (format!("{name}.dense_h_to_4h"), format!("{name}.dense_4h_to_h"));
    Ok(Plain {
        width,
        activation: Activation::GeluTanh,
        up: Linear::new(&up, width, hidden).biased(&up, true),
        down: Linear::new(&down, hidden, width).biased(&down, true),
    })
}

/// `dense_h_to_4h` holds the rows of `up`, then the gate's.
fn gated(c: &Config, name: &str) -> Result<Dense> {
    let (hidden, width) = (c.size("hidden_size")?, c.size("inner_hidden_size")?);
    let (up, down) = (format!("{name}.dense_h_to_4h"), format!("{name}.dense_4h_to_h"));
    let fused = Linear::new(&up, 2 * width, hidden).biased(&up, true);
    Ok(Dense {
        up: fused.clone().part(0, width),
        gate: fused.part(width, width),
        down: Linear::new(&down, hidden, width).biased(&down, true),
        ..Dense::new(name, hidden, width, Activation::Gelu)
    })
}
