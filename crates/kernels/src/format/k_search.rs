//! Writing `q4_k`, `q5_k` and `q6_k`: a search for the scales with the least weighted error.
//!
//! Rounding to a grid and fitting the grid to the rounded values by least squares are repeated for
//! a few grid widths; the best fit is kept. Errors are weighted, since large weights matter more.

use super::{K_BLOCK, k_quants::put_scales_and_minimums, simple::put_f16};

pub(super) fn quantize_q4_k(values: &[f32; K_BLOCK], out: &mut [u8; 144]) {
    let codes = affine_codes(values, 15.0, &Q4_K_WIDTHS, &mut out[..16]);
    for (bytes, codes) in out[16..].as_chunks_mut::<32>().0.iter_mut().zip(codes.as_chunks().0) {
        put_nibble_pairs(bytes, codes);
    }
}

pub(super) fn quantize_q5_k(values: &[f32; K_BLOCK], out: &mut [u8; 176]) {
    let codes = affine_codes(values, 31.0, &Q5_K_WIDTHS, &mut out[..16]);
    let (fifths, nibbles) = out[16..].split_at_mut(32);
    for (index, fifth) in fifths.iter_mut().enumerate() {
        *fifth = (0..8).map(|part| (codes[part * 32 + index] >> 4 & 1) << part).sum();
    }
    for (bytes, codes) in nibbles.as_chunks_mut::<32>().0.iter_mut().zip(codes.as_chunks().0) {
        put_nibble_pairs(bytes, codes);
    }
}

pub(super) fn quantize_q6_k(values: &[f32; K_BLOCK], out: &mut [u8; 210]) {
    let parts = values.as_chunks::<16>().0;
    let mut scales = [0.0f32; 16];
    for (scale, part) in scales.iter_mut().zip(parts) {
        *scale = best_symmetric_scale(part);
    }
    let farthest = scales.iter().fold(0.0f32, |far, s| if s.abs() > far.abs() { *s } else { far });
    out.fill(0);
    if !farthest.is_finite() || farthest.abs() < SMALLEST_SCALE {
        // All values are zero within f16's reach (or hopeless): zero scales say so.
        return;
    }
    put_f16(out, 208, farthest / -128.0);
    let scale = super::f16_at(out, 208);
    let mut codes = [0u8; K_BLOCK];
    for (part, values) in parts.iter().enumerate() {
        let part_scale = nearest(scales[part] * (-128.0 / farthest), -128.0, 127.0);
        out[192 + part] = part_scale as i8 as u8;
        let inverse = inverse(scale * part_scale);
        for (code, value) in codes[part * 16..].iter_mut().zip(values) {
            *code = (nearest(value * inverse, -32.0, 31.0) + 32.0) as u8;
        }
    }
    for (half, codes) in codes.as_chunks::<128>().0.iter().enumerate() {
        for index in 0..64 {
            out[half * 64 + index] = codes[index] & 15 | codes[index + 64] << 4;
        }
        for index in 0..32 {
            let pair = |quarter: usize| codes[index + 32 * quarter] >> 4 << (2 * quarter);
            out[128 + half * 32 + index] = pair(0) | pair(1) | pair(2) | pair(3);
        }
    }
}

/// Below this, a block is all zero: its f16 scale would vanish.
const SMALLEST_SCALE: f32 = 1e-15;

/// How far each tried grid is wider or narrower than the values' range, in steps.
struct Widths {
    first: f32,
    step: f32,
    count: usize,
}

const Q4_K_WIDTHS: Widths = Widths { first: -1.0, step: 0.1, count: 21 };
const Q5_K_WIDTHS: Widths = Widths { first: -0.5, step: 0.1, count: 16 };

/// Chooses scales and minimums of 8 parts of 32, writes them to `head` (f16 scale, f16 minimum, 12
/// packed bytes), and returns the codes `0..=last` nearest to the values under the written scales.
fn affine_codes(
    values: &[f32; K_BLOCK],
    last: f32,
    widths: &Widths,
    head: &mut [u8],
) -> [u8; K_BLOCK] {
    let parts = values.as_chunks::<32>().0;
    let fits: [Affine; 8] = std::array::from_fn(|part| best_affine(&parts[part], last, widths));
    let largest = |of: fn(&Affine) -> f32| fits.iter().map(of).fold(0.0, f32::max);
    let (most_scale, most_depth) = (largest(|fit| fit.scale), largest(|fit| fit.depth));
    let six_bits = |value: f32, most: f32| nearest(value * (63.0 * inverse(most)), 0.0, 63.0) as u8;
    let scales = fits.each_ref().map(|fit| six_bits(fit.scale, most_scale));
    let depths = fits.each_ref().map(|fit| six_bits(fit.depth, most_depth));
    put_f16(head, 0, most_scale / 63.0);
    put_f16(head, 2, most_depth / 63.0);
    put_scales_and_minimums(&mut head[4..], &scales, &depths);

    let (scale, depth) = (super::f16_at(head, 0), super::f16_at(head, 2));
    let mut codes = [0; K_BLOCK];
    for (part, values) in parts.iter().enumerate() {
        let inverse = inverse(scale * f32::from(scales[part]));
        let depth = depth * f32::from(depths[part]);
        for (code, value) in codes[part * 32..].iter_mut().zip(values) {
            *code = nearest((value + depth) * inverse, 0.0, last) as u8;
        }
    }
    codes
}

