//! What all handlers share.

use crate::api::responses::store::Store;
use crate::body;
use crate::closing::{Closing, Phase};
use crate::config::Config;
use crate::error::Refusal;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::model::{Answer, Model};
use crate::registry::{Registry, Served};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;
use tokio::time::sleep_until;

/// What all handlers share.
#[derive(Debug)]
pub struct App {
    /// How the server was set up.
    pub config: Config,
    /// The models.
    pub registry: Arc<Registry>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who may use them.
    pub keys: Keys,
    /// The memory of requests' bodies.
    pub bodies: Arc<Semaphore>,
    /// Where the server is on its way to the end.
    pub closing: Closing,
    /// Whether the first model has been loaded.
    pub ready: AtomicBool,
    /// Responses that are kept.
    pub responses: Store,
    ids: AtomicU64,
}

/// A handle to it, cheap to copy.
pub type Shared = Arc<App>;

impl App {
    /// Of these models.
    pub fn new(config: Config, served: Vec<Served>) -> App {
        let metrics = Arc::new(Metrics::default());
        App {
            registry: Arc::new(Registry::new(served, &config, metrics.clone())),
            metrics,
            keys: Keys::new(&config.keys, Instant::now()),
            bodies: body::memory(&config),
            closing: Closing::default(),
            ready: AtomicBool::new(false),
            responses: Store::default(),
            ids: AtomicU64::new(nanoseconds()),
            config,
        }
    }

    /// A name that no other object of this server has: `prefix` and 24 hexadecimal digits.
    pub fn id(&self, prefix: &str) -> String {
        let count = self.ids.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}{:08x}{count:016x}", seconds() as u32)
    }

    /// Counts an answer that has ended.
    pub fn count(&self, model: &Model, end: &crate::model::End) {
        let reason = match end.reason {
            crate::model::Reason::Length => "length",
            _ => "stop",
        };
        self.metrics.finished(&model.name, reason, end);
    }

    /// The next part of an answer, counted where it is the end.
    ///
    /// # Errors
    /// As [`Answer::next`]; and where its time is over, or the server's.
    pub async fn next(
        &self,
        model: &Model,
        answer: &mut Answer,
    ) -> Option<Result<crate::model::Said, Refusal>> {
        let begun = answer.begun();
        let said = tokio::select! {
            biased;
            said = answer.next() => said,
            refusal = self.cut_off(begun) => Some(Err(refusal)),
        };
        if let Some(Ok(crate::model::Said::End(end))) = &said {
            self.count(model, end);
        }
        said
    }

    /// What work gives that is no answer in parts.
    ///
    /// # Errors
    /// Its own; and where its time is over, or the server's.
    pub async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let begun = Instant::now();
        tokio::select! {
            biased;
            done = work => done,
            refusal = self.cut_off(begun) => Err(refusal),
        }
    }

    /// Why what began then may not go on, as soon as there is a reason.
    async fn cut_off(&self, begun: Instant) -> Refusal {
        tokio::select! {
            biased;
            () = self.past_deadline(begun) => self.too_late(),
            () = self.closing.reached(Phase::Cut) => shutting_down(),
        }
    }

    async fn past_deadline(&self, begun: Instant) {
        match self.config.deadline_seconds {
            0 => std::future::pending().await,
            seconds => sleep_until((begun + Duration::from_secs(seconds)).into()).await,
        }
    }

    fn too_late(&self) -> Refusal {
        let seconds = self.config.deadline_seconds;
        let message = format!(
            "the answer took longer than the {seconds} s that this server gives one\n\
             hint: ask for fewer tokens (max_tokens)"
        );
        Refusal::new(StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded", message)
    }
}

fn shutting_down() -> Refusal {
    let message = "the server is shutting down, the answer is not whole\nhint: try again later";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", message)
}

/// Seconds since 1970.
pub fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn nanoseconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

/// A request's body.
///
/// # Errors
/// Not JSON, or a field that is unknown or wrong, which it names.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let cause = error.into_inner();
        if cause.is_syntax() || cause.is_eof() {
            let message = format!("the body is not JSON: {cause}");
            let status = axum::http::StatusCode::BAD_REQUEST;
            return Refusal::new(status, "invalid_json", message);
        }
        // An unknown field is named by the message, not by the path.
        let text = cause.to_string();
        let unknown = text.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
        let text = text.split(", expected one of").next().unwrap_or_default().to_owned();
        match (unknown, path.as_str()) {
            (Some(field), "." | "") => Refusal::field(field.to_owned(), text),
            (Some(field), path) if path.ends_with(field) => Refusal::field(path.to_owned(), text),
            (Some(field), path) => Refusal::field(format!("{path}.{field}"), text),
            (None, "." | "") => Refusal::new(
                axum::http::StatusCode::BAD_REQUEST,
                "invalid_request",
                format!("the body: {text}"),
            ),
            (None, path) => Refusal::field(path.to_owned(), format!("{path}: {text}")),
        }
    })?;
    match deserializer.end() {
        Ok(()) => Ok(parsed),
        Err(error) => {
            let message = format!("the body goes on after its JSON: {error}");
            Err(Refusal::new(axum::http::StatusCode::BAD_REQUEST, "invalid_json", message))
        }
    }
}
