//! The events of a response, for those who come later or come back.

use async_stream::stream;
use futures_util::Stream;
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The events of a response so far.
#[derive(Debug)]
pub struct Log {
    events: Mutex<Vec<Arc<Value>>>,
    /// Whether there will be no more.
    ended: watch::Sender<bool>,
}

impl Default for Log {
    fn default() -> Log {
        Log { events: Mutex::default(), ended: watch::Sender::new(false) }
    }
}

impl Log {
    /// The next event.
    pub fn add(&self, event: Value) {
        self.events().push(Arc::new(event));
        self.ended.send_modify(|_| ());
    }

    /// There are no more.
    pub fn end(&self) {
        self.ended.send_replace(true);
    }

    /// What they take, about.
    pub fn bytes(&self) -> usize {
        self.events().iter().map(|event| 256 + event.to_string().len()).sum()
    }

    /// All events with a higher number than `after`, those included that are yet to come.
    pub fn follow(self: Arc<Log>, after: Option<u64>) -> impl Stream<Item = Arc<Value>> {
        stream! {
            let mut changes = self.ended.subscribe();
            let mut next = after.map_or(0, |after| usize::try_from(after).unwrap_or(usize::MAX));
            next = next.saturating_add(usize::from(after.is_some()));
            loop {
                // Seen before the events: what is added after is a change.
                let ended = *changes.borrow_and_update();
                loop {
                    let Some(event) = self.events().get(next).cloned() else { break };
                    next += 1;
                    yield event;
                }
                if ended || changes.changed().await.is_err() {
                    return;
                }
            }
        }
    }

    fn events(&self) -> MutexGuard<'_, Vec<Arc<Value>>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    #[tokio::test]
    async fn who_comes_late_misses_nothing_and_who_comes_back_hears_nothing_twice() {
        let log = Arc::new(Log::default());
        log.add(0.into());
        let late = tokio::spawn(log.clone().follow(None).collect::<Vec<_>>());
        let back = tokio::spawn(log.clone().follow(Some(0)).collect::<Vec<_>>());
        tokio::task::yield_now().await;
        log.add(1.into());
        log.add(2.into());
        log.end();
        let numbers = |events: Vec<Arc<Value>>| -> Vec<Value> {
            events.iter().map(|event| event.as_ref().clone()).collect()
        };
        assert_eq!(numbers(late.await.unwrap()), [0, 1, 2]);
        assert_eq!(numbers(back.await.unwrap()), [1, 2]);
        assert!(log.follow(Some(u64::MAX)).collect::<Vec<_>>().await.is_empty());
    }
}
