//! Large buffers that begin on a cache line.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line, which no vector register exceeds.
const LINE: usize = 64;

/// A fixed number of elements, the first at the start of a cache line.
pub(crate) struct AlignedBuffer<T> {
    elements: Vec<T>,
    start: usize,
    len: usize,
}

/// Numbers whose zeros the system hands out untouched, so that a large buffer takes memory only
/// as it fills. (For a general element `vec!` would write every one of them.)
pub(crate) trait Zero: Copy {
    /// `len` zeros.
    fn zeros(len: usize) -> Vec<Self>;
}

impl Zero for u8 {
    fn zeros(len: usize) -> Vec<u8> {
        vec![0; len]
    }
}

impl Zero for u16 {
    fn zeros(len: usize) -> Vec<u16> {
        vec![0; len]
    }
}

impl Zero for f32 {
    fn zeros(len: usize) -> Vec<f32> {
        vec![0.0; len]
    }
}

impl<T: Zero> AlignedBuffer<T> {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> AlignedBuffer<T> {
        let elements = T::zeros(len + LINE / size_of::<T>());
        let start = elements.as_ptr().align_offset(LINE);
        AlignedBuffer { elements, start, len }
    }
}

impl<T> Deref for AlignedBuffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.elements[self.start..][..self.len]
    }
}

impl<T> DerefMut for AlignedBuffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.elements[self.start..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_begins_on_a_cache_line_and_is_zero() {
        for len in [0, 1, 1000, 1 << 20] {
            let mut floats = AlignedBuffer::<f32>::zeros(len);
            let halves = AlignedBuffer::<u16>::zeros(len);
            assert_eq!(floats.as_ptr().addr() % LINE, 0);
            assert_eq!(halves.as_ptr().addr() % LINE, 0);
            assert_eq!((floats.len(), halves.len()), (len, len));
            assert!(floats.iter().all(|&x| x == 0.0) && halves.iter().all(|&x| x == 0));
            floats.fill(1.0);
        }
    }
}
