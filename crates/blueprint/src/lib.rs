//! The vocabulary of a model page: a [`Blueprint`] says which blocks each layer is made of, which
//! checkpoint tensor feeds each of them, and what to fold into it at load.
//!
//! A Blueprint is a value: no tensors, no IO. It can be printed, compared and counted, and the one
//! decoder runs it. Reading order: [`Blueprint`], [`layer`], [`norm`], [`mixer`], [`choice`],
//! [`recurrent`], [`ffn`], [`rope`], [`prefix`], [`tensor`], [`state`]; then what is derived from
//! it: [`mod@count`] and [`draw`].

pub mod choice;
pub mod count;
pub mod draw;
pub mod ffn;
pub mod layer;
pub mod mixer;
pub mod ngrams;
pub mod norm;
pub mod prefix;
pub mod recurrent;
pub mod rope;
pub mod state;
pub mod tensor;
pub mod voice;

pub use choice::{Blocks, Choice, Indexer};
pub use count::Count;
pub use ffn::{
    Activation, Clamp, ClampOrder, Dense, Experts, Ffn, GroupLimit, GroupScore, Plain, Router,
    Scores, Shared,
};
pub use layer::{Block, Layer, Residual, Shortcut, Skip, Sublayer};
pub use mixer::{
    Alibi, Latent, LowRank, Mixer, NormOrder, QkNorm, Query, RelativeBias, Reuse, Smoothing,
    Softmax,
};
pub use ngrams::{NgramTable, Ngrams};
pub use norm::{Norm, NormKind};
pub use prefix::{Along, Gap, Lookup, LookupBy, Prefix, PrefixEnd, Segments, Standing};
pub use recurrent::{
    Convolution, Curve, Decay, DecayForm, GateOrder, GatedNorm, Projection, Recurrent, Sharing,
    Stream, Turned, Write,
};
pub use rope::{Rope, RopeScaling, RopeStyle, llama3_frequency};
pub use state::State;
pub use tensor::{Fold, Linear, Tensor};
pub use voice::Voice;

/// A decoder-only language model, as data.
#[derive(Clone, Debug, PartialEq)]
pub struct Blueprint {
    /// The architecture's name as its checkpoints spell it.
    pub architecture: String,
    /// Rows of the embedding table and of the head.
    pub vocab: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Positions the model was made for: the longest sequence it is asked to run.
    pub context: usize,
    /// `[vocab, hidden]`: the row of a token enters the residual stream. Rows beyond the vocabulary
    /// are a prefix's.
    pub embedding: Tensor,
    /// Rows for the runs of tokens that end with the token, added to its own.
    pub ngrams: Option<Ngrams>,
    /// Rows of further tables, added too.
    pub lookups: Vec<Lookup>,
    /// The part of a sequence that is read in both directions; all attention is causal without.
    pub prefix: Option<Prefix>,
    /// Multiplies that row on its way into the stream, 1 in most models.
    pub embedding_scale: f32,
    /// First to last.
    pub layers: Vec<Layer>,
    /// Before the head.
    pub norm: Norm,
    /// `[vocab, hidden]`; the embedding itself where the two are tied.
    pub head: Linear,
    /// Multiplies what the head is given, 1 in most models: folded into the norm.
    pub logit_scale: f32,
    /// Tensors the checkpoint holds and this engine does not run, named so that skipping is seen.
    pub set_aside: Vec<SetAside>,
}

/// Checkpoint tensors that are known and not run.
#[derive(Clone, Debug, PartialEq)]
pub struct SetAside {
    /// A tensor name in which `*` stands for anything.
    pub pattern: String,
    /// What they are: shown to the user.
    pub what: &'static str,
}

impl Blueprint {
    /// Every tensor the decoder is fed from, in the order of the layers; a tied head and a bias
    /// that layers share are not repeated.
    pub fn tensors(&self) -> Vec<&Tensor> {
        let mut all = vec![&self.embedding];
        self.ngrams.iter().for_each(|ngrams| ngrams.tensors(&mut all));
        all.extend(self.lookups.iter().map(|lookup| &lookup.table));
        for layer in &self.layers {
            layer.tensors(&mut all);
        }
        self.norm.tensors(&mut all);
        if !self.is_tied() {
            self.head.tensors(&mut all);
        }
        all
    }

    /// Whether the head is the embedding table.
    pub fn is_tied(&self) -> bool {
        self.head.weight == self.embedding
    }

    /// Checks what a page must not put together, whatever the configuration.
    ///
    /// # Panics
    /// Where a prefix is read by a mixer that only looks back: our mistake.
    pub fn check(&self) {
        let mut mixers = self.layers.iter().flat_map(Layer::mixers);
        let fits = self.prefix.is_none() || mixers.all(Mixer::looks_both_ways);
        assert!(fits, "{}: a prefix with mixers that only look back", self.architecture);
    }

    /// What each layer keeps between steps, a list per layer.
    pub fn states(&self) -> Vec<Vec<State>> {
        self.layers.iter().map(Layer::states).collect()
    }
}
