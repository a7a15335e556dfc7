//! Who may use the server, and how much of it.

use crate::error::Refusal;
use crate::rate::Bucket;
use axum::http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What BLAKE3 is told that it hashes, so that these hashes are good for nothing else.
const CONTEXT: &str = "baimo 2026-11-22 server key";

/// A key that may use the server. Where a number is a limit, 0 is none.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Whose it is; for the log.
    pub name: String,
    /// What the key hashes to.
    pub hash: KeyHash,
    /// Requests that it may begin in a minute.
    #[serde(default)]
    pub requests_per_minute: u32,
    /// Tokens, of prompts and answers, that it may use in a minute.
    #[serde(default)]
    pub tokens_per_minute: u32,
    /// Requests that it may have under way at once.
    #[serde(default)]
    pub concurrent: u32,
}

/// What a key hashes to; the key itself cannot be had from it.
#[derive(Clone, Copy, PartialEq)]
pub struct KeyHash(blake3::Hash);

/// All keys, with what each has used.
#[derive(Debug)]
pub struct Keys {
    accounts: Vec<Arc<Account>>,
}

/// A key with what it has used.
#[derive(Debug)]
pub struct Account {
    key: Key,
    requests: Mutex<Bucket>,
    tokens: Mutex<Bucket>,
    places: Arc<Semaphore>,
}

impl Key {
    /// A key without limits.
    pub fn new(name: &str, secret: &str) -> Key {
        Key {
            name: name.to_owned(),
            hash: KeyHash::of(secret),
            requests_per_minute: 0,
            tokens_per_minute: 0,
            concurrent: 0,
        }
    }
}

impl KeyHash {
    /// Of the key itself.
    pub fn of(secret: &str) -> KeyHash {
        KeyHash(blake3::Hash::from_bytes(blake3::derive_key(CONTEXT, secret.as_bytes())))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.0.to_hex())
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for KeyHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<KeyHash, D::Error> {
        let text = String::deserialize(deserializer)?;
        // What stands there may be the key itself: it is not repeated.
        blake3::Hash::from_hex(&text).map(KeyHash).map_err(|_| {
            serde::de::Error::custom(
                "`hash`: wanted 64 hexadecimal digits, as `baimo serve --hash-key` prints them",
            )
        })
    }
}

impl Keys {
    /// These.
    pub fn new(keys: &[Key], now: Instant) -> Keys {
        let account = |key: &Key| {
            let limit = key.concurrent as usize;
            let places = if limit == 0 { Semaphore::MAX_PERMITS } else { limit };
            Arc::new(Account {
                requests: Mutex::new(Bucket::per_minute(key.requests_per_minute, now)),
                tokens: Mutex::new(Bucket::per_minute(key.tokens_per_minute, now)),
                places: Arc::new(Semaphore::new(places)),
                key: key.clone(),
            })
        };
        Keys { accounts: keys.iter().map(account).collect() }
    }

    /// Whose key a request shows; `None` where anybody may use the server.
    ///
    /// # Errors
    /// Where it shows none, or one that is unknown.
    pub fn account(&self, headers: &HeaderMap) -> Result<Option<Arc<Account>>, Refusal> {
        if self.accounts.is_empty() {
            return Ok(None);
        }
        let mut shown = false;
        for secret in secrets(headers) {
            shown = true;
            let hash = KeyHash::of(secret);
            // BLAKE3's hashes compare in constant time.
            let same = self.accounts.iter().find(|account| account.key.hash == hash);
            if let Some(account) = same {
                return Ok(Some(account.clone()));
            }
        }
        let message = match shown {
            true => "this key is unknown\nhint: ask who runs the server for another",
            false => "a key is needed\nhint: send `Authorization: Bearer KEY` or `x-api-key: KEY`",
        };
        Err(Refusal::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message))
    }
}

/// The keys that a request shows, wherever clients put them.
fn secrets(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let bearer = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| {
        let (scheme, secret) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(secret.trim())
    });
    let named = headers.get_all("x-api-key").iter().filter_map(|value| value.to_str().ok());
    bearer.chain(named)
}

impl Account {
    /// Whose it is.
    pub fn name(&self) -> &str {
        &self.key.name
    }

    /// Takes a place for a request; dropping it gives it back.
    ///
    /// # Errors
    /// Where the key has used all that it may use now.
    pub fn admit(&self, now: Instant) -> Result<OwnedSemaphorePermit, Refusal> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            let limit = self.key.concurrent;
            exhausted("concurrent_requests", format!("{limit} requests at once"), 1)
        })?;
        let tokens = lock(&self.tokens).wait(now);
        if let Some(wait) = tokens {
            let limit = format!("{} tokens a minute", self.key.tokens_per_minute);
            return Err(exhausted("tokens_per_minute", limit, wait.as_secs() + 1));
        }
        if let Err(wait) = lock(&self.requests).take(1.0, now) {
            let limit = format!("{} requests a minute", self.key.requests_per_minute);
            return Err(exhausted("requests_per_minute", limit, wait.as_secs() + 1));
        }
        Ok(place)
    }

    /// Notes what a request took.
    pub fn spend(&self, tokens: usize, now: Instant) {
        lock(&self.tokens).spend(tokens as f64, now);
    }
}

fn lock(bucket: &Mutex<Bucket>) -> std::sync::MutexGuard<'_, Bucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

fn exhausted(code: &'static str, limit: String, seconds: u64) -> Refusal {
    let message = format!("this key may use {limit}\nhint: try again in {seconds} s");
    let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, code, message);
    Refusal { retry_after: Some(seconds), ..refusal }
}
