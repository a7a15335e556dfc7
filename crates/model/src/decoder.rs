//! The decoder: embedding, layers, norm, head.

use crate::batch::{Batch, Logits};
use crate::caches::Caches;
use crate::ffn::Ffn;
use crate::ffn::expert_cache::{Counts, ExpertCache};
use crate::ffn::experts::{Ahead, Experts, Following};
use crate::linear::Linear;
use crate::load::{ExpertsSeen, Kept, Observed};
use crate::lookup::Lookup;
use crate::mixer::Mixer;
use crate::ngrams::Ngrams;
use crate::norm::Norm;
use crate::residual::Residual;
use crate::rope::{Angles, Rotations};
use baimo_blueprint::{Blueprint, RopeStyle};
use baimo_kernels::activation::add_scaled;
use baimo_kernels::attention::Choice;
use baimo_kernels::matmul::Matrix;
use baimo_kernels::{Floats, HeadLayout, Kernels, rope};
use std::cell::RefCell;

/// A Blueprint with its weights, packed for this machine.
pub struct Decoder {
    pub(crate) blueprint: Blueprint,
    pub(crate) embedding: Matrix,
    pub(crate) ngrams: Option<Ngrams>,
    pub(crate) lookups: Vec<Lookup>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm: Norm,
    /// `None` where the head is the embedding.
    pub(crate) head: Option<Linear>,
    pub(crate) rotations: Rotations,
    pub(crate) weight_bytes: usize,
    pub(crate) kept: Kept,
    pub(crate) experts: ExpertsSeen,
    /// Every matrix, where products are observed; else none.
    pub(crate) observed: Vec<Observed>,
}

/// Rows of which the next layer's experts are guessed: more choose nearly all of them.
const ROWS_AHEAD: usize = 8;

/// A layer with its weights.
pub(crate) struct Layer {
    pub sublayers: Vec<Sublayer>,
}

/// A block with its weights inside its residual.
pub(crate) struct Sublayer {
    pub residual: Residual,
    pub block: Block,
}

/// What a sublayer computes.
pub(crate) enum Block {
    Mixer(Box<Mixer>),
    Ffn(Ffn),
    Shortcut(Box<Shortcut>),
}

/// Two FFNs of the same input; see [`baimo_blueprint::Shortcut`].
pub(crate) struct Shortcut {
    pub ffn: Ffn,
    pub later: Ffn,
}

/// What all blocks of one forward pass share.
pub(crate) struct Pass<'a> {
    pub kernels: &'a Kernels,
    pub batch: &'a Batch,
    /// Of each rotation.
    pub angles: Vec<Angles>,
    /// Which positions the rows of the last layer with an indexer chose.
    pub choice: RefCell<Option<Choice>>,
}

impl Pass<'_> {
    /// Rows of the batch.
    pub fn rows(&self) -> usize {
        self.batch.tokens.len()
    }

    /// Rotates the slices that `layout` names by the angles of each row's position.
    pub fn rotate(&self, x: &mut [f32], layout: HeadLayout, rotation: usize, style: RopeStyle) {
        let style = match style {
            RopeStyle::Half => rope::RopeStyle::Half,
            RopeStyle::Interleaved => rope::RopeStyle::Interleaved,
        };
        let Angles { cos, sin } = &self.angles[rotation];
        rope::rope(self.kernels, x, layout, cos, sin, style);
    }
}

