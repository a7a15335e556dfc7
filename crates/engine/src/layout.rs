//! From a decision to the flat arrays the model runs.

use crate::step::Step;
use baimo_model::{Batch, Span};

/// Flattens a step: spans one after another, each with the rows whose logits are wanted.
pub fn lay_out(step: &Step) -> Batch {
    let mut batch = Batch::default();
    for work in &step.work {
        let first_row = batch.tokens.len();
        batch.tokens.extend(&work.tokens);
        batch.wanted.extend(work.wanted.iter().map(|position| {
            let row = first_row + position - work.position;
            u32::try_from(row).expect("a batch has far fewer rows than u32 holds")
        }));
        if work.embedded {
            let last = first_row + work.tokens.len() - 1;
            batch.embedded.push(u32::try_from(last).expect("a row fits u32"));
        }
        batch.spans.push(Span {
            first_row,
            rows: work.tokens.len(),
            position: work.position,
            prompt: work.prompt,
            opening: work.opening.clone(),
            before: work.before.clone(),
            pages: work.pages.clone(),
            slot: work.slot,
        });
    }
    batch
}
