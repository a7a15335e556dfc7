//! The numbers a page is made of.

use crate::lanes::{Lanes, WIDE};

/// How a cached number is stored.
pub(super) trait KvNumber: Copy + Send + Sync {
    /// The numbers as floats, converted to `scratch` where they are not.
    fn floats<'a, L: Lanes<WIDE>>(
        lanes: L,
        numbers: &'a [Self],
        scratch: &'a mut Vec<f32>,
    ) -> &'a [f32];
    /// Reads sixteen, exactly.
    fn load<L: Lanes<WIDE>>(lanes: L, from: &[Self; WIDE]) -> L::Vector;
    /// The sixteen nearest, with the largest finite one in place of finite ones beyond it.
    fn narrow<L: Lanes<WIDE>>(lanes: L, vector: L::Vector) -> [Self; WIDE];
}

impl KvNumber for f32 {
    #[inline(always)]
    fn floats<'a, L: Lanes<WIDE>>(
        _lanes: L,
        numbers: &'a [f32],
        _scratch: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        numbers
    }

    #[inline(always)]
    fn load<L: Lanes<WIDE>>(lanes: L, from: &[f32; WIDE]) -> L::Vector {
        lanes.load(from)
    }

    #[inline(always)]
    fn narrow<L: Lanes<WIDE>>(lanes: L, vector: L::Vector) -> [f32; WIDE] {
        lanes.to_array(vector)
    }
}

/// Half precision, by its bits.
impl KvNumber for u16 {
    #[inline(always)]
    fn floats<'a, L: Lanes<WIDE>>(
        lanes: L,
        numbers: &'a [u16],
        scratch: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        if scratch.len() < numbers.len() {
            scratch.resize(numbers.len(), 0.0);
        }
        let scratch = &mut scratch[..numbers.len()];
        let parts = numbers.as_chunks::<WIDE>().0.iter().zip(scratch.as_chunks_mut::<WIDE>().0);
        for (from, to) in parts {
            lanes.store(lanes.load_half(from), to);
        }
        scratch
    }

    #[inline(always)]
    fn load<L: Lanes<WIDE>>(lanes: L, from: &[u16; WIDE]) -> L::Vector {
        lanes.load_half(from)
    }

    #[inline(always)]
    fn narrow<L: Lanes<WIDE>>(lanes: L, vector: L::Vector) -> [u16; WIDE] {
        // One infinite key or value would make every later answer NaN; a NaN stays one.
        let largest = half::f16::MAX.to_f32();
        let vector = lanes.max(lanes.splat(-largest), vector);
        lanes.to_half(lanes.min(lanes.splat(largest), vector))
    }
}
