//! A model whose cache is real and whose logits are a hash of the whole history.

use baimo_engine::{
    Batch, EventKind, Failure, FinishReason, Forward, Limits, Logits, PAGE_POSITIONS, Request,
    Usage, sampler,
};
use std::collections::BTreeSet;

/// Entries of its vocabulary: few, so that stop tokens are met.
pub const VOCABULARY: usize = 24;

/// Keeps each token in the page and slot the batch says and reads the history back through the
/// pages: wrong paging changes the logits.
pub struct Remembering {
    limits: Limits,
    /// The tokens of every page, `[pages, PAGE_POSITIONS]`.
    cache: Vec<Option<u32>>,
    /// The tokens of the sequence in every slot.
    states: Vec<Vec<u32>>,
    /// Batches computed.
    pub batches: usize,
    /// Rows computed.
    pub rows: usize,
}

impl Remembering {
    pub fn new(pages: usize, limits: Limits) -> Remembering {
        let (cache, states) =
            (vec![None; pages * PAGE_POSITIONS], vec![Vec::new(); limits.sequences]);
        Remembering { limits, cache, states, batches: 0, rows: 0 }
    }

    fn slot(pages: &[u32], position: usize) -> usize {
        pages[position / PAGE_POSITIONS] as usize * PAGE_POSITIONS + position % PAGE_POSITIONS
    }

    /// The logits after `position` of the sequence that lies in `pages`.
    fn logits(&self, pages: &[u32], position: usize) -> Vec<f32> {
        let token = |at| self.cache[Remembering::slot(pages, at)];
        let history: Option<Vec<u32>> = (0..=position).map(token).collect();
        logits(&history.expect("every position before a row was computed"))
    }

    fn check(&self, batch: &Batch) {
        let Limits { tokens_per_step, tokens_per_span, sequences, context } = self.limits;
        assert!(!batch.tokens.is_empty(), "a batch has work");
        assert!(batch.tokens.len() <= tokens_per_step, "{} tokens", batch.tokens.len());
        assert!(batch.spans.len() <= sequences, "{} sequences", batch.spans.len());
        let mut held = BTreeSet::new();
        let mut slots = BTreeSet::new();
        for span in &batch.spans {
            assert!((1..=tokens_per_span).contains(&span.rows), "a span of {}", span.rows);
            assert!(span.position + span.rows <= context, "{span:?} in a context of {context}");
            assert!(span.slot < sequences && slots.insert(span.slot), "a slot has one owner");
            assert!(span.pages.iter().all(|page| held.insert(*page)), "a page has one owner");
        }
        assert_eq!(batch.spans.iter().map(|span| span.rows).sum::<usize>(), batch.tokens.len());
        assert!(batch.wanted.is_sorted_by(|a, b| a < b), "{:?}", batch.wanted);
    }
}

impl Forward for Remembering {
    fn forward(&mut self, batch: &Batch) -> Result<Logits, Failure> {
        self.check(batch);
        self.batches += 1;
        self.rows += batch.tokens.len();
        let mut values = Vec::new();
        for span in &batch.spans {
            let rows = span.first_row..span.first_row + span.rows;
            for (&token, position) in batch.tokens[rows.clone()].iter().zip(span.position..) {
                self.cache[Remembering::slot(&span.pages, position)] = Some(token);
            }
            let state = &mut self.states[span.slot];
            if span.position == 0 {
                state.clear();
            }
            state.extend(&batch.tokens[rows.clone()]);
            let in_pages = (0..span.position + span.rows)
                .map(|at| self.cache[Remembering::slot(&span.pages, at)].expect("computed"));
            assert!(in_pages.eq(state.iter().copied()), "a slot holds what its pages hold");
            for &row in batch.wanted.iter().filter(|row| rows.contains(&(**row as usize))) {
                let position = span.position + row as usize - span.first_row;
                values.extend(self.logits(&span.pages, position));
            }
        }
        Ok(Logits::new(VOCABULARY, values))
    }

    fn vocab(&self) -> usize {
        VOCABULARY
    }
}

/// Numbers in `[-4, 4)` by a hash of the history.
pub fn logits(history: &[u32]) -> Vec<f32> {
    let hash = history.iter().fold(0x5EED, |hash, &token| mix(hash ^ u64::from(token)));
    let number = |entry| (mix(hash ^ (entry << 32)) >> 40) as f32 / (1 << 21) as f32;
    (0..VOCABULARY as u64).map(|entry| number(entry) - 4.0).collect()
}

/// The finalizer of splitmix64.
fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// What must come of a request, by definition: one token after another, with no engine.
pub fn alone(request: &Request, context: usize) -> Vec<EventKind> {
    let prompt = request.tokens.as_slice();
    let observed: BTreeSet<usize> = request.observed.iter().copied().collect();
    let mut events: Vec<EventKind> = observed
        .range(..prompt.len())
        .map(|&position| EventKind::Logits { position, logits: logits(&prompt[..=position]) })
        .collect();
    let (mut tokens, mut reason) = (prompt.to_vec(), FinishReason::Length);
    let completion = |tokens: &[u32]| tokens.len() - prompt.len();
    while completion(&tokens) < request.max_tokens {
        let chosen = &tokens[prompt.len()..];
        let token = sampler::choose(&logits(&tokens), &request.sampling, prompt, chosen);
        tokens.push(token);
        events.push(EventKind::Token { token, logprobs: None });
        if request.stop_tokens.contains(&token) {
            reason = FinishReason::Stop;
            break;
        }
        if tokens.len() >= context {
            break;
        }
    }
    let (prompt_tokens, completion_tokens) = (prompt.len(), completion(&tokens));
    let usage = Usage { prompt_tokens, completion_tokens, ..Usage::default() };
    events.push(EventKind::Finished { reason, usage });
    events
}
