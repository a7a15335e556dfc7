//! Blocks that mix positions.

use crate::layer::linears;
use crate::{Blocks, Choice, Convolution, Linear, Norm, Recurrent, Rope, State, Tensor};

/// A block that mixes positions.
#[derive(Clone, Debug, PartialEq)]
pub enum Mixer {
    /// Softmax attention over cached keys and values.
    Softmax(Softmax),
    /// Softmax attention over keys and values that an earlier layer cached.
    Reuse(Reuse),
    /// Multi-head latent attention: keys and values are unfolded from one small latent.
    Latent(Latent),
    /// One matrix per head for the whole past.
    Recurrent(Box<Recurrent>),
}

/// Softmax attention, `heads / kv_heads` query heads to each key head.
#[derive(Clone, Debug, PartialEq)]
pub struct Softmax {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a query and of a key.
    pub qk_dim: usize,
    /// Width of a value.
    pub v_dim: usize,
    /// Multiplies `q · k` before the softmax.
    pub scale: f32,
    /// How many keys a query sees, its own position among them; all where absent.
    pub window: Option<usize>,
    /// `[heads]`: for each query head a score that takes its share of the softmax and adds no value
    /// (arXiv:2309.17453, learned).
    pub sinks: Option<Tensor>,
    /// Multiplies values, 1 in most models.
    pub v_scale: f32,
    /// Rotation of the first numbers of each query and key.
    pub rope: Option<Rope>,
    /// Rotation of the numbers after those of `rope`.
    pub second_rope: Option<Rope>,
    /// Scores fall with the distance of the key, at a rate of each head's own.
    pub alibi: Option<Alibi>,
    /// Learned numbers are added to scores by the distance of the key.
    pub bias: Option<RelativeBias>,
    /// A query that sees `n` positions, more than these, is multiplied by `ln(n) / ln(these)`.
    pub log_beyond: Option<usize>,
    /// `[heads * qk_dim, hidden]`, or from the rank of `q_low`.
    pub q: Linear,
    /// A low rank that queries pass on their way to `q`.
    pub q_low: Option<LowRank>,
    /// `[kv_heads * qk_dim, hidden]`.
    pub k: Linear,
    /// `[kv_heads * v_dim, hidden]`.
    pub v: Linear,
    /// `[hidden, heads * v_dim]`.
    pub o: Linear,
    /// Keys and values are blended with those of the positions before.
    pub smoothing: Option<Smoothing>,
    /// On queries and keys.
    pub qk_norm: Option<QkNorm>,
    /// `[heads, hidden]` or `[heads * v_dim, hidden]`: what the heads give is multiplied by
    /// `sigmoid(gate(x))` on its way to `o`, a number for each head or for each of its numbers.
    pub gate: Option<Linear>,
    /// Which blocks of positions a row meets; all before it where absent.
    pub blocks: Option<Blocks>,
}

/// A map to a low rank with a norm on it.
#[derive(Clone, Debug, PartialEq)]
pub struct LowRank {
    /// `[rank, hidden]`.
    pub down: Linear,
    /// On the rank.
    pub norm: Norm,
}

/// Linear biases (arXiv:2108.12409): a score falls by the head's slope with each position of
/// distance. The slopes of `n` heads, a power of two, are `2^(-max i / n)` for `i` from 1 to `n`;
/// other numbers of heads go on with every other slope of the next power of two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alibi {
    /// The steepest exponent: 8 in the paper.
    pub max: f32,
}

impl Alibi {
    /// The slope of each head.
    pub fn slopes(&self, heads: usize) -> Vec<f32> {
        let whole = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
        let of =
            |count: usize, step: usize| (f64::from(-self.max) * step as f64 / count as f64).exp2();
        let rest = (0..heads - whole).map(|index| of(2 * whole, 2 * index + 1));
        (1..=whole).map(|step| of(whole, step)).chain(rest).map(|slope| slope as f32).collect()
    }
}

/// Learned numbers that are added to scores (arXiv:1910.10683, section 2.1): by the distance of the
/// key where it is in the row's own segment, else by the relation of the two segments.
///
/// Half the classes of distance are of keys at or before the row, half of keys behind it. The first
/// half of each have one distance each, the others grow by a constant factor up to `distance_max`,
/// and the last also holds all that is farther.
#[derive(Clone, Debug, PartialEq)]
pub struct RelativeBias {
    /// `[buckets + relations, heads]`; layers may share it.
    pub table: Tensor,
    /// Classes of distance.
    pub buckets: usize,
    /// The distance from which on all are of the last class.
    pub distance_max: usize,
}

impl RelativeBias {
    /// The class of a distance from the row to the key, positive where the key is behind; in f32,
    /// as in the reference.
    pub fn bucket(&self, distance: isize) -> usize {
        let (half, size) = (self.buckets / 2, distance.unsigned_abs());
        let exact = half / 2;
        let class = if size < exact {
            size
        } else {
            let growth = (size as f32 / exact as f32).ln();
            let whole = (self.distance_max as f64 / exact as f64).ln() as f32;
            (exact + (growth / whole * (half - exact) as f32) as usize).min(half - 1)
        };
        class + if distance > 0 { half } else { 0 }
    }
}

