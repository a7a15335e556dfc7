//! XVERSE 元象.
//!
//! | family | mixer                          | ffn                                              |
//! |--------|--------------------------------|--------------------------------------------------|
//! | XVERSE | the Llama block (page `llama`) | dense                                            |
//! | MoE    | as XVERSE                      | softmax experts, and a shared FFN                |

use crate::attention::{biased, head_dim, softmax};
use crate::common::{decoder, pre_norm, swiglu};
use crate::experts::{ExpertKeys, PROJ, experts_of, sum_floor};
use crate::{Config, Family, Gguf, Lab, Result, llama, voices};
use baimo_blueprint::{Blueprint, Ffn, Linear, Mixer, Shared};

/// XVERSE's models.
pub const XVERSE: Lab = Lab {
    name: "XVERSE",
    hanzi: "元象",
    house: "XVERSE Technology",
    families: &[Family {
        architecture: "XverseForCausalLM",
        models: "XVERSE-7B/13B/65B, XVERSE-MoE-A4.2B/A36B",
        blueprint: Some(xverse),
        gguf: Some(Gguf { interleaved_qk: true, ..Gguf::plain("xverse") }),
        voices: &[&voices::XVERSE],
    }],
};

const EXPERTS: ExpertKeys =
    ExpertKeys { count: "num_experts", active: "moe_top_k", width: "intermediate_size" };

fn xverse(c: &Config) -> Result<Blueprint> {
    c.waive(&["max_tokenizer_truncation"]);
    if !c.has("num_experts") {
        c.waive(&["moe_top_k", "norm_topk_prob", "num_shared_experts"]);
        return llama::llama(c);
    }
    decoder(c, |index, prefix| {
        let mixer = softmax(c, prefix, head_dim(c)?)?;
        let mixer = biased(mixer, prefix, c.flag_or("attention_bias", false)?);
        pre_norm(c, prefix, Mixer::Softmax(mixer), sparse(c, index, prefix)?)
    })
}

/// The shared FFN is so many experts wide.
fn sparse(c: &Config, index: usize, prefix: &str) -> Result<Ffn> {
    let folder = format!("{prefix}.mlp");
    let mut experts = experts_of(c, index, &folder, &EXPERTS, PROJ)?;
    let hidden = c.size("hidden_size")?;
    experts.router.logits = Linear::new(&format!("{folder}.router"), experts.count, hidden);
    experts.router.renormalize = sum_floor(c, false)?;
    let shared = c.count_or("num_shared_experts", 0)?;
    if shared > 0 {
        let dense = swiglu(c, &format!("{folder}.shared_experts"), shared * experts.width)?;
        experts.shared = Some(Shared { dense, gate: None });
    }
    Ok(Ffn::Experts(experts))
}
