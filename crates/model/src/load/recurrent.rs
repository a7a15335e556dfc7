//! Recurrent mixers from a checkpoint.

use super::Loader;
use crate::mixer::recurrent::{Decay, GatedNorm, Projection, Recurrent, Stream, Taps, Turned};
use crate::norm::{Norm, NormKind};
use baimo_blueprint as blueprint;
use baimo_blueprint::{Curve, Write};
use baimo_kernels::activation::Activation;
use baimo_weights::Error;

impl Loader<'_, '_> {
    pub(super) fn recurrent(
        &mut self,
        shape: &blueprint::Recurrent,
        state: usize,
    ) -> Result<Recurrent, Error> {
        Ok(Recurrent {
            q: self.stream(&shape.q)?,
            k: self.stream(&shape.k)?,
            v: self.stream(&shape.v)?,
            // x / sqrt(sum + eps) = (x / sqrt(mean + eps / dim)) / sqrt(dim)
            unit: shape.unit_eps.map(|eps| Norm {
                width: shape.k_dim,
                kind: NormKind::Rms,
                weight: Some(vec![1.0 / (shape.k_dim as f32).sqrt(); shape.k_dim]),
                eps: eps / shape.k_dim as f32,
            }),
            turned: match &shape.turned {
                None => None,
                Some(turned) => Some(Turned {
                    q_norm: turned.q_norm.as_ref().map(|norm| self.norm(norm)).transpose()?,
                    k_norm: turned.k_norm.as_ref().map(|norm| self.norm(norm)).transpose()?,
                    rotation: self.rotations.index(&turned.rope),
                    rope: turned.rope.clone(),
                }),
            },
            decay: self.decay(shape)?,
            delta: match &shape.write {
                Write::Value | Write::Step => None,
                Write::Delta(map) => Some(self.by_head(map, shape.heads)?),
            },
            skip: self.vector(&shape.skip)?,
            norm: GatedNorm {
                norm: self.norm(&shape.norm.norm)?,
                gate: self.projection(&shape.norm.gate, shape.heads)?,
                activation: activation(shape.norm.curve),
                order: shape.norm.order,
            },
            o: self.linear(&shape.o)?,
            state,
            shape: shape.clone(),
        })
    }

    fn stream(&mut self, stream: &blueprint::Stream) -> Result<Stream, Error> {
        let convolution = match &stream.convolution {
            None => None,
            Some(blueprint::Convolution { taps, weight, bias }) => {
                (self.progress)(weight.elements());
                let by_channel = self.floats(weight)?;
                let channels = by_channel.len() / taps;
                let by_tap = (0..*taps)
                    .flat_map(|tap| (0..channels).map(move |channel| channel * taps + tap));
                let weight = by_tap.map(|index| by_channel[index]).collect();
                Some(Taps { taps: *taps, weight, bias: self.vector(bias)? })
            }
        };
        let map = self.linear(&stream.map)?;
        Ok(Stream { map, convolution, activation: activation(stream.curve) })
    }

    fn decay(&mut self, shape: &blueprint::Recurrent) -> Result<Decay, Error> {
        let (map, bias, log_rates, form) = match &shape.decay {
            blueprint::Decay::Fixed(factors) => return Ok(Decay::Fixed(factors.clone())),
            blueprint::Decay::Learned { map, bias, log_rates, form } => {
                (map, bias, log_rates, form)
            }
        };
        (self.progress)(bias.elements() + log_rates.elements());
        let each = map.outputs() / shape.heads;
        let of_heads = self.floats(log_rates)?;
        let rates = of_heads.iter().flat_map(|log_rate| std::iter::repeat_n(log_rate.exp(), each));
        Ok(Decay::Learned {
            map: self.projection(map, shape.heads)?,
            bias: self.floats(bias)?,
            rates: rates.collect(),
            form: *form,
        })
    }

    fn projection(
        &mut self,
        map: &blueprint::Projection,
        heads: usize,
    ) -> Result<Projection, Error> {
        Ok(match map {
            blueprint::Projection::Direct(map) => Projection::Direct(self.by_head(map, heads)?),
            blueprint::Projection::LowRank { down, up } => {
                Projection::LowRank { down: self.linear(down)?, up: self.linear(up)? }
            }
        })
    }
}

fn activation(curve: Curve) -> Activation {
    match curve {
        Curve::Identity => Activation::Identity,
        Curve::Silu => Activation::Silu,
        Curve::Sigmoid => Activation::Sigmoid,
    }
}
