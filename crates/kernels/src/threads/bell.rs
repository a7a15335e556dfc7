//! Telling workers that there is a new region, and waking those that sleep.
//!
//! Model-checked like `region`, because a missed wake-up is a hang that no test has to meet.

#[cfg(loom)]
use loom::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering, fence},
    thread::park,
};
#[cfg(not(loom))]
use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering, fence},
    thread::park,
};

/// A number that workers wait to change.
pub(super) struct Bell {
    rung: AtomicU32,
    /// For each listener, whether it must be woken. Only the listener itself writes it: were the
    /// ringer to clear it, a slow ringer could clear the flag of the listener's next sleep.
    asleep: Box<[AtomicBool]>,
}

impl Bell {
    /// A bell that was last rung with 0.
    pub(super) fn new(listeners: usize) -> Bell {
        let asleep = (0..listeners).map(|_| AtomicBool::new(false)).collect();
        Bell { rung: AtomicU32::new(0), asleep }
    }

    /// The number it was last rung with; what its ringer did before is visible.
    pub(super) fn number(&self) -> u32 {
        self.rung.load(Ordering::Acquire)
    }

    /// Changes the number, and calls `wake`, which unparks, for each listener that sleeps.
    pub(super) fn ring(&self, number: u32, wake: impl Fn(usize)) {
        self.rung.store(number, Ordering::Release);
        // With the fence in `sleep`: either the listener sees the number, or it is seen here.
        fence(Ordering::SeqCst);
        for (listener, asleep) in self.asleep.iter().enumerate() {
            if asleep.load(Ordering::Relaxed) {
                wake(listener);
            }
        }
    }

    /// Sleeps until the number is not `seen`.
    pub(super) fn sleep(&self, listener: usize, seen: u32) {
        let asleep = &self.asleep[listener];
        asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        while self.number() == seen {
            park();
        }
        asleep.store(false, Ordering::Relaxed);
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::sync::Arc;

    /// A listener that waits for every number sees the last one, or loom reports a deadlock.
    #[test]
    fn no_ring_is_slept_through() {
        loom::model(|| {
            let bell = Arc::new(Bell::new(1));
            let listener = {
                let bell = bell.clone();
                loom::thread::spawn(move || {
                    let mut seen = 0;
                    while seen < 2 {
                        bell.sleep(0, seen);
                        seen = bell.number();
                    }
                })
            };
            bell.ring(1, |_| listener.thread().unpark());
            bell.ring(2, |_| listener.thread().unpark());
            listener.join().expect("the listener does not fail");
        });
    }
}
