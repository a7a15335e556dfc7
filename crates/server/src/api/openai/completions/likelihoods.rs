//! Log-probabilities in the forms of completions.

use crate::model::TokenSaid;
use baimo_engine::Logprobs;
use baimo_text::{Decoder, Tokenizer};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// JSON has no infinity; this is said for what is out of the question.
const LEAST: f32 = -9999.0;

/// The tokens of a text one after another, each with its log-probability and the place in the text
/// where it begins, in characters.
#[derive(Debug)]
pub struct Likelihoods {
    tokenizer: Arc<Tokenizer>,
    /// How many likeliest tokens are told.
    count: usize,
    decoder: Decoder,
    /// Characters so far, those among them that are no part of the text.
    offset: usize,
    before: usize,
    tokens: Vec<String>,
    token_logprobs: Vec<Value>,
    top_logprobs: Vec<Value>,
    text_offset: Vec<usize>,
}

impl Likelihoods {
    /// For an answer that begins after `offset` characters of the text.
    pub fn of_answer(tokenizer: Arc<Tokenizer>, count: usize, offset: usize) -> Likelihoods {
        let decoder = Decoder::continuing(tokenizer.clone(), true);
        Likelihoods { offset, ..Likelihoods::new(tokenizer, count, decoder) }
    }

    /// For a prompt that is shown as `text`: what its `tokens` show before that has no place in it.
    pub fn of_prompt(
        tokenizer: Arc<Tokenizer>,
        count: usize,
        tokens: &[u32],
        text: &str,
    ) -> Likelihoods {
        let shown = text_of(&tokenizer, tokens);
        let before = shown.chars().count().saturating_sub(text.chars().count());
        let decoder = Decoder::new(tokenizer.clone(), false);
        Likelihoods { before, ..Likelihoods::new(tokenizer, count, decoder) }
    }

    fn new(tokenizer: Arc<Tokenizer>, count: usize, decoder: Decoder) -> Likelihoods {
        Likelihoods {
            tokenizer,
            count,
            decoder,
            offset: 0,
            before: 0,
            tokens: Vec::new(),
            token_logprobs: Vec::new(),
            top_logprobs: Vec::new(),
            text_offset: Vec::new(),
        }
    }

    /// The next token. Nothing is known of a text's first.
    pub fn push(&mut self, token: u32, logprobs: Option<&Logprobs>) {
        self.text_offset.push(self.offset.saturating_sub(self.before));
        // The model's vocabulary may be padded beyond the tokenizer's.
        self.offset += self.decoder.push(token).unwrap_or_default().chars().count();
        self.tokens.push(text(&self.tokenizer, token));
        self.token_logprobs.push(logprobs.map(|all| all.token.max(LEAST)).into());
        self.top_logprobs.push(logprobs.map(|all| self.top(token, all)).into());
    }

    /// The likeliest tokens, and the one that came where it is not among them. Of those with the
    /// same text the likeliest is told.
    fn top(&self, token: u32, logprobs: &Logprobs) -> Value {
        let mut top = Map::new();
        let likeliest = logprobs.top.iter().take(self.count).copied();
        for (token, logprob) in likeliest.chain([(token, logprobs.token)]) {
            top.entry(text(&self.tokenizer, token)).or_insert_with(|| logprob.max(LEAST).into());
        }
        top.into()
    }

    /// These and those of the text that goes on.
    pub fn and(mut self, mut next: Likelihoods) -> Likelihoods {
        self.tokens.append(&mut next.tokens);
        self.token_logprobs.append(&mut next.token_logprobs);
        self.top_logprobs.append(&mut next.top_logprobs);
        self.text_offset.append(&mut next.text_offset);
        self
    }

    /// Whether nothing came since the last time.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// What came since the last time.
    pub fn take(&mut self) -> Value {
        json!({
            "tokens": std::mem::take(&mut self.tokens),
            "token_logprobs": std::mem::take(&mut self.token_logprobs),
            "top_logprobs": std::mem::take(&mut self.top_logprobs),
            "text_offset": std::mem::take(&mut self.text_offset),
        })
    }
}

/// The log-probabilities of a prompt's tokens by their ids, as vLLM has them.
pub fn by_id(tokenizer: &Tokenizer, said: &[TokenSaid], count: usize) -> Value {
    let one = |said: &TokenSaid| {
        let mut all = Map::new();
        let ranks = 1..=count;
        let likeliest = said.logprobs.top.iter().zip(ranks).map(|(&(id, p), rank)| (id, p, rank));
        let own = (said.token, said.logprobs.token, said.logprobs.rank);
        for (token, logprob, rank) in likeliest.chain([own]) {
            let told = json!({
                "logprob": logprob.max(LEAST),
                "rank": rank,
                "decoded_token": text(tokenizer, token),
            });
            all.entry(token.to_string()).or_insert(told);
        }
        Value::Object(all)
    };
    [Value::Null].into_iter().chain(said.iter().map(one)).collect()
}

/// The text of tokens, special ones among them.
pub fn text_of(tokenizer: &Arc<Tokenizer>, tokens: &[u32]) -> String {
    let mut decoder = Decoder::new(tokenizer.clone(), false);
    let mut text: String =
        tokens.iter().map(|&token| decoder.push(token).unwrap_or_default()).collect();
    text += &decoder.finish();
    text
}

fn text(tokenizer: &Tokenizer, token: u32) -> String {
    tokenizer.token_text(token).unwrap_or_default()
}
