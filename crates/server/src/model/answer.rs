//! An answer as it comes: tokens to text, text to thoughts, words and calls.

use super::guide::Fault;
use super::{Model, Prepared, Ticket, Told};
use crate::ask::Ask;
use crate::error::Refusal;
use crate::record;
use crate::thoughts::{Conversation, Thoughts};
use baimo_engine::{EventKind, FinishReason, Logprobs};
use baimo_text::voice::{Parser, Piece, Reply};
use baimo_text::{Decoder, StopMatcher, Tokenizer};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Part of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// A piece of text.
    Piece(Piece),
    /// A token of the answer proper or of a call, where log-probabilities are wanted; it comes
    /// before the text that it completes.
    Token(TokenSaid),
    /// Nothing more will come.
    End(End),
}

/// A token with its likelihood.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenSaid {
    /// Which.
    pub token: u32,
    /// How likely it and others were.
    pub logprobs: Logprobs,
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Why.
    pub reason: Reason,
    /// What it took.
    pub usage: Usage,
    /// How long it took.
    pub timings: Timings,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The model ended it.
    Stop,
    /// This stop text came.
    StopText(String),
    /// It reached the most tokens, or the end of the context.
    Length,
    /// The model called tools.
    Calls,
}

/// What an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those of them that an earlier request had computed.
    pub cached_tokens: usize,
    /// Tokens of the answer, thoughts among them.
    pub completion_tokens: usize,
    /// Tokens of thoughts.
    pub reasoning_tokens: usize,
}

/// How long an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// From the request to the first token.
    pub first_token: Duration,
    /// From the first token to the last.
    pub answer: Duration,
}

/// Where the thoughts of a turn that calls tools are kept.
#[derive(Debug)]
struct Memory {
    thoughts: Arc<Thoughts>,
    conversation: Conversation,
    /// The turn so far, without its words.
    reply: Reply,
}

/// An answer under way; dropping it cancels it.
#[derive(Debug)]
pub struct Answer {
    ticket: Ticket,
    tokenizer: Arc<Tokenizer>,
    decoder: Decoder,
    parser: Parser,
    stops: StopMatcher,
    stop_tokens: Vec<u32>,
    /// What is continued.
    prompt: Vec<u32>,
    /// How likely its tokens were, but for the first, as far as told and not taken.
    prompt_logprobs: Vec<TokenSaid>,
    /// Whether the model's own words are told apart from its marks: in a chat, not in plain text.
    speaks: bool,
    /// What calls are named by where the model does not name them.
    call_prefix: u64,
    begun: Instant,
    first: Option<Instant>,
    /// When the engine told the last of it, however late it is read.
    latest: Instant,
    usage: Usage,
    called: bool,
    memory: Option<Memory>,
    fault: Option<Fault>,
    /// What is told instead of an end.
    failed: Option<Refusal>,
    ready: VecDeque<Said>,
    ended: bool,
}

impl Answer {
    pub(super) fn new(
        model: &Model,
        ask: &Ask,
        prepared: &Prepared,
        ticket: Ticket,
        call_prefix: u64,
    ) -> Answer {
        let voice = model.voice.filter(|_| prepared.speaks);
        let decoder = Decoder::continuing(model.tokenizer.clone(), true);
        let tags = voice.map(|voice| voice.tags()).unwrap_or_default();
        let tools = prepared.tools.as_ref();
        let memory = tools.and(prepared.conversation.clone()).map(|conversation| Memory {
            thoughts: model.thoughts.clone(),
            conversation,
            reply: Reply::default(),
        });
        Answer {
            begun: ticket.begun(),
            first: None,
            latest: ticket.begun(),
            ticket,
            tokenizer: model.tokenizer.clone(),
            decoder: decoder.showing(&tags),
            parser: Parser::new(voice, &prepared.text, tools),
            stops: StopMatcher::new(&ask.stops),
            stop_tokens: model.stop_tokens.clone(),
            prompt: prepared.tokens.clone(),
            prompt_logprobs: Vec::new(),
            speaks: prepared.speaks,
            call_prefix,
            usage: Usage { prompt_tokens: prepared.tokens.len(), ..Usage::default() },
            called: false,
            memory,
            fault: None,
            failed: None,
            ready: VecDeque::new(),
            ended: false,
        }
    }

    /// With a guide that may give up.
    pub(super) fn doubting(mut self, fault: Option<Fault>) -> Answer {
        self.fault = fault;
        self
    }

    /// The next part; `None` after the end.
    ///
    /// # Errors
    /// Where the request was refused or the model failed: nothing comes after it.
    pub async fn next(&mut self) -> Option<Result<Said, Refusal>> {
        loop {
            if let Some(said) = self.ready.pop_front() {
                return Some(Ok(said));
            }
            if self.ended {
                return self.failed.take().map(Err);
            }
            match self.ticket.next().await {
                Some(Told::Event(event, at)) => {
                    self.latest = at;
                    self.take_in(event);
                }
                Some(Told::Failed(refusal)) => {
                    self.ended = true;
                    return Some(Err(refusal));
                }
                None => {
                    self.ended = true;
                    return Some(Err(Refusal::internal("the model was unloaded meanwhile")));
                }
            }
        }
    }