/// A short convolution over positions that all numbers of a head share, before norms and rotation:
/// each key and each value becomes a weighted sum of the last `taps`.
#[derive(Clone, Debug, PartialEq)]
pub struct Smoothing {
    /// How many positions are blended, the own among them.
    pub taps: usize,
    /// `kv_heads × taps` weights of keys, the oldest position first.
    pub k: Tensor,
    /// The same of values.
    pub v: Tensor,
}

/// Norms of queries and keys. One as wide as a head norms each head alone, one as wide as all heads
/// norms them as one row.
#[derive(Clone, Debug, PartialEq)]
pub struct QkNorm {
    /// On queries.
    pub q: Norm,
    /// On keys.
    pub k: Norm,
    /// Norm or rotation first.
    pub order: NormOrder,
}

/// Where queries and keys are normed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormOrder {
    /// Then rotated.
    BeforeRope,
    /// Rotated already.
    AfterRope,
}

/// Softmax attention over the keys and values of the nearest earlier [`Softmax`] mixer, without any
/// of its own (cross-layer attention, arXiv:2405.12981).
#[derive(Clone, Debug, PartialEq)]
pub struct Reuse {
    /// Query heads.
    pub heads: usize,
    /// Width of a query and of a key.
    pub qk_dim: usize,
    /// Width of a value.
    pub v_dim: usize,
    /// Multiplies `q · k` before the softmax.
    pub scale: f32,
    /// Rotation of the first numbers of each query.
    pub rope: Option<Rope>,
    /// `[heads * qk_dim, hidden]`.
    pub q: Linear,
    /// `[hidden, heads * v_dim]`.
    pub o: Linear,
    /// On each query head, after the rotation.
    pub q_norm: Option<Norm>,
}

/// Multi-head latent attention (arXiv:2405.04434, section 2.1), run in its absorbed form: the cache
/// holds `[latent | rotated key]` and every query head meets the latent itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Latent {
    /// Query heads.
    pub heads: usize,
    /// Width of the unrotated part of a query and key.
    pub nope_dim: usize,
    /// Width of the rotated part, whose key all heads share.
    pub rope_dim: usize,
    /// Width of a value.
    pub v_dim: usize,
    /// Width of the latent that keys and values are unfolded from.
    pub rank: usize,
    /// Multiplies `q · k` before the softmax.
    pub scale: f32,
    /// Rotation of the last `rope_dim` numbers of a query and of the shared key.
    pub rope: Option<Rope>,
    /// `[heads * (nope_dim + rope_dim)]` from the residual stream.
    pub query: Query,
    /// `[rank + rope_dim, hidden]`: the latent, then the shared rotated key.
    pub kv_down: Linear,
    /// On the latent.
    pub kv_norm: Norm,
    /// Multiplies the normed latent, 1 in most models: folded into the norm. (A factor of the
    /// query is one of `scale`.)
    pub kv_scale: f32,
    /// `[heads, rank, nope_dim]`: takes a head's unrotated query to the latent's space.
    pub k_up: Tensor,
    /// `[heads, v_dim, rank]`: takes a head's mixed latent to its value.
    pub v_up: Tensor,
    /// `[hidden, heads * v_dim]`.
    pub o: Linear,
    /// On the shared key, before its rotation.
    pub rope_norm: Option<Norm>,
    /// `[heads, hidden]` or `[heads * v_dim, hidden]`, as in [`Softmax::gate`].
    pub gate: Option<Linear>,
    /// How many keys a query sees, its own position among them; all where absent.
    pub window: Option<usize>,
    /// Which positions a row meets; all before it where absent.
    pub choice: Option<Choice>,
}

/// How latent attention makes its queries.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// One map.
    Direct(Linear),
    /// Down to a small rank, a norm, and up again.
    LowRank {
        /// `[rank, hidden]`.
        down: Linear,
        /// On the rank.
        norm: Norm,
        /// `[heads * (nope_dim + rope_dim), rank]`.
        up: Linear,
    },
}

