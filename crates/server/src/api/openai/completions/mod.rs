//! `POST /v1/completions`: texts are continued as they are.

mod likelihoods;
pub mod request;

use super::chat::{finish_reason, sum};
use super::inputs::Input;
use super::{Error, event_stream, timings, usage_of};
use crate::app::{Shared, parse, seconds};
use crate::ask::{Ask, Prompt};
use crate::error::Refusal;
use crate::model::{Answer, End, Model, Said, TokenSaid, Usage, patiently};
use async_stream::stream;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use baimo_text::EncodeOptions;
use baimo_text::voice::Piece;
use futures_util::stream::{self, BoxStream, select_all};
use futures_util::{StreamExt, TryStreamExt};
use likelihoods::Likelihoods;
use request::CompletionRequest;
use serde_json::{Value, json};
use std::sync::Arc;

/// Prompts of one request that are under way at once.
const AT_ONCE: usize = 8;

/// A prompt, and how it is shown.
#[derive(Debug)]
struct Given {
    tokens: Vec<u32>,
    text: String,
}

/// What of the answers is told, and how.
#[derive(Clone, Debug)]
struct Telling {
    app: Shared,
    model: Arc<Model>,
    id: String,
    created: u64,
    ask: Ask,
    prompts: Arc<[Given]>,
    echo: bool,
    prompt_logprobs: Option<usize>,
    timings: bool,
    /// The usage, in a last chunk or in every one.
    usage: Option<bool>,
}

/// All answers to one prompt.
struct Told {
    choices: Vec<Value>,
    usage: Usage,
    last: Option<End>,
}

/// Part of a stream.
enum Part {
    Chunk(Value),
    /// What all answers to a prompt took.
    Spent(Usage),
}

/// Continues texts.
#[utoipa::path(
    post, path = "/v1/completions", tag = "OpenAI", request_body = CompletionRequest,
    responses(
        (status = 200, description = "The answers, or a stream of their parts"),
        (status = 400, description = "A field is wrong or cannot be had"),
        (status = 404, description = "No such model"),
        (status = 413, description = "The body is too large"),
        (status = 429, description = "All places are taken"),
        (status = 503, description = "The model cannot be loaded"),
    )
)]
pub async fn completions(State(app): State<Shared>, body: Bytes) -> Result<Response, Error> {
    let mut request: CompletionRequest = parse(&body)?;
    let model = app.registry.get(request.model.as_deref()).await?;
    let ask = request.ask()?;
    let options = request.stream_options.unwrap_or_default();
    let telling = Telling {
        id: app.id("cmpl-"),
        created: seconds(),
        prompts: given(&model, &mut request)?,
        echo: request.echo.unwrap_or(false),
        prompt_logprobs: request.prompt_logprobs.map(|count| count as usize),
        timings: request.timings_per_token == Some(true),
        usage: (options.include_usage == Some(true))
            .then_some(options.continuous_usage_stats == Some(true)),
        app,
        model,
        ask,
    };
    // Whoever cannot begin at all learns it at once.
    let first = telling.begin(0)?;
    match request.stream.unwrap_or(false) {
        true => Ok(telling.stream(first)),
        false => Ok(telling.whole(first).await?),
    }
}

fn given(model: &Model, request: &mut CompletionRequest) -> Result<Arc<[Given]>, Refusal> {
    let missing = || Refusal::field("prompt", "`prompt` is missing");
    let inputs = request.prompt.take().ok_or_else(missing)?.list("prompt", model.about.vocab)?;
    let bos = request.add_special_tokens.unwrap_or(true);
    let options = EncodeOptions { bos, ..EncodeOptions::PROMPT };
    let one = |(field, input)| match input {
        Input::Text(text) => {
            let tokens = model.encode(&text, options).map_err(|refusal| refusal.at(field))?;
            Ok(Given { tokens, text })
        }
        Input::Tokens(tokens) => {
            Ok(Given { text: likelihoods::text_of(&model.tokenizer, &tokens), tokens })
        }
    };
    inputs.into_iter().map(one).collect()
}

impl Telling {
    /// Begins all answers to a prompt.
    fn begin(&self, index: usize) -> Result<Vec<Answer>, Refusal> {
        let prompt = Prompt::Tokens(self.prompts[index].tokens.clone());
        self.model.answers(&Ask { prompt, ..self.ask.clone() })
    }

