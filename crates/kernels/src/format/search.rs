//! The search for the scales with the least weighted error, which all writers of blocks share.
//!
//! Rounding to a grid and fitting the grid to the rounded values by least squares are repeated for
//! a few grid widths; the best fit is kept. Errors are weighted: by how much the column matters,
//! where that is known, and else by size, since large weights matter more.

/// Below this, a block is all zero: its f16 scale would vanish.
pub(super) const SMALLEST_SCALE: f32 = 1e-15;

/// How far each tried grid is wider or narrower than the values' range, in steps.
pub(super) struct Widths {
    pub first: f32,
    pub step: f32,
    pub count: usize,
}

/// `value = scale * code - depth`, both not negative.
#[derive(Clone, Copy)]
pub(super) struct Affine {
    pub scale: f32,
    pub depth: f32,
}

/// What the errors of values weigh: `plain`, or, where the importance of their columns is known,
/// that times the root of `mean_square + value^2`.
pub(super) fn weights<const N: usize>(
    values: &[f32; N],
    importance: Option<&[f32]>,
    mean_square: f32,
    plain: impl Fn(f32) -> f32,
) -> [f32; N] {
    match importance {
        None => values.map(plain),
        Some(importance) => {
            std::array::from_fn(|k| importance[k] * (mean_square + values[k] * values[k]).sqrt())
        }
    }
}

/// The mean of squares; a multiple of eight values.
pub(super) fn mean_square(values: &[f32]) -> f32 {
    sum_of(values.len(), |k| values[k] * values[k]) / values.len() as f32
}

/// Values and what they weigh.
struct Weighed<'a, const N: usize> {
    values: &'a [f32; N],
    weights: &'a [f32; N],
    weight_sum: f32,
    value_sum: f32,
}

