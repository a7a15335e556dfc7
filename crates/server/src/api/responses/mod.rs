//! OpenAI's Responses API: answers as items, told by events, kept to be gone on from.

mod convert;
mod create;
pub mod items;
mod log;
pub mod messages;
pub mod request;
mod retrieve;
pub mod store;
mod teller;
mod thoughts;
pub mod tools;

pub use create::{create, input_tokens};
pub use retrieve::{cancel, delete, input_items, retrieve};

// What OpenAPI knows of the doors is found beside them.
pub use create::{__path_create, __path_input_tokens};
pub use retrieve::{__path_cancel, __path_delete, __path_input_items, __path_retrieve};

use crate::api::openai::ALIVE_EVERY;
use axum::http::HeaderValue;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use serde_json::Value;
use std::borrow::Borrow;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Events, each under its own name, and `[DONE]` after the last.
fn event_stream<E>(events: impl Stream<Item = E> + Send + 'static) -> Response
where
    E: Borrow<Value> + Send + 'static,
{
    let told = events.map(|event| {
        let event: &Value = event.borrow();
        let name = event["type"].as_str().unwrap_or("error");
        Event::default().event(name).data(event.to_string())
    });
    let done = futures_util::stream::once(async { Event::default().data("[DONE]") });
    let told = told.chain(done).map(Ok::<_, Infallible>);
    let alive = KeepAlive::new().interval(ALIVE_EVERY);
    let mut response = Sse::new(told).keep_alive(alive).into_response();
    // Proxies that gather what they pass on would hold a stream back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Nothing that is done under these locks can panic halfway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
