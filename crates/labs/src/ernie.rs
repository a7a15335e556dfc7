//! ERNIE 文心 (Baidu).
//!
//! | family        | mixer                                | ffn                                  |
//! |---------------|--------------------------------------|--------------------------------------|
//! | ERNIE-4.5     | softmax, GQA, interleaved rope,      | dense                                |
//! |               | biases by one switch                 |                                      |
//! | ERNIE-4.5-MoE | as ERNIE-4.5                         | dense first, then softmax experts    |
//! |               |                                      | with selection bias, and shared FFNs |

use crate::attention::{biased, head_dim, softmax};
use crate::common::{aside, pre_norm, swiglu, tied_decoder};
use crate::experts::{EXPERT_WIDTH, ExpertKeys, PROJ, experts_of};
use crate::gguf::families::ERNIE_MOE;
use crate::rotation::Rotation;
use crate::{Config, Family, Gguf, Lab, Result, voices};
use baimo_blueprint::{Blueprint, Ffn, Layer, Mixer, RopeStyle, Shared, Softmax, Tensor};

/// Baidu's models.
pub const ERNIE: Lab = Lab {
    name: "ERNIE",
    hanzi: "文心",
    house: "Baidu",
    families: &[
        Family {
            architecture: "Ernie4_5ForCausalLM",
            models: "ERNIE-4.5-0.3B",
            blueprint: Some(ernie),
            gguf: Some(Gguf::plain("ernie4_5").written()),
            voices: &[&voices::ERNIE_X1],
        },
        Family {
            architecture: "Ernie4_5_MoeForCausalLM",
            models: "ERNIE-4.5-21B-A3B, 300B-A47B, 21B-A3B-Thinking",
            blueprint: Some(ernie_moe),
            gguf: Some(ERNIE_MOE),
            voices: &[&voices::ERNIE_X1],
        },
    ],
};

fn ernie(c: &Config) -> Result<Blueprint> {
    tied_decoder(c, |_, prefix| layer(c, prefix, dense(c, prefix)?))
}

fn ernie_moe(c: &Config) -> Result<Blueprint> {
    // Training's: how many tokens an expert takes at most.
    c.waive(&["moe_capacity", "num_nextn_predict_layers"]);
    c.only("moe_gate", "topk")?;
    let mut blueprint = tied_decoder(c, |index, prefix| layer(c, prefix, ffn(c, index, prefix)?))?;
    if c.flag_or("use_bias", false)? {
        if blueprint.is_tied() {
            return Err(c.unsupported("use_bias", "false where the head is the embedding"));
        }
        blueprint.head = blueprint.head.biased("lm_head", true);
    }
    blueprint.set_aside.push(aside("model.mtp_*", "multi-token prediction"));
    Ok(blueprint)
}

fn layer(c: &Config, prefix: &str, ffn: Ffn) -> Result<Layer> {
    let dim = head_dim(c)?;
    let mixer = biased(softmax(c, prefix, dim)?, prefix, c.flag_or("use_bias", false)?);
    let rope = Rotation::read_or(c, 500_000.0)?.partial(c, dim, 1.0, RopeStyle::Interleaved)?;
    pre_norm(c, prefix, Mixer::Softmax(Softmax { rope: Some(rope), ..mixer }), ffn)
}

fn dense(c: &Config, prefix: &str) -> Result<Ffn> {
    let name = format!("{prefix}.mlp");
    let dense = swiglu(c, &name, c.size("intermediate_size")?)?;
    Ok(Ffn::Dense(dense.biased(&name, c.flag_or("use_bias", false)?)))
}

/// Every `moe_layer_interval`-th layer from the start to the end index has experts.
fn ffn(c: &Config, index: usize, prefix: &str) -> Result<Ffn> {
    let keys = ExpertKeys { count: "moe_num_experts", active: "moe_k", width: EXPERT_WIDTH };
    let mut experts = experts_of(c, 0, &format!("{prefix}.mlp"), &keys, PROJ)?;
    if c.flag_or("moe_use_aux_free", true)? {
        let bias = format!("{prefix}.mlp.moe_statics.e_score_correction_bias");
        experts.router.bias = Some(Tensor::new(bias, [1, experts.count]));
    }
    experts.router.renormalize = Some(c.positive_or("moe_norm_min", 1e-12)? as f32);
    let shared = c.count_or("moe_num_shared_experts", 2)?;
    if shared > 0 {
        let name = format!("{prefix}.mlp.shared_experts");
        let dense = swiglu(c, &name, shared * experts.width)?;
        let dense = dense.biased(&name, c.flag_or("use_bias", false)?);
        experts.shared = Some(Shared { dense, gate: None });
    }
    let (every, start) =
        (c.size_or("moe_layer_interval", 1)?, c.count_or("moe_layer_start_index", 1)?);
    let end = c.index_option("moe_layer_end_index")?;
    let inside = index >= start && end.is_none_or(|end| index <= end);
    match inside && (index + 1).is_multiple_of(every) {
        true => Ok(Ffn::Experts(experts)),
        false => dense(c, prefix),
    }
}
