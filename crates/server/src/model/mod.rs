//! A model that is served: its words, its engine, its answers.

mod answer;
mod guide;
mod judge;
mod prompt;
mod reading;
mod worker;

pub use answer::{Answer, End, Reason, Said, Timings, TokenSaid, Usage};
pub use judge::Judge;
pub use prompt::Prepared;
pub use reading::{Read, patiently};
pub use worker::{Ticket, Told, Worker};

use crate::ask::{Ask, SamplingAsk};
use crate::error::Refusal;
use crate::record;
use crate::thoughts::Thoughts;
use axum::http::StatusCode;
use baimo_engine::{Request, Sampling};
use baimo_text::grammar::TokenEnvironment;
use baimo_text::voice::Voice;
use baimo_text::{Template, Tokenizer};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::runtime::{Handle, RuntimeFlavor};

/// A model that is loaded and runs.
#[derive(Debug)]
pub struct Model {
    /// What clients call it.
    pub name: String,
    /// Words to tokens and back.
    pub tokenizer: Arc<Tokenizer>,
    /// Its chat format; `None` for a model that only continues text.
    pub template: Option<Template>,
    /// How it speaks, where that is known.
    pub voice: Option<&'static Voice>,
    /// What its makers recommend.
    pub sampling: Sampling,
    /// Tokens that end an answer.
    pub stop_tokens: Vec<u32>,
    /// What there is to tell of it.
    pub about: About,
    /// Texts that its makers put before what is embedded, by name: `query`, `document`, ...
    pub prompts: BTreeMap<String, String>,
    /// Its engine.
    pub worker: Worker,
    /// What grammars are compiled against where it speaks; made when first needed.
    pub spoken: OnceLock<TokenEnvironment>,
    /// The same where it goes on with a text.
    pub written: OnceLock<TokenEnvironment>,
    /// What the server allows a request.
    pub caps: Caps,
    /// Thoughts of turns that called tools, of all models.
    pub thoughts: Arc<Thoughts>,
    /// Whether lines that agents change with every request are made the same.
    pub normalize_headers: bool,
}

/// What a server allows a request, whatever the context has room for; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// Most tokens of a prompt.
    pub prompt_tokens: usize,
    /// Most tokens of an answer.
    pub answer_tokens: usize,
}

/// What there is to tell of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct About {
    /// The architecture, as its configuration names it.
    pub architecture: String,
    /// Parameters.
    pub parameters: u64,
    /// Bytes of its weights in memory.
    pub weight_bytes: u64,
    /// Type of most weights.
    pub quantization: String,
    /// Positions of one sequence, prompt and answer together.
    pub context: usize,
    /// Positions the model was made for.
    pub context_trained: usize,
    /// Entries of the vocabulary.
    pub vocab: usize,
    /// Width of an embedding.
    pub hidden: usize,
}

impl Model {
    /// Begins the answers to a request, as many as it asks for.
    ///
    /// # Errors
    /// Where it cannot be done; see [`Model::prepare`].
    pub fn answers(&self, ask: &Ask) -> Result<Vec<Answer>, Refusal> {
        off_the_reactor(|| {
            let prepared = self.prepare(ask)?;
            let tokens = prepared.tokens.len();
            self.caps.admit(tokens)?;
            if let Some(record) = record::current() {
                record.asked(&self.name, tokens);
            }
            (0..ask.answers).map(|index| self.answer(ask, &prepared, index)).collect()
        })
    }

    fn answer(&self, ask: &Ask, prepared: &Prepared, index: usize) -> Result<Answer, Refusal> {
        let context = self.about.context;
        let room = context.saturating_sub(prepared.tokens.len());
        let fits = prepared.tokens.len() <= context && (room > 0 || ask.max_tokens == Some(0));
        if !fits {
            return Err(too_long(prepared.tokens.len(), context).at(ask.prompt.field()));
        }
        let room = match self.caps.answer_tokens {
            0 => room,
            most => room.min(most),
        };
        let request = Request {
            tokens: prepared.tokens.clone(),
            sampling: sampling(&ask.sampling, self.sampling, index as u64),
            max_tokens: ask.max_tokens.unwrap_or(room).min(room),
            stop_tokens: if ask.ignore_end { Vec::new() } else { self.stop_tokens.clone() },
            bias: ask.bias.clone(),
            logprobs: ask.logprobs,
            prompt_logprobs: ask.prompt_logprobs,
            marks: self.turns(prepared),
            ..Request::default()
        };
        let (guide, fault) = self.guide(ask, prepared)?.unzip();
        let ticket = self.worker.submit(request, guide)?;
        let mut hasher = DefaultHasher::new();
        (&prepared.tokens, index).hash(&mut hasher);
        Ok(Answer::new(self, ask, prepared, ticket, hasher.finish()).doubting(fault))
    }
}

/// Long work, a prompt of megabytes or a grammar, where it holds no other request up.
pub fn off_the_reactor<T>(work: impl FnOnce() -> T) -> T {
    let flavor = Handle::try_current().map(|handle| handle.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        // A runtime of one thread has nobody else to hold up.
        _ => work(),
    }
}

impl Caps {
    /// Lets a prompt of so many tokens in.
    ///
    /// # Errors
    /// Where that is too many.
    pub fn admit(&self, tokens: usize) -> Result<(), Refusal> {
        match self.prompt_tokens {
            most if most > 0 && tokens > most => {
                let message = format!(
                    "the prompt has {tokens} tokens, this server takes at most {most}\n\
                     hint: shorten it; `prompt_tokens_max` of baimo.toml is the limit"
                );
                Err(exceeded(message))
            }
            _ => Ok(()),
        }
    }
}

/// A prompt that leaves no room for an answer.
fn too_long(tokens: usize, context: usize) -> Refusal {
    let message = format!(
        "the prompt has {tokens} tokens, the context {context} with the answer\n\
         hint: shorten it, or start the server with a larger --context"
    );
    exceeded(message)
}

fn exceeded(message: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "context_length_exceeded", message)
}

/// What the client says, then what the model's makers recommend.
fn sampling(ask: &SamplingAsk, recommended: Sampling, index: u64) -> Sampling {
    let clock = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.as_nanos() as u64
    };
    Sampling {
        temperature: ask.temperature.unwrap_or(recommended.temperature),
        top_k: ask.top_k.unwrap_or(recommended.top_k),
        top_p: ask.top_p.unwrap_or(recommended.top_p),
        min_p: ask.min_p.unwrap_or(recommended.min_p),
        repetition_penalty: ask.repetition_penalty.unwrap_or(recommended.repetition_penalty),
        presence_penalty: ask.presence_penalty.unwrap_or(recommended.presence_penalty),
        frequency_penalty: ask.frequency_penalty.unwrap_or(recommended.frequency_penalty),
        seed: ask.seed.unwrap_or_else(clock).wrapping_add(index),
    }
}
