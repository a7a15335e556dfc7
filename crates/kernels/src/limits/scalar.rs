//! The definitions. Every lane of a vector holds the same, so one lane is all there is to say.

use super::CHAINS;

/// Lanes of the plain loops.
pub(super) const LANES: usize = 1;

/// The factor and the summand of the float chains; they converge, far from denormal numbers.
pub(super) const FACTOR: f32 = 0.75;
pub(super) const SUMMAND: f32 = 1.5;
/// Inputs of the integer chains: all bytes below 128, so that no pair of products saturates.
pub(super) const INPUT: i32 = 0x35_12_6b_07;
/// What turns the input of a step into the next step's.
pub(super) const FLIP: i32 = 0x11_22_44_55;

/// What chain `chain` multiplies its input with.
pub(super) fn weight(chain: usize) -> i32 {
    0x1020_0503_i32.wrapping_mul(2 * chain as i32 + 1)
}

/// `x = x * FACTOR + SUMMAND`, begun with the chain's number; the bits of all, by exclusive or.
pub(super) fn float(steps: usize) -> i32 {
    let mut chains: [f32; CHAINS] = std::array::from_fn(|chain| chain as f32);
    for _ in 0..steps {
        chains = chains.map(|x| x.mul_add(FACTOR, SUMMAND));
    }
    chains.iter().fold(0, |bits, x| bits ^ x.to_bits().cast_signed())
}

/// `sum += input · weight`, of two halves each; all sums.
pub(super) fn int16(steps: usize) -> i32 {
    let halves = |x: i32| [i32::from(x as i16), x >> 16];
    integers(steps, |a, b| {
        let (a, b) = (halves(a), halves(b));
        (a[0] * b[0]).wrapping_add(a[1] * b[1])
    })
}

/// `sum += input · weight`, of four bytes each, those of the input unsigned; all sums.
pub(super) fn int8(steps: usize) -> i32 {
    integers(steps, |a, b| {
        let bytes = a.to_le_bytes().into_iter().zip(b.to_le_bytes());
        bytes.map(|(a, b)| i32::from(a) * i32::from(b.cast_signed())).sum()
    })
}

fn integers(steps: usize, dot: impl Fn(i32, i32) -> i32) -> i32 {
    let mut input = INPUT;
    let mut sums = [0i32; CHAINS];
    for _ in 0..steps {
        for (chain, sum) in sums.iter_mut().enumerate() {
            *sum = sum.wrapping_add(dot(input, weight(chain)));
        }
        input ^= FLIP;
    }
    sums.into_iter().fold(0, i32::wrapping_add)
}

/// All words, by exclusive or.
pub(super) fn xor(words: &[[u8; 8]]) -> u64 {
    words.iter().fold(0, |all, word| all ^ u64::from_le_bytes(*word))
}