    async fn whole(self, first: Vec<Answer>) -> Result<Response, Refusal> {
        let mut first = Some(first);
        let all = (0..self.prompts.len()).map(|index| self.told(index, first.take()));
        let all: Vec<Told> = stream::iter(all).buffered(AT_ONCE).try_collect().await?;
        let usage = all.iter().fold(Usage::default(), |all, told| add(all, told.usage));
        let last = all.last().and_then(|told| told.last.clone());
        let choices = all.into_iter().flat_map(|told| told.choices).collect();
        let mut body = self.body(choices);
        body["usage"] = usage_of(&usage);
        if let Some(end) = last.filter(|_| self.timings) {
            body["timings"] = timings(&end);
        }
        Ok(Json(body).into_response())
    }

    /// All answers to a prompt, which are `begun` or begin as soon as there is room.
    async fn told(&self, index: usize, begun: Option<Vec<Answer>>) -> Result<Told, Refusal> {
        let answers = self.begun(index, begun).await?;
        let mut told = Told { choices: Vec::new(), usage: Usage::default(), last: None };
        for (number, mut answer) in answers.into_iter().enumerate() {
            let (mut text, mut likelihoods) = (String::new(), self.likelihoods(index));
            while let Some(said) = self.app.next(&self.model, &mut answer).await {
                match said? {
                    Said::Piece(Piece::Content(more)) => text += &more,
                    Said::Piece(_) => {}
                    Said::Token(token) => likelihoods.push(token.token, Some(&token.logprobs)),
                    Said::End(end) => {
                        told.usage = sum(told.usage, end.usage);
                        told.last = Some(end);
                    }
                }
            }
            let mut choice = self.choice(index, number);
            let prompt = answer.take_prompt_logprobs();
            if self.echo {
                text.insert_str(0, &self.prompts[index].text);
                likelihoods = self.likelihoods_of_prompt(index, &prompt).and(likelihoods);
            }
            choice["text"] = text.into();
            if self.ask.logprobs.is_some() {
                choice["logprobs"] = likelihoods.take();
            }
            if let Some(count) = self.prompt_logprobs {
                let told = likelihoods::by_id(&self.model.tokenizer, &prompt, count);
                choice["prompt_logprobs"] = told;
            }
            choice["finish_reason"] =
                told.last.as_ref().map(|end| finish_reason(&end.reason)).into();
            told.choices.push(choice);
        }
        Ok(told)
    }

    async fn begun(
        &self,
        index: usize,
        begun: Option<Vec<Answer>>,
    ) -> Result<Vec<Answer>, Refusal> {
        match begun {
            Some(answers) => Ok(answers),
            None => patiently(|| self.begin(index)).await,
        }
    }

    fn stream(self, first: Vec<Answer>) -> Response {
        let (mut first, telling) = (Some(first), self.clone());
        let all = (0..self.prompts.len()).map(move |index| {
            let begun = first.take();
            telling.clone().parts(index, begun)
        });
        let mut all = stream::iter(all).flatten_unordered(AT_ONCE);
        event_stream(stream! {
            let mut usage = Usage::default();
            while let Some(part) = all.next().await {
                match part {
                    Err(refusal) => {
                        yield Err(refusal);
                        return;
                    }
                    Ok(Part::Chunk(chunk)) => yield Ok(chunk),
                    Ok(Part::Spent(spent)) => usage = add(usage, spent),
                }
            }
            if self.usage.is_some() {
                let mut chunk = self.body(Vec::new());
                chunk["usage"] = usage_of(&usage);
                yield Ok(chunk);
            }
        })
    }