    /// When it was asked for.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// The tokens of the prompt but the first, with their likelihood where that was asked for: all
    /// of them, once the first part of the answer has come.
    pub fn take_prompt_logprobs(&mut self) -> Vec<TokenSaid> {
        std::mem::take(&mut self.prompt_logprobs)
    }

    /// What it took so far.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// The words a token stands for, for programs that look at tokens.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn take_in(&mut self, event: EventKind) {
        match event {
            EventKind::Token { token, logprobs } => self.token(token, logprobs),
            EventKind::Finished { reason, usage } => {
                self.usage.cached_tokens = usage.cached_tokens;
                if let Some(record) = record::current() {
                    record.cached(usage.cached_tokens);
                }
                let rest = self.decoder.finish();
                let mut pieces = self.parser.push(&rest);
                pieces.extend(self.parser.finish());
                self.say(pieces);
                self.release();
                match (reason, self.fault.as_ref().and_then(|fault| fault.get())) {
                    (FinishReason::Stop, Some(fault)) => self.fail(Refusal::unguided(fault)),
                    (FinishReason::Stop, None) => self.end(Reason::Stop),
                    (FinishReason::Length, _) => self.end(Reason::Length),
                }
            }
            EventKind::PromptLogprobs { position, logprobs } => {
                let token = self.prompt[position];
                self.prompt_logprobs.push(TokenSaid { token, logprobs });
            }
            EventKind::Logits { .. } | EventKind::Embedding(_) => {}
        }
    }

    fn token(&mut self, token: u32, logprobs: Option<Logprobs>) {
        self.first.get_or_insert(self.latest);
        self.usage.completion_tokens += 1;
        if let Some(record) = record::current() {
            record.token();
        }
        if self.stop_tokens.contains(&token) {
            if let Some(logprobs) = logprobs.filter(|_| !self.speaks) {
                self.ready.push_back(Said::Token(TokenSaid { token, logprobs }));
            }
            return;
        }
        let thought = self.parser.is_thinking();
        let pieces = match self.decoder.push(token) {
            Ok(text) => self.parser.push(&text),
            // The model's vocabulary may be padded beyond the tokenizer's.
            Err(_) => Vec::new(),
        };
        if thought || self.parser.is_thinking() {
            self.usage.reasoning_tokens += 1;
        } else if let Some(logprobs) = logprobs {
            self.ready.push_back(Said::Token(TokenSaid { token, logprobs }));
        }
        self.say(pieces);
    }

    /// Passes pieces on, words past the watch for stop texts.
    fn say(&mut self, pieces: Vec<Piece>) {
        for piece in pieces {
            if self.ended {
                return;
            }
            match piece {
                Piece::Content(text) => {
                    let outcome = self.stops.push(&text);
                    self.content(outcome.text);
                    if let Some(stop) = outcome.stop {
                        self.end(Reason::StopText(stop));
                    }
                }
                Piece::CallStart { index, id, name } => {
                    self.release();
                    self.called = true;
                    let made = || format!("call_{:016x}{index}", self.call_prefix);
                    let id = Some(id.unwrap_or_else(made));
                    self.pass(Piece::CallStart { index, id, name });
                }
                other @ (Piece::Reasoning(_) | Piece::Arguments { .. } | Piece::CallEnd { .. }) => {
                    self.pass(other);
                }
            }
        }
    }

    fn pass(&mut self, piece: Piece) {
        if let Some(memory) = &mut self.memory {
            memory.reply.add(&piece);
        }
        self.ready.push_back(Said::Piece(piece));
    }

    fn content(&mut self, text: String) {
        if !text.is_empty() {
            self.ready.push_back(Said::Piece(Piece::Content(text)));
        }
    }

    /// Lets go what could have begun a stop text.
    fn release(&mut self) {
        let held = self.stops.finish();
        self.content(held.text);
        if let Some(stop) = held.stop {
            self.end(Reason::StopText(stop));
        }
    }

    fn fail(&mut self, refusal: Refusal) {
        if !self.ended {
            self.ended = true;
            self.failed = Some(refusal);
        }
    }

    fn end(&mut self, reason: Reason) {
        if self.ended {
            return;
        }
        self.ended = true;
        if let Some(Memory { thoughts, conversation, reply }) = self.memory.take() {
            thoughts.keep(&conversation, &reply);
        }
        let first = self.first.unwrap_or(self.latest);
        let timings = Timings { first_token: first - self.begun, answer: self.latest - first };
        let reason = match reason {
            Reason::Stop if self.called => Reason::Calls,
            reason => reason,
        };
        self.ready.push_back(Said::End(End { reason, usage: self.usage, timings }));
    }
}
