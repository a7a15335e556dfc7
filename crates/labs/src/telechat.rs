//! TeleChat 星辰 (China Telecom).
//!
//! | family    | mixer                                          | ffn                          |
//! |-----------|------------------------------------------------|------------------------------|
//! | TeleChat  | softmax, keys and values in one map by head,   | dense, bias on the way out   |
//! |           | bias on the way out                            |                              |
//! | TeleChat2 | as TeleChat, GQA, a base stretched once        | as TeleChat                  |
//! | TeleChat3 | the Llama block (page `llama`)                 | dense                        |

use crate::attention::{head_dim, rotated};
use crate::common::{Frame, frame, norm, swiglu};
use crate::{Config, Family, Lab, Result, llama, voices};
use baimo_blueprint::{
    Blueprint, Ffn, Layer, Linear, Mixer, Rope, RopeScaling, RopeStyle, Skip, Softmax,
};

/// China Telecom's models.
pub const TELECHAT: Lab = Lab {
    name: "TeleChat",
    hanzi: "星辰",
    house: "China Telecom",
    families: &[
        Family {
            architecture: "TelechatForCausalLM",
            models: "TeleChat-7B/12B",
            blueprint: Some(telechat),
            gguf: None,
            voices: &[&voices::TELECHAT],
        },
        Family {
            architecture: "TeleChat2ForCausalLM",
            models: "TeleChat2 3B/7B/35B/115B",
            blueprint: Some(telechat),
            gguf: None,
            voices: &[],
        },
        Family {
            architecture: "TeleChat3ForCausalLM",
            models: "TeleChat3-36B-Thinking",
            blueprint: Some(llama::llama),
            gguf: None,
            voices: &[&voices::THINKING],
        },
    ],
};

fn telechat(c: &Config) -> Result<Blueprint> {
    c.spell(&[
        ("hidden_size", "n_embed"),
        ("intermediate_size", "ffn_hidden_size"),
        ("max_position_embeddings", "training_seqlen"),
        ("num_attention_heads", "n_head"),
        ("num_hidden_layers", "n_layer"),
        ("rms_norm_eps", "layer_norm_epsilon"),
    ]);
    c.only("embed_layernorm", false)?;
    c.only("hidden_act", "silu")?;
    c.only("semi_causal", false)?;
    // The releases' code reads none of these, or only to choose a kernel.
    c.waive(&["attention_softmax_in_fp32", "bias_dropout_fusion", "flash_attn", "logn"]);
    c.waive(&["masked_softmax_fusion", "n_inner", "offset_alibi", "seq_length", "skip_bias_add"]);
    c.waive(&["skip_bias_add_qkv", "slow_but_exact"]);
    let hidden = c.size("hidden_size")?;
    let outer = Frame {
        norm: norm(c, "transformer.ln_f", hidden)?,
        embedding: "transformer.word_embeddings".into(),
        layer: "transformer.h".into(),
        ..Frame::usual(c)?
    };
    let skip = match c.flag_or("apply_residual_connection_post_layernorm", false)? {
        true => Skip::Normed,
        false => Skip::Stream,
    };
    frame(c, outer, true, |_, prefix| {
        let named = |name: &str| norm(c, &format!("{prefix}.{name}"), hidden);
        let name = format!("{prefix}.mlp");
        let mut ffn = swiglu(c, &name, c.size("intermediate_size")?)?;
        ffn.down = ffn.down.biased(&format!("{name}.down_proj"), true);
        let mut layer = Layer::pre_norm(
            named("input_layernorm")?,
            Mixer::Softmax(mixer(c, prefix)?),
            named("post_attention_layernorm")?,
            Ffn::Dense(ffn),
        );
        layer.sublayers.iter_mut().for_each(|sublayer| sublayer.residual.skip = skip);
        Ok(layer)
    })
}

/// `key_value` holds for each key head its key, then its value.
fn mixer(c: &Config, prefix: &str) -> Result<Softmax> {
    let (dim, hidden) = (head_dim(c)?, c.size("hidden_size")?);
    let mixer = rotated(c, prefix, "num_key_value_heads", dim, Some(rope(c, dim)?))?;
    let named = |name: &str| format!("{prefix}.self_attention.{name}");
    let heads = mixer.kv_heads;
    let both = Linear::new(&named("key_value"), 2 * heads * dim, hidden);
    let out = named("dense");
    Ok(Softmax {
        q: Linear::new(&named("query"), mixer.heads * dim, hidden),
        k: both.clone().head_part(heads, 0, dim, 2 * dim),
        v: both.head_part(heads, dim, dim, 2 * dim),
        o: Linear::new(&out, hidden, mixer.heads * dim).biased(&out, true),
        ..mixer
    })
}

/// The base is stretched once, by the ratio of the contexts of the last training and the first, up
/// to the next power of two. (The releases' code stretches it further in prompts that are longer
/// still; the context ends before.)
fn rope(c: &Config, dim: usize) -> Result<Rope> {
    if c.has("rope_scaling") {
        return Err(c.unsupported("rope_scaling", "null"));
    }
    if dim < 4 || !dim.is_multiple_of(2) {
        return Err(c.unsupported("num_attention_heads", "heads of 2 pairs or more"));
    }
    let (last, first) = (c.size("max_position_embeddings")?, c.size_or("base_seqlen", 8192)?);
    let stretch = last.div_ceil(first).next_power_of_two();
    let plain = Rope::new(dim, RopeStyle::Half, 10_000.0);
    let alpha = (2 * stretch - 1) as f64;
    let scaling = if stretch > 1 { RopeScaling::Ntk { alpha } } else { RopeScaling::None };
    Ok(Rope { scaling, ..plain })
}
