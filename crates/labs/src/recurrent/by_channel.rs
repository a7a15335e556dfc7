//! The delta rule with a decay for each channel.

use super::{UNIT_EPS, convolved};
use crate::Config;
use crate::common::norm;
use crate::error::Result;
use baimo_blueprint::{
    Curve, Decay, DecayForm, GateOrder, GatedNorm, Linear, Projection, Recurrent, Sharing, Tensor,
    Write,
};

/// What tells one gated delta rule with a decay per channel from another.
pub struct ByChannel {
    /// Heads of queries, keys and values.
    pub heads: usize,
    /// Their width.
    pub dim: usize,
    /// Of each convolution.
    pub taps: usize,
    /// To a number for each key channel.
    pub decay: Projection,
    /// From these to factors.
    pub form: DecayForm,
    /// `[heads * dim]`, behind a sigmoid.
    pub gate: Projection,
    /// `[hidden, heads * dim]`
    pub o: Linear,
}

/// The delta rule with a decay per channel (arXiv:2510.26692): `{name}.q_proj`, `.q_conv1d` and so
/// on, a sigmoid gate after the norm of each head.
pub fn by_channel(c: &Config, name: &str, parts: ByChannel) -> Result<Recurrent> {
    let ByChannel { heads, dim, taps, decay, form, gate, o } = parts;
    let (hidden, width) = (c.size("hidden_size")?, heads * dim);
    let stream = |x: &str| {
        let map = Linear::new(&format!("{name}.{x}_proj"), width, hidden);
        convolved(map, taps, &format!("{name}.{x}_conv1d"), 0, width)
    };
    Ok(Recurrent {
        heads,
        key_heads: heads,
        sharing: Sharing::Neighbours,
        k_dim: dim,
        v_dim: dim,
        q: stream("q"),
        k: stream("k"),
        v: stream("v"),
        unit_eps: Some(UNIT_EPS),
        turned: None,
        scale: (1.0 / (dim as f64).sqrt()) as f32,
        decay: Decay::Learned {
            map: decay,
            bias: Tensor::new(format!("{name}.dt_bias"), [width]),
            log_rates: Tensor::new(format!("{name}.A_log"), [heads]),
            form,
        },
        write: Write::Delta(Linear::new(&format!("{name}.b_proj"), heads, hidden)),
        skip: None,
        norm: GatedNorm {
            norm: norm(c, &format!("{name}.o_norm"), dim)?,
            gate,
            curve: Curve::Sigmoid,
            order: GateOrder::NormFirst,
        },
        o,
    })
}
