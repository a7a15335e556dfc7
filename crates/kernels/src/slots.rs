//! What recurrent operations keep between steps: a block of numbers for each running sequence.

use crate::memory::{AlignedBuffer, put, take};

/// Numbers of a cache line, on which every slot begins: vectors that lie across two lines cost
/// twice.
const LINE: usize = 16;

/// Blocks of one size, zeros at first. A sequence's block is its slot.
pub struct SlotStore {
    pub(crate) numbers: AlignedBuffer<f32>,
    pub(crate) each: usize,
}

/// Consecutive rows of one sequence that continue what lies in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotSpan {
    /// The first row.
    pub first_row: usize,
    /// How many rows.
    pub rows: usize,
    /// Where the sequence's block is.
    pub slot: usize,
}

impl SlotStore {
    /// `slots` blocks of `each` numbers.
    pub fn new(each: usize, slots: usize) -> SlotStore {
        let each = each.next_multiple_of(LINE);
        SlotStore { numbers: AlignedBuffer::zeros(each * slots), each }
    }

    /// Fills a slot with zeros: a new sequence begins.
    pub fn clear(&mut self, slot: usize) {
        self.numbers[slot * self.each..][..self.each].fill(0.0);
    }

    /// Appends the bytes of a slot.
    pub fn slot(&self, slot: usize, bytes: &mut Vec<u8>) {
        put(&self.numbers[slot * self.each..][..self.each], bytes);
    }

    /// Sets a slot to the bytes that `bytes` begins with, and gives the rest of them.
    ///
    /// # Panics
    /// Where there are too few.
    pub fn set_slot<'a>(&mut self, slot: usize, bytes: &'a [u8]) -> &'a [u8] {
        take(&mut self.numbers[slot * self.each..][..self.each], bytes)
    }

    /// Checks that `part` lies within a slot, that spans ascend within `rows`, and that no two
    /// have the same slot: each is then written by one thread at a time.
    pub(crate) fn check(&self, part: std::ops::Range<usize>, spans: &[SlotSpan], rows: usize) {
        assert!(part.end <= self.each, "{part:?} of a slot of {}", self.each);
        let mut free = 0;
        let mut taken = Vec::with_capacity(spans.len());
        for span in spans {
            assert!(span.first_row >= free, "spans ascend: row {} after {free}", span.first_row);
            free = span.first_row + span.rows;
            taken.push(span.slot);
        }
        assert!(free <= rows, "spans end at row {free} of {rows}");
        taken.sort_unstable();
        assert!(taken.is_sorted_by(|a, b| a < b), "each sequence has a slot of its own: {spans:?}");
        assert!(
            taken.last().is_none_or(|&last| (last + 1) * self.each <= self.numbers.len()),
            "no slot {taken:?}"
        );
    }
}
