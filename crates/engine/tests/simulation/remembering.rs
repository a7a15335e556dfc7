//! A model whose cache is real and whose logits are a hash of the whole history.

use baimo_engine::{
    Batch, EventKind, Failure, FinishReason, Forward, Limits, Logits, PAGE_POSITIONS, Place,
    Request, Span, Usage, sampler,
};
use std::collections::BTreeSet;

/// Entries of its vocabulary: few, so that stop tokens are met.
pub const VOCABULARY: usize = 24;

/// The hash of no history.
const SEED: u64 = 0x5EED;

/// Keeps each token in the page and slot the batch says and reads the history back through the
/// pages: wrong paging changes the logits. With each token goes a hash of all before it, so that
/// rows of another sequence are told from its own.
pub struct Remembering {
    limits: Limits,
    /// The rows of every page, `[pages, PAGE_POSITIONS]`.
    cache: Vec<Row>,
    /// The tokens of the sequence in every slot; none for a model without.
    states: Option<Vec<Vec<u32>>>,
    /// Batches computed.
    pub batches: usize,
    /// Rows computed.
    pub rows: usize,
}

/// What a position has in the cache.
#[derive(Clone, Copy, Default, PartialEq)]
struct Row {
    token: u32,
    /// Of all tokens up to this one.
    hash: u64,
}

impl Row {
    fn bytes(self) -> [u8; 12] {
        let [a, b, c, d] = self.token.to_le_bytes();
        let [e, f, g, h, i, j, k, l] = self.hash.to_le_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    fn of(bytes: &[u8]) -> Row {
        let (token, hash) = bytes.split_at(4);
        let hash = u64::from_le_bytes(hash.try_into().expect("eight bytes"));
        Row { token: u32::from_le_bytes(token.try_into().expect("four bytes")), hash }
    }
}

impl Remembering {
    pub fn new(pages: usize, limits: Limits) -> Remembering {
        let cache = vec![Row::default(); pages * PAGE_POSITIONS];
        let states = Some(vec![Vec::new(); limits.sequences]);
        Remembering { limits, cache, states, batches: 0, rows: 0 }
    }

    pub fn without_slots(self) -> Remembering {
        Remembering { states: None, ..self }
    }

    fn slot(pages: &[u32], position: usize) -> usize {
        pages[position / PAGE_POSITIONS] as usize * PAGE_POSITIONS + position % PAGE_POSITIONS
    }

    /// The first `count` tokens of the sequence that lies in `pages`.
    fn history(&self, pages: &[u32], count: usize) -> Vec<u32> {
        let rows = (0..count).map(|at| self.cache[Remembering::slot(pages, at)]);
        let tokens: Vec<u32> = rows.clone().map(|row| row.token).collect();
        let hashes = tokens.iter().scan(SEED, |hash, &token| {
            *hash = mix(*hash ^ u64::from(token));
            Some(*hash)
        });
        assert!(rows.map(|row| row.hash).eq(hashes), "rows of one sequence, all computed");
        tokens
    }

    fn check(&self, batch: &Batch) {
        let Limits { tokens_per_step, tokens_per_span, sequences, context, .. } = self.limits;
        assert!(!batch.tokens.is_empty(), "a batch has work");
        assert!(batch.tokens.len() <= tokens_per_step, "{} tokens", batch.tokens.len());
        assert!(batch.spans.len() <= sequences, "{} sequences", batch.spans.len());
        let mut slots = BTreeSet::new();
        for (index, span) in batch.spans.iter().enumerate() {
            assert!((1..=tokens_per_span).contains(&span.rows), "a span of {}", span.rows);
            assert!(span.position + span.rows <= context, "{span:?} in a context of {context}");
            assert!(span.slot < sequences && slots.insert(span.slot), "a slot has one owner");
            let own = &span.pages[span.position / PAGE_POSITIONS..];
            let others = batch.spans.iter().enumerate().filter(|(other, _)| *other != index);
            let mut others = others.flat_map(|(_, span)| &span.pages);
            assert!(others.all(|page| !own.contains(page)), "a page is written by one");
        }
        assert_eq!(batch.spans.iter().map(|span| span.rows).sum::<usize>(), batch.tokens.len());
        assert!(batch.wanted.is_sorted_by(|a, b| a < b), "{:?}", batch.wanted);
    }

    /// Computes a span, and appends the logits of the rows that are wanted.
    fn compute(&mut self, batch: &Batch, span: &Span, values: &mut Vec<f32>) {
        let rows = span.first_row..span.first_row + span.rows;
        let before = span.position.checked_sub(1);
        let before = before.map(|at| self.cache[Remembering::slot(&span.pages, at)]);
        let mut hash = before.map_or(SEED, |row| row.hash);
        for (&token, position) in batch.tokens[rows.clone()].iter().zip(span.position..) {
            hash = mix(hash ^ u64::from(token));
            self.cache[Remembering::slot(&span.pages, position)] = Row { token, hash };
        }
        let history = self.history(&span.pages, span.position + span.rows);
        if let Some(states) = &mut self.states {
            let state = &mut states[span.slot];
            if span.position == 0 {
                state.clear();
            }
            state.extend(&batch.tokens[rows.clone()]);
            assert_eq!(*state, history, "a slot holds what its pages hold");
        }
        for &row in batch.wanted.iter().filter(|row| rows.contains(&(**row as usize))) {
            let position = span.position + row as usize - span.first_row;
            values.extend(logits(&history[..=position]));
        }
    }
}

impl Forward for Remembering {
    fn forward(&mut self, batch: &Batch) -> Result<Logits, Failure> {
        self.check(batch);
        self.batches += 1;
        self.rows += batch.tokens.len();
        let mut values = Vec::new();
        batch.spans.iter().for_each(|span| self.compute(batch, span, &mut values));
        Ok(Logits::new(VOCABULARY, values))
    }

    fn vocab(&self) -> usize {
        VOCABULARY
    }

    fn has_slots(&self) -> bool {
        self.states.is_some()
    }

    fn read(&self, place: Place) -> Vec<u8> {
        match place {
            Place::Page(page) => {
                let rows = &self.cache[page as usize * PAGE_POSITIONS..][..PAGE_POSITIONS];
                rows.iter().flat_map(|row| row.bytes()).collect()
            }
            Place::Slot(slot) => {
                let states = self.states.as_ref().expect("a model with slots");
                states[slot].iter().flat_map(|token| token.to_le_bytes()).collect()
            }
        }
    }

    fn write(&mut self, place: Place, bytes: &[u8]) {
        match place {
            Place::Page(page) => {
                let rows = &mut self.cache[page as usize * PAGE_POSITIONS..][..PAGE_POSITIONS];
                assert_eq!(bytes.len(), 12 * rows.len(), "the bytes of a page");
                for (row, bytes) in rows.iter_mut().zip(bytes.chunks_exact(12)) {
                    *row = Row::of(bytes);
                }
            }
            Place::Slot(slot) => {
                let tokens = bytes.chunks_exact(4).map(|token| token.try_into().expect("four"));
                let states = self.states.as_mut().expect("a model with slots");
                states[slot] = tokens.map(u32::from_le_bytes).collect();
            }
        }
    }
}

/// Numbers in `[-4, 4)` by a hash of the history.
pub fn logits(history: &[u32]) -> Vec<f32> {
    let hash = history.iter().fold(SEED, |hash, &token| mix(hash ^ u64::from(token)));
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
