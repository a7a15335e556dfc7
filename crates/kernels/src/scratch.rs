//! Buffers that operations pass results in, used again and again: a fresh one of megabytes costs
//! the system a page fault for every 4 KiB, which was a seventh of a prompt's time.

use crate::memory::AlignedBuffer;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers of one type that are kept for later, at most.
pub const BUFFERS_KEPT: usize = 48;

/// Where buffers of one type wait to be used again.
#[derive(Clone)]
pub(crate) struct Scratch<T>(Arc<Mutex<Vec<AlignedBuffer<T>>>>);

/// A buffer that goes back to where it came from.
pub struct Lent<T> {
    /// Those beyond `len` are left from an earlier use.
    elements: AlignedBuffer<T>,
    len: usize,
    home: Option<Scratch<T>>,
}

/// Numbers an operation gives or takes; see [`crate::Kernels::floats`].
pub type Floats = Lent<f32>;

impl<T> Default for Scratch<T> {
    fn default() -> Scratch<T> {
        Scratch(Arc::default())
    }
}

impl<T: Copy> Scratch<T> {
    /// `len` elements of no particular value; `fill` where there never was one.
    pub(crate) fn lend(&self, len: usize, fill: T) -> Lent<T> {
        let found = {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Not more than twice as large, lest a small one hold what a large one needs.
            let fits =
                |kept: &AlignedBuffer<T>| (len..=len.saturating_mul(2)).contains(&kept.len());
            let best =
                (0..kept.len()).filter(|&at| fits(&kept[at])).min_by_key(|&at| kept[at].len());
            best.map(|at| kept.remove(at))
        };
        let elements = found.unwrap_or_else(|| AlignedBuffer::filled(len, fill));
        Lent { elements, len, home: Some(self.clone()) }
    }
}

impl<T> Lent<T> {
    /// Only the first `len` elements from now on.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn shorten(&mut self, len: usize) {
        assert!(len <= self.len, "{len} of {} elements", self.len);
        self.len = len;
    }

    /// The elements, kept for good.
    pub fn into_vec(mut self) -> Vec<T> {
        let mut elements = std::mem::take(&mut self.elements).into_vec();
        elements.truncate(self.len);
        self.home = None;
        elements
    }
}

impl<T> Default for Lent<T> {
    fn default() -> Lent<T> {
        Lent::from(Vec::new())
    }
}

impl<T> From<Vec<T>> for Lent<T> {
    fn from(elements: Vec<T>) -> Lent<T> {
        Lent { len: elements.len(), elements: elements.into(), home: None }
    }
}

impl<T: Clone> Clone for Lent<T> {
    fn clone(&self) -> Lent<T> {
        Lent::from(self.to_vec())
    }
}

impl<T: PartialEq> PartialEq for Lent<T> {
    fn eq(&self, other: &Lent<T>) -> bool {
        **self == **other
    }
}

impl<T> Deref for Lent<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.elements[..self.len]
    }
}

impl<T> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.elements[..self.len]
    }
}

impl<T: fmt::Debug> fmt::Debug for Lent<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        let Some(home) = &self.home else { return };
        let mut kept = home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == BUFFERS_KEPT {
            kept.remove(0);
        }
        kept.push(std::mem::take(&mut self.elements));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_by_the_best_fit_and_never_by_a_much_smaller_one() {
        let scratch = Scratch::<f32>::default();
        let [small, large] = [scratch.lend(100, 0.0), scratch.lend(150, 0.0)];
        let [small_at, large_at] = [small.as_ptr(), large.as_ptr()];
        drop((small, large));
        assert_ne!(scratch.lend(10, 0.0).as_ptr(), small_at);
        let again = scratch.lend(90, 0.0);
        assert_eq!((again.len(), again.as_ptr()), (90, small_at));
        assert_eq!(scratch.lend(101, 0.0).as_ptr(), large_at);
        drop(again);
        // The whole of it is there, though less was lent.
        assert_eq!(scratch.lend(100, 0.0).as_ptr(), small_at);
    }

    #[test]
    fn a_shortened_buffer_serves_as_many_as_it_was_lent_for() {
        let scratch = Scratch::<f32>::default();
        let mut lent = scratch.lend(100, 0.0);
        let start = lent.as_ptr();
        lent.shorten(60);
        assert_eq!(lent.len(), 60);
        drop(lent);
        let again = scratch.lend(100, 0.0);
        assert_eq!((again.len(), again.as_ptr()), (100, start));
    }

    #[test]
    fn what_is_kept_for_good_does_not_come_back() {
        let scratch = Scratch::<f32>::default();
        let mut lent = scratch.lend(4, 1.0);
        lent[1] = 2.0;
        assert_eq!(lent.into_vec(), [1.0, 2.0, 1.0, 1.0]);
        assert!(scratch.0.lock().unwrap().is_empty());
        drop(Lent::from(vec![0.0f32; 4]));
        let many: Vec<_> = (0..2 * BUFFERS_KEPT).map(|_| scratch.lend(8, 0.0)).collect();
        drop(many);
        assert_eq!(scratch.0.lock().unwrap().len(), BUFFERS_KEPT);
    }
}