impl Mixer {
    /// What it keeps between steps; nothing where it reads what another keeps.
    pub fn states(&self) -> Vec<State> {
        match self {
            Mixer::Softmax(mixer) => {
                let each = mixer.kv_heads * (mixer.qk_dim + mixer.v_dim);
                let kept = |smoothing: &Smoothing| (smoothing.taps - 1) * each;
                let fixed = mixer.smoothing.as_ref().map(|smoothing| State::Fixed {
                    inputs: kept(smoothing),
                    heads: 0,
                    k_dim: 0,
                    v_dim: 0,
                });
                let pooled = mixer.blocks.map(|blocks| State::Pooled {
                    heads: mixer.kv_heads,
                    dim: mixer.qk_dim,
                    run: blocks.run,
                    stride: blocks.stride,
                });
                let rows = State::Rows {
                    heads: mixer.kv_heads,
                    k_dim: mixer.qk_dim,
                    v_dim: mixer.v_dim,
                    window: mixer.window,
                };
                pooled.into_iter().chain(fixed).chain([rows]).collect()
            }
            Mixer::Reuse(_) => vec![],
            Mixer::Latent(mixer) => {
                let rows = State::LatentRows { rank: mixer.rank, rope_dim: mixer.rope_dim };
                match &mixer.choice {
                    Some(Choice::Indexed(indexer)) => vec![rows, State::Keys { dim: indexer.dim }],
                    Some(Choice::Shared) | None => vec![rows],
                }
            }
            Mixer::Recurrent(mixer) => {
                let streams = mixer.streams().into_iter();
                let kept = streams.flat_map(|stream| &stream.convolution).map(Convolution::kept);
                vec![State::Fixed {
                    inputs: kept.sum(),
                    heads: mixer.heads,
                    k_dim: mixer.k_dim,
                    v_dim: mixer.v_dim,
                }]
            }
        }
    }

    /// Whether its rows can see those behind them, as those of a [`crate::Prefix`] do.
    pub fn looks_both_ways(&self) -> bool {
        match self {
            Mixer::Softmax(mixer) => mixer.blocks.is_none() && mixer.log_beyond.is_none(),
            Mixer::Reuse(_) => true,
            Mixer::Latent(mixer) => mixer.choice.is_none(),
            Mixer::Recurrent(_) => false,
        }
    }

    /// Its rotations.
    pub fn ropes(&self) -> Vec<&Rope> {
        match self {
            Mixer::Softmax(mixer) => mixer.rope.iter().chain(&mixer.second_rope).collect(),
            Mixer::Reuse(mixer) => mixer.rope.iter().collect(),
            Mixer::Recurrent(mixer) => mixer.turned.iter().map(|turned| &turned.rope).collect(),
            Mixer::Latent(mixer) => {
                let indexer = match &mixer.choice {
                    Some(Choice::Indexed(indexer)) => indexer.rope.as_ref(),
                    Some(Choice::Shared) | None => None,
                };
                mixer.rope.iter().chain(indexer).collect()
            }
        }
    }

    pub(crate) fn tensors<'a>(&'a self, all: &mut Vec<&'a Tensor>) {
        match self {
            Mixer::Softmax(mixer) => {
                linears(&[&mixer.q, &mixer.k, &mixer.v, &mixer.o], all);
                if let Some(Smoothing { taps: _, k, v }) = &mixer.smoothing {
                    all.extend([k, v]);
                }
                if let Some(LowRank { down, norm }) = &mixer.q_low {
                    down.tensors(all);
                    norm.tensors(all);
                }
                if let Some(norm) = &mixer.qk_norm {
                    norm.q.tensors(all);
                    norm.k.tensors(all);
                }
                mixer.gate.iter().for_each(|gate| gate.tensors(all));
                all.extend(&mixer.sinks);
                if let Some(bias) = &mixer.bias
                    && !all.contains(&&bias.table)
                {
                    all.push(&bias.table);
                }
            }
            Mixer::Reuse(mixer) => {
                linears(&[&mixer.q, &mixer.o], all);
                mixer.q_norm.iter().for_each(|norm| norm.tensors(all));
            }
            Mixer::Latent(mixer) => {
                match &mixer.query {
                    Query::Direct(map) => map.tensors(all),
                    Query::LowRank { down, norm, up } => {
                        linears(&[down, up], all);
                        norm.tensors(all);
                    }
                }
                linears(&[&mixer.kv_down, &mixer.o], all);
                mixer.kv_norm.tensors(all);
                all.extend([&mixer.k_up, &mixer.v_up]);
                mixer.rope_norm.iter().for_each(|norm| norm.tensors(all));
                mixer.gate.iter().for_each(|gate| gate.tensors(all));
                mixer.choice.iter().for_each(|choice| choice.tensors(all));
            }
            Mixer::Recurrent(mixer) => mixer.tensors(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_fall_into_the_classes_of_the_reference() {
        // What transformers gives for such tables, summed over distances to 4000.
        let sums =
            [(512, 2048, 924_127), (256, 2048, 470_301), (32, 128, 59_680), (16, 20, 27_961)];
        for (buckets, distance_max, wanted) in sums {
            let table = Tensor::new("bias", [buckets, 1]);
            let bias = RelativeBias { table, buckets, distance_max };
            let sum: usize = (0..4000).map(|far| bias.bucket(-far)).sum();
            assert_eq!(sum, wanted, "{buckets} classes up to {distance_max}");
            assert!((1..4000).all(|far| bias.bucket(far) == bias.bucket(-far) + buckets / 2));
        }
    }
}
