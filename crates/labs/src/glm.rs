//! GLM 智谱 (Zhipu, Z.ai).
//!
//! | family     | mixer                                     | ffn                         |
//! |------------|-------------------------------------------|-----------------------------|
//! | GLM-130B   | softmax, the prompt in both directions    | dense, gelu                 |
//! | ChatGLM    | the same, a second rope behind the prompt | without gate                |
//! | ChatGLM2   | softmax, GQA, interleaved rope, half head | dense, gate and up fused    |
//! | GLM-4      | softmax, GQA, interleaved rope, half head | dense, gate and up fused    |
//! | GLM-4-0414 | as GLM-4, sandwich norms                  | as GLM-4, sandwich norms    |
//! | GLM-4.5    | softmax, GQA, half-split rope, half head, | dense first, then sigmoid   |
//! |            | q and k norms optional                    | experts, bias, a shared FFN |
//! | GLM-Flash  | latent, as DeepSeek-V3                    | as GLM-4.5                  |
//! | GLM-5      | latent, positions by a shared indexer     | as GLM-4.5                  |

mod chatglm;
mod first;

use crate::attention::{head_dim, qk_normed, qkv_biased, softmax};
use crate::common::{decoder, norm, pre_norm, swiglu, with_prediction_layers};
use crate::experts::noaux;
use crate::gguf::families::{CHAT_SEPARATE, GLM_DSA, POST_NORM};
use crate::gguf::fused::CHAT_FUSED;
use crate::latent::{indexed, latent, rope_style};
use crate::rotation::Rotation;
use crate::{Config, Family, Gguf, Lab, Result, voices};
use baimo_blueprint::{
    Block, Blueprint, Choice, Ffn, Fold, Latent, Layer, Mixer, Residual, RopeStyle, Softmax,
    Sublayer, Tensor,
};

/// Zhipu's models.
pub const GLM: Lab = Lab {
    name: "GLM",
    hanzi: "智谱",
    house: "Zhipu, Z.ai",
    families: &[
        Family {
            architecture: "GLM130BForConditionalGeneration",
            models: "GLM-130B",
            blueprint: Some(first::glm_130b),
            gguf: None,
            voices: &[&voices::GLM_FIRST],
        },
        Family {
            architecture: "ChatGLMModel",
            models: "ChatGLM-6B, ChatGLM2-6B, ChatGLM3-6B, CodeGeeX2, glm-4-9b",
            blueprint: Some(chatglm::chatglm),
            gguf: Some(CHAT_FUSED),
            voices: &[&voices::CHATGLM, &voices::GLM_4],
        },
        Family {
            architecture: "ChatGLMForConditionalGeneration",
            models: "glm-4-9b-chat, CodeGeeX4",
            blueprint: Some(chatglm::chatglm),
            gguf: Some(Gguf::read_as("chatglm")),
            voices: &[&voices::CHATGLM, &voices::GLM_4],
        },
        Family {
            architecture: "GlmForCausalLM",
            models: "glm-4-9b-chat-hf, GLM-Edge",
            blueprint: Some(glm),
            gguf: Some(CHAT_SEPARATE),
            voices: &[&voices::GLM_4],
        },
        Family {
            architecture: "Glm4ForCausalLM",
            models: "GLM-4-0414 9B/32B, GLM-Z1",
            blueprint: Some(glm4),
            gguf: Some(Gguf::plain("glm4").written()),
            voices: &[&voices::GLM_Z1, &voices::GLM_4],
        },
        Family {
            architecture: "Glm4MoeForCausalLM",
            models: "GLM-4.5, GLM-4.5-Air, GLM-4.6, GLM-4.7",
            blueprint: Some(glm4_moe),
            gguf: Some(Gguf { written: POST_NORM, ..Gguf::plain("glm4moe") }),
            voices: &[&voices::GLM_45],
        },
        Family {
            architecture: "Glm4MoeLiteForCausalLM",
            models: "GLM-4.7-Flash",
            blueprint: Some(glm4_moe_lite),
            gguf: Some(Gguf::read_as("deepseek2")),
            voices: &[&voices::GLM_45],
        },
        Family {
            architecture: "GlmMoeDsaForCausalLM",
            models: "GLM-5, GLM-5.1, GLM-5.2, GLM-5.3",
            blueprint: Some(glm_moe_dsa),
            gguf: Some(GLM_DSA),
            voices: &[&voices::GLM_45],
        },
    ],
};

fn glm(c: &Config) -> Result<Blueprint> {
    decoder(c, |_, prefix| {
        let mixer = attention(c, prefix, RopeStyle::Interleaved)?;
        pre_norm(c, prefix, Mixer::Softmax(mixer), fused_ffn(c, prefix)?)
    })
}

