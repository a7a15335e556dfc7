//! Skywork 天工 (Kunlun).
//!
//! | family | mixer                          | ffn                                                |
//! |--------|--------------------------------|----------------------------------------------------|
//! | 13B    | the Llama block (page `llama`) | dense                                              |
//! | MoE    | as 13B                         | softmax experts, renormalized; logits of a fixed   |
//! |        |                                | deviation, from one map or two                     |

use crate::attention::{head_dim, softmax};
use crate::common::{decoder, dense, pre_norm};
use crate::experts::{EXPERTS_MAX, ExpertSizes, PROJ, SUM_FLOOR, experts_sized};
use crate::{Config, Family, Lab, Result, llama};
use baimo_blueprint::{Blueprint, Experts, Ffn, Linear, Mixer};

/// Kunlun's models.
pub const SKYWORK: Lab = Lab {
    name: "Skywork",
    hanzi: "天工",
    house: "Kunlun",
    families: &[Family {
        architecture: "SkyworkForCausalLM",
        models: "Skywork-13B, Skywork-MoE-Base",
        blueprint: Some(skywork),
        gguf: None,
        voices: &[],
    }],
};

fn skywork(c: &Config) -> Result<Blueprint> {
    if !c.has("num_experts") {
        return llama::llama(c);
    }
    let interval = c.size_or("moe_expert_interval", 1)?;
    decoder(c, |index, prefix| {
        let mixer = Mixer::Softmax(softmax(c, prefix, head_dim(c)?)?);
        let (sparse, dense) = (Ffn::Experts(experts(c, prefix)?), dense(c, prefix)?);
        let ffn = if (index + 1).is_multiple_of(interval) { sparse } else { dense };
        pre_norm(c, prefix, mixer, ffn)
    })
}

fn experts(c: &Config, prefix: &str) -> Result<Experts> {
    // With neither of these the experts are given their input twice over.
    if !c.flag_or("moe_use_mixtral_gating", false)? {
        c.only("moe_feature_no_mul_topk", true)?;
        if !c.has("moe_feature_no_mul_topk") {
            return Err(c.unsupported("moe_feature_no_mul_topk", "true"));
        }
    }
    c.waive(&["moe_feature_no_mul_topk"]);
    let counts = c.counts("num_experts")?;
    let count = match counts[..] {
        [count @ 2..=EXPERTS_MAX] => count,
        _ => return Err(c.unsupported("num_experts", "a list of one number, at least 2")),
    };
    let active = c.at_most("num_experts_per_tok", c.size_or("num_experts_per_tok", 2)?, count)?;
    let sizes = ExpertSizes { count, active, width: c.size("intermediate_size")? };
    let folder = format!("{prefix}.mlp.moe");
    let mut experts = experts_sized(c, &format!("{folder}.experts"), sizes, PROJ)?;
    let (name, hidden) = (format!("{folder}.gate.wg"), c.size("hidden_size")?);
    let router = &mut experts.router;
    router.logits = match c.flag_or("moe_2layer_gate", true)? {
        false => Linear::new(&name, count, hidden),
        true => {
            let width = 8 * count;
            router.inner = Some(Linear::new(&format!("{name}.0"), width, hidden));
            Linear::new(&format!("{name}.2"), count, width)
        }
    };
    router.renormalize = Some(SUM_FLOOR);
    let deviation = c.positive_or("moe_gate_norm_std", 1.0)? as f32;
    router.deviation = c.flag_or("moe_use_logits_norm", false)?.then_some(deviation);
    Ok(experts)
}
