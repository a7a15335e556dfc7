//! State spaces.

use super::convolved;
use crate::Config;
use crate::error::Result;
use baimo_blueprint::{
    Curve, Decay, DecayForm, Fold, GateOrder, GatedNorm, Linear, Norm, Projection, Recurrent,
    Sharing, Tensor, Write,
};

/// The sizes of a state space.
pub struct StateSpace {
    /// Heads of values.
    pub heads: usize,
    /// Width of a value.
    pub dim: usize,
    /// Groups of heads that share queries and keys, and a norm.
    pub groups: usize,
    /// Width of a query and of a key.
    pub state: usize,
    /// Of the convolution.
    pub taps: usize,
    /// Whether the maps into and out of it have biases.
    pub biased: bool,
    /// Whether the convolution has one.
    pub taps_biased: bool,
    /// Of its norm.
    pub eps: f32,
}

/// A state space in its dual form (arXiv:2405.21060): `{name}.in_proj` holds the gate, values,
/// keys, queries and steps one below the other; a silu gate, then a norm of each group.
pub fn state_space(c: &Config, name: &str, parts: &StateSpace) -> Result<Recurrent> {
    let StateSpace { heads, dim, groups, state, taps, biased, taps_biased, eps } = *parts;
    let (hidden, values, keys) = (c.size("hidden_size")?, heads * dim, groups * state);
    let named = |part: &str| format!("{name}.{part}");
    let of = 2 * values + 2 * keys + heads;
    let map = |start, rows| {
        let fold = Fold::Rows { start, of };
        let map = Linear::new(&named("in_proj"), rows, hidden).biased(&named("in_proj"), biased);
        Linear { weight: map.weight.folded(fold), bias: map.bias.map(|bias| bias.folded(fold)) }
    };
    let stream = |start, rows| {
        let channels = values + 2 * keys;
        let mut stream =
            convolved(map(values + start, rows), taps, &named("conv1d"), start, channels);
        if let Some(convolution) = stream.convolution.as_mut().filter(|_| taps_biased) {
            let bias = Tensor::new(named("conv1d.bias"), [rows]);
            convolution.bias = Some(bias.folded(Fold::Rows { start, of: channels }));
        }
        stream
    };
    let norm = Norm::new(&named("norm"), values / groups, eps);
    let (least, most) = step_limits(c)?;
    Ok(Recurrent {
        heads,
        key_heads: groups,
        sharing: Sharing::Neighbours,
        k_dim: state,
        v_dim: dim,
        q: stream(values + keys, keys),
        k: stream(values, keys),
        v: stream(0, values),
        unit_eps: None,
        turned: None,
        scale: 1.0,
        decay: Decay::Learned {
            map: Projection::Direct(map(2 * values + 2 * keys, heads)),
            bias: Tensor::new(named("dt_bias"), [heads]),
            log_rates: Tensor::new(named("A_log"), [heads]),
            form: DecayForm::Softplus { least, most },
        },
        write: Write::Step,
        skip: Some(Tensor::new(named("D"), [heads])),
        norm: GatedNorm {
            norm: Norm { weight: Some(Tensor::new(named("norm.weight"), [values])), ..norm },
            gate: Projection::Direct(map(0, values)),
            curve: Curve::Silu,
            order: GateOrder::GateFirst,
        },
        o: Linear::new(&named("out_proj"), hidden, values).biased(&named("out_proj"), biased),
    })
}

/// `time_step_limit`: two numbers, the second may be `Infinity`.
fn step_limits(c: &Config) -> Result<(f32, f32)> {
    let key = "time_step_limit";
    match c.floats(key)?[..] {
        [] => Ok((0.0, f32::INFINITY)),
        [least, most] if (0.0..=most).contains(&least) => Ok((least as f32, most as f32)),
        _ => Err(c.unsupported(key, "two numbers, the first not below zero or above the second")),
    }
}
