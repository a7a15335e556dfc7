//! Softmax attention to blocks of positions that rows choose.

use crate::batch::Span;
use crate::decoder::Pass;
use crate::mixer::spans;
use baimo_blueprint as blueprint;
use baimo_kernels::attention::{
    Attention, AttentionSpan, BlockChooser, KvStore, PooledStore, attention, choose_blocks,
};

/// The choice of blocks; see [`blueprint::Blocks`].
pub struct Blocks {
    pub(crate) shape: blueprint::Blocks,
    /// The number of its pooled keys among the states.
    pub(crate) state: usize,
}

impl Blocks {
    /// Attention of the queries `q` to the keys and values in `store`, which holds this batch's.
    pub(super) fn attend(
        &self,
        pass: &Pass,
        how: &Attention,
        q: &[f32],
        pooled: &mut PooledStore,
        store: &KvStore,
        mixed: &mut [f32],
    ) {
        let shape = &self.shape;
        let all = spans(pass);
        pooled.write(store, &all);
        let whole = all.iter().zip(&pass.batch.spans).map(|(span, of)| self.rows_before(of, span));
        let (before, after): (Vec<_>, Vec<_>) =
            all.iter().zip(whole).map(|(span, rows)| split(span, rows)).unzip();
        attention(pass.kernels, how, q, store, &before, mixed);
        if after.iter().all(|span| span.rows == 0) {
            return;
        }
        let chooser = BlockChooser {
            heads: how.heads,
            scale: how.scale,
            block: shape.positions,
            active: shape.active,
            first: shape.first,
            latest: shape.latest,
            coarse: shape.coarse,
            q,
        };
        let choice = choose_blocks(pass.kernels, &chooser, pooled, &after);
        let how = Attention { choice: Some(&choice), ..*how };
        attention(pass.kernels, &how, q, store, &after, mixed);
    }

    /// How many rows of the span are of a sequence too short for a choice.
    fn rows_before(&self, of: &Span, span: &AttentionSpan) -> usize {
        match of.prompt >= self.shape.reached {
            true => 0,
            false => (self.shape.reached - 1).saturating_sub(span.position).min(span.rows),
        }
    }
}

/// The first `rows` rows of a span, and the rest.
fn split<'a>(span: &AttentionSpan<'a>, rows: usize) -> (AttentionSpan<'a>, AttentionSpan<'a>) {
    let rest = AttentionSpan {
        first_row: span.first_row + rows,
        rows: span.rows - rows,
        position: span.position + rows,
        ..*span
    };
    (AttentionSpan { rows, ..*span }, rest)
}
