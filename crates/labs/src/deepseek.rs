//! DeepSeek 深度求索.
//!
//! | family | mixer                          | ffn                                               |
//! |--------|--------------------------------|---------------------------------------------------|
//! | LLM    | the Llama block (page `llama`) | dense                                             |
//! | MoE    | as LLM, biases optional        | dense first, then softmax experts and a shared FFN |
//! | V2     | latent, query rank optional    | dense first, then softmax experts and a shared FFN |
//! | V3     | as V2                          | as V2, sigmoid scores, selection bias, groups     |
//! | V3.2   | as V2, positions by an indexer | as V3                                             |

use crate::attention::{biased, head_dim, softmax};
use crate::common::{decoder, pre_norm, with_prediction_layers};
use crate::experts::{first_dense, group_limit, noaux, sum_floor};
use crate::gguf::families::{DEEPSEEK_V32, LATENT_SIGMOID, LATENT_SOFTMAX};
use crate::latent::{indexed, latent, rope_style};
use crate::{Config, Family, Gguf, Lab, Result, voices};
use baimo_blueprint::{Blueprint, GroupScore, Mixer, RopeStyle};

/// DeepSeek's models.
pub const DEEPSEEK: Lab = Lab {
    name: "DeepSeek",
    hanzi: "深度求索",
    house: "DeepSeek",
    families: &[
        Family {
            architecture: "LlamaForCausalLM",
            models: "DeepSeek-LLM, DeepSeek-Coder, DeepSeek-Math, DeepSeek-R1-Distill-Llama",
            blueprint: None,
            gguf: None,
            voices: &[&voices::DEEPSEEK_V3],
        },
        Family {
            architecture: "DeepseekForCausalLM",
            models: "DeepSeek-MoE-16B",
            blueprint: Some(moe),
            gguf: Some(Gguf { interleaved_qk: true, ..Gguf::plain("deepseek") }),
            voices: &[],
        },
        Family {
            architecture: "DeepseekV2ForCausalLM",
            models: "DeepSeek-V2, V2-Lite, V2.5, Coder-V2",
            blueprint: Some(v2),
            gguf: Some(LATENT_SOFTMAX),
            voices: &[],
        },
        Family {
            architecture: "DeepseekV3ForCausalLM",
            models: "DeepSeek-V3, R1, V3.1",
            blueprint: Some(v3),
            gguf: Some(LATENT_SIGMOID),
            voices: &[&voices::DEEPSEEK_V3, &voices::DEEPSEEK_V31],
        },
        Family {
            architecture: "DeepseekV32ForCausalLM",
            models: "DeepSeek-V3.2-Exp, V3.2, V3.2-Speciale",
            blueprint: Some(v32),
            gguf: Some(DEEPSEEK_V32),
            voices: &[&voices::DEEPSEEK_V32],
        },
    ],
};

fn moe(c: &Config) -> Result<Blueprint> {
    c.only("scoring_func", "softmax")?;
    decoder(c, |index, prefix| {
        let mixer = softmax(c, prefix, head_dim(c)?)?;
        let mixer = biased(mixer, prefix, c.flag_or("attention_bias", false)?);
        let ffn = first_dense(c, index, prefix, |experts| {
            // One expert alone keeps its score.
            experts.router.renormalize = sum_floor(c, false)?.filter(|_| experts.active > 1);
            Ok(())
        })?;
        pre_norm(c, prefix, Mixer::Softmax(mixer), ffn)
    })
}

fn v2(c: &Config) -> Result<Blueprint> {
    c.only("scoring_func", "softmax")?;
    // The reference never renormalizes, whatever this key says.
    c.waive(&["norm_topk_prob"]);
    decoder(c, |index, prefix| {
        let ffn = first_dense(c, index, prefix, |experts| {
            experts.router.groups = match c.text_option("topk_method")? {
                None | Some("greedy") => {
                    c.waive(&["n_group", "topk_group"]);
                    None
                }
                Some("group_limited_greedy") => group_limit(c, GroupScore::Best)?,
                Some(_) => {
                    return Err(c.unsupported("topk_method", "greedy or group_limited_greedy"));
                }
            };
            Ok(())
        })?;
        let mixer = latent(c, &format!("{prefix}.self_attn"), Some(RopeStyle::Interleaved))?;
        pre_norm(c, prefix, Mixer::Latent(mixer), ffn)
    })
}

fn v3(c: &Config) -> Result<Blueprint> {
    let blueprint = decoder(c, |index, prefix| {
        let mixer = latent(c, &format!("{prefix}.self_attn"), Some(rope_style(c)?))?;
        pre_norm(c, prefix, Mixer::Latent(mixer), noaux(c, index, prefix)?)
    })?;
    with_prediction_layers(c, blueprint)
}

/// The indexer pairs numbers half a slice apart, the attention neighbours.
fn v32(c: &Config) -> Result<Blueprint> {
    c.only("rope_interleave", true)?;
    let blueprint = decoder(c, |index, prefix| {
        let name = format!("{prefix}.self_attn");
        let mixer = latent(c, &name, Some(RopeStyle::Interleaved))?;
        let mixer = indexed(c, &name, mixer, RopeStyle::Half)?;
        pre_norm(c, prefix, Mixer::Latent(mixer), noaux(c, index, prefix)?)
    })?;
    with_prediction_layers(c, blueprint)
}
