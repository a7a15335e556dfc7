//! Orion 猎户星空 (OrionStar).
//!
//! | family | mixer         | ffn   |
//! |--------|---------------|-------|
//! | Orion  | softmax, rope | dense |
//!
//! Both after layer norms with biases, where others have root-mean-square norms.

use crate::attention::{head_dim, softmax};
use crate::common::{Frame, dense, frame};
use crate::gguf::families;
use crate::{Config, Family, Lab, Result, voices};
use baimo_blueprint::{Blueprint, Layer, Mixer, Norm};

/// OrionStar's models.
pub const ORION: Lab = Lab {
    name: "Orion",
    hanzi: "猎户星空",
    house: "OrionStar",
    families: &[Family {
        architecture: "OrionForCausalLM",
        models: "Orion-14B",
        blueprint: Some(orion),
        gguf: Some(families::ORION),
        voices: &[&voices::ORION],
    }],
};

fn orion(c: &Config) -> Result<Blueprint> {
    c.only("attention_bias", false)?;
    c.only("hidden_act", "silu")?;
    c.waive(&["max_sequence_length"]);
    let (hidden, eps) = (c.size("hidden_size")?, c.float("rms_norm_eps")? as f32);
    let outer = Frame { norm: Norm::layer("model.norm", hidden, eps), ..Frame::usual(c)? };
    frame(c, outer, false, |_, prefix| {
        let norm = |name: &str| Norm::layer(&format!("{prefix}.{name}"), hidden, eps);
        let (before, between) = (norm("input_layernorm"), norm("post_attention_layernorm"));
        let mixer = Mixer::Softmax(softmax(c, prefix, head_dim(c)?)?);
        Ok(Layer::pre_norm(before, mixer, between, dense(c, prefix)?))
    })
}
