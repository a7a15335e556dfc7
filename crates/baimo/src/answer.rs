//! One answer: a prompt's tokens in, text out as it comes.

use anyhow::Result;
use baimo_engine::{Engine, EventKind, FinishReason, Request, Runner, Usage};
use baimo_text::{Decoder, StopMatcher, Tokenizer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What an answer took.
#[derive(Clone, Debug)]
pub struct Answer {
    /// All of it, as it was shown.
    pub text: String,
    /// Why it ended.
    pub end: End,
    /// How many tokens went in and came out.
    pub usage: Usage,
    /// From the request to the first token.
    pub prompt_time: Duration,
    /// From the first token to the last.
    pub answer_time: Duration,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The model ended it, or a stop string came.
    Stop,
    /// It reached the most tokens or the end of the context.
    Length,
    /// The user had enough.
    Interrupted,
}

/// Text on its way out.
struct Out<'a> {
    decoder: Decoder,
    stops: StopMatcher,
    text: String,
    show: &'a mut dyn FnMut(&str) -> Result<()>,
}

/// Runs a request until it ends, a stop string comes, or `interrupted` is set; `show` is given
/// whole characters only.
///
/// # Errors
/// Where the request does not fit, or `show` fails.
pub fn answer(
    engine: &mut Engine<Runner>,
    tokenizer: &Arc<Tokenizer>,
    request: Request,
    stops: &[String],
    interrupted: &AtomicBool,
    show: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<Answer> {
    let mut usage = Usage { prompt_tokens: request.tokens.len(), completion_tokens: 0 };
    let start = Instant::now();
    let mut first = None;
    let stop_tokens = request.stop_tokens.clone();
    let mut out = Out {
        decoder: Decoder::continuing(tokenizer.clone(), true),
        stops: StopMatcher::new(stops),
        text: String::new(),
        show,
    };
    let id = engine.submit(request)?;
    let mut end = None;
    while end.is_none() {
        if interrupted.load(Ordering::Relaxed) {
            end = Some(End::Interrupted);
            break;
        }
        for event in engine.step() {
            match event.kind {
                EventKind::Token(token) => {
                    first.get_or_insert_with(Instant::now);
                    usage.completion_tokens += 1;
                    if !stop_tokens.contains(&token) && out.token(token)? {
                        end = Some(End::Stop);
                        break;
                    }
                }
                EventKind::Logits { .. } => (),
                EventKind::Finished { reason, .. } => {
                    end = Some(match reason {
                        FinishReason::Stop => End::Stop,
                        FinishReason::Length => End::Length,
                    });
                }
            }
        }
    }
    engine.cancel(id);
    out.finish()?;
    let first = first.unwrap_or_else(Instant::now);
    Ok(Answer {
        text: out.text,
        end: end.expect("the loop ends with a reason"),
        usage,
        prompt_time: first - start,
        answer_time: first.elapsed(),
    })
}

impl Out<'_> {
    /// Takes a token in; true where a stop string came.
    fn token(&mut self, token: u32) -> Result<bool> {
        let text = self.decoder.push(token)?;
        self.pass(&text)
    }

    fn pass(&mut self, text: &str) -> Result<bool> {
        let outcome = self.stops.push(text);
        self.emit(&outcome.text)?;
        Ok(outcome.stop.is_some())
    }

    fn emit(&mut self, text: &str) -> Result<()> {
        if !text.is_empty() {
            self.text.push_str(text);
            (self.show)(text)?;
        }
        Ok(())
    }

    /// Lets go what was held back.
    fn finish(&mut self) -> Result<()> {
        let rest = self.decoder.finish();
        self.pass(&rest)?;
        let held = self.stops.finish();
        self.emit(&held.text)
    }
}

impl Answer {
    /// One line on how fast it was.
    pub fn speed(&self) -> String {
        let rate = |tokens: usize, time: Duration| match time.as_secs_f64() {
            0.0 => 0.0,
            seconds => tokens as f64 / seconds,
        };
        let Usage { prompt_tokens, completion_tokens } = self.usage;
        let end = match self.end {
            End::Stop => "",
            End::Length => " · cut at the most tokens",
            End::Interrupted => " · interrupted",
        };
        format!(
            "prompt {prompt_tokens} tokens, {:.1} tokens/s · \
             answer {completion_tokens} tokens, {:.1} tokens/s{end}",
            rate(prompt_tokens, self.prompt_time),
            rate(completion_tokens.saturating_sub(1), self.answer_time),
        )
    }
}
