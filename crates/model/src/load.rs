//! From a checkpoint to packed weights: each tensor is read, folded, converted and packed a few
//! rows at a time, so that memory never holds more than the result and a chunk per thread. With a
//! [`Store`], the result is a mapped file that later starts find.

mod bias;
mod kept;
mod latent;
mod recurrent;
mod supply;

pub use kept::Kept;
pub(crate) use supply::{ExpertsSeen, Observed};

use crate::decoder::{Block, Decoder, Layer, Shortcut, Sublayer};
use crate::ffn::dense::{Dense, Plain};
use crate::ffn::experts::{Experts, Shared};
use crate::ffn::{Ffn, Gating, curve};
use crate::linear::Linear;
use crate::lookup::Lookup;
use crate::mixer::Mixer;
use crate::mixer::blocks::Blocks;
use crate::mixer::reuse::Reuse;
use crate::mixer::softmax::{LowRank, QkNorm, Smoothing, Softmax};
use crate::ngrams::{Ngrams, Table};
use crate::norm::{Norm, NormKind};
use crate::residual::Residual;
use crate::rope::Rotations;
use baimo_blueprint as blueprint;
use baimo_blueprint::{Blueprint, RelativeBias, Tensor};
use baimo_kernels::Kernels;
use baimo_kernels::attention::Bias;
use baimo_weights::{Error, Role};
use std::sync::Arc;
use supply::Supply;

/// Told how many more numbers are loaded; all of a model are its parameters.
pub type Progress<'a> = &'a mut dyn FnMut(usize);

/// Loads tensor by tensor.
struct Loader<'a, 'p> {
    kernels: &'a Kernels,
    supply: Supply<'a>,
    progress: Progress<'p>,
    rotations: Rotations,
    /// What layers may share.
    biases: Vec<(RelativeBias, Arc<Bias>)>,
    experts: ExpertsSeen,
    observed: Vec<Observed>,
    /// The next state's number.
    state: usize,
    bytes: usize,
}

impl Loader<'_, '_> {
    /// Everything, in the order in which it is kept.
    fn decoder(mut self, blueprint: &Blueprint) -> Result<Decoder, Error> {
        let tied = blueprint.is_tied();
        let role = if tied { Role::Output } else { Role::Embedding };
        let embedding = self.matrix(&blueprint.embedding, role)?;
        let ngrams = match &blueprint.ngrams {
            None => None,
            Some(ngrams) => Some(self.ngrams(ngrams, blueprint.vocab)?),
        };
        let lookups = self.lookups(&blueprint.lookups)?;
        let layers: Result<_, _> = blueprint.layers.iter().map(|layer| self.layer(layer)).collect();
        let (layers, norm) = (layers?, self.scaled(&blueprint.norm, blueprint.logit_scale)?);
        let head = match tied {
            true => None,
            false => Some(self.linear_as(&blueprint.head, Role::Output)?),
        };
        self.supply.finish(blueprint)?;
        Ok(Decoder {
            blueprint: blueprint.clone(),
            embedding,
            ngrams,
            lookups,
            layers,
            norm,
            head,
            rotations: self.rotations,
            weight_bytes: self.bytes,
            kept: Kept::No,
            experts: self.experts,
            observed: self.observed,
        })
    }

    fn ngrams(&mut self, ngrams: &blueprint::Ngrams, vocab: usize) -> Result<Ngrams, Error> {
        let table = |table: &blueprint::NgramTable| {
            let map = self.linear(&table.map)?;
            let rows = self.matrix(&table.table, Role::Embedding)?;
            Ok(Table { length: table.length, table: rows, map })
        };
        let tables: Result<_, Error> = ngrams.tables.iter().map(table).collect();
        Ok(Ngrams { vocab, end: ngrams.end, tables: tables? })
    }

    fn lookups(&mut self, lookups: &[blueprint::Lookup]) -> Result<Vec<Lookup>, Error> {
        let table = |lookup: &blueprint::Lookup| {
            Ok(Lookup { table: self.matrix(&lookup.table, Role::Embedding)?, by: lookup.by })
        };
        lookups.iter().map(table).collect()
    }

