//! dots 小红书 (rednote hilab).
//!
//! | family | mixer                                   | ffn                                       |
//! |--------|-----------------------------------------|-------------------------------------------|
//! | dots1  | softmax, GQA, q and k normed per head,  | dense first, then sigmoid experts, bias,  |
//! |        | upper layers may have a window          | a shared FFN                              |

use crate::attention::{biased, head_dim, is_windowed, qk_normed, softmax};
use crate::common::{decoder, pre_norm};
use crate::dots_note::{NOTE, NOTE_TEXT};
use crate::experts::{first_dense, group_limit, sigmoid_balanced, sum_floor};
use crate::{Config, Family, Gguf, Lab, Result};
use baimo_blueprint::{Blueprint, Ffn, GroupScore, Mixer, Softmax};

/// rednote's models.
pub const DOTS: Lab = Lab {
    name: "dots",
    hanzi: "小红书",
    house: "rednote hilab",
    families: &[
        Family {
            architecture: "Dots1ForCausalLM",
            models: "dots.llm1",
            blueprint: Some(dots1),
            gguf: Some(Gguf::plain("dots1").written()),
            voices: &[],
        },
        NOTE,
        NOTE_TEXT,
    ],
};

fn dots1(c: &Config) -> Result<Blueprint> {
    // Released configurations name the method of selection here.
    match c.text_option("scoring_func")? {
        None | Some("noaux_tc" | "sigmoid") => {}
        Some(_) => return Err(c.unsupported("scoring_func", "noaux_tc or sigmoid")),
    }
    c.waive(&["use_sliding_window"]);
    decoder(c, |index, prefix| {
        let mixer = softmax(c, prefix, head_dim(c)?)?;
        let mixer = biased(mixer, prefix, c.flag_or("attention_bias", false)?);
        let (window, first) =
            (c.size_option("sliding_window")?, c.count_or("max_window_layers", 62)?);
        let on = is_windowed(c, index, index >= first)?;
        let mixer = Softmax { window: window.filter(|_| on), ..qk_normed(c, mixer, prefix)? };
        pre_norm(c, prefix, Mixer::Softmax(mixer), ffn(c, index, prefix)?)
    })
}

fn ffn(c: &Config, index: usize, prefix: &str) -> Result<Ffn> {
    c.only("topk_method", "noaux_tc")?;
    first_dense(c, index, prefix, |experts| {
        sigmoid_balanced(experts, &format!("{prefix}.mlp.gate.e_score_correction_bias"));
        experts.router.groups = group_limit(c, GroupScore::BestTwo)?;
        experts.router.renormalize = sum_floor(c, false)?;
        Ok(())
    })
}
