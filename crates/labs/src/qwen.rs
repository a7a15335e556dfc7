//! Qwen 通义千问 (Alibaba).
//!
//! | family    | mixer                                          | ffn                            |
//! |-----------|------------------------------------------------|--------------------------------|
//! | Qwen      | softmax, bias on q k v, in one map             | dense                          |
//! | Qwen2     | softmax, GQA, bias on q k v, window optional   | dense                          |
//! | Qwen2-MoE | as Qwen2                                       | experts, and a gated shared FFN |
//! | Qwen3     | softmax, GQA, q and k normed per head          | dense                          |
//! | Qwen3-MoE | as Qwen3                                       | experts, renormalized          |
//! | Next      | gated delta rule; each fourth softmax, gated   | experts, and a gated shared FFN |

mod first;
mod next;

use crate::attention::{biased, head_dim, is_windowed, qk_normed, qkv_biased, softmax};
use crate::common::{decoder, dense, pre_norm};
use crate::experts::{experts, sum_floor};
use crate::gguf::families::renormalized;
use crate::gguf::fused::QWEN_FIRST;
use crate::gguf::recurrent::{QWEN3_NEXT, QWEN35, QWEN35_MOE};
use crate::{Config, Family, Gguf, Lab, Result, Voice, voices};
use baimo_blueprint::{Blueprint, Experts, Ffn, Mixer, Softmax};

/// Alibaba's models.
pub const QWEN: Lab = Lab {
    name: "Qwen",
    hanzi: "通义千问",
    house: "Alibaba",
    families: &[
        Family {
            architecture: "QWenLMHeadModel",
            models: "Qwen-1.8B/7B/14B/72B",
            blueprint: Some(first::first),
            gguf: Some(QWEN_FIRST),
            voices: &[&voices::QWEN_FIRST],
        },
        Family {
            architecture: "Qwen2ForCausalLM",
            models: "Qwen1.5, Qwen2, Qwen2.5, QwQ-32B, DeepSeek-R1-Distill-Qwen",
            blueprint: Some(qwen2),
            gguf: Some(Gguf::plain("qwen2").written()),
            voices: &[&voices::HERMES_THINKING, &voices::HERMES, &voices::DEEPSEEK_V3],
        },
        Family {
            architecture: "Qwen2MoeForCausalLM",
            models: "Qwen1.5-MoE-A2.7B, Qwen2-57B-A14B",
            blueprint: Some(qwen2_moe),
            gguf: Some(Gguf::plain("qwen2moe").written()),
            voices: &[&voices::HERMES_THINKING, &voices::HERMES, &voices::DEEPSEEK_V3],
        },
        Family {
            architecture: "Qwen3ForCausalLM",
            models: "Qwen3 0.6B-32B",
            blueprint: Some(qwen3),
            gguf: Some(Gguf::plain("qwen3").written()),
            voices: voices::HERMES_KINDS,
        },
        Family {
            architecture: "Qwen3MoeForCausalLM",
            models: "Qwen3-30B-A3B, Qwen3-235B-A22B, Qwen3-Coder",
            blueprint: Some(qwen3_moe),
            gguf: Some(Gguf { config: renormalized, ..Gguf::plain("qwen3moe").written() }),
            voices: CODER_TOO,
        },
        Family {
            architecture: "Qwen3NextForCausalLM",
            models: "Qwen3-Next-80B-A3B, Qwen3-Coder-Next",
            blueprint: Some(next::qwen3_next),
            gguf: Some(QWEN3_NEXT),
            voices: CODER_TOO,
        },
        Family {
            architecture: "Qwen3_5ForConditionalGeneration",
            models: "Qwen3.5 0.8B-27B (text)",
            blueprint: Some(next::qwen3_5),
            gguf: Some(Gguf::read_as("qwen35")),
            voices: voices::FUNCTION_TAGS_KINDS,
        },
        Family {
            architecture: "Qwen3_5ForCausalLM",
            models: "Qwen3.5's text model alone",
            blueprint: Some(next::qwen3_5),
            gguf: Some(QWEN35),
            voices: voices::FUNCTION_TAGS_KINDS,
        },
        Family {
            architecture: "Qwen3_5MoeForConditionalGeneration",
            models: "Qwen3.5-35B-A3B and larger (text)",
            blueprint: Some(next::qwen3_5_moe),
            gguf: Some(Gguf::read_as("qwen35moe")),
            voices: voices::FUNCTION_TAGS_KINDS,
        },
        Family {
            architecture: "Qwen3_5MoeForCausalLM",
            models: "Qwen3.5-MoE's text model alone",
            blueprint: Some(next::qwen3_5_moe),
            gguf: Some(QWEN35_MOE),
            voices: voices::FUNCTION_TAGS_KINDS,
        },
    ],
};

