//! Softmax attention, by the names that many labs share.

use crate::Config;
use crate::common::norm;
use crate::error::Result;
use crate::rotation::Rotation;
use baimo_blueprint::{Linear, NormOrder, QkNorm, Rope, RopeStyle, Softmax};

/// The width of a head: `head_dim`, or an equal share of the hidden width.
pub fn head_dim(c: &Config) -> Result<usize> {
    let (hidden, heads) = (c.size("hidden_size")?, c.size("num_attention_heads")?);
    match c.size_option("head_dim")? {
        Some(dim) => Ok(dim),
        None if hidden % heads == 0 => Ok(hidden / heads),
        None => Err(c.unsupported("num_attention_heads", format!("a divisor of {hidden}"))),
    }
}

/// Grouped-query attention of the usual names, without biases or norms.
pub fn softmax(c: &Config, prefix: &str, head_dim: usize) -> Result<Softmax> {
    let rope = Rotation::read(c)?.partial(c, head_dim, 1.0, RopeStyle::Half)?;
    rotated(c, prefix, "num_key_value_heads", head_dim, Some(rope))
}

/// As [`softmax`], with a rotation from elsewhere or none; `kv_key` says how many key heads there
/// are, as many as query heads where it is absent.
pub fn rotated(
    c: &Config,
    prefix: &str,
    kv_key: &str,
    head_dim: usize,
    rope: Option<Rope>,
) -> Result<Softmax> {
    let heads = c.size("num_attention_heads")?;
    let kv_heads = c.size_or(kv_key, heads)?;
    let sizes = Heads { heads, kv_heads, qk_dim: head_dim, v_dim: head_dim };
    sized(c, prefix, kv_key, sizes, rope)
}

/// The sizes of attention, where they differ by layer.
pub struct Heads {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a query and of a key.
    pub qk_dim: usize,
    /// Width of a value.
    pub v_dim: usize,
}

/// As [`softmax`], of any sizes; `kv_key` is where the key heads were read.
pub fn sized(
    c: &Config,
    prefix: &str,
    kv_key: &str,
    Heads { heads, kv_heads, qk_dim, v_dim }: Heads,
    rope: Option<Rope>,
) -> Result<Softmax> {
    let hidden = c.size("hidden_size")?;
    if heads % kv_heads != 0 {
        return Err(c.unsupported(kv_key, format!("a divisor of {heads}")));
    }
    let map = |name: &str, outputs, inputs| {
        Linear::new(&format!("{prefix}.self_attn.{name}"), outputs, inputs)
    };
    Ok(Softmax {
        heads,
        kv_heads,
        qk_dim,
        v_dim,
        scale: (1.0 / (qk_dim as f64).sqrt()) as f32,
        window: None,
        sinks: None,
        v_scale: 1.0,
        rope,
        second_rope: None,
        alibi: None,
        bias: None,
        log_beyond: None,
        q: map("q_proj", heads * qk_dim, hidden),
        q_low: None,
        smoothing: None,
        k: map("k_proj", kv_heads * qk_dim, hidden),
        v: map("v_proj", kv_heads * v_dim, hidden),
        o: map("o_proj", hidden, heads * v_dim),
        qk_norm: None,
        gate: None,
        blocks: None,
    })
}

/// With biases on queries, keys and values where `present`.
pub fn qkv_biased(mut mixer: Softmax, prefix: &str, present: bool) -> Softmax {
    let name = |map| format!("{prefix}.self_attn.{map}");
    mixer.q = mixer.q.biased(&name("q_proj"), present);
    mixer.k = mixer.k.biased(&name("k_proj"), present);
    mixer.v = mixer.v.biased(&name("v_proj"), present);
    mixer
}

/// With biases on all four maps where `present`.
pub fn biased(mixer: Softmax, prefix: &str, present: bool) -> Softmax {
    let mut mixer = qkv_biased(mixer, prefix, present);
    mixer.o = mixer.o.biased(&format!("{prefix}.self_attn.o_proj"), present);
    mixer
}

/// With a norm on each head of queries and keys.
pub fn qk_normed(c: &Config, mixer: Softmax, prefix: &str) -> Result<Softmax> {
    let head_norm = |name| norm(c, &format!("{prefix}.self_attn.{name}"), mixer.qk_dim);
    let (q, k) = (head_norm("q_norm")?, head_norm("k_norm")?);
    Ok(Softmax { qk_norm: Some(QkNorm { q, k, order: NormOrder::BeforeRope }), ..mixer })
}

/// Whether a layer sees a window: as its word in `layer_types` says, or else as `default`.
pub fn is_windowed(c: &Config, layer: usize, default: bool) -> Result<bool> {
    match c.texts("layer_types")?.get(layer) {
        Some(&"sliding_attention") => Ok(true),
        Some(&"full_attention") => Ok(false),
        None => Ok(default),
        Some(_) => {
            let wanted = "full_attention or sliding_attention for each layer";
            Err(c.unsupported("layer_types", wanted))
        }
    }
}
