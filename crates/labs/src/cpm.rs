//! CPM (ModelBest, OpenBMB): the models before MiniCPM.
//!
//! | family  | mixer                                                  | ffn                |
//! |---------|--------------------------------------------------------|--------------------|
//! | CPM-Ant | softmax, biases by distance, learned rows and the      | dense, gelu        |
//! |         | prompt in both directions                              |                    |
//! | CPM-Bee | the same without learned rows; keys and values of the  | as CPM-Ant         |
//! |         | prompt are segments, every map is scaled               |                    |

mod bee;

use crate::attention::{Heads, sized};
use crate::common::{Frame, frame, layer_count};
use crate::{Config, Family, Lab, Result, voices};
use baimo_blueprint::{
    Activation, Block, Blueprint, Dense, Ffn, Layer, Linear, Lookup, LookupBy, Mixer, Norm, Prefix,
    PrefixEnd, RelativeBias, Residual, Segments, Softmax, Sublayer, Tensor,
};

/// ModelBest's first models.
pub const CPM: Lab = Lab {
    name: "CPM",
    hanzi: "面壁",
    house: "ModelBest, OpenBMB",
    families: &[
        Family {
            architecture: "CpmAntForCausalLM",
            models: "CPM-Ant-10B",
            blueprint: Some(ant),
            gguf: None,
            voices: &[&voices::CPM_ANT],
        },
        Family {
            architecture: "CpmBeeForCausalLM",
            models: "CPM-Bee-1B/2B/5B/10B",
            blueprint: Some(bee::bee),
            gguf: None,
            voices: &[&voices::CPM_BEE],
        },
    ],
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
    let outer = outer(c, "cpmant", length)?;
    let table = bias(c, "cpmant", 512, kinds * kinds)?;
    // Whatever the configuration says of ties, a head of the vocabulary's rows is stored.
    c.waive(&["tie_word_embeddings"]);
    let mut blueprint = frame(c, outer, false, |_, prefix| {
        let layer = [attention(c, prefix, &table)?, ffn(c, prefix)?];
        Ok(Layer { sublayers: layer.into() })
    })?;
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

fn outer(c: &Config, folder: &str, lead: usize) -> Result<Frame> {
    Ok(Frame {
        vocab: c.size("vocab_size")?,
        context: lead + distance_max(c)?,
        layers: layer_count(c, "num_hidden_layers")?,
        norm: norm(c, &format!("{folder}.encoder.output_layernorm"))?,
        embedding: format!("{folder}.input_embedding"),
        layer: format!("{folder}.encoder.layers"),
        head: "lm_head".into(),
    })
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

fn attention(c: &Config, prefix: &str, bias: &RelativeBias) -> Result<Sublayer> {
    let name = format!("{prefix}.self_att");
    let before = norm(c, &format!("{name}.layernorm_before_attention"))?;
    let mixer = mixer(c, &format!("{name}.self_attention"), bias)?;
    Ok(Sublayer {
        residual: Residual::pre_norm(before),
        block: Block::Mixer(Mixer::Softmax(mixer)),
    })
}

fn ffn(c: &Config, prefix: &str) -> Result<Sublayer> {
    let name = format!("{prefix}.ffn");
    let before = norm(c, &format!("{name}.layernorm_before_ffn"))?;
    let ffn = Ffn::Dense(dense(c, &format!("{name}.ffn"))?);
    Ok(Sublayer { residual: Residual::pre_norm(before), block: Block::Ffn(ffn) })
}

fn mixer(c: &Config, name: &str, bias: &RelativeBias) -> Result<Softmax> {
    let (heads, dim) = (c.size("num_attention_heads")?, c.size("dim_head")?);
    let sizes = Heads { heads, kv_heads: heads, qk_dim: dim, v_dim: dim };
    let mixer = sized(c, name, "num_attention_heads", sizes, None)?;
    let map = |part: &str, like: &Linear| {
        Linear::new(&format!("{name}.{part}"), like.outputs(), like.inputs())
    };
    Ok(Softmax {
        bias: Some(bias.clone()),
        q: map("project_q", &mixer.q),
        k: map("project_k", &mixer.k),
        v: map("project_v", &mixer.v),
        o: map("attention_out", &mixer.o),
        ..mixer
    })
}

/// One table for all layers: classes of distance, then relations of segments.
fn bias(c: &Config, folder: &str, default: usize, relations: usize) -> Result<RelativeBias> {
    let (key, heads) = ("position_bias_num_buckets", c.size("num_attention_heads")?);
    let buckets = c.at_most(key, c.size_or(key, default)?, DISTANCE_MAX)?;
    let distance_max = distance_max(c)?;
    if buckets < 4 || distance_max <= buckets / 4 {
        return Err(c.unsupported(key, "from 4 to less than 4 times the largest distance"));
    }
    let name = format!("{folder}.position_bias.relative_attention_bias");
    let table = Tensor::new(name, [buckets + relations, heads]);
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
