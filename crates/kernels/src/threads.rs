//! The thread pool: thousands of tiny fork-joins a second.

use std::marker::PhantomData;
use std::ops::Range;

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

    /// Shares `data`, rows of `row_len`, over the threads: `work(first_row, rows)` gets whole rows
    /// from `first_row` on, enough of them to be worth a thread's while.
    pub fn run_rows<T: Send>(
        &self,
        data: &mut [T],
        row_len: usize,
        work: &(dyn Fn(usize, &mut [T]) + Sync),
    ) {
        let rows_each = (ROWS_WORTH_A_CHUNK / row_len).max(1);
        let shared = Shared::new(data);
        let len = shared.len();
        self.run(len.div_ceil(rows_each * row_len), &|chunk| {
            let first = chunk * rows_each;
            let end = ((first + rows_each) * row_len).min(len);
            // SAFETY: `run` hands out every chunk once, and chunks are disjoint ranges.
            work(first, unsafe { shared.part(first * row_len..end) });
        });
    }
}

/// Numbers below which a chunk of elementwise work costs less than handing it out.
const ROWS_WORTH_A_CHUNK: usize = 16 * 1024;

/// A slice that threads write at the same time, each to its own part.
pub(crate) struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a mutable borrow cut in parts; each part is used by one thread at a time, which
// is what `part`'s caller promises, so it may go wherever `&mut [T]` may go.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    /// Borrows `data` for as long as its parts are in use.
    pub(crate) fn new(data: &'a mut [T]) -> Shared<'a, T> {
        Shared { start: data.as_mut_ptr(), len: data.len(), borrow: PhantomData }
    }

    /// How many elements there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The elements of `range`, checked against the length.
    ///
    /// # Safety
    /// While the part is in use, no other part that overlaps it may exist.
    #[expect(clippy::mut_from_ref, reason = "disjoint parts of one mutable borrow")]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {}", self.len);
        // SAFETY: in bounds by the assertion; exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