    /// The parts of all answers to a prompt, as they come.
    fn parts(
        self,
        index: usize,
        begun: Option<Vec<Answer>>,
    ) -> BoxStream<'static, Result<Part, Refusal>> {
        stream! {
            let answers = match self.begun(index, begun).await {
                Ok(answers) => answers,
                Err(refusal) => {
                    yield Err(refusal);
                    return;
                }
            };
            let (mut usage, count) = (Usage::default(), answers.len());
            let several = answers.into_iter().zip(0..count);
            let several =
                several.map(|(answer, number)| self.clone().answer(index, number, answer));
            let mut all = select_all(several);
            while let Some(part) = all.next().await {
                match part {
                    Ok(Part::Spent(spent)) => usage = sum(usage, spent),
                    part => yield part,
                }
            }
            yield Ok(Part::Spent(usage));
        }
        .boxed()
    }

    /// The parts of one answer.
    fn answer(
        self,
        index: usize,
        number: usize,
        mut answer: Answer,
    ) -> BoxStream<'static, Result<Part, Refusal>> {
        stream! {
            let mut likelihoods = self.likelihoods(index);
            let mut echoes = self.echo;
            while let Some(said) = self.app.next(&self.model, &mut answer).await {
                if std::mem::take(&mut echoes) {
                    let prompt = answer.take_prompt_logprobs();
                    let mut of_prompt = self.likelihoods_of_prompt(index, &prompt);
                    let text = &self.prompts[index].text;
                    yield Ok(Part::Chunk(self.chunk(index, number, text, &mut of_prompt)));
                }
                match said {
                    Err(refusal) => {
                        yield Err(refusal);
                        return;
                    }
                    Ok(Said::Piece(Piece::Content(text))) => {
                        let mut chunk = self.chunk(index, number, &text, &mut likelihoods);
                        if self.usage == Some(true) {
                            chunk["usage"] = usage_of(&answer.usage());
                        }
                        yield Ok(Part::Chunk(chunk));
                    }
                    Ok(Said::Piece(_)) => {}
                    Ok(Said::Token(token)) => {
                        likelihoods.push(token.token, Some(&token.logprobs));
                    }
                    Ok(Said::End(end)) => {
                        let mut chunk = self.chunk(index, number, "", &mut likelihoods);
                        chunk["choices"][0]["finish_reason"] = finish_reason(&end.reason).into();
                        if self.usage == Some(true) {
                            chunk["usage"] = usage_of(&end.usage);
                        }
                        if self.timings {
                            chunk["timings"] = timings(&end);
                        }
                        yield Ok(Part::Chunk(chunk));
                        yield Ok(Part::Spent(end.usage));
                    }
                }
            }
        }
        .boxed()
    }

    /// Of an answer, yet empty.
    fn likelihoods(&self, index: usize) -> Likelihoods {
        let shown = if self.echo { self.prompts[index].text.chars().count() } else { 0 };
        let count = self.ask.logprobs.unwrap_or(0);
        Likelihoods::of_answer(self.model.tokenizer.clone(), count, shown)
    }

    /// Of all tokens of a prompt; of none where they are not wanted.
    fn likelihoods_of_prompt(&self, index: usize, said: &[TokenSaid]) -> Likelihoods {
        let Given { tokens, text } = &self.prompts[index];
        let (count, tokenizer) = (self.ask.logprobs.unwrap_or(0), self.model.tokenizer.clone());
        let mut likelihoods = Likelihoods::of_prompt(tokenizer, count, tokens, text);
        if self.ask.logprobs.is_some() {
            let told = said.iter().map(|said| Some(&said.logprobs));
            let told = [None].into_iter().chain(told);
            tokens.iter().zip(told).for_each(|(&token, told)| likelihoods.push(token, told));
        }
        likelihoods
    }

    fn choice(&self, index: usize, number: usize) -> Value {
        let index = index * self.ask.answers + number;
        json!({ "index": index, "text": "", "logprobs": null, "finish_reason": null })
    }

    fn chunk(&self, index: usize, number: usize, text: &str, told: &mut Likelihoods) -> Value {
        let mut choice = self.choice(index, number);
        choice["text"] = text.into();
        if !told.is_empty() {
            choice["logprobs"] = told.take();
        }
        let mut chunk = self.body(vec![choice]);
        if self.usage.is_some() {
            chunk["usage"] = Value::Null;
        }
        chunk
    }

    fn body(&self, choices: Vec<Value>) -> Value {
        json!({
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model.name,
            "system_fingerprint": concat!("baimo-", env!("CARGO_PKG_VERSION")),
            "choices": choices,
        })
    }
}

/// Of two prompts.
fn add(all: Usage, one: Usage) -> Usage {
    Usage {
        prompt_tokens: all.prompt_tokens + one.prompt_tokens,
        cached_tokens: all.cached_tokens + one.cached_tokens,
        completion_tokens: all.completion_tokens + one.completion_tokens,
        reasoning_tokens: all.reasoning_tokens + one.reasoning_tokens,
    }
}
