//! InternLM 书生·浦语 (Shanghai AI Laboratory).
//!
//! | family    | mixer                                 | ffn   |
//! |-----------|---------------------------------------|-------|
//! | InternLM  | softmax, biases by a switch           | dense |
//! | InternLM2 | softmax, GQA, q k v fused by key head | dense |
//! | InternLM3 | softmax, GQA, biases by two switches  | dense |

use crate::attention::{biased, head_dim, qkv_biased, softmax};
use crate::common::{Frame, decoder, dense, frame, norm, pre_norm, swiglu};
use crate::fused;
use crate::gguf::fused::INTERNLM2;
use crate::rotation::dynamic;
use crate::{Config, Family, Gguf, Lab, Result, voices};
use baimo_blueprint::{Blueprint, Ffn, Layer, Linear, Mixer, Rope, RopeScaling, RopeStyle};

/// Shanghai AI Laboratory's models.
pub const INTERNLM: Lab = Lab {
    name: "InternLM",
    hanzi: "书生·浦语",
    house: "Shanghai AI Laboratory",
    families: &[
        Family {
            architecture: "InternLMForCausalLM",
            models: "InternLM-7B/20B",
            blueprint: Some(internlm),
            gguf: None,
            voices: &[&voices::INTERNLM_FIRST],
        },
        Family {
            architecture: "InternLM2ForCausalLM",
            models: "InternLM2 and 2.5: 1.8B/7B/20B, Math-Plus",
            blueprint: Some(internlm2),
            gguf: Some(INTERNLM2),
            voices: &[&voices::INTERNLM],
        },
        Family {
            architecture: "InternLM3ForCausalLM",
            models: "InternLM3-8B",
            blueprint: Some(internlm3),
            gguf: Some(Gguf::read_as("llama")),
            voices: &[&voices::INTERNLM, &voices::HERMES_SWITCHED],
        },
    ],
};

fn internlm(c: &Config) -> Result<Blueprint> {
    c.waive(&["attn_implementation"]);
    decoder(c, |_, prefix| {
        let mixer = softmax(c, prefix, head_dim(c)?)?;
        let mut mixer = biased(mixer, prefix, c.flag_or("bias", true)?);
        mixer.rope = Some(rotary(c, mixer.qk_dim)?);
        pre_norm(c, prefix, Mixer::Softmax(mixer), dense(c, prefix)?)
    })
}

/// InternLM's own key for the rotation; dynamic where it says nothing.
fn rotary(c: &Config, dim: usize) -> Result<Rope> {
    let context = c.size("max_position_embeddings")?;
    let plain = Rope::new(dim, RopeStyle::Half, 10_000.0);
    let Some(part) = c.part("rotary")? else {
        let scaling = RopeScaling::Dynamic { factor: 1.0, original: context };
        return Ok(Rope { scaling, ..plain });
    };
    let stretched = dynamic(&part, "scaling_factor", context)?;
    let scaling = match part.text_option("type")? {
        None | Some("dynamic") => stretched,
        Some("origin") => RopeScaling::None,
        Some(_) => return Err(part.unsupported("type", "origin or dynamic")),
    };
    let theta = part.positive_or("base", 10_000.0)?;
    part.finish("rotary")?;
    Ok(Rope { theta, scaling, ..plain })
}

fn internlm2(c: &Config) -> Result<Blueprint> {
    c.only("hidden_act", "silu")?;
    c.waive(&["attn_implementation"]);
    let hidden = c.size("hidden_size")?;
    let names = Frame {
        embedding: "model.tok_embeddings".into(),
        head: "output".into(),
        ..Frame::usual(c)?
    };
    frame(c, names, false, |_, prefix| {
        let named = |name: &str| format!("{prefix}.{name}");
        let (wqkv, wo) = (named("attention.wqkv"), named("attention.wo"));
        let bias = c.flag_or("bias", true)?;
        let mut mixer = fused::groups(softmax(c, prefix, head_dim(c)?)?, &wqkv, bias);
        mixer.o = Linear::new(&wo, hidden, mixer.o.inputs()).biased(&wo, bias);
        let mut ffn = swiglu(c, &named("feed_forward"), c.size("intermediate_size")?)?;
        let map = |name: &str, outputs, inputs| Linear::new(&named(name), outputs, inputs);
        ffn.gate = map("feed_forward.w1", ffn.width, hidden);
        ffn.up = map("feed_forward.w3", ffn.width, hidden);
        ffn.down = map("feed_forward.w2", hidden, ffn.width);
        let before = norm(c, &named("attention_norm"), hidden)?;
        let between = norm(c, &named("ffn_norm"), hidden)?;
        Ok(Layer::pre_norm(before, Mixer::Softmax(mixer), between, Ffn::Dense(ffn)))
    })
}

/// `qkv_bias` is for queries, keys and values; `bias` for every other map.
fn internlm3(c: &Config) -> Result<Blueprint> {
    decoder(c, |_, prefix| {
        let (qkv, rest) = (c.flag_or("qkv_bias", false)?, c.flag_or("bias", false)?);
        let mut mixer = softmax(c, prefix, c.size_or("head_dim", 128)?)?;
        mixer = qkv_biased(mixer, prefix, qkv);
        mixer.o = mixer.o.biased(&format!("{prefix}.self_attn.o_proj"), rest);
        let name = format!("{prefix}.mlp");
        let ffn = swiglu(c, &name, c.size("intermediate_size")?)?.biased(&name, rest);
        pre_norm(c, prefix, Mixer::Softmax(mixer), Ffn::Dense(ffn))
    })
}
