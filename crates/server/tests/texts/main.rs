//! What is read and continued as it is: completions, tokens, vectors, scores. Requests go through
//! the router, without a network.

mod completions;
mod meaning;
mod words;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use baimo::args::{Arguments, Command};
use baimo_server::{App, Config, api};
use clap::Parser;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// The case that embeds and judges.
const CASE: &str = "qwen3_embedding";

/// The built-in model.
static POET: LazyLock<Server> = LazyLock::new(|| Server::start("poet"));

/// A tiny random model that embeds and judges, with the folder that it lies in.
static EMBEDDER: LazyLock<(Server, TempDir)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder for the checkpoint");
    baimo_tests::checkpoint::write(CASE, folder.path());
    for entry in std::fs::read_dir(baimo_tests::golden::folder(CASE)).expect("the case") {
        let path = entry.expect("a file of the case").path();
        let to = folder.path().join(path.file_name().expect("its name"));
        std::fs::copy(&path, to).expect("a copy");
    }
    (Server::start(&model(folder.path())), folder)
});

fn model(folder: &Path) -> String {
    format!("embedder={}", folder.display())
}

struct Server {
    router: Router,
    runtime: Runtime,
}

/// What came back.
struct Reply {
    status: StatusCode,
    body: String,
}

impl Server {
    fn start(model: &str) -> Server {
        let line = ["baimo", "serve", model, "--threads", "2", "--weights", "f32", "--kv", "f32"];
        let Command::Serve(arguments) = Arguments::parse_from(line).command else {
            panic!("`serve` is said");
        };
        let config = Config::default();
        let models = baimo::serve::models(&arguments, &config).expect("the model");
        let router = api::router(Arc::new(App::new(config, models)));
        Server { router, runtime: Runtime::new().expect("a runtime") }
    }

    fn send(&self, path: &str, body: impl Into<Body>) -> Reply {
        let request = Request::post(path).body(body.into()).expect("a request");
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.expect("an answer");
            let status = response.status();
            let body = to_bytes(response.into_body(), usize::MAX).await.expect("a whole body");
            Reply { status, body: String::from_utf8(body.to_vec()).expect("UTF-8") }
        })
    }

    /// What is answered to a request that can be done.
    fn ask(&self, path: &str, body: Value) -> Value {
        let reply = self.send(path, body.to_string());
        assert_eq!(reply.status, StatusCode::OK, "{body}: {}", reply.body);
        serde_json::from_str(&reply.body).expect("JSON")
    }

    /// The events of a stream, `[DONE]` after the last.
    fn stream(&self, path: &str, mut body: Value) -> Vec<Value> {
        body["stream"] = json!(true);
        let reply = self.send(path, body.to_string());
        assert_eq!(reply.status, StatusCode::OK, "{body}: {}", reply.body);
        let events = reply.body.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
        let mut events: Vec<&str> = events.collect();
        assert_eq!(events.pop(), Some("[DONE]"), "{}", reply.body);
        events.into_iter().map(|event| serde_json::from_str(event).expect("JSON")).collect()
    }

    /// Checks that a request is refused with a 400 that names `param`.
    fn refuse(&self, path: &str, body: &Value, param: &str) {
        let reply = self.send(path, body.to_string());
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{path} {body}: {}", reply.body);
        let found: Value = serde_json::from_str(&reply.body).expect("JSON");
        assert_eq!(found["error"]["param"], param, "{path} {body}: {}", reply.body);
    }
}

/// A body with a field more, or another one.
fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}
