//! How a server comes to its end.

use tokio::sync::watch;

/// How far a server is on its way to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It takes connections.
    Open,
    /// Nothing new is taken; what is under way goes on.
    Draining,
    /// What is still under way ends with an error that says why.
    Cut,
    /// Everything is left as it is.
    Over,
}

/// Where a server is on its way to the end, seen by all.
#[derive(Debug)]
pub struct Closing(watch::Sender<Phase>);

impl Default for Closing {
    fn default() -> Closing {
        Closing(watch::Sender::new(Phase::Open))
    }
}

impl Closing {
    /// Goes on to `phase`; never back.
    pub fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let further = phase > *now;
            *now = phase.max(*now);
            further
        });
    }

    /// Where it is now.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits until `phase` is reached.
    pub async fn reached(&self, phase: Phase) {
        // The sender is ours, so there is always a next value to wait for.
        let _ = self.0.subscribe().wait_for(|now| *now >= phase).await;
    }
}
