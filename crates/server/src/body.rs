//! Bodies of requests: read whole, within limits of bytes and time.

use crate::config::Config;
use crate::error::Refusal;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::StatusCode;
use futures_util::StreamExt;
use http_body::Body as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// What a permit stands for.
const PERMIT_BYTES: usize = 1024;

/// A body that is too large is read away for so long, so that its sender gets to read why.
const DRAIN: Duration = Duration::from_secs(5);

/// A body's share of the memory that all have together; dropping it gives it back.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>);

/// The memory that all bodies have together.
pub fn memory(config: &Config) -> Arc<Semaphore> {
    let permits = config.body_bytes_together.div_ceil(PERMIT_BYTES);
    Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)))
}

/// All of a body. A sender that `expects` to be told before it sends is told at once.
///
/// # Errors
/// Too large, too slow, broken off, or more than there is memory for now.
pub async fn whole(
    body: Body,
    expects: bool,
    config: &Config,
    memory: &Arc<Semaphore>,
) -> Result<(Bytes, Held), Refusal> {
    let limit = config.body_bytes;
    let patience = match config.body_seconds {
        0 => Duration::MAX,
        seconds => Duration::from_secs(seconds),
    };
    let announced = body.size_hint().lower();
    let mut parts = body.into_data_stream();
    let read = match announced > limit as u64 {
        true => Err(too_large(limit)),
        false => match timeout(patience, gather(&mut parts, limit, memory)).await {
            Ok(read) => read,
            Err(_) => Err(too_slow(config.body_seconds)),
        },
    };
    if let Err(refusal) = &read
        && refusal.status == StatusCode::PAYLOAD_TOO_LARGE
        && !expects
    {
        let away = parts.take_while(|part| std::future::ready(part.is_ok()));
        // Whether it ends meanwhile makes no difference.
        let _ = timeout(DRAIN, away.for_each(|_| std::future::ready(()))).await;
    }
    read
}

async fn gather(
    parts: &mut BodyDataStream,
    limit: usize,
    memory: &Arc<Semaphore>,
) -> Result<(Bytes, Held), Refusal> {
    let (mut bytes, mut held) = (Vec::new(), None::<OwnedSemaphorePermit>);
    let mut permits = 0;
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| broken(&error))?;
        if bytes.len() + part.len() > limit {
            return Err(too_large(limit));
        }
        bytes.extend_from_slice(&part);
        let wanted = bytes.len().div_ceil(PERMIT_BYTES);
        let more = u32::try_from(wanted - permits).unwrap_or(u32::MAX);
        let share = memory.clone().try_acquire_many_owned(more).map_err(|_| crowded())?;
        permits = wanted;
        match &mut held {
            Some(held) => held.merge(share),
            None => held = Some(share),
        }
    }
    Ok((bytes.into(), Held(held)))
}

fn too_large(limit: usize) -> Refusal {
    let message = format!(
        "the body is too large, wanted at most {limit} bytes\n\
         hint: `body_bytes` of the server's baimo.toml says how large it may be"
    );
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
}

fn too_slow(seconds: u64) -> Refusal {
    let message = format!("the body took longer than {seconds} s");
    Refusal::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", message)
}

fn broken(error: &axum::Error) -> Refusal {
    let message = format!("the body broke off: {error}");
    Refusal::new(StatusCode::BAD_REQUEST, "invalid_body", message)
}

fn crowded() -> Refusal {
    let message = "requests under way take all the memory there is for them\nhint: try again later";
    let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "bodies_full", message);
    Refusal { retry_after: Some(1), ..refusal }
}
