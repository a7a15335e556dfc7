//! One parallel region: who may take which chunk, and when all are done.
//!
//! This file is model-checked: `RUSTFLAGS="--cfg loom" cargo test -p baimo-kernels --release
//! --lib threads::` runs its tests under every interleaving that loom finds.

#[cfg(loom)]
use loom::{
    cell::UnsafeCell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

#[cfg(not(loom))]
use plain::UnsafeCell;

/// Loom's interface to a cell, on the standard one.
#[cfg(not(loom))]
mod plain {
    pub(super) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(super) fn new(value: T) -> UnsafeCell<T> {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        pub(super) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        pub(super) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }
}

/// More chunks than a region can have: chunk numbers are 16 bits of a [`Share`].
pub(super) const CHUNKS_MAX: usize = u16::MAX as usize;

/// The chunks of one thread that nobody has taken, and the number of the region they are of, in
/// one word: what is taken is always of the region that the taker saw, however late it comes.
#[derive(Clone, Copy)]
struct Share {
    region: u32,
    next: u16,
    end: u16,
}

impl Share {
    fn of_word(word: u64) -> Share {
        Share { region: (word >> 32) as u32, next: (word >> 16) as u16, end: word as u16 }
    }

    fn word(self) -> u64 {
        (u64::from(self.region) << 32) | (u64::from(self.next) << 16) | u64::from(self.end)
    }
}

/// A share on cache lines of its own (two, since processors fetch pairs): taking a chunk does not
/// disturb other takers.
#[repr(align(128))]
struct Slot(AtomicU64);

/// The region that is running, or the last one. `J` says what a chunk is.
pub(super) struct Region<J> {
    shares: Box<[Slot]>,
    done: AtomicUsize,
    job: UnsafeCell<J>,
}

// SAFETY: `job` is written only by `open`, while no chunk is taken or open (its caller's promise),
// and read only by those who took a chunk and have not finished it; `take` and `finish` order the
// reads after the write and the next write after the reads. Loom checks this.
unsafe impl<J: Copy + Send> Sync for Region<J> {}

impl<J: Copy> Region<J> {
    /// A region without chunks, for `threads` threads.
    pub(super) fn new(threads: usize, job: J) -> Region<J> {
        let empty = || Slot(AtomicU64::new(0));
        let shares = (0..threads).map(|_| empty()).collect();
        Region { shares, done: AtomicUsize::new(0), job: UnsafeCell::new(job) }
    }

    /// Opens the region with this number: each thread has a contiguous share of the chunks.
    ///
    /// # Safety
    /// All chunks of the region before are done (`is_done` was seen), and nobody else opens.
    pub(super) unsafe fn open(&self, region: u32, chunks: usize, job: J) {
        assert!(chunks <= CHUNKS_MAX, "{chunks} chunks");
        // SAFETY: nobody holds a chunk, so nobody reads the job.
        self.job.with_mut(|place| unsafe { *place = job });
        self.done.store(0, Ordering::Relaxed);
        let threads = self.shares.len();
        for (thread, slot) in self.shares.iter().enumerate() {
            let next = (chunks * thread / threads) as u16;
            let end = (chunks * (thread + 1) / threads) as u16;
            // Release: who takes one of these chunks sees the job and the count above.
            slot.0.store(Share { region, next, end }.word(), Ordering::Release);
        }
    }

    /// Takes a chunk for `thread`: the next of its own share, or, when that is used up, the last
    /// of another's, so that its owner's chunks stay contiguous. None when all are taken.
    ///
    /// A chunk that was taken must be finished.
    pub(super) fn take(&self, thread: usize) -> Option<(usize, J)> {
        let threads = self.shares.len();
        let chunk = self.take_of(thread, true).or_else(|| {
            (1..threads).find_map(|step| self.take_of((thread + step) % threads, false))
        })?;
        // SAFETY: this chunk is not finished, so the region is open and the job is not written.
        let job = self.job.with(|place| unsafe { *place });
        Some((chunk, job))
    }

    fn take_of(&self, owner: usize, first: bool) -> Option<usize> {
        let slot = &self.shares[owner].0;
        let mut word = slot.load(Ordering::Relaxed);
        loop {
            let share = Share::of_word(word);
            if share.next == share.end {
                return None;
            }
            let (left, chunk) = if first {
                (Share { next: share.next + 1, ..share }, share.next)
            } else {
                (Share { end: share.end - 1, ..share }, share.end - 1)
            };
            // Acquire: pairs with `open`, whose release sequence all takers continue.
            match slot.compare_exchange_weak(
                word,
                left.word(),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(usize::from(chunk)),
                Err(now) => word = now,
            }
        }
    }

    /// Says that a taken chunk is done; gives how many of the region are.
    pub(super) fn finish(&self) -> usize {
        // Release: who sees the count sees what the chunk did.
        self.done.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether all of the region's `chunks` are done; then all they did is visible.
    pub(super) fn is_done(&self, chunks: usize) -> bool {
        self.done.load(Ordering::Acquire) == chunks
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_share_survives_its_word() {
        for (region, next, end) in [(0, 0, 0), (u32::MAX, 1, u16::MAX), (7, u16::MAX, 3)] {
            let share = Share::of_word(Share { region, next, end }.word());
            assert_eq!((share.region, share.next, share.end), (region, next, end));
        }
    }

    #[test]
    fn own_chunks_go_upwards_and_others_are_taken_from_their_end() {
        let region = Region::new(2, ());
        // SAFETY: nothing was opened before.
        unsafe { region.open(1, 8, ()) };
        let taken: Vec<usize> = std::iter::from_fn(|| region.take(0)).map(|(c, ())| c).collect();
        assert_eq!(taken, [0, 1, 2, 3, 7, 6, 5, 4]);
        assert!(!region.is_done(8));
        assert_eq!((0..8).map(|_| region.finish()).last(), Some(8));
        assert!(region.is_done(8));
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::sync::Arc;

    /// Two regions, one after the other, and a worker that may be arbitrarily late: every chunk of
    /// each runs once, with its own region's job, and the caller sees all of it.
    #[test]
    fn a_late_worker_never_mixes_regions() {
        for chunks in [[2, 1], [1, 2], [3, 2]] {
            loom::model(move || {
                let region = Arc::new(Region::new(2, 0));
                let ran: Arc<[[AtomicUsize; 3]; 2]> = Arc::default();
                let work = |thread, region: &Region<usize>, ran: &[[AtomicUsize; 3]; 2]| {
                    while let Some((chunk, job)) = region.take(thread) {
                        ran[job][chunk].fetch_add(1, Ordering::Relaxed);
                        region.finish();
                    }
                };
                let worker = {
                    let (region, ran) = (region.clone(), ran.clone());
                    // Looks for work twice, at any two moments.
                    loom::thread::spawn(move || (0..2).for_each(|_| work(1, &region, &ran)))
                };
                for (job, chunks) in chunks.into_iter().enumerate() {
                    // SAFETY: the region before was seen done.
                    unsafe { region.open(job as u32 + 1, chunks, job) };
                    work(0, &region, &ran);
                    while !region.is_done(chunks) {
                        loom::thread::yield_now();
                    }
                    for (chunk, count) in ran[job].iter().enumerate() {
                        let expected = usize::from(chunk < chunks);
                        assert_eq!(count.load(Ordering::Relaxed), expected);
                    }
                }
                worker.join().expect("the worker does not fail");
            });
        }
    }
}
