//! The numbers a page is made of.

use super::store::{KvLayout, PAGE, PANEL};
use crate::lanes::{Lanes, WIDE};
use crate::memory::AlignedBuffer;

/// How a cached number is stored: by itself, or as what the scale of its block is multiplied with.
/// A block is up to 32 dimensions of one key or value.
pub(super) trait KvNumber: Copy + Send + Sync {
    /// The numbers of a head as floats, in the places they have there; converted to `scratch`
    /// where they are stored as something else.
    fn floats<'a, L: Lanes<WIDE>>(
        lanes: L,
        layout: &KvLayout,
        head: Cached<'a, Self>,
        scratch: &'a mut AlignedBuffer<f32>,
    ) -> &'a [f32];
    /// The scales of sixteen blocks from the one at `at` on. Numbers that are stored by themselves
    /// have none: `scales` is empty, and what comes back is not looked at.
    #[inline(always)]
    fn scales<L: Lanes<WIDE>>(lanes: L, _scales: &[u16], _at: usize) -> L::Vector {
        lanes.splat(1.0)
    }
    /// The same of the block at `at` alone, in all lanes.
    #[inline(always)]
    fn scale<L: Lanes<WIDE>>(lanes: L, _scales: &[u16], _at: usize) -> L::Vector {
        lanes.splat(1.0)
    }
    /// The same of all blocks of a panel, the `index`-th of values.
    #[inline(always)]
    fn panel_scales<L: Lanes<WIDE>>(lanes: L, scales: &[u16], index: usize) -> [f32; PAGE] {
        let mut floats = [0.0; PAGE];
        for (part, floats) in floats.as_chunks_mut::<WIDE>().0.iter_mut().enumerate() {
            lanes.store(Self::scales(lanes, scales, index * PAGE + part * WIDE), floats);
        }
        floats
    }
    /// Reads sixteen of blocks with these scales, exactly.
    fn load<L: Lanes<WIDE>>(lanes: L, from: &[Self; WIDE], scales: L::Vector) -> L::Vector;
    /// Sixteen numbers that are stored by themselves; `None` where numbers have scales.
    fn alone<L: Lanes<WIDE>>(lanes: L, numbers: L::Vector) -> Option<[Self; WIDE]>;
    /// A block as it is stored, and its scale; after its end anything.
    fn narrow<L: Lanes<WIDE>>(lanes: L, block: &[f32]) -> ([Self; PANEL], u16);
}

/// Cached numbers and their scales: of all pages, of a head in one of them, of its keys or values.
#[derive(Clone, Copy)]
pub(super) struct Cached<'a, E> {
    pub numbers: &'a [E],
    /// In half precision, by their bits: of a head's keys `[PAGE / 32][k_dim / 32][32 positions]`,
    /// of its values `[panels][PAGE]`. Empty where numbers are stored by themselves.
    pub scales: &'a [u16],
}

impl<'a> Cached<'a, f32> {
    /// Floats need no scales.
    #[inline(always)]
    pub fn of_floats(numbers: &'a [f32]) -> Cached<'a, f32> {
        Cached { numbers, scales: &[] }
    }
}

impl<'a, E> Cached<'a, E> {
    /// No numbers.
    pub const NONE: Cached<'a, E> = Cached { numbers: &[], scales: &[] };

    /// The keys of a head, and the values.
    #[inline(always)]
    pub fn split(self, layout: &KvLayout) -> [Cached<'a, E>; 2] {
        let (keys, values) = self.numbers.split_at(layout.keys_len());
        let (of_keys, of_values) =
            self.scales.split_at(layout.key_scales_len().min(self.scales.len()));
        [Cached { numbers: keys, scales: of_keys }, Cached { numbers: values, scales: of_values }]
    }
}

/// Sixteen numbers at a time, the first and the second half of a block.
#[inline(always)]
pub(super) fn halves<L: Lanes<WIDE>>(lanes: L, block: &[f32]) -> [L::Vector; 2] {
    let (first, second) = block.split_at(WIDE.min(block.len()));
    [lanes.load_padded(first, 0.0), lanes.load_padded(second, 0.0)]
}

impl KvNumber for f32 {
    #[inline(always)]
    fn floats<'a, L: Lanes<WIDE>>(
        _lanes: L,
        _layout: &KvLayout,
        head: Cached<'a, f32>,
        _scratch: &'a mut AlignedBuffer<f32>,
    ) -> &'a [f32] {
        head.numbers
    }

    #[inline(always)]
    fn load<L: Lanes<WIDE>>(lanes: L, from: &[f32; WIDE], _scales: L::Vector) -> L::Vector {
        lanes.load(from)
    }

    #[inline(always)]
    fn alone<L: Lanes<WIDE>>(lanes: L, numbers: L::Vector) -> Option<[f32; WIDE]> {
        Some(lanes.to_array(numbers))
    }

    #[inline(always)]
    fn narrow<L: Lanes<WIDE>>(_lanes: L, block: &[f32]) -> ([f32; PANEL], u16) {
        let mut numbers = [0.0; PANEL];
        numbers[..block.len()].copy_from_slice(block);
        (numbers, 0)
    }
}

/// Half precision, by its bits.
impl KvNumber for u16 {
    #[inline(always)]
    fn floats<'a, L: Lanes<WIDE>>(
        lanes: L,
        _layout: &KvLayout,
        head: Cached<'a, u16>,
        scratch: &'a mut AlignedBuffer<f32>,
    ) -> &'a [f32] {
        let scratch = scratch.room(head.numbers.len());
        let numbers = head.numbers.as_chunks::<WIDE>().0;
        for (from, to) in numbers.iter().zip(scratch.as_chunks_mut::<WIDE>().0) {
            lanes.store(lanes.load_half(from), to);
        }
        scratch
    }

    #[inline(always)]
    fn load<L: Lanes<WIDE>>(lanes: L, from: &[u16; WIDE], _scales: L::Vector) -> L::Vector {
        lanes.load_half(from)
    }

    #[inline(always)]
    fn alone<L: Lanes<WIDE>>(lanes: L, numbers: L::Vector) -> Option<[u16; WIDE]> {
        Some(finite_halves(lanes, numbers))
    }

    #[inline(always)]
    fn narrow<L: Lanes<WIDE>>(lanes: L, block: &[f32]) -> ([u16; PANEL], u16) {
        let mut numbers = [0; PANEL];
        let parts = numbers.as_chunks_mut::<WIDE>().0.iter_mut().zip(halves(lanes, block));
        for (numbers, part) in parts {
            *numbers = finite_halves(lanes, part);
        }
        (numbers, 0)
    }
}

/// The nearest numbers, with the largest finite one in place of those beyond it: one infinite key
/// or value would make every later answer NaN. A NaN stays one.
#[inline(always)]
fn finite_halves<L: Lanes<WIDE>>(lanes: L, numbers: L::Vector) -> [u16; WIDE] {
    let largest = half::f16::MAX.to_f32();
    let numbers = lanes.max(lanes.splat(-largest), numbers);
    lanes.to_half(lanes.min(lanes.splat(largest), numbers))
}
