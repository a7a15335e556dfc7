//! Blocks of 32 with one scale: `q4_0`, `q4_1`, `q5_0`, `q5_1`, `q8_0`, `int4`.
//!
//! Four-bit parts keep elements 0..16 in the low and 16..32 in the high halves of 16 bytes; fifth
//! bits are a 32-bit mask, bit `i` for element `i`.

use half::f16;

use super::f16_at;
use super::search::{
    Widths, best_affine, best_scale, farthest, inverse, mean_square, nearest, weights,
};

/// f16 scale, 16 bytes of nibbles.
pub(super) fn dequantize_q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let scale = f16_at(block, 0);
    for (index, out) in out.iter_mut().enumerate() {
        *out = scale * f32::from(i16::from(nibble(&block[2..], index)) - 8);
    }
}

/// f16 scale, f16 minimum, 16 bytes of nibbles.
pub(super) fn dequantize_q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (scale, minimum) = (f16_at(block, 0), f16_at(block, 2));
    for (index, out) in out.iter_mut().enumerate() {
        *out = scale * f32::from(nibble(&block[4..], index)) + minimum;
    }
}

/// f16 scale, 4 bytes of fifth bits, 16 bytes of nibbles.
pub(super) fn dequantize_q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let scale = f16_at(block, 0);
    for (index, out) in out.iter_mut().enumerate() {
        let value = nibble(&block[6..], index) | fifth_bit(&block[2..], index);
        *out = scale * f32::from(i16::from(value) - 16);
    }
}

/// f16 scale, f16 minimum, 4 bytes of fifth bits, 16 bytes of nibbles.
pub(super) fn dequantize_q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let (scale, minimum) = (f16_at(block, 0), f16_at(block, 2));
    for (index, out) in out.iter_mut().enumerate() {
        let value = nibble(&block[8..], index) | fifth_bit(&block[4..], index);
        *out = scale * f32::from(value) + minimum;
    }
}

/// f16 scale, 32 signed bytes.
pub(super) fn dequantize_q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let scale = f16_at(block, 0);
    for (out, byte) in out.iter_mut().zip(&block[2..]) {
        *out = scale * f32::from(*byte as i8);
    }
}

/// f16 scale, the code of zero, 16 bytes of nibbles.
pub(super) fn dequantize_int4(block: &[u8; 19], out: &mut [f32; 32]) {
    let scale = f16_at(block, 0);
    // As a minimum, which is exact: an f16 times eight bits.
    let minimum = -(scale * f32::from(block[2]));
    for (index, out) in out.iter_mut().enumerate() {
        *out = scale * f32::from(nibble(&block[3..], index)) + minimum;
    }
}

fn nibble(bytes: &[u8], index: usize) -> u8 {
    if index < 16 { bytes[index] & 15 } else { bytes[index - 16] >> 4 }
}

/// 16 if element `index` has its fifth bit, else 0.
fn fifth_bit(mask: &[u8], index: usize) -> u8 {
    (mask[index / 8] >> (index % 8) & 1) << 4
}

/// What the columns of a block matter, where it is known: then scales are searched, else the block
/// is written as GGUF tools write it.
type Importance<'a> = Option<&'a [f32; 32]>;

pub(super) fn quantize_q4_0(values: &[f32; 32], matter: Importance, out: &mut [u8; 18]) {
    let (scale, codes) = symmetric(values, matter, 8);
    put_f16(out, 0, scale);
    put_nibbles(&mut out[2..], &codes);
}

pub(super) fn quantize_q4_1(values: &[f32; 32], matter: Importance, out: &mut [u8; 20]) {
    let (scale, minimum, codes) = affine(values, matter, 15);
    put_f16(out, 0, scale);
    put_f16(out, 2, minimum);
    put_nibbles(&mut out[4..], &codes);
}

pub(super) fn quantize_q5_0(values: &[f32; 32], matter: Importance, out: &mut [u8; 22]) {
    let (scale, codes) = symmetric(values, matter, 16);
    put_f16(out, 0, scale);
    put_fifth_bits(&mut out[2..6], &codes);
    put_nibbles(&mut out[6..], &codes);
}

