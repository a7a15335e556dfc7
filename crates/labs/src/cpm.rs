//! CPM (ModelBest, OpenBMB): the models before MiniCPM.
//!
//! | family  | mixer                                                  | ffn                |
//! |---------|--------------------------------------------------------|--------------------|
//! | CPM-Ant | softmax, biases by distance, learned rows and the      | dense, gelu        |
//! |         | prompt in both directions                              |                    |

use crate::attention::{Heads, sized};
use crate::common::{Frame, frame, layer_count};
use crate::{Config, Family, Lab, Result};
use baimo_blueprint::{
    Activation, Blueprint, Dense, Ffn, Layer, Linear, Lookup, LookupBy, Mixer, Norm, Prefix,
    PrefixEnd, RelativeBias, Segments, Softmax, Tensor,
};

/// ModelBest's first models.
pub const CPM: Lab = Lab {
    name: "CPM",
    hanzi: "面壁",
    house: "ModelBest, OpenBMB",
    families: &[Family {
        architecture: "CpmAntForCausalLM",
        models: "CPM-Ant-10B",
        blueprint: Some(ant),
        gguf: None,
        voices: &[],
    }],
};

/// Kinds of text: that of learned rows, and that of a prompt.
const LEARNED: usize = 0;
const TEXT: usize = 2;

/// Rows of one learned prompt beyond this, or distances, are a mistake and not a model.
const DISTANCE_MAX: usize = 1 << 16;

/// Learned rows of the kind for text stand before the prompt: their rows follow the vocabulary's,
/// kind by kind.
fn ant(c: &Config) -> Result<Blueprint> {
    c.waive(&["dropout_p", "init_std"]);
    let (vocab, hidden) = (c.size("vocab_size")?, c.size("hidden_size")?);
    let length = c.at_most("prompt_length", c.size_or("prompt_length", 32)?, DISTANCE_MAX)?;
    let (prompts, kinds) = (kinds(c, "prompt_types")?, kinds(c, "segment_types")?);
    let outer = Frame {
        vocab,
        context: length + distance_max(c)?,
        layers: layer_count(c, "num_hidden_layers")?,
        norm: norm(c, "cpmant.encoder.output_layernorm")?,
        embedding: "cpmant.input_embedding".into(),
        layer: "cpmant.encoder.layers".into(),
        head: "lm_head".into(),
    };
    // Whatever the configuration says of ties, a head of the vocabulary's rows is stored.
    c.waive(&["tie_word_embeddings"]);
    let mut blueprint = frame(c, outer, false, |_, prefix| layer(c, prefix, kinds))?;
    blueprint.head = Linear::new("lm_head", vocab, hidden);
    blueprint.embedding.shape[0] = vocab + prompts * length;
    blueprint.lookups = vec![Lookup {
        table: Tensor::new("cpmant.segment_embedding.weight", [kinds, hidden]),
        by: LookupBy::Kind { lead: LEARNED, given: TEXT },
    }];
    let first = vocab + TEXT * length;
    blueprint.prefix = Some(Prefix {
        lead: first as u32..(first + length) as u32,
        end: PrefixEnd::Prompt,
        gaps: Vec::new(),
        segments: Some(Segments::Kinds { kinds, lead: LEARNED, given: TEXT }),
    });
    Ok(blueprint)
}

/// How many kinds there are, that of text among them.
fn kinds(c: &Config, key: &str) -> Result<usize> {
    match c.at_most(key, c.size_or(key, 32)?, DISTANCE_MAX)? {
        kinds if kinds > TEXT => Ok(kinds),
        _ => Err(c.unsupported(key, format!("more than {TEXT}"))),
    }
}

fn distance_max(c: &Config) -> Result<usize> {
    let key = "position_bias_max_distance";
    c.at_most(key, c.size_or(key, 2048)?, DISTANCE_MAX)
}

fn norm(c: &Config, name: &str) -> Result<Norm> {
    Ok(Norm::new(name, c.size("hidden_size")?, c.float_or("eps", 1e-6)? as f32))
}

fn layer(c: &Config, prefix: &str, kinds: usize) -> Result<Layer> {
    let (attention, ffn) = (format!("{prefix}.self_att"), format!("{prefix}.ffn"));
    Ok(Layer::pre_norm(
        norm(c, &format!("{attention}.layernorm_before_attention"))?,
        Mixer::Softmax(mixer(c, &format!("{attention}.self_attention"), kinds)?),
        norm(c, &format!("{ffn}.layernorm_before_ffn"))?,
        Ffn::Dense(dense(c, &format!("{ffn}.ffn"))?),
    ))
}

fn mixer(c: &Config, name: &str, kinds: usize) -> Result<Softmax> {
    let (heads, dim) = (c.size("num_attention_heads")?, c.size_or("dim_head", 128)?);
    let sizes = Heads { heads, kv_heads: heads, qk_dim: dim, v_dim: dim };
    let mixer = sized(c, name, "num_attention_heads", sizes, None)?;
    let map = |part: &str, like: &Linear| {
        Linear::new(&format!("{name}.{part}"), like.outputs(), like.inputs())
    };
    Ok(Softmax {
        bias: Some(bias(c, heads, kinds)?),
        q: map("project_q", &mixer.q),
        k: map("project_k", &mixer.k),
        v: map("project_v", &mixer.v),
        o: map("attention_out", &mixer.o),
        ..mixer
    })
}

/// One table for all layers: classes of distance, then pairs of kinds.
fn bias(c: &Config, heads: usize, kinds: usize) -> Result<RelativeBias> {
    let key = "position_bias_num_buckets";
    let buckets = c.at_most(key, c.size_or(key, 512)?, DISTANCE_MAX)?;
    let distance_max = distance_max(c)?;
    if buckets < 4 || distance_max <= buckets / 4 {
        return Err(c.unsupported(key, "from 4 to less than 4 times the largest distance"));
    }
    let shape = [buckets + kinds * kinds, heads];
    let table = Tensor::new("cpmant.position_bias.relative_attention_bias", shape);
    Ok(RelativeBias { table, buckets, distance_max })
}

fn dense(c: &Config, name: &str) -> Result<Dense> {
    let (hidden, width) = (c.size("hidden_size")?, c.size("dim_ff")?);
    Ok(Dense {
        gate: Linear::new(&format!("{name}.w_in.w_0"), width, hidden),
        up: Linear::new(&format!("{name}.w_in.w_1"), width, hidden),
        down: Linear::new(&format!("{name}.w_out"), hidden, width),
        ..Dense::new(name, hidden, width, Activation::Gelu)
    })
}