    fn layer(&mut self, layer: &blueprint::Layer) -> Result<Layer, Error> {
        let sublayers = layer.sublayers.iter().map(|sublayer| {
            let residual = self.residual(&sublayer.residual)?;
            let block = match &sublayer.block {
                blueprint::Block::Mixer(mixer) => Block::Mixer(Box::new(self.mixer(mixer)?)),
                blueprint::Block::Ffn(ffn) => Block::Ffn(self.ffn(ffn)?),
                blueprint::Block::Shortcut(shortcut) => Block::Shortcut(Box::new(Shortcut {
                    ffn: self.ffn(&shortcut.ffn)?,
                    later: self.ffn(&shortcut.later)?,
                })),
            };
            Ok(Sublayer { residual, block })
        });
        Ok(Layer { sublayers: sublayers.collect::<Result<_, Error>>()? })
    }

    fn residual(&mut self, residual: &blueprint::Residual) -> Result<Residual, Error> {
        let blueprint::Residual { before, after, skip, skip_scale, scale, sum } = residual;
        Ok(Residual {
            before: before.as_ref().map(|norm| self.norm(norm)).transpose()?,
            after: after.as_ref().map(|norm| self.norm(norm)).transpose()?,
            skip: *skip,
            skip_scale: *skip_scale,
            scale: *scale,
            sum: sum.as_ref().map(|norm| self.norm(norm)).transpose()?,
        })
    }

    fn mixer(&mut self, mixer: &blueprint::Mixer) -> Result<Mixer, Error> {
        let state = self.state;
        self.state += mixer.states().len();
        match mixer {
            blueprint::Mixer::Softmax(shape) => Ok(Mixer::Softmax(Softmax {
                q: self.linear(&shape.q)?,
                q_low: match &shape.q_low {
                    None => None,
                    Some(low) => {
                        Some(LowRank { down: self.linear(&low.down)?, norm: self.norm(&low.norm)? })
                    }
                },
                k: self.linear(&shape.k)?,
                v: self.linear(&shape.v)?,
                o: self.linear(&shape.o)?,
                smoothing: match &shape.smoothing {
                    None => None,
                    Some(blueprint::Smoothing { taps, k, v }) => Some(Smoothing {
                        taps: *taps,
                        k: self.shared_taps(k, *taps, shape.qk_dim)?,
                        v: self.shared_taps(v, *taps, shape.v_dim)?,
                    }),
                },
                qk_norm: match &shape.qk_norm {
                    None => None,
                    Some(norm) => Some(QkNorm {
                        q: self.norm(&norm.q)?,
                        k: self.norm(&norm.k)?,
                        order: norm.order,
                    }),
                },
                gate: self.gate(&shape.gate, shape.heads)?,
                sinks: self.vector(&shape.sinks)?,
                bias: shape.bias.as_ref().map(|bias| self.bias(bias)).transpose()?,
                slopes: shape.alibi.map(|alibi| alibi.slopes(shape.heads)),
                rotation: shape.rope.as_ref().map(|rope| self.rotations.index(rope)),
                second_rotation: shape.second_rope.as_ref().map(|rope| self.rotations.index(rope)),
                blocks: shape.blocks.map(|shape| Blocks { shape, state }),
                // Rows are kept last, behind what is pooled of them or smoothes them.
                state: state + mixer.states().len() - 1,
                shape: shape.clone(),
            })),
            blueprint::Mixer::Reuse(shape) => Ok(Mixer::Reuse(Reuse {
                q: self.linear(&shape.q)?,
                o: self.linear(&shape.o)?,
                q_norm: shape.q_norm.as_ref().map(|norm| self.norm(norm)).transpose()?,
                rotation: shape.rope.as_ref().map(|rope| self.rotations.index(rope)),
                state: state.checked_sub(1).expect("a mixer before it keeps keys and values"),
                shape: shape.clone(),
            })),
            blueprint::Mixer::Latent(shape) => Ok(Mixer::Latent(self.latent(shape, state)?)),
            blueprint::Mixer::Recurrent(shape) => {
                Ok(Mixer::Recurrent(Box::new(self.recurrent(shape, state)?)))
            }
        }
    }

    /// From taps of each head to `[taps, heads * dim]`: all numbers of a head have the same.
    fn shared_taps(
        &mut self,
        by_head: &Tensor,
        taps: usize,
        dim: usize,
    ) -> Result<Vec<f32>, Error> {
        (self.progress)(by_head.elements());
        let by_head = self.floats(by_head)?;
        let of_tap = |tap: usize| {
            let heads = by_head.chunks_exact(taps);
            heads.flat_map(move |head| std::iter::repeat_n(head[tap], dim))
        };
        Ok((0..taps).flat_map(of_tap).collect())
    }

