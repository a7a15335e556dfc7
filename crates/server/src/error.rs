//! What is said to a client whose request cannot be done.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use baimo_engine::Refused;
use serde_json::Value;
use std::borrow::Cow;

/// A refusal, whatever dialect it is said in.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// A word for programs: `context_length_exceeded`, `model_not_found`, ...
    pub code: &'static str,
    /// What was found, what was wanted, and a hint.
    pub message: String,
    /// The field at fault, as a path: `messages[2].content`.
    pub param: Option<Cow<'static, str>>,
    /// Seconds after which to try again.
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// The code of a server that has no place left.
    const FULL: &str = "queue_full";

    /// Of this kind.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into(), param: None, retry_after: None }
    }

    /// A field that is wrong.
    pub fn field(param: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Refusal {
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, "invalid_value", message);
        Refusal { param: Some(param.into()), ..refusal }
    }

    /// The message with the field at fault, for dialects that have no place for it. `names` says
    /// what fields are called there: whole ones, and parts that begin with a dot.
    pub fn in_words(&self, names: &[(&str, &str)]) -> String {
        let Some(param) = self.param.as_deref() else { return self.message.clone() };
        if self.message.starts_with(param) {
            return self.message.clone();
        }
        let whole = names.iter().find(|(shared, _)| *shared == param);
        let named = match whole {
            Some((_, own)) => (*own).to_owned(),
            None => names
                .iter()
                .filter(|(shared, _)| shared.starts_with('.'))
                .fold(param.to_owned(), |named, (shared, own)| named.replace(shared, own)),
        };
        format!("{named}: {}", self.message)
    }

    /// The same, of the field that it came in, where it is the client's mistake and names none.
    pub fn at(self, param: impl Into<Cow<'static, str>>) -> Refusal {
        match (self.status, &self.param) {
            (StatusCode::BAD_REQUEST, None) => Refusal { param: Some(param.into()), ..self },
            _ => self,
        }
    }

    /// The answer that says so, `body` being its words in some dialect.
    pub fn response(&self, body: Value) -> Response {
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// Our own mistake, or the machine's.
    pub fn internal(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message)
    }

    /// What was asked of an answer's form became too much while it was written.
    pub fn unguided(fault: &str) -> Refusal {
        let hint = "hint: the answer so far is not complete; ask for a simpler schema or grammar";
        Refusal::new(StatusCode::BAD_REQUEST, "grammar_failed", format!("{fault}\n{hint}"))
    }

    /// No model of that name.
    pub fn no_model(name: &str, known: &[String]) -> Refusal {
        let message = format!("found model `{name}`, wanted one of: {}", known.join(", "));
        let refusal = Refusal::new(StatusCode::NOT_FOUND, "model_not_found", message);
        Refusal { param: Some("model".into()), ..refusal }
    }

    /// All places are taken, also those to wait in.
    pub fn full() -> Refusal {
        let message = "all places are taken, also those to wait in\nhint: try again later";
        let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, Refusal::FULL, message);
        Refusal { retry_after: Some(1), ..refusal }
    }

    /// Whether it is only that all places are taken.
    pub fn is_full(&self) -> bool {
        self.code == Refusal::FULL
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        let code = match refused {
            Refused::Context { .. } | Refused::Cache { .. } => "context_length_exceeded",
            Refused::Empty | Refused::Token { .. } | Refused::Segments(_) => "invalid_prompt",
            Refused::Full { .. } => return Refusal::full(),
        };
        Refusal::new(StatusCode::BAD_REQUEST, code, refused.to_string())
    }
}
