//! Sharing processors with other programs.
//!
//! The system lets a thread run for some milliseconds and then the other program: a worker that is
//! stopped in the middle of a chunk keeps everybody waiting for as long. One that rests of its own
//! accord, between chunks and as long as it has worked, has taken no more than its share and is not
//! stopped. Where all processors are shared, resting would only give away more.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a worker that shares its processor works, and rests, at a time: less than any system
/// gives at a time, more than a few wake-ups take.
const TURN: Duration = Duration::from_millis(1);

/// Between looks at what the system says: some turns of two programs.
const LOOK: Duration = Duration::from_millis(8);

/// How long a worker then takes its processor for shared, the first time in a row and at most. Who
/// rests is not stopped, so only work without rests can tell whether the other program has gone.
const SHARED: Duration = Duration::from_millis(60);
const SHARED_MAX: Duration = Duration::from_secs(1);

/// Between rests of a worker that has its processor for itself while the caller has not: the system
/// then moves the caller there, and the worker, which can rest, to the other.
const GIVE_WAY: Duration = Duration::from_millis(50);

/// Which threads of a pool share their processors, as they found last; the caller is thread 0.
/// Of more than 64 threads the others count as alone.
#[derive(Default)]
pub(super) struct Sharing {
    threads: AtomicU64,
}

impl Sharing {
    fn set(&self, thread: usize, is_shared: bool) {
        let Some(bit) = 1u64.checked_shl(thread as u32) else { return };
        let before = self.threads.load(Ordering::Relaxed);
        // Written where it changes only: everybody reads it.
        match is_shared {
            true if before & bit == 0 => self.threads.fetch_or(bit, Ordering::Relaxed),
            false if before & bit != 0 => self.threads.fetch_and(!bit, Ordering::Relaxed),
            _ => before,
        };
    }

    fn has(&self, thread: usize) -> bool {
        self.threads.load(Ordering::Relaxed) >> thread & 1 == 1
    }

    /// Whether all of so many threads do.
    fn has_all(&self, threads: usize) -> bool {
        self.threads.load(Ordering::Relaxed).count_ones() as usize >= threads
    }
}

/// Notes whether the calling thread, the caller of a region, shares its processor.
pub(super) fn look_as_caller(sharing: &Sharing) {
    thread_local! {
        static DELAYS: RefCell<Option<Delays>> = const { RefCell::new(None) };
    }
    DELAYS.with_borrow_mut(|delays| {
        let delays = delays.get_or_insert_with(Delays::of_this_thread);
        if let Some(is_shared) = delays.look(Instant::now()) {
            sharing.set(0, is_shared);
        }
    });
}

/// How long a thread was ready and did not run.
struct Delays {
    /// Tells it; nothing, where the system does not.
    file: Option<File>,
    /// What it told last, and when.
    seen: Duration,
    looked: Instant,
}

impl Delays {
    fn of_this_thread() -> Delays {
        let file = File::open("/proc/thread-self/schedstat").ok();
        let mut delays = Delays { file, seen: Duration::ZERO, looked: Instant::now() };
        delays.begin(delays.looked);
        delays
    }

    /// Forgets what was before.
    fn begin(&mut self, now: Instant) {
        (self.seen, self.looked) = (self.total().unwrap_or(self.seen), now);
    }

    /// If it is time for a look, whether the thread was stopped for much of the time since the
    /// last.
    fn look(&mut self, now: Instant) -> Option<bool> {
        let (before, since) = (self.seen, now - self.looked);
        (since >= LOOK).then(|| {
            self.begin(now);
            self.seen.saturating_sub(before) > since / 4
        })
    }

    /// Since the thread began: the second of three numbers, in nanoseconds.
    fn total(&mut self) -> Option<Duration> {
        let file = self.file.as_mut()?;
        let mut text = [0; 96];
        file.seek(SeekFrom::Start(0)).ok()?;
        let len = file.read(&mut text).ok()?;
        let text = std::str::from_utf8(&text[..len]).ok()?;
        text.split(' ').nth(1)?.parse().ok().map(Duration::from_nanos)
    }
}