/// `value = scale * code - depth`, both not negative.
#[derive(Clone, Copy)]
struct Affine {
    scale: f32,
    depth: f32,
}

/// 32 values and what they weigh.
struct Weighed<'a> {
    values: &'a [f32; 32],
    weights: [f32; 32],
    weight_sum: f32,
    value_sum: f32,
}

/// The best [`Affine`] for 32 values with codes `0..=last`.
fn best_affine(values: &[f32; 32], last: f32, widths: &Widths) -> Affine {
    // The grid always contains zero: a depth is never negative.
    let minimum = values.iter().copied().fold(0.0, f32::min);
    let maximum = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let range = maximum - minimum;
    if !range.is_finite() || range <= 0.0 {
        return Affine { scale: 0.0, depth: if minimum.is_finite() { -minimum } else { 0.0 } };
    }
    let root_mean_square = (sum_of(32, |k| values[k] * values[k]) / 32.0).sqrt();
    let weights = values.map(|value| root_mean_square + value.abs());
    let weight_sum = sum_of(32, |k| weights[k]);
    let value_sum = sum_of(32, |k| weights[k] * values[k]);
    let part = Weighed { values, weights, weight_sum, value_sum };

    let mut best = Affine { scale: range / last, depth: -minimum };
    let mut least = error(&part, &nearest_codes(values, minimum, last / range, last), best);
    for width in 0..widths.count {
        let steps = last + widths.first + widths.step * width as f32;
        let codes = nearest_codes(values, minimum, steps / range, last);
        let Some(fit) = fit_affine(&part, &codes) else { continue };
        let error = error(&part, &codes, fit);
        if error < least {
            (best, least) = (fit, error);
        }
    }
    best
}

fn nearest_codes(values: &[f32; 32], minimum: f32, inverse: f32, last: f32) -> [f32; 32] {
    values.map(|value| nearest((value - minimum) * inverse, 0.0, last))
}

/// The weighted least-squares [`Affine`] for given codes; `None` if all codes are the same.
fn fit_affine(part: &Weighed, codes: &[f32; 32]) -> Option<Affine> {
    let Weighed { values, weights, weight_sum, value_sum } = part;
    let code_sum = sum_of(32, |k| weights[k] * codes[k]);
    let code_code = sum_of(32, |k| weights[k] * codes[k] * codes[k]);
    let code_value = sum_of(32, |k| weights[k] * codes[k] * values[k]);
    let determinant = weight_sum * code_code - code_sum * code_sum;
    if determinant <= 0.0 {
        return None;
    }
    let offset = (code_code * value_sum - code_sum * code_value) / determinant;
    // A grid that starts above zero is not allowed: then the best line goes through zero.
    Some(if offset > 0.0 {
        Affine { scale: code_value / code_code, depth: 0.0 }
    } else {
        let scale = (weight_sum * code_value - value_sum * code_sum) / determinant;
        Affine { scale, depth: -offset }
    })
}

/// The weighted sum of squared differences.
fn error(part: &Weighed, codes: &[f32; 32], fit: Affine) -> f32 {
    sum_of(32, |k| {
        let difference = fit.scale * codes[k] - fit.depth - part.values[k];
        part.weights[k] * difference * difference
    })
}

/// `term(0) + .. + term(count - 1)` in eight interleaved sums, which the compiler makes vectors of.
/// `count` is a multiple of eight.
fn sum_of(count: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0; 8];
    for eight in 0..count / 8 {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(8 * eight + lane);
        }
    }
    lanes.iter().sum()
}

/// The best scale for 16 values with codes `-32..=31`: among scales that map the farthest value
/// near an end, the one whose least-squares fit explains most. Errors are weighted by `value^2`.
fn best_symmetric_scale(values: &[f32; 16]) -> f32 {
    let farthest = values.iter().fold(0.0f32, |far, v| if v.abs() > far.abs() { *v } else { far });
    if !farthest.is_finite() || farthest.abs() < SMALLEST_SCALE {
        return 0.0;
    }
    let (mut best, mut most) = (farthest / -32.0, f32::NEG_INFINITY);
    for width in -9..=9i16 {
        let inverse = -(32.0 + 0.1 * f32::from(width)) / farthest;
        let codes = values.map(|value| nearest(value * inverse, -32.0, 31.0));
        let code_value = sum_of(16, |k| values[k] * values[k] * codes[k] * values[k]);
        let code_code = sum_of(16, |k| values[k] * values[k] * codes[k] * codes[k]);
        // Least squares takes away code_value^2 / code_code of the weighted sum of squares.
        if code_code > 0.0 && code_value * code_value > most * code_code {
            (best, most) = (code_value / code_code, code_value * code_value / code_code);
        }
    }
    best
}

/// The nearest integer in `low..=high`, even on ties; NaN goes to `low`.
fn nearest(value: f32, low: f32, high: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds what follows the point away: vectors of floats can do it everywhere.
    const ROUNDING: f32 = 12_582_912.0;
    value.max(low).min(high) + ROUNDING - ROUNDING
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// Codes 0..32 to the low, 32..64 to the high halves.
fn put_nibble_pairs(bytes: &mut [u8; 32], codes: &[u8; 64]) {
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = codes[index] & 15 | codes[index + 32] << 4;
    }
}
