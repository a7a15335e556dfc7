//! The thread pool: thousands of tiny fork-joins a second.
//!
//! A region ends when all its *chunks* are done, not when all threads have reported: a thread that
//! the system is not running, and that holds no chunk, costs nothing. Each thread first works
//! through a contiguous share, so that memory is read in streams, and then takes from the ends of
//! the others' shares.

mod bell;
mod idle;
mod region;
mod rest;
mod shared;
#[cfg(all(test, not(loom)))]
mod tests;

pub(crate) use shared::Shared;

use bell::Bell;
use idle::Patience;
use region::{CHUNKS_MAX, Region};
use rest::{Rest, Sharing};
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, Thread};

/// A pool of worker threads. Any number of threads may call it; their regions run one after the
/// other. Dropping it ends its threads.
pub struct Pool {
    common: Arc<Common>,
    workers: Vec<JoinHandle<()>>,
    /// Held by the thread whose region runs.
    turn: Mutex<Turn>,
}

/// What the next region's caller inherits.
#[derive(Default)]
struct Turn {
    region: u32,
    patience: Patience,
}

/// What all threads of a pool see.
struct Common {
    region: Region<Job>,
    /// Rung with the number of the latest region.
    bell: Bell,
    /// Whether the pool is being dropped.
    closing: AtomicBool,
    sharing: Sharing,
    /// The caller, while it sleeps until the last chunk is done.
    caller: Mutex<Option<Thread>>,
    caller_asleep: AtomicBool,
    /// The first panic of the region.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// What the chunks of a region are.
#[derive(Clone, Copy)]
struct Job {
    /// Alive as long as a chunk is not done.
    work: *const (dyn Fn(usize) + Sync),
    chunks: usize,
    /// What is handed out: a chunk, or several neighbours where there are very many.
    units: usize,
}

// SAFETY: `work` may be called from any thread because it is `Sync`.
unsafe impl Send for Job {}

thread_local! {
    /// Whether this thread is working on a chunk.
    static IN_CHUNK: Cell<bool> = const { Cell::new(false) };
}

impl Pool {
    /// A pool that runs regions on `threads` threads, the caller's among them.
    ///
    /// # Panics
    /// If the system starts no more threads.
    pub fn new(threads: usize) -> Pool {
        let threads = threads.max(1);
        let idle = Job { work: &|_| (), chunks: 0, units: 0 };
        let common = Arc::new(Common {
            region: Region::new(threads, idle),
            bell: Bell::new(threads - 1),
            closing: AtomicBool::new(false),
            sharing: Sharing::default(),
            caller: Mutex::new(None),
            caller_asleep: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        let start = |thread| {
            let common = common.clone();
            std::thread::Builder::new()
                .name(format!("kernels-{thread}"))
                .spawn(move || common.serve(thread, threads))
                .expect("the system starts a thread")
        };
        let workers = (1..threads).map(start).collect();
        Pool { common, workers, turn: Mutex::default() }
    }

    /// How many threads work on a region.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work(chunk)` once for every `chunk` in `0..chunks`, on any thread, in any order, and
    /// returns when all are done. From within a chunk (of any pool) it does all of it itself.
    ///
    /// # Panics
    /// If `work` does: with the first panic, after all chunks were called.
    pub fn run(&self, chunks: usize, work: &(dyn Fn(usize) + Sync)) {
        if chunks <= 1 || self.workers.is_empty() || IN_CHUNK.get() {
            return (0..chunks).for_each(work);
        }
        let mut turn = lock(&self.turn);
        turn.region = turn.region.wrapping_add(1);
        let units = chunks.min(CHUNKS_MAX);
        let work: *const (dyn Fn(usize) + Sync) = work;
        // SAFETY: only the lifetime changes, and `work` is alive until `finish_region` returns,
        // when all chunks are done; nothing between here and there unwinds.
        let work: *const (dyn Fn(usize) + Sync + 'static) = unsafe { std::mem::transmute(work) };
        // SAFETY: the holder of the turn is alone, and the region before was seen done.
        unsafe { self.common.region.open(turn.region, units, Job { work, chunks, units }) };
        self.announce(turn.region);
        rest::look_as_caller(&self.common.sharing);
        self.common.work(0, || false);
        self.common.finish_region(units, &mut turn.patience);
        let panic = lock(&self.common.panic).take();
        drop(turn);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Shares `data`, rows of `row_len`, over the threads: `work(first_row, rows)` gets whole rows
    /// from `first_row` on, enough of them to be worth a thread's while.
    pub fn run_rows<T: Send>(
        &self,
        data: &mut [T],
        row_len: usize,
        work: &(dyn Fn(usize, &mut [T]) + Sync),
    ) {
        let rows_each = (WORTH_A_CHUNK / row_len).max(1);
        let shared = Shared::new(data);
        let len = shared.len();
        self.run(len.div_ceil(rows_each * row_len), &|chunk| {
            let first = chunk * rows_each;
            let end = ((first + rows_each) * row_len).min(len);
            // SAFETY: `run` hands out every chunk once, and chunks are disjoint ranges.
            work(first, unsafe { shared.part(first * row_len..end) });
        });
    }

    /// Lets all workers know of a region, the sleeping ones too.
    fn announce(&self, region: u32) {
        self.common.bell.ring(region, |worker| self.workers[worker].thread().unpark());
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let region = lock(&self.turn).region.wrapping_add(1);
        self.common.closing.store(true, Ordering::Relaxed);
        self.announce(region);
        for worker in self.workers.drain(..) {
            worker.join().expect("a worker catches every panic of a chunk");
        }
    }
}

impl Common {
    /// The life of a worker of `threads` with the caller; `thread` is 1 for the first.
    fn serve(&self, thread: usize, threads: usize) {
        let mut patience = Patience::default();
        let mut rest = Rest::of_this_thread(thread, threads);
        let mut seen = 0;
        loop {
            if rest.pause() {
                // Chunks may be left of the region that it rested from.
                self.work(thread, || rest.is_due(&self.sharing));
                continue;
            }
            if !patience.spin(|| self.bell.number() != seen) {
                self.bell.sleep(thread - 1, seen);
            }
            seen = self.bell.number();
            if self.closing.load(Ordering::Relaxed) {
                return;
            }
            self.work(thread, || rest.is_due(&self.sharing));
        }
    }

    /// Does chunks until all are taken, or it is time to rest.
    fn work(&self, thread: usize, mut is_rest_due: impl FnMut() -> bool) {
        IN_CHUNK.set(true);
        while !is_rest_due()
            && let Some((unit, job)) = self.region.take(thread)
        {
            // SAFETY: a chunk was taken and is not finished, so `run` keeps the work alive.
            let work = unsafe { &*job.work };
            for chunk in unit * job.chunks / job.units..(unit + 1) * job.chunks / job.units {
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(chunk))) {
                    lock(&self.panic).get_or_insert(panic);
                }
            }
            if self.region.finish() == job.units {
                // With the fence in `finish_region`: the caller sees the count or is seen here.
                fence(Ordering::SeqCst);
                if self.caller_asleep.load(Ordering::Relaxed) {
                    lock(&self.caller).as_ref().inspect(|caller| caller.unpark());
                }
            }
        }
        IN_CHUNK.set(false);
    }

    /// Waits until all chunks are done.
    fn finish_region(&self, units: usize, patience: &mut Patience) {
        if patience.spin(|| self.region.is_done(units)) {
            return;
        }
        *lock(&self.caller) = Some(std::thread::current());
        self.caller_asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        while !self.region.is_done(units) {
            std::thread::park();
        }
        self.caller_asleep.store(false, Ordering::Relaxed);
    }
}

/// Numbers below which a chunk of elementwise work costs less than handing it out.
pub const WORTH_A_CHUNK: usize = 16 * 1024;

/// Nothing is ever left half-changed under these locks, so a panic elsewhere does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