impl Decoder {
    /// What it was built from.
    pub fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }

    /// Bytes of all packed weights.
    pub fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }

    /// Whether packed weights are kept for the next start.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Whether all passes so far had their weights; told once. Experts of a model larger than its
    /// memory budget are read while it runs, and a disk may fail.
    ///
    /// # Errors
    /// Says what could not be read: then the logits since the last question mean nothing.
    pub fn check(&self) -> Result<(), baimo_weights::Error> {
        self.experts.cache.get().and_then(ExpertCache::failure).map_or(Ok(()), Err)
    }

    /// What became of the experts of a model larger than its memory budget; `None` where all are in
    /// memory.
    pub fn experts_read(&self) -> Option<Counts> {
        self.experts.cache.get().map(ExpertCache::counts)
    }

    /// Computes every row of the batch, writes its cache rows, and gives the wanted logits.
    ///
    /// A row's logits depend on its sequence alone: not on the other rows, nor on how the sequence
    /// was cut into batches.
    ///
    /// # Panics
    /// Where the batch's spans do not fit its rows or pages, or a token is no row of the embedding.
    pub fn forward(&self, kernels: &Kernels, batch: &Batch, caches: &mut Caches) -> Logits {
        batch.check(self.embedding.rows());
        let angles = self.rotations.angles(&batch.places());
        let pass = Pass { kernels, batch, angles, choice: RefCell::default() };
        let hidden = self.blueprint.hidden;
        let mut x = kernels.floats(batch.tokens.len() * hidden);
        for (row, &token) in x.chunks_exact_mut(hidden).zip(&batch.tokens) {
            self.embedding.dequantize_row(token as usize, row);
        }
        if let Some(ngrams) = &self.ngrams {
            ngrams.add(kernels, batch, &mut x);
        }
        self.lookups.iter().for_each(|lookup| lookup.add(kernels, batch, &mut x));
        if self.blueprint.embedding_scale != 1.0 {
            x.iter_mut().for_each(|x| *x *= self.blueprint.embedding_scale);
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let following = self.following(&pass, index);
            layer.forward(&pass, &mut x, caches, following);
        }
        let logits = self.logits(kernels, &x, &batch.wanted);
        match batch.embedded.is_empty() {
            true => logits,
            false => {
                let embeddings = self.normed(kernels, &x, &batch.embedded);
                logits.with_embeddings(hidden, embeddings.into_vec())
            }
        }
    }

    /// The first experts behind a layer, where it helps to guess what they will be asked for: some
    /// are not in memory, and rows are so few that they choose few. Whoever observes products wants
    /// those of the model alone.
    fn following(&self, pass: &Pass, layer: usize) -> Option<Following<'_>> {
        self.experts.cache.get()?;
        let is_worth_it = pass.rows() <= ROWS_AHEAD && pass.kernels.observer().is_none();
        let mut behind = self.layers[layer + 1..].iter().flat_map(|layer| &layer.sublayers);
        behind.find_map(Sublayer::following).filter(|_| is_worth_it)
    }

    /// The rows that are named, as the head has them.
    fn normed(&self, kernels: &Kernels, x: &[f32], rows: &[u32]) -> Floats {
        let hidden = self.blueprint.hidden;
        let rows: Vec<f32> =
            rows.iter().flat_map(|&row| &x[row as usize * hidden..][..hidden]).copied().collect();
        self.norm.apply(kernels, &rows)
    }

    fn logits(&self, kernels: &Kernels, x: &[f32], wanted: &[u32]) -> Logits {
        let vocab = self.blueprint.vocab;
        if wanted.is_empty() {
            return Logits::new(vocab, Vec::new());
        }
        let rows = self.normed(kernels, x, wanted);
        let values = match &self.head {
            Some(head) => head.apply(kernels, &rows),
            None => crate::linear::apply(kernels, &rows, &self.embedding, None),
        };
        Logits::new(vocab, values)
    }
}

impl Layer {
    fn forward(
        &self,
        pass: &Pass,
        x: &mut [f32],
        caches: &mut Caches,
        following: Option<Following>,
    ) {
        let mut later = Vec::new();
        for sublayer in &self.sublayers {
            // Until its own experts are chosen, a layer leaves the disk alone.
            let ahead = following.filter(|_| sublayer.experts().is_some());
            let ahead = ahead.map(|following| following.seeing(pass.kernels, x));
            sublayer.forward(pass, x, caches, &mut later, ahead.as_ref());
        }
        for output in &later {
            add_scaled(pass.kernels, x, output, 1.0);
        }
    }
}

impl Sublayer {
    /// What joins only at the end of the layer is put in `later`.
    fn forward(
        &self,
        pass: &Pass,
        x: &mut [f32],
        caches: &mut Caches,
        later: &mut Vec<Floats>,
        ahead: Option<&Ahead>,
    ) {
        self.residual.forward(pass.kernels, x, |x| match &self.block {
            Block::Mixer(mixer) => mixer.forward(pass, x, caches),
            Block::Ffn(ffn) => ffn.forward(pass, x, ahead),
            Block::Shortcut(shortcut) => {
                later.push(shortcut.later.forward(pass, x, ahead));
                shortcut.ffn.forward(pass, x, ahead)
            }
        });
    }

    /// Its mixture of experts, if it has one.
    fn experts(&self) -> Option<&Experts> {
        match &self.block {
            Block::Mixer(_) => None,
            Block::Ffn(ffn) => ffn.experts(),
            Block::Shortcut(shortcut) => shortcut.later.experts().or(shortcut.ffn.experts()),
        }
    }

    fn following(&self) -> Option<Following<'_>> {
        self.experts().map(|experts| Following { norm: self.residual.before.as_ref(), experts })
    }
}