fn glm4(c: &Config) -> Result<Blueprint> {
    c.only("hidden_act", "silu")?;
    decoder(c, |_, prefix| {
        let sandwich = |before: &str, after: &str, block| {
            let named = |name: &str| norm(c, &format!("{prefix}.{name}"), c.size("hidden_size")?);
            let residual = Residual::sandwich(named(before)?, named(after)?);
            Ok(Sublayer { residual, block })
        };
        let mixer = Mixer::Softmax(attention(c, prefix, RopeStyle::Interleaved)?);
        let ffn = fused_ffn(c, prefix)?;
        Ok(Layer {
            sublayers: vec![
                sandwich("input_layernorm", "post_self_attn_layernorm", Block::Mixer(mixer))?,
                sandwich("post_attention_layernorm", "post_mlp_layernorm", Block::Ffn(ffn))?,
            ],
        })
    })
}

fn glm4_moe(c: &Config) -> Result<Blueprint> {
    let blueprint = decoder(c, |index, prefix| {
        let mut mixer = attention(c, prefix, RopeStyle::Half)?;
        if c.flag_or("use_qk_norm", false)? {
            mixer = qk_normed(c, mixer, prefix)?;
        }
        pre_norm(c, prefix, Mixer::Softmax(mixer), noaux(c, index, prefix)?)
    })?;
    with_prediction_layers(c, blueprint)
}

fn glm4_moe_lite(c: &Config) -> Result<Blueprint> {
    // All of the rotated slice is rotated.
    c.only("partial_rotary_factor", 1.0)?;
    let blueprint = decoder(c, |index, prefix| {
        let mixer = latent(c, &format!("{prefix}.self_attn"), Some(rope_style(c)?))?;
        pre_norm(c, prefix, Mixer::Latent(mixer), noaux(c, index, prefix)?)
    })?;
    with_prediction_layers(c, blueprint)
}

fn glm_moe_dsa(c: &Config) -> Result<Blueprint> {
    c.only("rope_interleave", true)?;
    // The reference rotates neighbours whatever this key says; prediction layers are not run.
    c.waive(&["indexer_rope_interleave", "index_share_for_mtp_iteration"]);
    let blueprint = decoder(c, |index, prefix| {
        let name = format!("{prefix}.self_attn");
        let mixer = latent(c, &name, Some(RopeStyle::Interleaved))?;
        let mixer = match chooses(c, index)? {
            true => indexed(c, &name, mixer, RopeStyle::Interleaved)?,
            false => Latent { choice: Some(Choice::Shared), ..mixer },
        };
        pre_norm(c, prefix, Mixer::Latent(mixer), noaux(c, index, prefix)?)
    })?;
    with_prediction_layers(c, blueprint)
}

/// Whether a layer has an indexer or shares the choice of the last that has one: by a word or a
/// letter for each layer, or else by a period that begins at an offset.
fn chooses(c: &Config, index: usize) -> Result<bool> {
    let (types, pattern) = (c.words("indexer_types")?, c.words("index_topk_pattern")?);
    let (key, words) = match types.is_empty() {
        true => ("index_topk_pattern", pattern),
        false => ("indexer_types", types),
    };
    let period = c.count_or("index_topk_freq", 1)?.max(1);
    let offset = c.count_or("index_skip_topk_offset", 2)?;
    let is_full = |index: usize| match words.get(index) {
        None => (index + 1).saturating_sub(offset).is_multiple_of(period),
        Some(word) => word == "full" || word == "F",
    };
    let known = |word: &String| ["full", "F", "shared", "S"].contains(&word.as_str());
    let whole = words.is_empty() || words.len() == c.size("num_hidden_layers")?;
    match whole && is_full(0) && words.iter().all(known) {
        true => Ok(is_full(index)),
        false => Err(c.unsupported(key, "full or shared for each layer, the first of them full")),
    }
}

fn attention(c: &Config, prefix: &str, style: RopeStyle) -> Result<Softmax> {
    let dim = head_dim(c)?;
    let mut mixer = softmax(c, prefix, dim)?;
    mixer = qkv_biased(mixer, prefix, c.flag_or("attention_bias", false)?);
    mixer.rope = Some(Rotation::read(c)?.partial(c, dim, 0.5, style)?);
    Ok(mixer)
}

/// `gate_up_proj` holds the gate's rows, then those of `up`.
fn fused_ffn(c: &Config, prefix: &str) -> Result<Ffn> {
    let (hidden, width) = (c.size("hidden_size")?, c.size("intermediate_size")?);
    let part = |start| {
        Tensor::new(format!("{prefix}.mlp.gate_up_proj.weight"), [width, hidden])
            .folded(Fold::Rows { start, of: 2 * width })
    };
    let mut ffn = swiglu(c, &format!("{prefix}.mlp"), width)?;
    ffn.gate.weight = part(0);
    ffn.up.weight = part(width);
    Ok(Ffn::Dense(ffn))
}
