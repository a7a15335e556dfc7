//! Prompts that are only read: for the hidden state or the logits after their last token.

use super::{End, Model, Reason, Timings, Told, Usage, too_long};
use crate::error::Refusal;
use crate::record;
use baimo_engine::{EventKind, Request};
use baimo_text::EncodeOptions;
use std::time::{Duration, Instant};

/// How often a request asks again for a place.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// What a prompt gave, and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// The numbers wanted.
    pub numbers: Vec<f32>,
    /// What it took.
    pub end: End,
}

/// Tries until there is a place: for a request that has others under way, which will make room.
///
/// # Errors
/// Anything but that all places are taken.
pub async fn patiently<T>(mut attempt: impl FnMut() -> Result<T, Refusal>) -> Result<T, Refusal> {
    loop {
        match attempt() {
            Err(refusal) if refusal.is_full() => tokio::time::sleep(ASK_AGAIN).await,
            tried => return tried,
        }
    }
}

impl Model {
    /// The tokens of a text that is to become a vector, with the end that the model reads it off.
    /// Special tokens written in it are text.
    ///
    /// # Errors
    /// Where the tokenizer cannot read it.
    pub fn ended(&self, text: &str) -> Result<Vec<u32>, Refusal> {
        let options = EncodeOptions { specials: false, ..EncodeOptions::PROMPT };
        let mut tokens = self.encode(text, options)?;
        tokens.extend(self.tokenizer.ending());
        Ok(tokens)
    }

    /// The last hidden state, normed, of the last of `tokens`, which came in `field`; `waits` for a
    /// place where there is none.
    ///
    /// # Errors
    /// Where the prompt cannot be read, or there is no place and it does not wait.
    pub async fn hidden(&self, tokens: &[u32], field: &str, waits: bool) -> Result<Read, Refusal> {
        let request = Request { embedding: true, ..Request::default() };
        self.read(Request { tokens: tokens.to_vec(), ..request }, field, waits).await
    }

    /// The logits after the last of `tokens`; the rest as for [`Model::hidden`].
    ///
    /// # Errors
    /// As there.
    pub async fn logits(&self, tokens: &[u32], field: &str, waits: bool) -> Result<Read, Refusal> {
        let observed = vec![tokens.len().saturating_sub(1)];
        let request = Request { observed, ..Request::default() };
        self.read(Request { tokens: tokens.to_vec(), ..request }, field, waits).await
    }

    async fn read(&self, request: Request, field: &str, waits: bool) -> Result<Read, Refusal> {
        let (context, tokens) = (self.about.context, request.tokens.len());
        if tokens > context {
            return Err(too_long(tokens, context).at(field.to_owned()));
        }
        self.caps.admit(tokens).map_err(|refusal| refusal.at(field.to_owned()))?;
        if let Some(record) = record::current() {
            record.asked(&self.name, tokens);
        }
        let begun = Instant::now();
        let mut ticket = match waits {
            true => patiently(|| self.worker.submit(request.clone(), None)).await?,
            false => self.worker.submit(request, None)?,
        };
        let mut numbers = Vec::new();
        loop {
            match ticket.next().await {
                Some(Told::Event(EventKind::Embedding(found), _)) => numbers = found,
                Some(Told::Event(EventKind::Logits { logits, .. }, _)) => numbers = logits,
                Some(Told::Event(EventKind::Finished { usage, .. }, _)) => {
                    let usage = Usage {
                        prompt_tokens: usage.prompt_tokens,
                        cached_tokens: usage.cached_tokens,
                        ..Usage::default()
                    };
                    let first_token = begun.elapsed();
                    let timings = Timings { first_token, ..Timings::default() };
                    let end = End { reason: Reason::Stop, usage, timings };
                    return Ok(Read { numbers, end });
                }
                Some(Told::Event(
                    EventKind::Token { .. } | EventKind::PromptLogprobs { .. },
                    _,
                )) => {}
                Some(Told::Failed(refusal)) => return Err(refusal.at(field.to_owned())),
                None => return Err(Refusal::internal("the model was unloaded meanwhile")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn patience_ends_with_anything_but_a_full_house() {
        let mut answers = vec![Ok(7), Err(Refusal::full()), Err(Refusal::full())];
        let tried = patiently(|| answers.pop().expect("no more attempts than needed")).await;
        assert_eq!(tried.expect("the third attempt"), 7);
        assert!(answers.is_empty());
        let refused = patiently(|| Err::<(), _>(Refusal::internal("broken"))).await;
        assert_eq!(refused.expect_err("no second attempt").message, "broken");
    }
}
