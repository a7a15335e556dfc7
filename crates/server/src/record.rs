//! What is noted of a request while it is answered: for its line in the log, and for the account of
//! its key.
//!
//! Whoever works on the answer of a request finds its record by [`current`], also while a stream is
//! told: handlers and dialects need not pass it on.

use crate::keys::Account;
use axum::body::Body;
use axum::http::{Method, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;

/// The status of a request whose client left before it had one, as proxies write it.
const CLIENT_LEFT: u16 = 499;

tokio::task_local! {
    static CURRENT: Arc<Record>;
}

/// What is noted of a request. Its last holder writes the line and settles the account.
#[derive(Debug)]
pub struct Record {
    id: String,
    method: Method,
    path: String,
    begun: Instant,
    /// Whose key it came with, and its place among the key's requests.
    account: Mutex<Option<(Arc<Account>, OwnedSemaphorePermit)>>,
    status: AtomicU16,
    model: Mutex<Option<String>>,
    prompt_tokens: AtomicUsize,
    cached_tokens: AtomicUsize,
    answer_tokens: AtomicUsize,
    /// Microseconds to the first token; 0 before it.
    first_token: AtomicU64,
    /// The answer was told to its end.
    whole: AtomicBool,
}

/// The record of the request that is worked on here; `None` outside of one.
pub fn current() -> Option<Arc<Record>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Work that goes on elsewhere as part of the request that is worked on here: it is noted there
/// too, and keeps the request's place.
pub fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let record = current();
    async move {
        match record {
            Some(record) => record.within(work).await,
            None => work.await,
        }
    }
}

impl Record {
    /// Of a request that has come.
    pub fn new(id: String, method: Method, path: String) -> Arc<Record> {
        Arc::new(Record {
            id,
            method,
            path,
            begun: Instant::now(),
            account: Mutex::new(None),
            status: AtomicU16::new(CLIENT_LEFT),
            model: Mutex::new(None),
            prompt_tokens: AtomicUsize::new(0),
            cached_tokens: AtomicUsize::new(0),
            answer_tokens: AtomicUsize::new(0),
            first_token: AtomicU64::new(0),
            whole: AtomicBool::new(false),
        })
    }

    /// The request's name, its own or ours.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whose key it came with, and its place among the requests of that key.
    pub fn belongs_to(&self, account: Arc<Account>, place: OwnedSemaphorePermit) {
        *self.account.lock().unwrap_or_else(PoisonError::into_inner) = Some((account, place));
    }

    /// A prompt of so many tokens is to be continued by this model.
    pub fn asked(&self, model: &str, prompt_tokens: usize) {
        *self.model.lock().unwrap_or_else(PoisonError::into_inner) = Some(model.to_owned());
        self.prompt_tokens.fetch_add(prompt_tokens, Ordering::Relaxed);
    }

    /// A token of an answer has come.
    pub fn token(&self) {
        if self.answer_tokens.fetch_add(1, Ordering::Relaxed) == 0 {
            let passed = self.begun.elapsed().as_micros().max(1) as u64;
            self.first_token.store(passed, Ordering::Relaxed);
        }
    }

    /// So many tokens of a prompt had been computed before.
    pub fn cached(&self, tokens: usize) {
        self.cached_tokens.fetch_max(tokens, Ordering::Relaxed);
    }

    /// Does something as part of the request; what it starts elsewhere is not.
    pub async fn within<T>(self: Arc<Record>, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// A body that is told as part of the request.
    pub fn told(self: Arc<Record>, status: StatusCode, body: Body) -> Body {
        self.status.store(status.as_u16(), Ordering::Relaxed);
        self.whole.store(body.is_end_stream(), Ordering::Relaxed);
        Body::new(Told { record: self, body })
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let account = self.account.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let (prompt, answer) = (count(&self.prompt_tokens), count(&self.answer_tokens));
        if let Some((account, _)) = &account {
            account.spend(prompt + answer, Instant::now());
        }
        let model = self.model.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let milliseconds = |microseconds: u64| microseconds as f64 / 1000.0;
        let first = self.first_token.load(Ordering::Relaxed);
        tracing::info!(
            target: "baimo_server::request",
            id = self.id,
            method = %self.method,
            path = self.path,
            status = self.status.load(Ordering::Relaxed),
            key = account.as_ref().map(|(account, _)| account.name()),
            model,
            prompt_tokens = prompt,
            cached_tokens = count(&self.cached_tokens),
            answer_tokens = answer,
            first_token_ms = (first > 0).then(|| milliseconds(first)),
            total_ms = milliseconds(self.begun.elapsed().as_micros() as u64),
            whole = self.whole.load(Ordering::Relaxed),
        );
    }
}

/// A body with the record of its request.
struct Told {
    record: Arc<Record>,
    body: Body,
}

impl http_body::Body for Told {
    type Data = axum::body::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let record = self.record.clone();
        let body = Pin::new(&mut self.body);
        let polled = CURRENT.sync_scope(record, || body.poll_frame(context));
        if matches!(polled, Poll::Ready(None)) || self.is_end_stream() {
            self.record.whole.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
