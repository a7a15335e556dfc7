//! `POST /v1/responses`: the answer, whole, as it comes, or later.

use super::convert::{Wish, in_its_words};
use super::items::{Origins, items};
use super::log::Log;
use super::messages::messages;
use super::request::ResponsesRequest;
use super::store::{Kept, Running, Seed, Turn};
use super::teller::Teller;
use super::{event_stream, lock};
use crate::api::openai::{Error, logprobs_of};
use crate::app::{App, Shared, parse};
use crate::ask::{Ask, Prompt};
use crate::error::Refusal;
use crate::model::{Answer, Model, Said, off_the_reactor};
use crate::record;
use async_stream::stream;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// Answers an input.
#[utoipa::path(
    post, path = "/v1/responses", tag = "OpenAI", request_body = ResponsesRequest,
    responses(
        (status = 200, description = "The response, or a stream of events that tell of it"),
        (status = 400, description = "A field is wrong or cannot be had"),
        (status = 404, description = "No such model"),
        (status = 413, description = "The body is too large"),
        (status = 429, description = "All places are taken"),
        (status = 503, description = "The model cannot be loaded"),
    )
)]
pub async fn create(State(app): State<Shared>, body: Bytes) -> Result<Response, Error> {
    let request: ResponsesRequest = parse(&body)?;
    let model = app.registry.get(request.model.as_deref()).await?;
    let streams = request.stream == Some(true);
    let (background, stores) = (request.background == Some(true), request.store != Some(false));
    let begun = off_the_reactor(|| begin(app, model, request));
    let Begun { making, seed } = begun.map_err(in_its_words)?;
    if background {
        return Ok(making.detach(seed, streams));
    }
    let keep = if stores { Keep::Turn(seed) } else { Keep::Nothing };
    if streams {
        return Ok(event_stream(making.events(keep).map(|told| told.event)));
    }
    let mut events = std::pin::pin!(making.events(keep));
    let mut response = Value::Null;
    while let Some(Told { mut event, failure }) = events.next().await {
        if let Some(refusal) = failure {
            return Err(in_its_words(refusal).into());
        }
        response = event["response"].take();
    }
    Ok(Json(response).into_response())
}

/// Counts the tokens of an input.
#[utoipa::path(
    post, path = "/v1/responses/input_tokens", tag = "OpenAI", request_body = ResponsesRequest,
    responses(
        (status = 200, description = "How many there are"),
        (status = 400, description = "A field is wrong or cannot be had"),
        (status = 404, description = "No such model"),
        (status = 413, description = "The body is too large"),
        (status = 503, description = "The model cannot be loaded"),
    )
)]
pub async fn input_tokens(State(app): State<Shared>, body: Bytes) -> Result<Json<Value>, Error> {
    let request: ResponsesRequest = parse(&body)?;
    let model = app.registry.get(request.model.as_deref()).await?;
    let prepared = off_the_reactor(|| {
        let (wish, _) = wish(&app, &model, request)?;
        model.prepare(&wish.ask)
    });
    let tokens = prepared.map_err(in_its_words)?.tokens.len();
    Ok(Json(json!({ "object": "response.input_tokens", "input_tokens": tokens })))
}

struct Begun {
    making: Making,
    seed: Seed,
}

fn begin(app: Shared, model: Arc<Model>, request: ResponsesRequest) -> Result<Begun, Refusal> {
    let (wish, seed) = wish(&app, &model, request)?;
    let Wish { ask, tools, mut response, seals, .. } = wish;
    let mut answers = model.answers(&ask)?;
    let Some(answer) = answers.pop() else {
        return Err(Refusal::internal("no answer was begun"));
    };
    let id = app.responses.id();
    response["id"] = id.as_str().into();
    let teller = Arc::new(Mutex::new(Teller::new(app.clone(), response, tools, seals)));
    Ok(Begun { making: Making { app, model, id, teller, answer }, seed })
}

/// What a request wants, with all that is said before the answer.
fn wish(app: &App, model: &Model, request: ResponsesRequest) -> Result<(Wish, Seed), Refusal> {
    let mut wish = Wish::new(&request, model)?;
    let parent = request.previous_response_id.as_deref().map(|id| previous(app, id)).transpose()?;
    let Some(input) = request.input else {
        return Err(Refusal::field("input", "`input` is missing"));
    };
    let input = items(input, &Stored { app, read: RefCell::default() })?;
    if input.is_empty() && parent.is_none() {
        return Err(Refusal::field("input", "wanted at least one item"));
    }
    let mut all = parent.as_ref().map_or_else(Vec::new, Turn::history);
    all.extend(input.iter().cloned());
    if let Prompt::Chat(chat) = &mut wish.ask.prompt {
        chat.messages = messages(request.instructions.as_deref(), &all);
    }
    if wish.truncates
        && let left_out @ 1.. = truncate(model, &mut wish.ask)?
    {
        let notice = format!("the {left_out} oldest messages are left out: there is no room");
        match wish.response["notices"].as_array_mut() {
            Some(notices) => notices.push(notice.into()),
            None => wish.response["notices"] = json!([notice]),
        }
    }
    Ok((wish, Seed { parent, input }))
}

/// The response that another goes on from.
fn previous(app: &App, id: &str) -> Result<Arc<Turn>, Refusal> {
    let refuse = |message: String| {
        let code = "previous_response_not_found";
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, code, message);
        Err(Refusal { param: Some("previous_response_id".into()), ..refusal })
    };
    match app.responses.get(id) {
        Some(Kept::Ended(turn)) => Ok(turn),
        Some(Kept::Running { .. }) => refuse(format!("response `{id}` is still under way")),
        None => {
            let hint = "hint: responses are kept with `store`: true, the latest of them";
            refuse(format!("no response `{id}` is kept\n{hint}"))
        }
    }
}

