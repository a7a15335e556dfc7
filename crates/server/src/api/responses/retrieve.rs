//! `/v1/responses/{id}`: responses that are kept or under way.

use super::store::Kept;
use super::{event_stream, lock};
use crate::api::openai::Error;
use crate::app::Shared;
use crate::error::Refusal;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Items of a list where nothing is said, and at most.
const LIMIT: [usize; 2] = [20, 100];

type Pairs = Query<Vec<(String, String)>>;

/// A response, or a stream of the events of one that was begun with `background` and `stream`.
#[utoipa::path(
    get, path = "/v1/responses/{id}", tag = "OpenAI",
    params(
        ("id" = String, Path, description = "Its name"),
        ("stream" = Option<bool>, Query, description = "Its events instead"),
        ("starting_after" = Option<u64>, Query, description = "Those after the one of this number"),
    ),
    responses(
        (status = 200, description = "The response, or a stream of events that tell of it"),
        (status = 400, description = "A parameter is wrong or cannot be had"),
        (status = 404, description = "No such response"),
    )
)]
pub async fn retrieve(
    State(app): State<Shared>,
    Path(id): Path<String>,
    Query(pairs): Pairs,
) -> Result<Response, Error> {
    let (mut streams, mut after) = (false, None);
    for (name, value) in pairs {
        match name.as_str() {
            "stream" => streams = flag("stream", &value)?,
            "starting_after" => after = Some(number("starting_after", &value)?),
            "include_obfuscation" if !flag("include_obfuscation", &value)? => {}
            // What was included when the response was made is there.
            "include" | "include[]" | "include[0]" | "include_obfuscation" => {
                let message = "wanted nothing: say it when the response is made";
                return Err(Refusal::field(name, message).into());
            }
            _ => return Err(no_parameter(&name).into()),
        }
    }
    let kept = app.responses.get(&id).ok_or_else(|| unknown(&id))?;
    if !streams {
        if after.is_some() {
            return Err(Refusal::field("starting_after", "wanted `stream`=true with it").into());
        }
        return Ok(whole(&kept));
    }
    let log = match &kept {
        Kept::Running { log, .. } => log.clone(),
        Kept::Ended(turn) => turn.log().cloned(),
    };
    let log = log.ok_or_else(|| {
        let message = "this response was not begun with `background` and `stream`";
        Refusal::field("stream", message)
    })?;
    Ok(event_stream(log.follow(after)))
}

/// Forgets a response, ending it if it is under way.
#[utoipa::path(
    delete, path = "/v1/responses/{id}", tag = "OpenAI",
    params(("id" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "It is forgotten"),
        (status = 404, description = "No such response"),
    )
)]
pub async fn delete(
    State(app): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Error> {
    match app.responses.remove(&id) {
        true => Ok(Json(json!({ "id": id, "object": "response", "deleted": true }))),
        false => Err(unknown(&id).into()),
    }
}

/// Ends a response that was begun with `background`; what there is of it stays.
#[utoipa::path(
    post, path = "/v1/responses/{id}/cancel", tag = "OpenAI",
    params(("id" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The response as it stands"),
        (status = 400, description = "It was not begun with `background`"),
        (status = 404, description = "No such response"),
    )
)]
pub async fn cancel(State(app): State<Shared>, Path(id): Path<String>) -> Result<Response, Error> {
    app.responses.cancel(&id);
    let kept = app.responses.get(&id).ok_or_else(|| unknown(&id))?;
    if let Kept::Ended(turn) = &kept {
        let response: Value = serde_json::from_str(turn.response()).unwrap_or_default();
        if response["background"] != true {
            let message = "only a response that was begun with `background` can be cancelled\n\
                           hint: others end when their client leaves";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "not_background", message).into());
        }
    }
    Ok(whole(&kept))
}

/// What a response answers: its input's items, with all that it goes on from.
#[utoipa::path(
    get, path = "/v1/responses/{id}/input_items", tag = "OpenAI",
    params(
        ("id" = String, Path, description = "The response's name"),
        (
            "limit" = Option<u32>, Query, minimum = 1, maximum = 100,
            description = "Most items; 20, at most 100",
        ),
        ("order" = Option<String>, Query, description = "`desc` (the last first) or `asc`"),
        ("after" = Option<String>, Query, description = "Those that follow on this item"),
    ),
    responses(
        (status = 200, description = "The items"),
        (status = 400, description = "A parameter is wrong or cannot be had"),
        (status = 404, description = "No such response"),
    )
)]
pub async fn input_items(
    State(app): State<Shared>,
    Path(id): Path<String>,
    Query(pairs): Pairs,
) -> Result<Json<Value>, Error> {
    let ([mut limit, most], mut rises, mut after) = (LIMIT, false, None);
    for (name, value) in pairs {
        match (name.as_str(), value.as_str()) {
            ("limit", value) => limit = number("limit", value)?,
            ("order", "asc" | "desc") => rises = value == "asc",
            ("order", found) => {
                let message = format!("found `{found}`, wanted asc or desc");
                return Err(Refusal::field("order", message).into());
            }
            ("after", _) => after = Some(value),
            _ => return Err(no_parameter(&name).into()),
        }
    }
    if !(1..=most).contains(&limit) {
        let message = format!("found {limit}, wanted 1 to {most}");
        return Err(Refusal::field("limit", message).into());
    }
    let (parent, input) = match app.responses.get(&id).ok_or_else(|| unknown(&id))? {
        Kept::Running { seed, .. } => (seed.parent, seed.input),
        Kept::Ended(turn) => (turn.parent().cloned(), turn.input()),
    };
    let mut items = parent.map_or_else(Vec::new, |parent| parent.history());
    items.extend(input);
    if !rises {
        items.reverse();
    }
    if let Some(after) = after {
        let Some(at) = items.iter().position(|item| item["id"] == after.as_str()) else {
            let message = format!("found `{after}`, which is none of the items");
            return Err(Refusal::field("after", message).into());
        };
        items.drain(..=at);
    }
    let has_more = items.len() > limit;
    items.truncate(limit);
    let id_of = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    Ok(Json(json!({
        "object": "list",
        "first_id": id_of(items.first()),
        "last_id": id_of(items.last()),
        "has_more": has_more,
        "data": items,
    })))
}

fn whole(kept: &Kept) -> Response {
    match kept {
        Kept::Running { teller, .. } => Json(lock(teller).response()).into_response(),
        Kept::Ended(turn) => {
            ([(CONTENT_TYPE, "application/json")], turn.response().to_owned()).into_response()
        }
    }
}

fn unknown(id: &str) -> Refusal {
    let hint = "hint: responses are kept with `store`: true, the latest of them";
    let message = format!("no response `{id}` is kept\n{hint}");
    let refusal = Refusal::new(StatusCode::NOT_FOUND, "response_not_found", message);
    Refusal { param: Some("response_id".into()), ..refusal }
}

fn no_parameter(name: &str) -> Refusal {
    Refusal::field(name.to_owned(), format!("no such parameter: `{name}`"))
}

fn flag(field: &'static str, value: &str) -> Result<bool, Refusal> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        found => Err(Refusal::field(field, format!("found `{found}`, wanted true or false"))),
    }
}

fn number<T: std::str::FromStr>(field: &'static str, value: &str) -> Result<T, Refusal> {
    value.parse().map_err(|_| Refusal::field(field, format!("found `{value}`, wanted a number")))
}