/// The best [`Affine`] for values with codes `0..=last`. The grid always contains zero: a depth is
/// never negative.
pub(super) fn best_affine<const N: usize>(
    values: &[f32; N],
    weights: &[f32; N],
    last: f32,
    widths: &Widths,
) -> Affine {
    let minimum = values.iter().copied().fold(0.0, f32::min);
    let maximum = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let range = maximum - minimum;
    if !range.is_finite() || range <= 0.0 {
        return Affine { scale: 0.0, depth: if minimum.is_finite() { -minimum } else { 0.0 } };
    }
    let weight_sum = sum_of(N, |k| weights[k]);
    let value_sum = sum_of(N, |k| weights[k] * values[k]);
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

fn nearest_codes<const N: usize>(
    values: &[f32; N],
    minimum: f32,
    inverse: f32,
    last: f32,
) -> [f32; N] {
    values.map(|value| nearest((value - minimum) * inverse, 0.0, last))
}

/// The weighted least-squares [`Affine`] for given codes; `None` if all codes are the same.
fn fit_affine<const N: usize>(part: &Weighed<N>, codes: &[f32; N]) -> Option<Affine> {
    let Weighed { values, weights, weight_sum, value_sum } = part;
    let code_sum = sum_of(N, |k| weights[k] * codes[k]);
    let code_code = sum_of(N, |k| weights[k] * codes[k] * codes[k]);
    let code_value = sum_of(N, |k| weights[k] * codes[k] * values[k]);
    let determinant = weight_sum * code_code - code_sum * code_sum;
    if determinant.is_nan() || determinant <= 0.0 {
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
fn error<const N: usize>(part: &Weighed<N>, codes: &[f32; N], fit: Affine) -> f32 {
    sum_of(N, |k| {
        let difference = fit.scale * codes[k] - fit.depth - part.values[k];
        part.weights[k] * difference * difference
    })
}

/// The first value of the largest magnitude, with its sign.
pub(super) fn farthest(values: &[f32]) -> f32 {
    let farther = |far: f32, value: &f32| if value.abs() > far.abs() { *value } else { far };
    values.iter().fold(0.0, farther)
}

/// As [`farthest`]; `None` where that is no number or too small for an f16 scale.
pub(super) fn farthest_from_zero(values: &[f32]) -> Option<f32> {
    let farthest = farthest(values);
    (farthest.is_finite() && farthest.abs() >= SMALLEST_SCALE).then_some(farthest)
}

/// Grids tried on each side of the one that maps the farthest value to the end.
const GRIDS: i16 = 9;
/// Times a fit is rounded to and fitted again at most.
const FITS_MAX: usize = 4;

/// The best scale for codes `-half..=half - 1`: among scales that map the farthest value near the
/// far end, the one whose least-squares fit explains most.
pub(super) fn best_scale<const N: usize>(values: &[f32; N], weights: &[f32; N], half: f32) -> f32 {
    let Some(farthest) = farthest_from_zero(values) else { return 0.0 };
    let rounded = |x: f32| nearest(x, -half, half - 1.0);
    best_of(values, weights, inverses(-half, farthest), rounded).unwrap_or(-farthest / half)
}

/// The best scale for values that are not negative with codes `0..=last`.
pub(super) fn best_positive_scale<const N: usize>(
    values: &[f32; N],
    weights: &[f32; N],
    last: f32,
) -> f32 {
    let Some(farthest) = farthest_from_zero(values) else { return 0.0 };
    let rounded = |x: f32| nearest(x, 0.0, last);
    best_of(values, weights, inverses(last, farthest), rounded).unwrap_or(farthest / last)
}

/// One over each scale that brings the farthest value near the code `end`; onto it first.
fn inverses(end: f32, farthest: f32) -> impl Iterator<Item = f32> {
    let widths = (0..=GRIDS).chain(-GRIDS..0).map(|width| 0.1 * f32::from(width));
    widths.map(move |width| (end + width * end.signum()) / farthest)
}

/// Of scales whose inverses are given, and those that least squares make of them, the one that
/// explains most: of the values over the scale, `rounded` are stored.
pub(super) fn best_of<const N: usize>(
    values: &[f32; N],
    weights: &[f32; N],
    inverses: impl Iterator<Item = f32>,
    rounded: impl Fn(f32) -> f32,
) -> Option<f32> {
    // Least squares takes away code_value^2 / code_code of the weighted sum of squares.
    let fit = |inverse: f32| {
        let codes = values.map(|value| rounded(value * inverse));
        let code_value = sum_of(N, |k| weights[k] * codes[k] * values[k]);
        let code_code = sum_of(N, |k| weights[k] * codes[k] * codes[k]);
        (code_code > 0.0).then(|| (code_value / code_code, code_value * code_value / code_code))
    };
    // Of scales that are equally good but for rounding, the first.
    const ROUNDING: f32 = 1.0 + 1e-6;
    let better = |best: Option<(f32, f32)>, found: (f32, f32)| match best {
        Some(best) if best.1 * ROUNDING >= found.1 => Some(best),
        Some(_) | None => Some(found),
    };
    let mut best = inverses.filter_map(&fit).fold(None, better)?;
    for _ in 0..FITS_MAX {
        match fit(inverse(best.0)) {
            Some(again) if again.1 > best.1 * ROUNDING => best = again,
            Some(_) | None => break,
        }
    }
    Some(best.0)
}

/// `term(0) + .. + term(count - 1)` in eight interleaved sums, which the compiler makes vectors of.
/// `count` is a multiple of eight.
pub(super) fn sum_of(count: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0; 8];
    for eight in 0..count / 8 {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(8 * eight + lane);
        }
    }
    lanes.iter().sum()
}

/// The nearest integer in `low..=high`, even on ties; NaN goes to `low`.
pub(super) fn nearest(value: f32, low: f32, high: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds what follows the point away: vectors of floats can do it everywhere.
    const ROUNDING: f32 = 12_582_912.0;
    value.max(low).min(high) + ROUNDING - ROUNDING
}

/// One over a scale; zero for zero.
pub(super) fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}