pub(super) fn quantize_q5_1(values: &[f32; 32], matter: Importance, out: &mut [u8; 24]) {
    let (scale, minimum, codes) = affine(values, matter, 31);
    put_f16(out, 0, scale);
    put_f16(out, 2, minimum);
    put_fifth_bits(&mut out[4..8], &codes);
    put_nibbles(&mut out[8..], &codes);
}

/// Scale and codes of `scale * (code - half)`.
fn symmetric(values: &[f32; 32], matter: Importance, half: u8) -> (f32, [u8; 32]) {
    let end = f32::from(half);
    let Some(matter) = matter else {
        // The end of the range that reaches one step farther is the farthest value's.
        let scale = farthest(values) / -end;
        return (scale, round_up_from(values, 0.0, scale, end + 0.5, 2 * half - 1));
    };
    let weights = weights(values, Some(matter), mean_square(values), |_| 0.0);
    let scale = f16::from_f32(best_scale(values, &weights, end)).to_f32();
    let inverse = inverse(scale);
    (scale, values.map(|value| (nearest(value * inverse, -end, end - 1.0) + end) as u8))
}

/// Scale, minimum and codes of `scale * code + minimum`.
fn affine(values: &[f32; 32], matter: Importance, last: u8) -> (f32, f32, [u8; 32]) {
    let end = f32::from(last);
    let Some(matter) = matter else {
        let (minimum, maximum) = range(values);
        let scale = (maximum - minimum) / end;
        return (scale, minimum, round_up_from(values, minimum, scale, 0.5, last));
    };
    const WIDTHS: Widths = Widths { first: -0.9, step: 0.05, count: 37 };
    let weights = weights(values, Some(matter), mean_square(values), |_| 0.0);
    let fit = best_affine(values, &weights, end, &WIDTHS);
    let [scale, depth] = [fit.scale, fit.depth].map(|x| f16::from_f32(x).to_f32());
    let inverse = inverse(scale);
    (scale, -depth, values.map(|value| nearest((value + depth) * inverse, 0.0, end) as u8))
}

/// The scale leaves nothing to search for: it maps the largest value to the last code.
pub(super) fn quantize_q8_0(values: &[f32; 32], _: Importance, out: &mut [u8; 34]) {
    let scale = values.iter().fold(0.0f32, |max, value| max.max(value.abs())) / 127.0;
    let inverse = inverse(scale);
    put_f16(out, 0, scale);
    for (out, value) in out[2..].iter_mut().zip(values) {
        *out = (value * inverse).round() as i8 as u8;
    }
}

/// Smallest and largest value; NaN counts as neither.
fn range(values: &[f32]) -> (f32, f32) {
    let min = values.iter().copied().fold(f32::INFINITY, f32::min);
    let max = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // Only a block of nothing but NaN has no range.
    if min > max { (0.0, 0.0) } else { (min, max) }
}

/// `(value - from) / scale + shift` cut to an integer in `0..=last`.
fn round_up_from(values: &[f32; 32], from: f32, scale: f32, shift: f32, last: u8) -> [u8; 32] {
    let inverse = inverse(scale);
    values.map(|value| (((value - from) * inverse + shift) as u8).min(last))
}

pub(super) fn put_f16(out: &mut [u8], at: usize, value: f32) {
    out[at..at + 2].copy_from_slice(&f16::from_f32(value).to_le_bytes());
}

/// The lower four bits of codes: of the first half to the low, of the second to the high halves.
pub(super) fn put_nibbles(out: &mut [u8], codes: &[u8]) {
    let (low, high) = codes.split_at(codes.len() / 2);
    for ((out, low), high) in out.iter_mut().zip(low).zip(high) {
        *out = low & 15 | high << 4;
    }
}

fn put_fifth_bits(out: &mut [u8], codes: &[u8; 32]) {
    for (out, codes) in out.iter_mut().zip(codes.as_chunks::<8>().0) {
        *out = codes.iter().enumerate().map(|(bit, code)| (code >> 4 & 1) << bit).sum();
    }
}