/// A worker's rests.
pub(super) struct Rest {
    delays: Delays,
    thread: usize,
    /// Of the pool, with the caller.
    threads: usize,
    /// Until when the processor is taken for shared, and how long the next time.
    shared_until: Option<Instant>,
    shared_next: Duration,
    /// Since when it works without having asked whether to rest.
    working: Instant,
    is_due: bool,
}

impl Rest {
    /// Those of the calling thread, `thread` of a pool of `threads`.
    pub(super) fn of_this_thread(thread: usize, threads: usize) -> Rest {
        Rest {
            delays: Delays::of_this_thread(),
            thread,
            threads,
            shared_until: None,
            shared_next: SHARED,
            working: Instant::now(),
            is_due: false,
        }
    }

    /// Whether it should work no more before the next [`Rest::pause`].
    pub(super) fn is_due(&mut self, sharing: &Sharing) -> bool {
        let now = Instant::now();
        let was_shared = self.shared_until.is_some();
        let is_shared = self.is_shared(now);
        if is_shared != was_shared {
            sharing.set(self.thread, is_shared);
        }
        // What others write is looked at no more often than it must be.
        if now - self.working > if is_shared { TURN } else { GIVE_WAY } {
            self.working = now;
            self.is_due = if is_shared { !sharing.has_all(self.threads) } else { sharing.has(0) };
        }
        self.is_due
    }

    fn is_shared(&mut self, now: Instant) -> bool {
        if let Some(until) = self.shared_until {
            if now < until {
                return true;
            }
            self.shared_until = None;
            self.delays.begin(now);
        }
        match self.delays.look(now) {
            Some(true) => {
                self.shared_until = Some(now + self.shared_next);
                self.shared_next = (2 * self.shared_next).min(SHARED_MAX);
            }
            Some(false) => self.shared_next = SHARED,
            None => {}
        }
        self.shared_until.is_some()
    }

    /// Rests, if it is time to, and says whether it did.
    pub(super) fn pause(&mut self) -> bool {
        if !std::mem::take(&mut self.is_due) {
            return false;
        }
        std::thread::sleep(TURN);
        self.working = Instant::now();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker whose processor is shared for the whole test.
    fn shared(thread: usize, threads: usize, sharing: &Sharing) -> Rest {
        let mut rest = Rest::of_this_thread(thread, threads);
        sharing.set(thread, true);
        rest.shared_until = Some(Instant::now() + 1000 * SHARED_MAX);
        rest
    }

    /// One that nothing stops, whatever else runs on this machine.
    fn alone(thread: usize, threads: usize) -> Rest {
        let mut rest = Rest::of_this_thread(thread, threads);
        rest.delays.file = None;
        rest
    }

    #[test]
    fn a_worker_rests_after_each_turn_while_its_processor_is_shared() {
        let (sharing, start) = (Sharing::default(), Instant::now());
        let mut rest = shared(1, 2, &sharing);
        assert!(!rest.pause(), "not before it asked");
        while !rest.is_due(&sharing) {}
        assert!(start.elapsed() > TURN);
        assert!(rest.pause() && !rest.pause(), "once");
        assert!(rest.working > start + 2 * TURN, "the next turn begins after the rest");
    }

    #[test]
    fn where_all_processors_are_shared_nobody_rests() {
        let sharing = Sharing::default();
        let mut rest = shared(1, 2, &sharing);
        sharing.set(0, true);
        let start = Instant::now();
        while start.elapsed() < 4 * TURN {
            assert!(!rest.is_due(&sharing));
        }
        sharing.set(0, false);
        while !rest.is_due(&sharing) {}
        assert!(rest.pause());
    }

    #[test]
    fn a_worker_gives_way_to_a_caller_that_has_no_processor_for_itself() {
        let sharing = Sharing::default();
        let start = Instant::now();
        let mut rest = alone(1, 3);
        while start.elapsed() < 4 * TURN {
            assert!(!rest.is_due(&sharing), "the caller is alone too");
        }
        sharing.set(0, true);
        while !rest.is_due(&sharing) {}
        assert!(start.elapsed() > GIVE_WAY);
        sharing.set(70, true);
        assert!(!sharing.has(1), "nothing stops it");
        assert!(!sharing.has_all(2), "threads beyond the last bit count as alone");
    }
}
