//! Blocks that mix positions, with their weights.

pub mod blocks;
pub mod indexer;
pub mod latent;
pub mod recurrent;
pub mod reuse;
pub mod softmax;

use crate::Caches;
use crate::decoder::Pass;
use baimo_kernels::Floats;
use baimo_kernels::attention::{AttentionSpan, Segments};

/// A mixer with its weights.
pub enum Mixer {
    /// Softmax attention.
    Softmax(softmax::Softmax),
    /// Softmax attention over another layer's keys and values.
    Reuse(reuse::Reuse),
    /// Multi-head latent attention.
    Latent(latent::Latent),
    /// One matrix per head for the whole past.
    Recurrent(Box<recurrent::Recurrent>),
}

impl Mixer {
    /// The block's output for the normed rows `x`; cache rows are written on the way.
    pub(crate) fn forward(&self, pass: &Pass, x: &[f32], caches: &mut Caches) -> Floats {
        match self {
            Mixer::Softmax(mixer) => mixer.forward(pass, x, caches),
            Mixer::Reuse(mixer) => mixer.forward(pass, x, caches),
            Mixer::Latent(mixer) => mixer.forward(pass, x, caches),
            Mixer::Recurrent(mixer) => mixer.forward(pass, x, caches),
        }
    }
}

/// Gives `write` the pages, the first position and the keys of each span: `keys` has one of `width`
/// numbers for each row.
fn write_rows(
    pass: &Pass,
    keys: &[f32],
    width: usize,
    mut write: impl FnMut(&[u32], usize, &[f32]),
) {
    for span in &pass.batch.spans {
        let rows = span.first_row * width..(span.first_row + span.rows) * width;
        write(&span.pages, span.position, &keys[rows]);
    }
}

/// The batch's spans as attention wants them.
fn spans<'a>(pass: &Pass<'a>) -> Vec<AttentionSpan<'a>> {
    let spans = pass.batch.spans.iter();
    spans
        .map(|span| AttentionSpan {
            together: span.opening.together,
            segments: Segments { starts: &span.opening.starts, relations: &span.opening.relations },
            ..AttentionSpan::causal(span.first_row, span.rows, span.position, &span.pages)
        })
        .collect()
}
