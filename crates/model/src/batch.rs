//! What the model is run on and what it gives.

use crate::opening::Opening;
use baimo_kernels::Floats;

/// Tokens to compute: rows laid flat, in spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// One token a row.
    pub tokens: Vec<u32>,
    /// Cover the rows, one after another.
    pub spans: Vec<Span>,
    /// Rows whose logits are wanted, in the order they are given.
    pub wanted: Vec<u32>,
    /// Rows whose last hidden state is wanted, likewise.
    pub embedded: Vec<u32>,
}

/// Consecutive positions of one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first of its rows in the batch.
    pub first_row: usize,
    /// How many rows.
    pub rows: usize,
    /// The position of the first row in its sequence. All positions before it are in the caches.
    pub position: usize,
    /// How many tokens the sequence was given before it grew by itself.
    pub prompt: usize,
    /// How the beginning of the sequence is read, where it is not causal.
    pub opening: Opening,
    /// The last [`crate::LOOKBACK`] tokens before the first row, fewer where there are no more.
    pub before: Vec<u32>,
    /// The sequence's pages, first to last, enough for its last row.
    pub pages: Vec<u32>,
    /// Where the sequence's states of fixed size are; no other sequence has the same. A span at
    /// position 0 finds them empty.
    pub slot: usize,
}

impl Span {
    fn places(&self) -> impl Iterator<Item = Place> {
        (self.position..self.position + self.rows).map(|position| Place {
            standing: self.opening.standing(position),
            written: self.opening.written(position),
            ..Place::causal(position, self.prompt)
        })
    }
}

/// Where a row is in its sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Counted from the sequence's first token.
    pub position: usize,
    /// How many tokens the sequence was given before it grew by itself.
    pub prompt: usize,
    /// What is counted along the sequence: the position, unless the row fills a gap before it.
    pub standing: usize,
    /// How many positions it is behind what is read in both directions; zero within.
    pub written: usize,
}

impl Place {
    /// Of a row of a sequence that is causal throughout.
    pub fn causal(position: usize, prompt: usize) -> Place {
        Place { position, prompt, standing: position, written: position + 1 }
    }

    /// The length of the sequence that the row is a part of: the whole prompt, or up to the row
    /// itself where it came later.
    pub fn reached(&self) -> usize {
        self.prompt.max(self.position + 1)
    }
}

/// Logits of the rows that were wanted: `[wanted, vocab]`; and last hidden states, normed, of those
/// that were embedded: `[embedded, hidden]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits {
    vocab: usize,
    values: Floats,
    hidden: usize,
    embeddings: Vec<f32>,
}

impl Logits {
    /// Rows of `vocab` numbers.
    ///
    /// # Panics
    /// Where `values` is not whole rows.
    pub fn new(vocab: usize, values: impl Into<Floats>) -> Logits {
        let values = values.into();
        assert!(vocab > 0 && values.len().is_multiple_of(vocab), "logits are not whole rows");
        Logits { vocab, values, hidden: 1, embeddings: Vec::new() }
    }

    /// With rows of `hidden` numbers.
    ///
    /// # Panics
    /// Where `embeddings` is not whole rows.
    pub fn with_embeddings(self, hidden: usize, embeddings: Vec<f32>) -> Logits {
        assert!(hidden > 0 && embeddings.len().is_multiple_of(hidden), "whole rows of {hidden}");
        Logits { hidden, embeddings, ..self }
    }

    /// One row for each that was wanted, in that order.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.vocab)
    }

    /// One row for each that was embedded, in that order.
    pub fn embeddings(&self) -> impl Iterator<Item = &[f32]> {
        self.embeddings.chunks_exact(self.hidden)
    }
}

impl Batch {
    /// The place of every row.
    pub fn places(&self) -> Vec<Place> {
        self.spans.iter().flat_map(Span::places).collect()
    }

    /// Checks that spans cover the rows and wanted rows exist: our own mistake where not.
    pub(crate) fn check(&self, vocab: usize) {
        let mut next = 0;
        for span in &self.spans {
            assert_eq!(span.first_row, next, "spans cover the rows one after another");
            let held = span.pages.len() * crate::PAGE_POSITIONS;
            assert!(span.position + span.rows <= held, "a span has pages for all its rows");
            let read = span.position > 0 || span.rows >= span.opening.together;
            assert!(read, "what is read in both directions is read at once");
            let before = span.position.min(crate::LOOKBACK);
            assert_eq!(span.before.len(), before, "a span tells the tokens before it");
            next += span.rows;
        }
        assert_eq!(next, self.tokens.len(), "spans cover all rows");
        let mut told = self.wanted.iter().chain(&self.embedded);
        assert!(told.all(|&row| (row as usize) < next), "wanted and embedded rows exist");
        assert!(
            self.tokens.iter().all(|&token| (token as usize) < vocab),
            "tokens are checked where they come in"
        );
    }
}

#[cfg(test)]
mod tests;
