//! The Llama block, which many labs took over unchanged: their checkpoints say
//! `LlamaForCausalLM` and run here.
//!
//! | family | mixer             | ffn   |
//! |--------|-------------------|-------|
//! | Llama  | softmax, GQA, rope | dense |

use crate::attention::{biased, head_dim, softmax};
use crate::common::{decoder, dense, pre_norm};
use crate::{Config, Family, Gguf, Lab, Result};
use baimo_blueprint::{Blueprint, Mixer};

/// Who uses the block unchanged and has no page of their own.
pub const LLAMA: Lab = Lab {
    name: "Llama",
    hanzi: "",
    house: "others with the same block",
    families: &[Family {
        architecture: "LlamaForCausalLM",
        models: "SmolLM2",
        blueprint: Some(llama),
        gguf: Some(Gguf { interleaved_qk: true, ..Gguf::plain("llama").written() }),
        voices: &[],
    }],
};

/// Also under the names of labs that changed nothing but the name.
pub fn llama(c: &Config) -> Result<Blueprint> {
    c.only("mlp_bias", false)?;
    c.waive(&["rope_interleaved", "is_llama_config"]);
    decoder(c, |_, prefix| {
        let mixer = softmax(c, prefix, head_dim(c)?)?;
        let mixer = biased(mixer, prefix, c.flag_or("attention_bias", false)?);
        pre_norm(c, prefix, Mixer::Softmax(mixer), dense(c, prefix)?)
    })
}
