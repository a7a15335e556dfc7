//! One answer: a prompt's tokens in, text out as it comes.

use anyhow::Result;
use baimo_engine::{Engine, EventKind, FinishReason, Request, Runner, Usage};
use baimo_labs::Voice;
use baimo_text::voice::{Parser, Piece, Reply};
use baimo_text::{Decoder, StopMatcher, Tokenizer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What an answer took.
#[derive(Clone, Debug)]
pub struct Answer {
    /// All of it, as it was shown.
    pub reply: Reply,
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
    parser: Parser,
    reply: Reply,
    show: &'a mut dyn FnMut(&Piece) -> Result<()>,
}

/// How an answer is taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// How the model speaks; `None` where everything is answer.
    pub voice: Option<&'static Voice>,
    /// The prompt, as text.
    pub prompt: &'a str,
    /// Texts that end the answer.
    pub stops: &'a [String],
}

impl Reading<'_> {
    /// Shows the special tokens that the voice's tags are made of.
    fn decoder(&self, tokenizer: &Arc<Tokenizer>) -> Decoder {
        let decoder = Decoder::continuing(tokenizer.clone(), true);
        match self.voice {
            Some(voice) => decoder.showing(&voice.tags()),
            None => decoder,
        }
    }
}

/// Runs a request until it ends, a stop string comes, or `interrupted` is set; `show` is given
/// whole characters only, thoughts and words apart.
///
/// # Errors
/// Where the request does not fit, or `show` fails.
pub fn answer(
    engine: &mut Engine<Runner>,
    tokenizer: &Arc<Tokenizer>,
    request: Request,
    reading: Reading,
    interrupted: &AtomicBool,
    show: &mut dyn FnMut(&Piece) -> Result<()>,
) -> Result<Answer> {
    let mut usage = Usage { prompt_tokens: request.tokens.len(), ..Usage::default() };
    let start = Instant::now();
    let mut first = None;
    let stop_tokens = request.stop_tokens.clone();
    let mut out = Out {
        decoder: reading.decoder(tokenizer),
        stops: StopMatcher::new(reading.stops),
        parser: Parser::new(reading.voice, reading.prompt, None),
        reply: Reply::default(),
        show,
    };
    let id = engine.submit(request)?;
    let mut end = None;
    while end.is_none() {
        if interrupted.load(Ordering::Relaxed) {
            end = Some(End::Interrupted);
            break;
        }
        for event in engine.step()? {
            match event.kind {
                EventKind::Token { token, .. } => {
                    first.get_or_insert_with(Instant::now);
                    usage.completion_tokens += 1;
                    if !stop_tokens.contains(&token) && out.token(token)? {
                        end = Some(End::Stop);
                        break;
                    }
                }
                EventKind::Logits { .. }
                | EventKind::Embedding(_)
                | EventKind::PromptLogprobs { .. } => (),
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
        reply: out.reply,
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
        let pieces = self.parser.push(&outcome.text);
        self.emit(pieces)?;
        Ok(outcome.stop.is_some())
    }

    fn emit(&mut self, pieces: Vec<Piece>) -> Result<()> {
        for piece in &pieces {
            self.reply.add(piece);
            (self.show)(piece)?;
        }
        Ok(())
    }

    /// Lets go what was held back.
    fn finish(&mut self) -> Result<()> {
        let rest = self.decoder.finish();
        self.pass(&rest)?;
        let held = self.stops.finish();
        let mut pieces = self.parser.push(&held.text);
        pieces.extend(self.parser.finish());
        self.emit(pieces)
    }
}

impl Answer {
    /// One line on how fast it was.
    pub fn speed(&self) -> String {
        let rate = |tokens: usize, time: Duration| match time.as_secs_f64() {
            0.0 => 0.0,
            seconds => tokens as f64 / seconds,
        };
        let Usage { prompt_tokens, completion_tokens, .. } = self.usage;
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
