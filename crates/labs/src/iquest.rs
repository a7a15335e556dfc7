//! IQuest-Coder (IQuest Lab).
//!
//! | family       | mixer                             | ffn   |
//! |--------------|-----------------------------------|-------|
//! | IQuest-Coder | softmax, GQA, head 128 by default | dense |

use crate::attention::softmax;
use crate::common::{decoder, dense, pre_norm};
use crate::{Config, Family, Gguf, Lab, Result, voices};
use baimo_blueprint::{Blueprint, Mixer};

/// IQuest Lab's models.
pub const IQUEST: Lab = Lab {
    name: "IQuest-Coder",
    hanzi: "",
    house: "IQuest Lab",
    families: &[Family {
        architecture: "IQuestCoderForCausalLM",
        models: "IQuest-Coder-V1-40B",
        blueprint: Some(iquest_coder),
        gguf: Some(Gguf::read_as("llama")),
        voices: &[&voices::IQUEST],
    }],
};

fn iquest_coder(c: &Config) -> Result<Blueprint> {
    c.only("attention_bias", false)?;
    c.only("mlp_bias", false)?;
    c.only("use_sliding_window", false)?;
    c.waive(&["clip_qkv", "sliding_window", "max_window_layers"]);
    decoder(c, |_, prefix| {
        let mixer = softmax(c, prefix, c.size_or("head_dim", 128)?)?;
        pre_norm(c, prefix, Mixer::Softmax(mixer), dense(c, prefix)?)
    })
}
