//! MiniMax 稀宇.
//!
//! | family  | mixer                                   | ffn                             |
//! |---------|-----------------------------------------|---------------------------------|
//! | Text-01 | linear, fixed decay; each 8th softmax   | softmax experts, renormalized   |
//! | M2      | softmax, GQA, rope on a part of a head, | sigmoid experts, selection bias |
//! |         | q and k normed over all heads           |                                 |

mod text_01;

use crate::attention::softmax;
use crate::common::{aside, decoder, norm, pre_norm};
use crate::experts::{ExpertKeys, experts_of, sigmoid_balanced};
use crate::gguf::families::MINIMAX_M2;
use crate::gguf::hybrid::MINIMAX_01;
use crate::rotation::Rotation;
use crate::{Config, Family, Gguf, Lab, Result, voices};
use baimo_blueprint::{Blueprint, Ffn, Mixer, NormOrder, QkNorm, RopeStyle, Softmax};

/// MiniMax's models.
pub const MINIMAX: Lab = Lab {
    name: "MiniMax",
    hanzi: "稀宇",
    house: "MiniMax",
    families: &[
        Family {
            architecture: "MiniMaxText01ForCausalLM",
            models: "MiniMax-Text-01",
            blueprint: Some(text_01::text_01),
            gguf: Some(MINIMAX_01),
            voices: &[&voices::MINIMAX_M1],
        },
        Family {
            architecture: "MiniMaxForCausalLM",
            models: "MiniMax-Text-01-hf",
            blueprint: Some(text_01::converted),
            gguf: None,
            voices: &[&voices::MINIMAX_M1],
        },
        Family {
            architecture: "MiniMaxM1ForCausalLM",
            models: "MiniMax-M1-40k, M1-80k",
            blueprint: Some(text_01::text_01),
            gguf: Some(Gguf::read_as("minimax-01")),
            voices: &[&voices::MINIMAX_M1],
        },
        Family {
            architecture: "MiniMaxM2ForCausalLM",
            models: "MiniMax-M2, M2.1, M2.5",
            blueprint: Some(m2),
            gguf: Some(MINIMAX_M2),
            voices: &[&voices::MINIMAX_M2],
        },
    ],
};

const EXPERT_KEYS: ExpertKeys = ExpertKeys {
    count: "num_local_experts",
    active: "num_experts_per_tok",
    width: "intermediate_size",
};

fn m2(c: &Config) -> Result<Blueprint> {
    c.only("scoring_func", "sigmoid")?;
    c.only("use_routing_bias", true)?;
    c.only("use_qk_norm", true)?;
    c.only("qk_norm_type", "per_layer")?;
    c.only("shared_intermediate_size", 0)?;
    c.waive(&["mlp_intermediate_size", "router_jitter_noise", "use_mtp", "num_mtp_modules"]);
    c.waive(&["max_model_len", "shared_moe_mode", "swa_rope_theta"]);
    if c.has("sliding_window") {
        return Err(c.unsupported("sliding_window", "null: every layer sees everything"));
    }
    c.waive(&["mtp_transformer_layers"]);
    let mut blueprint = decoder(c, |index, prefix| {
        if c.counts("attn_type_list")?.get(index).is_some_and(|kind| *kind != 1) {
            return Err(c.unsupported("attn_type_list", "1 for each layer"));
        }
        pre_norm(c, prefix, Mixer::Softmax(attention(c, prefix)?), experts(c, prefix)?)
    })?;
    blueprint.set_aside.push(aside("model.mtp*", "multi-token prediction"));
    Ok(blueprint)
}

fn attention(c: &Config, prefix: &str) -> Result<Softmax> {
    let dim = c.size_or("head_dim", 128)?;
    let mixer = softmax(c, prefix, dim)?;
    let whole = |name: &str, heads| norm(c, &format!("{prefix}.self_attn.{name}"), heads * dim);
    let (q, k) = (whole("q_norm", mixer.heads)?, whole("k_norm", mixer.kv_heads)?);
    let rotation = Rotation::read_or(c, 5_000_000.0)?;
    let rope = match c.size_option("rotary_dim")? {
        None => rotation.partial(c, dim, 1.0, RopeStyle::Half)?,
        Some(part) => rotation.first(c, "rotary_dim", part, dim, RopeStyle::Half)?,
    };
    let qk_norm = Some(QkNorm { q, k, order: NormOrder::BeforeRope });
    Ok(Softmax { qk_norm, rope: Some(rope), ..mixer })
}

fn experts(c: &Config, prefix: &str) -> Result<Ffn> {
    let folder = format!("{prefix}.block_sparse_moe");
    let mut experts = experts_of(c, 0, &folder, &EXPERT_KEYS, ["w1", "w3", "w2"])?;
    sigmoid_balanced(&mut experts, &format!("{folder}.e_score_correction_bias"));
    Ok(Ffn::Experts(experts))
}
