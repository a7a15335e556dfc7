//! Requests to the server's doors, without a port.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use baimo::args::{Arguments, Command};
use baimo_server::{App, Config, api};
use clap::Parser;
use serde_json::Value;
use std::sync::{Arc, LazyLock};
use tower::ServiceExt;

/// The poet, which is loaded once for all tests.
static DOORS: LazyLock<Router> = LazyLock::new(|| {
    let line = ["baimo", "serve", "poet", "--threads", "2"];
    let Command::Serve(arguments) = Arguments::parse_from(line).command else {
        panic!("`serve` is said");
    };
    let config = Config { waiting: 1000, ..Config::default() };
    let models = baimo::serve::models(&arguments, &config).expect("the poet");
    api::router(Arc::new(App::new(config, models)))
});

pub fn post(path: &str, body: &Value) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(Body::from(body.to_string())).expect("a request")
}

pub fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).expect("a request")
}

pub fn delete(path: &str) -> Request<Body> {
    Request::delete(path).body(Body::empty()).expect("a request")
}

pub async fn text(request: Request<Body>) -> (StatusCode, String) {
    let response = DOORS.clone().oneshot(request).await.expect("an answer");
    let status = response.status();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.expect("a whole body");
    (status, String::from_utf8(bytes.to_vec()).expect("UTF-8"))
}

pub async fn send(request: Request<Body>) -> (StatusCode, Value) {
    let (status, text) = text(request).await;
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

/// A response to `request`, which has nothing to be refused for.
pub async fn create(request: Value) -> Value {
    let (status, body) = send(post("/v1/responses", &request)).await;
    assert_eq!(status, 200, "{body}");
    body
}

/// The events of a stream, each under its own name.
pub async fn events(mut request: Value) -> Vec<Value> {
    request["stream"] = true.into();
    let (status, text) = text(post("/v1/responses", &request)).await;
    assert_eq!(status, 200, "{text}");
    events_in(&text)
}

pub fn events_in(text: &str) -> Vec<Value> {
    let mut blocks: Vec<&str> = text.split("\n\n").filter(|block| !block.is_empty()).collect();
    assert_eq!(blocks.pop(), Some("data: [DONE]"));
    let read = |block: &str| {
        let (name, data) = block.split_once('\n').expect("a name and data");
        let event: Value = serde_json::from_str(data.trim_start_matches("data: ")).expect("JSON");
        assert_eq!(event["type"], name.trim_start_matches("event: "));
        event
    };
    blocks.into_iter().filter(|block| !block.starts_with(':')).map(read).collect()
}

/// The error of a request that is refused for this field.
pub async fn refused(request: &Value, field: &str) -> Value {
    let (status, body) = send(post("/v1/responses", request)).await;
    assert_eq!(status, 400, "{request}: {body}");
    assert_eq!(body["error"]["param"], field, "{request}: {body}");
    body["error"].clone()
}

/// All that the answer says.
pub fn texts(response: &Value) -> String {
    let output = response["output"].as_array().expect("a list").iter();
    let parts = output.flat_map(|item| item["content"].as_array().into_iter().flatten());
    parts.filter_map(|part| part["text"].as_str()).collect()
}
