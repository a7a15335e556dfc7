//! Baichuan 百川 (Baichuan Intelligence).
//!
//! | family                 | mixer                             | ffn   | head            |
//! |------------------------|-----------------------------------|-------|-----------------|
//! | Baichuan-7B            | softmax, rope                     | dense | plain           |
//! | Baichuan-13B           | softmax, linear biases by position | dense | plain           |
//! | Baichuan2              | as the first of its size          | dense | rows of unit length |

use crate::attention::{head_dim, rotated};
use crate::common::{decoder, dense, pre_norm};
use crate::fused;
use crate::gguf::fused::{BAICHUAN_ALL, BAICHUAN_FIRST};
use crate::rotation::Rotation;
use crate::{Config, Family, Lab, Result, voices};
use baimo_blueprint::{Alibi, Blueprint, Fold, Mixer, RopeStyle, Softmax};

/// Baichuan's models.
pub const BAICHUAN: Lab = Lab {
    name: "Baichuan",
    hanzi: "百川",
    house: "Baichuan Intelligence",
    families: &[
        Family {
            architecture: "BaiChuanForCausalLM",
            models: "Baichuan-7B",
            blueprint: Some(first_7b),
            gguf: Some(BAICHUAN_FIRST),
            voices: &[],
        },
        Family {
            architecture: "BaichuanForCausalLM",
            models: "Baichuan-13B, Baichuan2-7B/13B",
            blueprint: Some(later),
            gguf: Some(BAICHUAN_ALL),
            voices: &[&voices::BAICHUAN],
        },
        Family {
            architecture: "Qwen2ForCausalLM",
            models: "Baichuan-M2-32B",
            blueprint: None,
            gguf: None,
            voices: &[],
        },
        Family {
            architecture: "Qwen3MoeForCausalLM",
            models: "Baichuan-M3-235B",
            blueprint: None,
            gguf: None,
            voices: &[],
        },
    ],
};

/// Of the first generation with linear biases the vocabulary has 64,000 rows, of the second
/// 125,696, and nothing else in the configuration tells them apart.
const VOCABULARY_BETWEEN: usize = 100_000;

fn first_7b(c: &Config) -> Result<Blueprint> {
    c.size("max_position_embeddings")?;
    plain(c)
}

/// The 13B models, which have linear biases, say `model_max_length` only.
fn later(c: &Config) -> Result<Blueprint> {
    let rotates = c.size_option("max_position_embeddings")?.is_some();
    let mut blueprint = plain(c)?;
    if rotates || blueprint.vocab > VOCABULARY_BETWEEN {
        blueprint.head.weight = blueprint.head.weight.folded(Fold::UnitRows);
    }
    Ok(blueprint)
}

fn plain(c: &Config) -> Result<Blueprint> {
    c.only("tie_word_embeddings", false)?;
    c.waive(&["_from_model_config", "gradient_checkpointing", "z_loss_weight"]);
    decoder(c, |_, prefix| {
        pre_norm(c, prefix, Mixer::Softmax(mixer(c, prefix)?), dense(c, prefix)?)
    })
}

fn mixer(c: &Config, prefix: &str) -> Result<Softmax> {
    let (name, dim) = (format!("{prefix}.self_attn"), head_dim(c)?);
    let rope = match c.size_option("max_position_embeddings")? {
        Some(_) => Some(Rotation::read(c)?.partial(c, dim, 1.0, RopeStyle::Half)?),
        None => None,
    };
    let alibi = rope.is_none().then_some(Alibi { max: 8.0 });
    let mixer = rotated(c, prefix, "num_key_value_heads", dim, rope)?;
    Ok(Softmax { alibi, ..fused::blocks(mixer, &format!("{name}.W_pack"), false) })
}
