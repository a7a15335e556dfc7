//! ChatGLM2 and 3, glm-4-9b and CodeGeeX4: keys and tensor names of their own.

use crate::attention::rotated;
use crate::common::{Frame, aside, frame, layer_count};
use crate::fused;
use crate::glm::first;
use crate::{Config, Result};
use baimo_blueprint::{
    Activation, Blueprint, Dense, Ffn, Layer, Linear, Mixer, Norm, Rope, RopeStyle, Softmax,
};
use serde_json::Value;

/// The first generation has widths under names of its own.
pub fn chatglm(c: &Config) -> Result<Blueprint> {
    match c.has("inner_hidden_size") {
        true => first::chatglm(c),
        false => later(c),
    }
}

/// The second generation and those after it.
fn later(c: &Config) -> Result<Blueprint> {
    c.only("rmsnorm", true)?;
    c.only("post_layer_norm", true)?;
    c.only("original_rope", true)?;
    c.only("interleaved_qkv", false)?;
    c.only("apply_residual_connection_post_layernorm", false)?;
    c.only("quantization_bit", 0)?;
    c.only("pre_seq_len", Value::Null)?;
    // The first divides and multiplies by the same number.
    c.waive(&["apply_query_key_layer_scaling", "attention_softmax_in_fp32", "bias_dropout_fusion"]);
    c.waive(&["classifier_dropout", "fp32_residual_connection", "prefix_projection"]);
    c.waive(&["num_hidden_layers", "vocab_size"]);
    let outer = Frame {
        vocab: c.size("padded_vocab_size")?,
        context: c.size("seq_length")?,
        layers: layer_count(c, "num_layers")?,
        norm: norm(c, "transformer.encoder.final_layernorm")?,
        embedding: "transformer.embedding.word_embeddings".into(),
        layer: "transformer.encoder.layers".into(),
        head: "transformer.output_layer".into(),
    };
    let mut blueprint = frame(c, outer, false, |_, prefix| {
        let mixer = Mixer::Softmax(mixer(c, &format!("{prefix}.self_attention"))?);
        let ffn = Ffn::Dense(dense(c, &format!("{prefix}.mlp"))?);
        let named = |name: &str| norm(c, &format!("{prefix}.{name}"));
        let (before, between) = (named("input_layernorm")?, named("post_attention_layernorm")?);
        Ok(Layer::pre_norm(before, mixer, between, ffn))
    })?;
    blueprint.set_aside.push(aside("*.rotary_pos_emb.inv_freq", "rope tables, computed here"));
    Ok(blueprint)
}

fn norm(c: &Config, name: &str) -> Result<Norm> {
    Ok(Norm::new(name, c.size("hidden_size")?, c.float_or("layernorm_epsilon", 1e-5)? as f32))
}

/// Few key heads in blocks, or as many as query heads, one after the other.
fn mixer(c: &Config, name: &str) -> Result<Softmax> {
    let (hidden, dim) = (c.size("hidden_size")?, c.size_or("kv_channels", 128)?);
    let biased = c.flag_or("add_bias_linear", false)?;
    if !dim.is_multiple_of(4) {
        return Err(c.unsupported("kv_channels", "a multiple of 4, half of which is rotated"));
    }
    let theta = 10_000.0 * c.positive_or("rope_ratio", 1.0)?;
    let rope = Rope::new(dim / 2, RopeStyle::Interleaved, theta);
    let (map, biases) = (format!("{name}.query_key_value"), c.flag_or("add_qkv_bias", biased)?);
    let groups = c.size_or("multi_query_group_num", 1)?;
    let mut mixer = match c.flag_or("multi_query_attention", false)? {
        true => {
            let key = "multi_query_group_num";
            c.at_most(key, groups, c.size("num_attention_heads")?)?;
            fused::blocks(rotated(c, name, key, dim, Some(rope))?, &map, biases || biased)
        }
        false => fused::groups(
            rotated(c, name, "num_attention_heads", dim, Some(rope))?,
            &map,
            biases || biased,
        ),
    };
    let out = format!("{name}.dense");
    mixer.o = Linear::new(&out, hidden, mixer.o.inputs()).biased(&out, biased);
    Ok(mixer)
}

/// `dense_h_to_4h` holds the gate's rows, then those of `up`.
fn dense(c: &Config, name: &str) -> Result<Dense> {
    let (hidden, width) = (c.size("hidden_size")?, c.size("ffn_hidden_size")?);
    let biased = c.flag_or("add_bias_linear", false)?;
    let (up, down) = (format!("{name}.dense_h_to_4h"), format!("{name}.dense_4h_to_h"));
    let fused = Linear::new(&up, 2 * width, hidden).biased(&up, biased);
    Ok(Dense {
        gate: fused.clone().part(0, width),
        up: fused.part(width, width),
        down: Linear::new(&down, hidden, width).biased(&down, biased),
        ..Dense::new(name, hidden, width, Activation::Silu)
    })
}
