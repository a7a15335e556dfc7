//! The thread pool: thousands of tiny fork-joins a second.

/// A pool of worker threads. A region ends when all its chunks are done.
pub struct Pool {
    threads: usize,
}

impl Pool {
    /// A pool that runs regions on `threads` threads, the caller's among them.
    pub fn new(threads: usize) -> Pool {
        Pool { threads: threads.max(1) }
    }

    /// How many threads work on a region.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Calls `work(chunk)` once for every `chunk` in `0..chunks`, on any thread, in any order, and
    /// returns when all are done.
    pub fn run(&self, chunks: usize, work: &(dyn Fn(usize) + Sync)) {
        for chunk in 0..chunks {
            work(chunk);
        }
    }
}
