//! Waiting: first by spinning, because the next region comes within microseconds while a model
//! runs, then by sleeping, because none comes while it does not.

use std::time::{Duration, Instant};

/// How long to spin before sleeping. Waking a sleeper takes 50 to 100 us.
const PATIENT: Duration = Duration::from_micros(400);

/// The same where spinning has been in vain: the machine is idle, or other programs keep the
/// thread waited for from running, and spinning would only take its time.
const IMPATIENT: Duration = Duration::from_micros(30);

/// So many vain waits in a row make a waiter impatient.
const VAIN_MAX: u32 = 4;

/// Steps between looks at the clock.
const STEPS: u32 = 32;

/// One thread's waiting, which adapts to what waiting has brought so far.
#[derive(Default)]
pub(super) struct Patience {
    vain: u32,
}

impl Patience {
    /// Spins until `ready`, or until patience ends; gives whether it was ready.
    pub(super) fn spin(&mut self, ready: impl Fn() -> bool) -> bool {
        if ready() {
            return true;
        }
        let limit = if self.vain < VAIN_MAX { PATIENT } else { IMPATIENT };
        let start = Instant::now();
        loop {
            for _ in 0..STEPS {
                std::hint::spin_loop();
                if ready() {
                    self.vain = 0;
                    return true;
                }
            }
            if start.elapsed() > limit {
                self.vain = self.vain.saturating_add(1);
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vain_waiting_gets_shorter_and_success_restores_it() {
        let mut patience = Patience::default();
        let time = |patience: &mut Patience| {
            let start = Instant::now();
            assert!(!patience.spin(|| false));
            start.elapsed()
        };
        for _ in 0..VAIN_MAX {
            assert!(time(&mut patience) >= PATIENT);
        }
        // Other programs may stretch one wait, hardly ten.
        let short = (0..10).map(|_| time(&mut patience)).min();
        assert!(short < Some(PATIENT), "{short:?}");
        let calls = std::cell::Cell::new(0);
        assert!(patience.spin(|| calls.replace(calls.get() + 1) == 3));
        assert!(time(&mut patience) >= PATIENT);
    }
}
