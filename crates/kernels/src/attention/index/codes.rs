//! A key or a query as integers in 8 bits.

/// The largest code; -127 is the smallest.
const LARGEST: f32 = 127.0;

/// Adding and subtracting 1.5 * 2^23 rounds to an integer, ties to even.
const ROUND: f32 = 12_582_912.0;

/// A Hadamard transform (Sylvester's) of as many numbers as a power of two, its own inverse but for
/// a factor, which comes back: dot products of what it gives are larger by that. Other vectors
/// stay, with factor 1.
#[inline(always)]
pub(super) fn rotate(numbers: &mut [f32]) -> f32 {
    if !numbers.len().is_power_of_two() {
        return 1.0;
    }
    let mut half = 1;
    while half < numbers.len() {
        for pair in numbers.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (low, high) in low.iter_mut().zip(high) {
                (*low, *high) = (*low + *high, *low - *high);
            }
        }
        half *= 2;
    }
    numbers.len() as f32
}

/// The codes nearest to `numbers`, ties to even, and the scale that they are multiplied with: a
/// 127th of the largest magnitude. Zeros with scale 0 where a number is not finite, or none is
/// large enough for a scale of full precision.
#[inline(always)]
pub(super) fn round(numbers: &[f32], codes: &mut [i8]) -> f32 {
    // The bits of magnitudes ascend as they do, and those of NaN are beyond.
    let magnitude = |number: &f32| number.to_bits() & i32::MAX as u32;
    let largest = f32::from_bits(numbers.iter().map(magnitude).fold(0, u32::max));
    let scale = largest / LARGEST;
    if !largest.is_finite() || scale < f32::MIN_POSITIVE {
        codes.fill(0);
        return 0.0;
    }
    for (code, number) in codes.iter_mut().zip(numbers) {
        *code = ((number / scale + ROUND) - ROUND) as i8;
    }
    scale
}
