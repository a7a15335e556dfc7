//! MiniCPM 面壁小钢炮 (ModelBest, OpenBMB).
//!
//! | family   | mixer                                        | ffn                               |
//! |----------|----------------------------------------------|-----------------------------------|
//! | MiniCPM  | softmax, GQA; LongRoPE in the fourth         | dense or experts; scaled as below |
//! | MiniCPM3 | latent, half-split rope, LongRoPE; tied head | dense; every branch is scaled,    |
//! |          |                                              | so are the embedding and the head |

use crate::attention::{biased, head_dim, softmax};
use crate::common::{dense, pre_norm, tied_decoder};
use crate::experts::{ExpertKeys, experts_of, sum_floor};
use crate::gguf::families;
use crate::latent::{Widths, latent_of};
use crate::{Config, Family, Lab, Result, voices};
use baimo_blueprint::{Blocks, Blueprint, Ffn, Mixer, RopeStyle};

/// ModelBest's models.
pub const MINICPM: Lab = Lab {
    name: "MiniCPM",
    hanzi: "面壁小钢炮",
    house: "ModelBest, OpenBMB",
    families: &[
        Family {
            architecture: "MiniCPMForCausalLM",
            models: "MiniCPM-1B/2B, MiniCPM-MoE-8x2B, MiniCPM4 and 4.1",
            blueprint: Some(minicpm),
            gguf: Some(families::MINICPM),
            voices: &[
                &voices::MINICPM_41,
                &voices::MINICPM_4,
                &voices::MINICPM_5,
                &voices::HERMES_SWITCHED,
                &voices::HERMES_THINKING,
                &voices::HERMES,
            ],
        },
        Family {
            architecture: "MiniCPM3ForCausalLM",
            models: "MiniCPM3-4B",
            blueprint: Some(minicpm3),
            gguf: Some(families::MINICPM3),
            voices: &[&voices::MINICPM_3],
        },
    ],
};

const EXPERTS: ExpertKeys =
    ExpertKeys { count: "num_experts", active: "num_experts_per_tok", width: "intermediate_size" };

/// What coarse keys are means of, in pooled keys.
const COARSE: usize = 4;

fn minicpm(c: &Config) -> Result<Blueprint> {
    let blocks = c.part("sparse_config")?.map(|part| blocks(&part)).transpose()?;
    let blueprint = tied_decoder(c, |index, prefix| {
        let mixer = softmax(c, prefix, head_dim(c)?)?;
        let mut mixer = biased(mixer, prefix, c.flag_or("attention_bias", false)?);
        mixer.blocks = blocks;
        let ffn = match c.count_or("num_experts", 0)? {
            0 => dense(c, prefix)?,
            _ => {
                let maps = ["w1", "w3", "w2"];
                let mut sparse = experts_of(c, index, &format!("{prefix}.mlp"), &EXPERTS, maps)?;
                sparse.router.renormalize = sum_floor(c, true)?;
                Ffn::Experts(sparse)
            }
        };
        c.waive(&["num_experts_per_tok"]);
        pre_norm(c, prefix, Mixer::Softmax(mixer), ffn)
    })?;
    c.only("mup_denominator", blueprint.layers.len())?;
    scaled(c, blueprint)
}

/// InfLLM-v2: a row's own block and the `window_size` positions of blocks before it are met beside
/// the `topk` best, among which the first `init_blocks` always are.
fn blocks(c: &Config) -> Result<Blocks> {
    c.only("use_nope", false)?;
    let (run, stride) = (c.size_or("kernel_size", 32)?, c.size_or("kernel_stride", 16)?);
    let positions = c.size_or("block_size", 64)?;
    if !run.is_multiple_of(stride) || !positions.is_multiple_of(stride) {
        return Err(c.unsupported("kernel_stride", "a divisor of kernel_size and block_size"));
    }
    let (window, first) = (c.size_or("window_size", 2048)?, c.count_or("init_blocks", 1)?);
    let (local, best) = (window / positions, c.size_or("topk", 64)?);
    if best <= first {
        return Err(c.unsupported("topk", format!("more than {first} first blocks")));
    }
    let reached = c.size_or("dense_len", 8192)?;
    c.finish("sparse attention")?;
    let (active, latest) = (best + local, local + 1);
    Ok(Blocks { reached, positions, active, first, latest, run, stride, coarse: COARSE })
}

fn minicpm3(c: &Config) -> Result<Blueprint> {
    c.only("mlp_bias", false)?;
    let (hidden, heads) = (c.size("hidden_size")?, c.size("num_attention_heads")?);
    let share = hidden.is_multiple_of(heads).then_some(hidden / heads);
    let blueprint = tied_decoder(c, |_, prefix| {
        let name = format!("{prefix}.self_attn");
        let widths = Widths::read(c, "", share)?;
        let mixer = latent_of(c, &name, &widths, Some(RopeStyle::Half))?;
        pre_norm(c, prefix, Mixer::Latent(mixer), dense(c, prefix)?)
    })?;
    scaled(c, blueprint)
}

/// Width-independent training (arXiv:2404.06395): `scale_emb` on the embedding,
/// `scale_depth / √layers` on the output of every block, `dim_model_base / hidden` before the head.
fn scaled(c: &Config, mut blueprint: Blueprint) -> Result<Blueprint> {
    blueprint.embedding_scale = c.positive_or("scale_emb", 12.0)? as f32;
    let depth = (blueprint.layers.len() as f64).sqrt();
    let branch = c.positive_or("scale_depth", 1.4)? / depth;
    for layer in &mut blueprint.layers {
        for sublayer in &mut layer.sublayers {
            sublayer.residual.scale = branch as f32;
        }
    }
    let base = c.size_or("dim_model_base", 256)?;
    blueprint.logit_scale = (base as f64 / blueprint.hidden as f64) as f32;
    Ok(blueprint)
}
