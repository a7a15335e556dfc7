//! A layer: sublayers in order, each a block inside a residual.

use crate::{Ffn, Linear, Mixer, State, Tensor};

/// One decoder layer: its sublayers, first to last. Most have two, a mixer and an FFN.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Run one after another.
    pub sublayers: Vec<Sublayer>,
}

/// A block and the way its output joins the residual stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Sublayer {
    /// How input and output meet.
    pub residual: Residual,
    /// What is computed.
    pub block: Block,
}

/// How a block's output joins the residual stream `x`.
#[derive(Clone, Debug, PartialEq)]
pub enum Residual {
    /// `x + block(norm(x))`.
    PreNorm {
        /// Before the block.
        norm: Norm,
    },
    /// `x + after(block(before(x)))`: sandwich norms.
    Sandwich {
        /// Before the block.
        before: Norm,
        /// On the block's output.
        after: Norm,
    },
}

/// What a sublayer computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Mixes positions.
    Mixer(Mixer),
    /// Transforms each position alone.
    Ffn(Ffn),
}

/// Root-mean-square norm: `weight * x / sqrt(mean(x²) + eps)` (arXiv:1910.07467), in f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    /// `[width]`.
    pub weight: Tensor,
    /// Added to the mean square.
    pub eps: f32,
}

impl Layer {
    /// The usual layer: a mixer, then an FFN, each after a norm.
    pub fn pre_norm(mixer_norm: Norm, mixer: Mixer, ffn_norm: Norm, ffn: Ffn) -> Layer {
        Layer {
            sublayers: vec![
                Sublayer {
                    residual: Residual::PreNorm { norm: mixer_norm },
                    block: Block::Mixer(mixer),
                },
                Sublayer { residual: Residual::PreNorm { norm: ffn_norm }, block: Block::Ffn(ffn) },
            ],
        }
    }

    /// What its mixers keep between steps, first to last.
    pub fn states(&self) -> Vec<State> {
        self.mixers().map(Mixer::state).collect()
    }

    /// Its mixers, first to last.
    pub fn mixers(&self) -> impl Iterator<Item = &Mixer> {
        self.sublayers.iter().filter_map(|sublayer| match &sublayer.block {
            Block::Mixer(mixer) => Some(mixer),
            Block::Ffn(_) => None,
        })
    }

    /// Its mixers, to be changed.
    pub fn mixers_mut(&mut self) -> impl Iterator<Item = &mut Mixer> {
        self.sublayers.iter_mut().filter_map(|sublayer| match &mut sublayer.block {
            Block::Mixer(mixer) => Some(mixer),
            Block::Ffn(_) => None,
        })
    }

    /// Its FFNs, first to last.
    pub fn ffns(&self) -> impl Iterator<Item = &Ffn> {
        self.sublayers.iter().filter_map(|sublayer| match &sublayer.block {
            Block::Mixer(_) => None,
            Block::Ffn(ffn) => Some(ffn),
        })
    }

    pub(crate) fn tensors<'a>(&'a self, all: &mut Vec<&'a Tensor>) {
        for sublayer in &self.sublayers {
            match &sublayer.residual {
                Residual::PreNorm { norm } => norm.tensors(all),
                Residual::Sandwich { before, after } => {
                    before.tensors(all);
                    after.tensors(all);
                }
            }
            match &sublayer.block {
                Block::Mixer(mixer) => mixer.tensors(all),
                Block::Ffn(ffn) => ffn.tensors(all),
            }
        }
    }
}

impl Norm {
    /// The norm whose weight is `{name}.weight`.
    pub fn new(name: &str, width: usize, eps: f32) -> Norm {
        Norm { weight: Tensor::new(format!("{name}.weight"), [width]), eps }
    }

    pub(crate) fn tensors<'a>(&'a self, all: &mut Vec<&'a Tensor>) {
        all.push(&self.weight);
    }
}

/// All the tensors of some linear maps.
pub(crate) fn linears<'a>(maps: &[&'a Linear], all: &mut Vec<&'a Tensor>) {
    maps.iter().for_each(|map| map.tensors(all));
}
