//! One mutable slice, written by several threads.

use std::marker::PhantomData;
use std::ops::Range;

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
