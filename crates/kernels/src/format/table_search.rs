//! Writing `iq4_nl`, `iq4_xs` and `mxfp4`: indices into a table.

use half::f16;

use super::nonlinear::{IQ4_VALUES, MXFP4_VALUES, e8m0_to_half_scale};
use super::search::{
    best_of, best_scale, farthest_from_zero, inverse, mean_square, nearest, sum_of, weights,
};
use super::{
    K_BLOCK,
    simple::{put_f16, put_nibbles},
};

pub(super) fn quantize_iq4_nl(values: &[f32; 32], matter: Option<&[f32; 32]>, out: &mut [u8; 18]) {
    let matter = matter.map(|matter| matter.as_slice());
    let weights = weights(values, matter, mean_square(values), |value| value * value);
    let scale = f16::from_f32(best_iq4_scale(values, &weights));
    out[..2].copy_from_slice(&scale.to_le_bytes());
    put_iq4_indices(values, scale.to_f32(), &mut out[2..]);
}

pub(super) fn quantize_iq4_xs(
    values: &[f32; K_BLOCK],
    matter: Option<&[f32; K_BLOCK]>,
    out: &mut [u8; 136],
) {
    let parts = values.as_chunks::<32>().0;
    let spread = mean_square(values);
    let mut sums = [0.0; 8];
    let fits: [f32; 8] = std::array::from_fn(|part| {
        let matter = matter.map(|matter| &matter[part * 32..][..32]);
        let weights = weights(&parts[part], matter, spread, |value| value * value);
        sums[part] = weights.iter().sum();
        best_iq4_scale(&parts[part], &weights)
    });
    out.fill(0);
    let scale = f16::from_f32(best_scale(&fits, &sums, 32.0)).to_f32();
    let inverse = inverse(scale);
    put_f16(out, 0, scale);
    for (part, (values, fit)) in parts.iter().zip(fits).enumerate() {
        let part_scale = nearest(fit * inverse, -32.0, 31.0);
        let code = (part_scale + 32.0) as u8;
        out[4 + part / 2] |= (code & 15) << (4 * (part % 2));
        out[2 + part / 4] |= code >> 4 << (2 * (part % 4));
        put_iq4_indices(values, scale * part_scale, &mut out[8 + part * 16..][..16]);
    }
}

/// The scale among those that map the farthest value near either end of the table.
fn best_iq4_scale(values: &[f32; 32], weights: &[f32; 32]) -> f32 {
    const GRIDS: i8 = 7;
    let Some(farthest) = farthest_from_zero(values) else { return 0.0 };
    let ends = [IQ4_VALUES[0], IQ4_VALUES[15]].map(f32::from);
    let steps = (0..=GRIDS).chain(-GRIDS..0);
    let inverses = steps.flat_map(|step| ends.map(|end| (end + f32::from(step)) / farthest));
    let rounded = |x: f32| f32::from(IQ4_VALUES[nearest_iq4(x)]);
    best_of(values, weights, inverses, rounded).unwrap_or(farthest / ends[0])
}

/// The place of the table's value nearest to `x`, the lower one on ties.
fn nearest_iq4(x: f32) -> usize {
    let middles = IQ4_VALUES.windows(2).map(|two| f32::from(i16::from(two[0]) + i16::from(two[1])));
    middles.filter(|middle| x * 2.0 > *middle).count()
}

fn put_iq4_indices(values: &[f32; 32], scale: f32, out: &mut [u8]) {
    let inverse = inverse(scale);
    put_nibbles(out, &values.map(|value| nearest_iq4(value * inverse) as u8));
}

/// Exponents tried on each side of the one that brings the largest value into the table's last two
/// powers of two, which clips some: a larger one clips nothing and is coarser.
const EXPONENTS: i32 = 1;

pub(super) fn quantize_mxfp4(values: &[f32; 32], matter: Option<&[f32; 32]>, out: &mut [u8; 17]) {
    let Some(farthest) = farthest_from_zero(values) else { return out.fill(0) };
    // The farthest is at least 4 and below 8 times the scale.
    let guess = (farthest.abs().to_bits() >> 23) as i32 - 2;
    let error = |exponent: u8| {
        let scale = e8m0_to_half_scale(exponent);
        let inverse = inverse(scale);
        sum_of(32, |k| {
            let stored =
                scale * f32::from(MXFP4_VALUES[usize::from(mxfp4_code(values[k] * inverse))]);
            let difference = stored - values[k];
            matter.map_or(1.0, |matter| matter[k]) * difference * difference
        })
    };
    let exponents = (guess - EXPONENTS..=guess + EXPONENTS).map(|e| e.clamp(0, 254) as u8);
    let best = exponents.map(|e| (error(e), e)).min_by(|a, b| a.0.total_cmp(&b.0));
    let exponent = best.map_or(0, |(_, exponent)| exponent);
    let inverse = inverse(e8m0_to_half_scale(exponent));
    out[0] = exponent;
    put_nibbles(&mut out[1..], &values.map(|value| mxfp4_code(value * inverse)));
}

/// The code of the value nearest to `x`: a sign and a place among the magnitudes.
fn mxfp4_code(x: f32) -> u8 {
    let middles = MXFP4_VALUES[..8].windows(2).map(|two| f32::from(two[0] + two[1]));
    let place = middles.filter(|middle| x.abs() * 2.0 > *middle).count() as u8;
    if x < 0.0 && place > 0 { place | 8 } else { place }
}