    fn ffn(&mut self, ffn: &blueprint::Ffn) -> Result<Ffn, Error> {
        match ffn {
            blueprint::Ffn::Dense(dense) => Ok(Ffn::Dense(self.dense(dense)?)),
            blueprint::Ffn::Plain(plain) => Ok(Ffn::Plain(Plain {
                activation: curve(plain.activation),
                up: self.linear(&plain.up)?,
                down: self.linear(&plain.down)?,
            })),
            blueprint::Ffn::Experts(experts) => Ok(Ffn::Experts(Experts {
                active: experts.active,
                gating: Gating { activation: experts.activation, clamp: experts.clamp },
                router: experts.router.clone(),
                inner: match &experts.router.inner {
                    None => None,
                    Some(inner) => Some(self.linear_as(inner, Role::Router)?),
                },
                logits: self.linear_as(&experts.router.logits, Role::Router)?,
                bias: self.vector(&experts.router.bias)?,
                factors: self.vector(&experts.factors)?,
                gate: self.experts(&experts.gate)?,
                up: self.experts(&experts.up)?,
                down: self.experts(&experts.down)?,
                within: self.within(experts.gate.shape[0]),
                shared: match &experts.shared {
                    None => None,
                    Some(shared) => Some(Shared {
                        dense: self.dense(&shared.dense)?,
                        gate: match &shared.gate {
                            None => None,
                            Some(gate) => Some(self.linear_as(gate, Role::Router)?),
                        },
                    }),
                },
            })),
        }
    }

    fn dense(&mut self, dense: &blueprint::Dense) -> Result<Dense, Error> {
        Ok(Dense {
            gating: Gating { activation: dense.activation, clamp: dense.clamp },
            gate: self.linear(&dense.gate)?,
            up: self.linear(&dense.up)?,
            down: self.linear(&dense.down)?,
        })
    }

    fn linear(&mut self, map: &blueprint::Linear) -> Result<Linear, Error> {
        self.linear_as(map, Role::Linear)
    }

    fn gate(
        &mut self,
        gate: &Option<blueprint::Linear>,
        heads: usize,
    ) -> Result<Option<Linear>, Error> {
        gate.as_ref().map(|gate| self.by_head(gate, heads)).transpose()
    }

    /// A map from the residual stream to one number for each of `heads`, or to more.
    fn by_head(&mut self, map: &blueprint::Linear, heads: usize) -> Result<Linear, Error> {
        let role = if map.outputs() == heads { Role::Router } else { Role::Linear };
        self.linear_as(map, role)
    }

    fn linear_as(&mut self, map: &blueprint::Linear, role: Role) -> Result<Linear, Error> {
        Ok(Linear { weight: self.matrix(&map.weight, role)?, bias: self.vector(&map.bias)? })
    }

    fn norm(&mut self, norm: &blueprint::Norm) -> Result<Norm, Error> {
        let scaled = |numbers: Option<Vec<f32>>| match norm.scale {
            1.0 => numbers,
            scale => numbers.map(|numbers| numbers.iter().map(|x| x * scale).collect()),
        };
        let weight = product(self.vector(&norm.weight)?, self.vector(&norm.times)?);
        let ones = || (norm.scale != 1.0).then(|| vec![1.0; norm.width]);
        Ok(Norm {
            width: norm.width,
            kind: match &norm.kind {
                blueprint::NormKind::Rms => NormKind::Rms,
                blueprint::NormKind::Layer { bias } => {
                    NormKind::Layer { bias: scaled(self.vector(bias)?) }
                }
            },
            weight: scaled(weight.or_else(ones)),
            eps: norm.eps,
        })
    }

    /// A norm whose result is multiplied by `scale`.
    fn scaled(&mut self, norm: &blueprint::Norm, scale: f32) -> Result<Norm, Error> {
        self.norm(&blueprint::Norm { scale: norm.scale * scale, ..norm.clone() })
    }

    fn vector(&mut self, tensor: &Option<Tensor>) -> Result<Option<Vec<f32>>, Error> {
        let Some(tensor) = tensor else { return Ok(None) };
        (self.progress)(tensor.elements());
        self.floats(tensor).map(Some)
    }
}

/// Number by number, where there are both.
fn product(numbers: Option<Vec<f32>>, factors: Option<Vec<f32>>) -> Option<Vec<f32>> {
    match (numbers, factors) {
        (Some(x), Some(y)) => Some(x.iter().zip(&y).map(|(x, y)| x * y).collect()),
        (one, other) => one.or(other),
    }
}
