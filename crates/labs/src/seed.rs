//! Seed (ByteDance).
//!
//! | family   | mixer                                | ffn                       |
//! |----------|--------------------------------------|---------------------------|
//! | Coder    | the Llama block (page `llama`)       | dense                     |
//! | Seed-OSS | softmax, GQA, biases by two switches | dense, biases by a switch |

use crate::attention::{head_dim, qkv_biased, softmax};
use crate::common::{decoder, pre_norm, swiglu};
use crate::gguf::families::POST_NORM;
use crate::{Config, Family, Gguf, Lab, Result, voices};
use baimo_blueprint::{Blueprint, Ffn, Mixer};

/// ByteDance's models.
pub const SEED: Lab = Lab {
    name: "Seed",
    hanzi: "字节跳动",
    house: "ByteDance",
    families: &[
        Family {
            architecture: "LlamaForCausalLM",
            models: "Seed-Coder-8B",
            blueprint: None,
            gguf: None,
            voices: &[],
        },
        Family {
            architecture: "SeedOssForCausalLM",
            models: "Seed-OSS-36B",
            blueprint: Some(seed_oss),
            gguf: Some(Gguf { written: POST_NORM, ..Gguf::plain("seed_oss") }),
            voices: &[&voices::SEED_OSS],
        },
    ],
};

fn seed_oss(c: &Config) -> Result<Blueprint> {
    c.waive(&["residual_dropout"]);
    decoder(c, |_, prefix| {
        let (qkv, out) =
            (c.flag_or("attention_bias", true)?, c.flag_or("attention_out_bias", false)?);
        let mut mixer = qkv_biased(softmax(c, prefix, head_dim(c)?)?, prefix, qkv);
        mixer.o = mixer.o.biased(&format!("{prefix}.self_attn.o_proj"), out);
        let name = format!("{prefix}.mlp");
        let ffn = swiglu(c, &name, c.size("intermediate_size")?)?;
        let ffn = Ffn::Dense(ffn.biased(&name, c.flag_or("mlp_bias", false)?));
        pre_norm(c, prefix, Mixer::Softmax(mixer), ffn)
    })
}