/// A turn with those of its items, by id, that were not given yet.
type Read = (Arc<Turn>, HashMap<String, Value>);

struct Stored<'a> {
    app: &'a App,
    /// The items of responses that were referred to, but those that were given already: however
    /// often a request refers to something, it is read once and given once.
    read: RefCell<HashMap<*const Turn, Read>>,
}

impl Origins for Stored<'_> {
    fn item(&self, id: &str) -> Option<Value> {
        let turn = self.app.responses.turn_with(id)?;
        let mut read = self.read.borrow_mut();
        let first = || (turn.clone(), turn.items());
        let (_, items) = read.entry(Arc::as_ptr(&turn)).or_insert_with(first);
        items.remove(id)
    }

    fn id(&self, prefix: &str) -> String {
        self.app.id(prefix)
    }
}

/// Leaves the oldest turns out, as few as will do; how many messages those were. A turn begins with
/// the user's message. Instructions at the beginning stay, as does the last turn.
fn truncate(model: &Model, ask: &mut Ask) -> Result<usize, Refusal> {
    let context = model.about.context;
    let answer = ask.max_tokens.unwrap_or(context / 8).clamp(1, context.div_ceil(2));
    let fits = |ask: &Ask| -> Result<bool, Refusal> {
        Ok(model.prepare(ask)?.tokens.len() + answer <= context)
    };
    if fits(ask)? {
        return Ok(0);
    }
    let Prompt::Chat(chat) = &ask.prompt else { return Ok(0) };
    let all = chat.messages.clone();
    let kept = usize::from(all.first().is_some_and(|first| first["role"] == "system"));
    let starts = (kept + 1..all.len()).filter(|&at| all[at]["role"] == "user");
    let starts: Vec<usize> = starts.collect();
    let mut cut = |start: usize| {
        if let Prompt::Chat(chat) = &mut ask.prompt {
            chat.messages = [&all[..kept], &all[start..]].concat();
        }
        fits(ask)
    };
    // The fewer there are, the sooner they fit: the first start that does is found by halving.
    let (mut too_early, mut late) = (0, starts.len());
    while too_early < late {
        let middle = too_early + (late - too_early) / 2;
        match cut(starts[middle])? {
            true => late = middle,
            false => too_early = middle + 1,
        }
    }
    // If even the last turn alone is too long, the model says by how much.
    let Some(&start) = starts.get(late).or(starts.last()) else { return Ok(0) };
    cut(start)?;
    Ok(start - kept)
}

/// A response that is being made.
struct Making {
    app: Shared,
    model: Arc<Model>,
    id: String,
    teller: Arc<Mutex<Teller>>,
    answer: Answer,
}

/// Where a response goes when it has ended.
enum Keep {
    Nothing,
    Turn(Seed),
    /// It is known already as one under way.
    Running,
}

/// An event, and the failure that it tells of.
struct Told {
    event: Value,
    failure: Option<Refusal>,
}

impl Making {
    /// All that happens. When the end is told, the response is where it is to be kept.
    fn events(self, keep: Keep) -> impl Stream<Item = Told> + Send {
        let Making { app, model, id, teller, mut answer } = self;
        stream! {
            let begun = lock(&teller).begin();
            for event in begun {
                yield Told { event, failure: None };
            }
            let mut keep = Some(keep);
            // Held until all is told, as letting go of it ends this.
            let mut _alive = None;
            while let Some(said) = app.next(&model, &mut answer).await {
                let ended = matches!(said, Ok(Said::End(_)) | Err(_));
                let failure = said.as_ref().err().cloned();
                let events = Self::tell(&mut lock(&teller), &answer, said);
                if ended {
                    match keep.take() {
                        Some(Keep::Turn(seed)) if failure.is_none() => {
                            let response = lock(&teller).response();
                            app.responses.keep(&id, seed, &response, None);
                        }
                        Some(Keep::Running) => _alive = app.responses.finish(&id),
                        Some(Keep::Nothing | Keep::Turn(_)) | None => {}
                    }
                }
                for event in events {
                    yield Told { event, failure: failure.clone() };
                }
            }
        }
    }

    fn tell(teller: &mut Teller, answer: &Answer, said: Result<Said, Refusal>) -> Vec<Value> {
        let mut events: Vec<Value> = teller.wake().into_iter().collect();
        match said {
            Ok(Said::Token(token)) => teller.token(logprobs_of(answer.tokenizer(), &token)),
            Ok(Said::Piece(piece)) => events.extend(teller.piece(piece)),
            Ok(Said::End(end)) => events.extend(teller.end(&end)),
            Err(refusal) => events.extend(teller.fail(&in_its_words(refusal))),
        }
        events
    }

    /// Goes on without the client, who is told that it waits, or follows it.
    fn detach(self, seed: Seed, streams: bool) -> Response {
        let log = streams.then(|| Arc::new(Log::default()));
        let (alive, gone) = oneshot::channel();
        let running = Running { teller: self.teller.clone(), log: log.clone(), seed, alive };
        self.app.responses.begin(self.id.clone(), running);
        let waiting = lock(&self.teller).response();
        let told = log.clone();
        tokio::spawn(record::carried(async move {
            let mut events = std::pin::pin!(self.events(Keep::Running));
            let work = async {
                while let Some(Told { event, .. }) = events.next().await {
                    if let Some(log) = &told {
                        log.add(event);
                    }
                }
            };
            tokio::select! { () = work => {} _ = gone => {} }
            if let Some(log) = &told {
                log.end();
            }
        }));
        match log {
            Some(log) => event_stream(log.follow(None)),
            None => Json(waiting).into_response(),
        }
    }
}
