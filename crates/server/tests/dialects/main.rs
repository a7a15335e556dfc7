//! The dialects of Anthropic and Ollama, on the built-in poet: requests go through the router,
//! without a network.

mod anthropic;
mod any;
mod ollama;
mod rounds;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use baimo::args::{Arguments, Command};
use baimo_server::model::Model;
use baimo_server::{App, Config, api};
use clap::Parser;
use serde_json::Value;
use std::sync::{Arc, LazyLock};
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// A template whose voice thinks and calls tools; the poet never does, but its prompts can be read.
const TEMPLATE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/clients/chat_template.jinja");

struct Server {
    app: Arc<App>,
    router: Router,
    runtime: Runtime,
}

/// The poet as it is.
static POET: LazyLock<Server> = LazyLock::new(|| Server::start(&[]));
/// The poet with a voice that thinks and calls tools.
static SPEAKER: LazyLock<Server> = LazyLock::new(|| Server::start(&["--chat-template", TEMPLATE]));

/// What came back.
struct Reply {
    status: StatusCode,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

impl Server {
    fn start(flags: &[&str]) -> Server {
        let line = ["baimo", "serve", "poet", "--threads", "2"].into_iter().chain(flags.to_vec());
        let Command::Serve(arguments) = Arguments::parse_from(line).command else {
            panic!("`serve` is said");
        };
        let config = Config::default();
        let models = baimo::serve::models(&arguments, &config).expect("the poet");
        let app = Arc::new(App::new(config, models));
        let router = api::router(app.clone());
        Server { app, router, runtime: Runtime::new().expect("a runtime") }
    }

    fn send(&self, method: &str, path: &str, body: impl Into<Body>) -> Reply {
        let request = Request::builder().method(method).uri(path).body(body.into());
        let request = request.expect("a request");
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.expect("an answer");
            let status = response.status();
            let body = to_bytes(response.into_body(), usize::MAX).await.expect("a whole body");
            Reply { status, body: String::from_utf8(body.to_vec()).expect("UTF-8") }
        })
    }

    fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, body.to_string())
    }

    fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "")
    }

    fn model(&self) -> Arc<Model> {
        self.runtime.block_on(self.app.registry.get(None)).expect("the poet")
    }

    /// The JSON of an answer that must be one.
    fn answered(&self, path: &str, body: &Value) -> Value {
        let reply = self.post(path, body);
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        reply.json()
    }

    /// The text of a refusal that must be one.
    fn refused(&self, path: &str, body: &Value) -> String {
        let reply = self.post(path, body);
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.body);
        let error = &reply.json()["error"];
        error["message"].as_str().or(error.as_str()).expect("a message").to_owned()
    }
}
