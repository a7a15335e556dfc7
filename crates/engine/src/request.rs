//! What goes into the engine and what comes out.

use crate::Sampling;
use crate::sampler::Logprobs;
use baimo_model::opening::TooManySegments;

/// The name of a request within its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Tokens to be continued.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The prompt; taken as it is.
    pub tokens: Vec<u32>,
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// How many tokens may be added; zero only observes the prompt.
    pub max_tokens: usize,
    /// Tokens that end the answer; the one met is its last event.
    pub stop_tokens: Vec<u32>,
    /// Prompt positions whose logits are wanted as events (the logits after the token there).
    pub observed: Vec<usize>,
    /// Added to the logits of these tokens before anything else; minus infinity forbids one.
    pub bias: Vec<(u32, f32)>,
    /// Each token comes with its log-probability, and those of so many likeliest.
    pub logprobs: Option<usize>,
    /// Each token of the prompt but the first comes with its log-probability, and those of so many
    /// likeliest; `observed` is not looked at then.
    pub prompt_logprobs: Option<usize>,
    /// Whether the last hidden state of the last prompt token is wanted as an event.
    pub embedding: bool,
    /// Prompt positions where another prompt may part from this one, such as the ends of messages:
    /// a model with a state of fixed size can be taken up again only where a copy was made of it.
    /// Of many, the first and the last few count.
    pub marks: Vec<usize>,
}

/// Why a request could never run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No tokens.
    #[error("the prompt is empty\nhint: give at least one token")]
    Empty,
    /// A token that the model has no embedding for.
    #[error("token id {token}: the vocabulary has ids from 0 to {}", .vocab - 1)]
    Token {
        /// The first such token.
        token: u32,
        /// Entries of the vocabulary.
        vocab: usize,
    },
    /// More tokens than the model was made for.
    #[error(
        "the prompt has {tokens} tokens, the context {context}\n\
         hint: shorten the prompt, or raise the context with --context"
    )]
    Context {
        /// Tokens of the prompt.
        tokens: usize,
        /// Positions there are.
        context: usize,
    },
    /// More segments than the model's prompts may have.
    #[error(
        "the prompt has {} segments, of which any two are related, at most {}\n\
         hint: join some of them", .0.found, .0.most
    )]
    Segments(TooManySegments),
    /// More positions than the cache holds.
    #[error(
        "prompt and answer need {needed} cache positions, there are {capacity}\n\
         hint: lower --max-tokens or raise the context with --context"
    )]
    Cache {
        /// Positions the request could fill.
        needed: usize,
        /// Positions the whole cache has.
        capacity: usize,
    },
    /// As many wait as may.
    #[error("{waiting} requests wait already\nhint: try again later")]
    Full {
        /// How many.
        waiting: usize,
    },
}

/// Something that happened to a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Whose.
    pub request: RequestId,
    /// What.
    pub kind: EventKind,
}

/// What can happen to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// A token was added.
    Token {
        /// Which.
        token: u32,
        /// How likely it was, where asked.
        logprobs: Option<Logprobs>,
    },
    /// The last hidden state, normed, of the last prompt token.
    Embedding(Vec<f32>),
    /// The logits after the prompt token at this position.
    Logits {
        /// The position of the token.
        position: usize,
        /// One number per vocabulary entry.
        logits: Vec<f32>,
    },
    /// How likely the prompt token at this position was after those before it. Positions come in
    /// order, from 1, all before the first token that is added.
    PromptLogprobs {
        /// The position of the token.
        position: usize,
        /// How likely it and others were.
        logprobs: Logprobs,
    },
    /// Nothing more will come.
    Finished {
        /// Why.
        reason: FinishReason,
        /// What it took.
        usage: Usage,
    },
}

/// Why a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// A stop token was chosen, or nothing more was allowed.
    Stop,
    /// `max_tokens` or the context was reached.
    Length,
}

/// What a request took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those of them that were not computed, as the caches still had them from an earlier request.
    pub cached_tokens: usize,
    /// Tokens added, a stop token among them.
    pub completion_tokens: usize,
}
