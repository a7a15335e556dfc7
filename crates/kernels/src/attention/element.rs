//! The numbers a page is made of.

use crate::lanes::{Lanes, WIDTH};

/// How a cached number is stored.
pub(super) trait KvNumber: Copy + Send + Sync {
    /// Whether a vector of them is read without conversion.
    const IS_FLOAT: bool;

    /// Reads eight, exactly.
    fn load<L: Lanes>(lanes: L, from: &[Self; WIDTH]) -> L::Vector;
    /// The eight nearest, with the largest finite one in place of finite ones beyond it.
    fn narrow<L: Lanes>(lanes: L, vector: L::Vector) -> [Self; WIDTH];
}

impl KvNumber for f32 {
    const IS_FLOAT: bool = true;

    #[inline(always)]
    fn load<L: Lanes>(lanes: L, from: &[f32; WIDTH]) -> L::Vector {
        lanes.load(from)
    }

    #[inline(always)]
    fn narrow<L: Lanes>(lanes: L, vector: L::Vector) -> [f32; WIDTH] {
        lanes.to_array(vector)
    }
}

/// Half precision, by its bits.
impl KvNumber for u16 {
    const IS_FLOAT: bool = false;

    #[inline(always)]
    fn load<L: Lanes>(lanes: L, from: &[u16; WIDTH]) -> L::Vector {
        lanes.load_half(from)
    }

    #[inline(always)]
    fn narrow<L: Lanes>(lanes: L, vector: L::Vector) -> [u16; WIDTH] {
        // One infinite key or value would make every later answer NaN; a NaN stays one.
        let largest = half::f16::MAX.to_f32();
        let vector = lanes.max(lanes.splat(-largest), vector);
        lanes.to_half(lanes.min(lanes.splat(largest), vector))
    }
}
