//! The buffers that operations pass results in, without the buffers: who lends how much from whom
//! in which order decides what a model needs beside weights and caches.
//!
//! As `kernels::scratch` has it: a buffer goes back where it came from, is taken again by the best
//! fit up to twice as large, and only so many are kept.

use baimo_kernels::BUFFERS_KEPT;
use baimo_kernels::matmul::InputKind;
use std::cell::RefCell;
use std::rc::Rc;

/// What a buffer's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// Numbers.
    Float,
    /// 32 numbers in 8 bits with their scale and sums.
    Int8,
    /// 256 numbers in 8 bits with their scale and sums.
    Int8Groups,
    /// 32 numbers in 16 bits with their scale.
    Int16,
}

impl Element {
    fn bytes(self) -> usize {
        let kind = match self {
            Element::Float => InputKind::Floats,
            Element::Int8 => InputKind::Int8,
            Element::Int8Groups => InputKind::Int8Groups,
            Element::Int16 => InputKind::Int16,
        };
        kind.block().1
    }
}

/// All pools of one process.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch(Rc<RefCell<Pools>>);

#[derive(Debug, Default)]
struct Pools {
    /// Elements of the buffers that wait, the longest waiting first; by [`Element`].
    waiting: [Vec<usize>; 4],
    /// Bytes of all buffers that are, lent and waiting.
    bytes: usize,
    peak: usize,
}

/// A buffer that is lent.
#[derive(Debug)]
pub(super) struct Lent {
    element: Element,
    /// Elements that were asked for.
    pub len: usize,
    /// Elements that there are; nothing goes back to a pool where absent.
    whole: Option<usize>,
    home: Scratch,
}

impl Scratch {
    /// A buffer of so many elements.
    pub fn lend(&self, element: Element, len: usize) -> Lent {
        let mut pools = self.0.borrow_mut();
        let waiting = &mut pools.waiting[element as usize];
        let fits = |whole: usize| (len..=len.saturating_mul(2)).contains(&whole);
        let best = (0..waiting.len()).filter(|&at| fits(waiting[at])).min_by_key(|&at| waiting[at]);
        let whole = match best {
            Some(at) => waiting.remove(at),
            None => {
                pools.grow(len * element.bytes());
                len
            }
        };
        Lent { element, len, whole: Some(whole), home: self.clone() }
    }

    /// Memory that is freed when it is done with: so many numbers.
    pub fn passing(&self, len: usize) -> Lent {
        self.0.borrow_mut().grow(len * Element::Float.bytes());
        Lent { element: Element::Float, len, whole: None, home: self.clone() }
    }

    /// The most bytes that there were at any time.
    pub fn peak(&self) -> usize {
        self.0.borrow().peak
    }
}

impl Pools {
    fn grow(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.peak = self.peak.max(self.bytes);
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut pools = self.home.0.borrow_mut();
        let Some(whole) = self.whole else {
            pools.bytes -= self.len * self.element.bytes();
            return;
        };
        let waiting = &mut pools.waiting[self.element as usize];
        waiting.push(whole);
        if waiting.len() > BUFFERS_KEPT {
            let gone = waiting.remove(0);
            pools.bytes -= gone * self.element.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_counted_once_however_often_it_is_used() {
        let scratch = Scratch::default();
        drop(scratch.lend(Element::Float, 100));
        drop(scratch.lend(Element::Float, 60));
        assert_eq!(scratch.peak(), 400, "the first serves the second");
        drop(scratch.lend(Element::Float, 40));
        assert_eq!(scratch.peak(), 560, "but none that is so much smaller");
        let passing = scratch.passing(10);
        drop(scratch.lend(Element::Int8, 1));
        drop(passing);
        drop(scratch.passing(10));
        assert_eq!(scratch.peak(), 560 + 40 + 44);
    }

    #[test]
    fn only_so_many_buffers_wait() {
        let scratch = Scratch::default();
        let many: Vec<_> = (0..2 * BUFFERS_KEPT).map(|_| scratch.lend(Element::Float, 8)).collect();
        drop(many);
        assert_eq!(scratch.0.borrow().bytes, BUFFERS_KEPT * 32);
        assert_eq!(scratch.peak(), 2 * BUFFERS_KEPT * 32);
    }
}
