//! Who holds which page of the caches.

use baimo_model::PAGE_POSITIONS;

/// The free pages. A page holds [`PAGE_POSITIONS`] positions of one sequence in every layer.
#[derive(Debug)]
pub struct Pages {
    free: Vec<u32>,
    total: usize,
}

impl Pages {
    /// All of `total` pages are free.
    pub fn new(total: usize) -> Pages {
        let total_u32 = u32::try_from(total).expect("page numbers fit u32");
        Pages { free: (0..total_u32).rev().collect(), total }
    }

    /// Pages that nobody holds.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Positions that all pages together hold.
    pub fn capacity(&self) -> usize {
        self.total * PAGE_POSITIONS
    }

    /// Grows `held` until it holds `positions`; where too few pages are free, nothing changes and
    /// the answer is false.
    pub fn grow(&mut self, held: &mut Vec<u32>, positions: usize) -> bool {
        let missing = positions.div_ceil(PAGE_POSITIONS).saturating_sub(held.len());
        if missing > self.free.len() {
            return false;
        }
        held.extend(self.free.drain(self.free.len() - missing..).rev());
        true
    }

    /// Takes all pages of `held` back.
    pub fn release(&mut self, held: &mut Vec<u32>) {
        self.free.append(held);
        assert!(self.free.len() <= self.total, "a page was released twice");
    }
}
