//! Recurrent mixers, by the names and sizes that several labs share.

pub mod by_channel;
pub mod state_space;

use crate::Config;
use crate::common::norm;
use crate::error::Result;
use baimo_blueprint::{
    Convolution, Curve, Decay, DecayForm, Fold, GateOrder, GatedNorm, Linear, Projection,
    Recurrent, Sharing, Stream, Tensor, Write,
};

/// More heads than this, wider ones, or more taps are a mistake and not a mixer.
const HEADS_MAX: usize = 4096;
const WIDTH_MAX: usize = 4096;
const TAPS_MAX: usize = 64;

/// Under the root where queries and keys become unit vectors, whatever the configuration says.
const UNIT_EPS: f32 = 1e-6;

/// The number of heads that `key` says.
pub fn heads(c: &Config, key: &str, default: usize) -> Result<usize> {
    c.at_most(key, c.size_or(key, default)?, HEADS_MAX)
}

/// The width of a head that `key` says.
pub fn width(c: &Config, key: &str, default: usize) -> Result<usize> {
    c.at_most(key, c.size_or(key, default)?, WIDTH_MAX)
}

/// The taps of a convolution that `key` says.
pub fn taps(c: &Config, key: &str, default: usize) -> Result<usize> {
    c.at_most(key, c.size_or(key, default)?, TAPS_MAX)
}

/// A map, a convolution and silu. The convolution's weights `{name}.weight` are those of rows
/// `start..` of `of` channels.
pub fn convolved(map: Linear, taps: usize, name: &str, start: usize, of: usize) -> Stream {
    let weight = Tensor::new(format!("{name}.weight"), [map.outputs(), taps]);
    let weight = match map.outputs() == of {
        true => weight,
        false => weight.folded(Fold::Rows { start, of }),
    };
    let convolution = Some(Convolution { taps, weight, bias: None });
    Stream { map, convolution, curve: Curve::Silu }
}

/// Whether the layer has softmax attention: `layer_types` says so, or else each
/// `full_attention_interval`-th has.
pub fn is_full(c: &Config, index: usize) -> Result<bool> {
    let every = c.size_or("full_attention_interval", 4)?;
    is_full_or(c, index, (index + 1).is_multiple_of(every))
}

/// As `layer_types` says, or else as `default` does.
pub fn is_full_or(c: &Config, index: usize, default: bool) -> Result<bool> {
    match c.texts("layer_types")?.get(index) {
        Some(&"full_attention") => Ok(true),
        Some(&"linear_attention") => Ok(false),
        None => Ok(default),
        Some(_) => {
            let wanted = "full_attention or linear_attention for each layer";
            Err(c.unsupported("layer_types", wanted))
        }
    }
}

/// The factors of linear attention with fixed decay: heads forget by `share` of ALiBi's slopes
/// (arXiv:2108.12409).
pub fn fixed_decay(heads: usize, share: f64) -> Decay {
    let below = 1 << heads.ilog2();
    let slope = |head: usize, of: usize| 2_f64.powf(-8.0 * (head + 1) as f64 / of as f64);
    let factor = |head: usize| {
        // Beyond a power of two: every second slope of twice as many heads.
        let slope = match head.checked_sub(below) {
            None => slope(head, below),
            Some(over) => slope(2 * over, 2 * below),
        };
        (-slope * share).exp() as f32
    };
    Decay::Fixed((0..heads).map(factor).collect())
}

/// The maps of a gated delta rule.
pub struct Maps {
    /// `[key_heads * k_dim]`
    pub q: Linear,
    /// `[key_heads * k_dim]`
    pub k: Linear,
    /// `[heads * v_dim]`
    pub v: Linear,
    /// `[heads * v_dim]`
    pub gate: Linear,
    /// `[heads]`
    pub strength: Linear,
    /// `[heads]`
    pub decay: Linear,
}

/// The sizes of a gated delta rule.
#[derive(Clone, Copy)]
pub struct Sizes {
    /// Value heads.
    pub heads: usize,
    /// Query and key heads.
    pub key_heads: usize,
    /// Width of a query and of a key.
    pub k_dim: usize,
    /// Width of a value.
    pub v_dim: usize,
}

impl Sizes {
    /// The `linear_` keys.
    pub fn read(c: &Config) -> Result<Sizes> {
        let sizes = Sizes {
            heads: heads(c, "linear_num_value_heads", 32)?,
            key_heads: heads(c, "linear_num_key_heads", 16)?,
            k_dim: width(c, "linear_key_head_dim", 128)?,
            v_dim: width(c, "linear_value_head_dim", 128)?,
        };
        match sizes.heads % sizes.key_heads {
            0 => Ok(sizes),
            _ => {
                let wanted = format!("a divisor of {}", sizes.heads);
                Err(c.unsupported("linear_num_key_heads", wanted))
            }
        }
    }
}

/// The gated delta rule (arXiv:2412.06464) under `{prefix}.linear_attn`: one convolution over
/// queries, keys and values, decay by head, a silu gate after the norm of each head.
pub fn gated_delta(c: &Config, prefix: &str, sizes: Sizes, maps: Maps) -> Result<Recurrent> {
    let Sizes { heads, key_heads, k_dim, v_dim } = sizes;
    let name = |part: &str| format!("{prefix}.linear_attn.{part}");
    let taps = taps(c, "linear_conv_kernel_dim", 4)?;
    let (keys, values) = (key_heads * k_dim, heads * v_dim);
    let convolved = |map, start| convolved(map, taps, &name("conv1d"), start, 2 * keys + values);
    let out = Linear::new(&name("out_proj"), c.size("hidden_size")?, values);
    Ok(Recurrent {
        heads,
        key_heads,
        sharing: Sharing::Neighbours,
        k_dim,
        v_dim,
        q: convolved(maps.q, 0),
        k: convolved(maps.k, keys),
        v: convolved(maps.v, 2 * keys),
        unit_eps: Some(UNIT_EPS),
        turned: None,
        scale: (1.0 / (k_dim as f64).sqrt()) as f32,
        decay: Decay::Learned {
            map: Projection::Direct(maps.decay),
            bias: Tensor::new(name("dt_bias"), [heads]),
            log_rates: Tensor::new(name("A_log"), [heads]),
            form: DecayForm::SOFTPLUS,
        },
        write: Write::Delta(maps.strength),
        skip: None,
        norm: GatedNorm {
            norm: norm(c, &name("norm"), v_dim)?,
            gate: Projection::Direct(maps.gate),
            curve: Curve::Silu,
            order: GateOrder::NormFirst,
        },
        o: out,
    })
}