/// Families with instruct, thinking and coding releases.
const CODER_TOO: &[&Voice] =
    &[&voices::FUNCTION_TAGS, &voices::HERMES_SWITCHED, &voices::HERMES_THINKING, &voices::HERMES];

fn qwen2(c: &Config) -> Result<Blueprint> {
    decoder(c, |index, prefix| {
        pre_norm(c, prefix, biased_attention(c, index, prefix)?, dense(c, prefix)?)
    })
}

fn qwen2_moe(c: &Config) -> Result<Blueprint> {
    decoder(c, |index, prefix| {
        let ffn = sparse_or_dense(c, index, prefix, false, |experts| {
            experts.shared = Some(next::gated_shared(c, prefix)?);
            Ok(())
        })?;
        pre_norm(c, prefix, biased_attention(c, index, prefix)?, ffn)
    })
}

fn qwen3(c: &Config) -> Result<Blueprint> {
    decoder(c, |index, prefix| {
        pre_norm(c, prefix, normed_attention(c, index, prefix)?, dense(c, prefix)?)
    })
}

fn qwen3_moe(c: &Config) -> Result<Blueprint> {
    decoder(c, |index, prefix| {
        let ffn = sparse_or_dense(c, index, prefix, false, |_| Ok(()))?;
        pre_norm(c, prefix, normed_attention(c, index, prefix)?, ffn)
    })
}

fn biased_attention(c: &Config, index: usize, prefix: &str) -> Result<Mixer> {
    let mixer = softmax(c, prefix, head_dim(c)?)?;
    let mixer = qkv_biased(mixer, prefix, c.flag_or("qkv_bias", true)?);
    windowed(c, index, mixer)
}

fn normed_attention(c: &Config, index: usize, prefix: &str) -> Result<Mixer> {
    let mixer = softmax(c, prefix, c.size_or("head_dim", 128)?)?;
    let mixer = biased(mixer, prefix, c.flag_or("attention_bias", false)?);
    windowed(c, index, qk_normed(c, mixer, prefix)?)
}

/// Where the switch is on, layers see a window: those that `layer_types` names, or else the upper
/// ones, from `max_window_layers` on.
fn windowed(c: &Config, index: usize, mixer: Softmax) -> Result<Mixer> {
    let (window, first) = (c.size_option("sliding_window")?, c.count_or("max_window_layers", 28)?);
    let on = is_windowed(c, index, index >= first)?;
    let on = c.flag_or("use_sliding_window", false)? && on;
    Ok(Mixer::Softmax(Softmax { window: window.filter(|_| on), ..mixer }))
}

/// Every `decoder_sparse_step`-th layer has experts, but for those listed in `mlp_only_layers`;
/// `renormalize` is what an absent `norm_topk_prob` means.
fn sparse_or_dense(
    c: &Config,
    index: usize,
    prefix: &str,
    renormalize: bool,
    finish: impl Fn(&mut Experts) -> Result<()>,
) -> Result<Ffn> {
    let mut sparse = experts(c, prefix, "num_experts")?;
    sparse.router.renormalize = sum_floor(c, renormalize)?;
    finish(&mut sparse)?;
    let (dense_only, step) = (c.counts("mlp_only_layers")?, c.size_or("decoder_sparse_step", 1)?);
    let dense = dense(c, prefix)?;
    match !dense_only.contains(&index) && (index + 1).is_multiple_of(step) {
        true => Ok(Ffn::Experts(sparse)),
        false => Ok(dense),
    }
}
