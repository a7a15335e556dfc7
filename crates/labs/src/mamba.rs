//! State spaces, by the names that Mamba-2 gave them: its own models, and hybrids of others.
//!
//! | family | mixer                                          | ffn   |
//! |--------|------------------------------------------------|-------|
//! | Mamba2 | state spaces                                   | none  |
//! | Bamba  | state spaces, some layers softmax, half a rope | dense |

use crate::attention::{biased, head_dim, softmax};
use crate::common::{decoder, norm, swiglu};
use crate::gguf::recurrent::MAMBA2;
use crate::recurrent::state_space::{StateSpace, state_space};
use crate::recurrent::{heads, taps, width};
use crate::rotation::Rotation;
use crate::{Config, Family, Lab, Result};
use baimo_blueprint::{
    Block, Blueprint, Ffn, Layer, Linear, Mixer, Norm, Recurrent, Residual, RopeStyle, Sublayer,
    Tensor,
};

/// Who builds on state spaces.
pub const MAMBA: Lab = Lab {
    name: "Mamba",
    hanzi: "",
    house: "others with state spaces",
    families: &[
        Family {
            architecture: "Mamba2ForCausalLM",
            models: "Mamba-2, Mamba-Codestral",
            blueprint: Some(mamba2),
            gguf: Some(MAMBA2),
            voices: &[],
        },
        Family {
            architecture: "BambaForCausalLM",
            models: "Bamba-9B",
            blueprint: Some(bamba),
            gguf: None,
            voices: &[],
        },
    ],
};

/// A state has no end; this is how far anybody has gone.
const CONTEXT: usize = 1 << 20;

const LAYERS_MAX: usize = 4096;

fn mamba2(c: &Config) -> Result<Blueprint> {
    c.only("hidden_act", "silu")?;
    c.only("rms_norm", true)?;
    c.waive(&["chunk_size", "residual_in_fp32", "rescale_prenorm_residual", "time_step_rank"]);
    c.waive(&["time_step_min", "time_step_max", "time_step_floor"]);
    let (vocab, hidden) = (c.size("vocab_size")?, c.size("hidden_size")?);
    let key = "num_hidden_layers";
    let layers = c.at_most(key, c.size(key)?, LAYERS_MAX)?;
    let eps = c.float_or("layer_norm_epsilon", 1e-5)? as f32;
    let embedding = Tensor::new("backbone.embeddings.weight", [vocab, hidden]);
    let layer = |index| {
        let name = format!("backbone.layers.{index}");
        let parts = StateSpace {
            heads: heads(c, "num_heads", 128)?,
            dim: width(c, "head_dim", 64)?,
            groups: heads(c, "n_groups", 8)?,
            state: width(c, "state_size", 128)?,
            taps: taps(c, "conv_kernel", 4)?,
            biased: c.flag_or("use_bias", false)?,
            taps_biased: c.flag_or("use_conv_bias", true)?,
            eps,
        };
        check(c, "num_heads", c.size_or("expand", 2)?, &parts)?;
        Ok(Layer {
            sublayers: vec![Sublayer {
                residual: Residual::pre_norm(Norm::new(&format!("{name}.norm"), hidden, eps)),
                block: Block::Mixer(mixer(state_space(c, &format!("{name}.mixer"), &parts)?)),
            }],
        })
    };
    Ok(Blueprint {
        architecture: c.first_text("architectures").unwrap_or_default(),
        vocab,
        hidden,
        context: CONTEXT,
        layers: (0..layers).map(layer).collect::<Result<_>>()?,
        norm: Norm::new("backbone.norm_f", hidden, eps),
        head: match c.flag_or("tie_word_embeddings", false)? {
            true => Linear { weight: embedding.clone(), bias: None },
            false => Linear::new("lm_head", vocab, hidden),
        },
        embedding,
        ngrams: None,
        lookups: Vec::new(),
        prefix: None,
        embedding_scale: 1.0,
        logit_scale: 1.0,
        set_aside: Vec::new(),
    })
}

fn bamba(c: &Config) -> Result<Blueprint> {
    c.only("hidden_act", "silu")?;
    c.only("mlp_bias", false)?;
    c.waive(&["mamba_chunk_size", "num_logits_to_keep", "z_loss_coefficient"]);
    let hidden = c.size("hidden_size")?;
    let attending = c.counts("attn_layer_indices")?;
    let mut blueprint = decoder(c, |index, prefix| {
        let mixer = match attending.contains(&index) {
            true => attention(c, prefix)?,
            false => mixer(scanning(c, &format!("{prefix}.mamba"))?),
        };
        let ffn = swiglu(c, &format!("{prefix}.feed_forward"), c.size("intermediate_size")?)?;
        Ok(Layer::pre_norm(
            norm(c, &format!("{prefix}.input_layernorm"), hidden)?,
            mixer,
            norm(c, &format!("{prefix}.pre_ff_layernorm"), hidden)?,
            Ffn::Dense(ffn),
        ))
    })?;
    blueprint.norm = norm(c, "model.final_layernorm", hidden)?;
    Ok(blueprint)
}

fn mixer(mixer: Recurrent) -> Mixer {
    Mixer::Recurrent(Box::new(mixer))
}

/// Half of each head is rotated, whatever the configuration says.
fn attention(c: &Config, prefix: &str) -> Result<Mixer> {
    let dim = head_dim(c)?;
    c.only("attn_rotary_emb", dim / 2)?;
    let mut mixer = biased(softmax(c, prefix, dim)?, prefix, c.flag_or("attention_bias", false)?);
    mixer.rope = Some(Rotation::read(c)?.partial(c, dim, 0.5, RopeStyle::Half)?);
    Ok(Mixer::Softmax(mixer))
}

fn scanning(c: &Config, name: &str) -> Result<Recurrent> {
    let heads_key = "mamba_n_heads";
    let (heads_count, expand) = (heads(c, heads_key, 128)?, c.size_or("mamba_expand", 2)?);
    let dim = match c.text_option("mamba_d_head") {
        Ok(None | Some("auto")) => c.size("hidden_size")? * expand / heads_count,
        Ok(Some(_)) => return Err(c.unsupported("mamba_d_head", "a width or \"auto\"")),
        Err(_) => width(c, "mamba_d_head", 64)?,
    };
    let parts = StateSpace {
        heads: heads_count,
        dim: c.at_most("mamba_d_head", dim, 4096)?,
        groups: heads(c, "mamba_n_groups", 1)?,
        state: width(c, "mamba_d_state", 256)?,
        taps: taps(c, "mamba_d_conv", 4)?,
        biased: c.flag_or("mamba_proj_bias", false)?,
        taps_biased: c.flag_or("mamba_conv_bias", true)?,
        eps: c.float("rms_norm_eps")? as f32,
    };
    check(c, heads_key, expand, &parts)?;
    state_space(c, name, &parts)
}

/// All heads together are `expand` times as wide as the residual stream.
fn check(c: &Config, key: &str, expand: usize, parts: &StateSpace) -> Result<()> {
    let hidden = c.size("hidden_size")?;
    if parts.heads * parts.dim != expand * hidden || !parts.heads.is_multiple_of(parts.groups) {
        let wanted = format!("{expand} × {hidden} numbers in whole groups of heads");
        return Err(c.unsupported(key, wanted));
    }
    Ok(())
}
