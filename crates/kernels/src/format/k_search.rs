//! Writing `q2_k` to `q6_k`: scales of parts are searched, then rounded to the few bits that blocks
//! have for them, and the codes follow from the rounded ones.

use half::f16;

use super::k_quants::put_scales_and_minimums;
use super::search::{
    Affine, Widths, best_affine, best_positive_scale, best_scale, farthest_from_zero, inverse,
    mean_square, nearest, weights,
};
use super::{
    K_BLOCK,
    simple::{put_f16, put_nibbles},
};

/// What the columns of a block matter, where it is known.
type Importance<'a> = Option<&'a [f32; K_BLOCK]>;

const Q2_K: Grid = Grid { last: 3.0, most: 15.0, first: -0.5, count: 16 };
const Q4_K: Grid = Grid { last: 15.0, most: 63.0, first: -1.0, count: 21 };
const Q5_K: Grid = Grid { last: 31.0, most: 63.0, first: -0.5, count: 16 };

pub(super) fn quantize_q2_k(values: &[f32; K_BLOCK], matter: Importance, out: &mut [u8; 84]) {
    let fits: Fits<16> = Fits::new::<16>(values, matter, &Q2_K, |_, value| value.abs());
    for (byte, (scale, depth)) in out.iter_mut().zip(fits.scales.iter().zip(&fits.depths)) {
        *byte = scale | depth << 4;
    }
    put_f16(out, 80, fits.scale);
    put_f16(out, 82, fits.depth);
    put_two_bits(&mut out[16..80], &fits.codes);
}

pub(super) fn quantize_q4_k(values: &[f32; K_BLOCK], matter: Importance, out: &mut [u8; 144]) {
    let fits: Fits<8> = Fits::new::<32>(values, matter, &Q4_K, |rms, value| rms + value.abs());
    fits.put_head(out);
    put_codes(&mut out[16..], &fits.codes);
}

pub(super) fn quantize_q5_k(values: &[f32; K_BLOCK], matter: Importance, out: &mut [u8; 176]) {
    let fits: Fits<8> = Fits::new::<32>(values, matter, &Q5_K, |rms, value| rms + value.abs());
    fits.put_head(out);
    for (index, fifth) in out[16..48].iter_mut().enumerate() {
        *fifth = (0..8).map(|part| (fits.codes[part * 32 + index] >> 4 & 1) << part).sum();
    }
    put_codes(&mut out[48..], &fits.codes);
}

pub(super) fn quantize_q3_k(values: &[f32; K_BLOCK], matter: Importance, out: &mut [u8; 110]) {
    let spread = mean_square(values);
    let matter = matter.map(|matter| matter.as_slice());
    let matter = weights(values, matter, spread, |value| spread + value * value);
    out.fill(0);
    let Some(fit) = Symmetric::new(values, Some(&matter), 4.0, 32.0) else { return };
    put_f16(out, 108, fit.scale);
    for (part, scale) in fit.scales.iter().enumerate() {
        let scale = (scale + 32) as u8;
        out[96 + part % 8] |= (scale & 15) << (part / 8 * 4);
        out[104 + part % 4] |= scale >> 4 << (part / 4 * 2);
    }
    for (index, code) in fit.codes.iter().enumerate() {
        out[index % 32] |= (code >> 2) << (index / 32);
    }
    put_two_bits(&mut out[32..96], &fit.codes);
}

pub(super) fn quantize_q6_k(values: &[f32; K_BLOCK], matter: Importance, out: &mut [u8; 210]) {
    out.fill(0);
    let Some(fit) = Symmetric::new(values, matter, 32.0, 128.0) else { return };
    put_f16(out, 208, fit.scale);
    for (byte, scale) in out[192..].iter_mut().zip(fit.scales) {
        *byte = scale as u8;
    }
    for (half, codes) in fit.codes.as_chunks::<128>().0.iter().enumerate() {
        put_nibbles(&mut out[half * 64..][..64], codes);
    }
    put_two_bits(&mut out[128..192], &fit.codes.map(|code| code >> 4));
}

/// How an affine format divides: codes `0..=last`, scales and depths of parts `0..=most`, and which
/// widths are tried, a tenth of a step apart.
struct Grid {
    last: f32,
    most: f32,
    first: f32,
    count: usize,
}

/// A block whose parts are `scale * scales[part] * code - depth * depths[part]`.
struct Fits<const PARTS: usize> {
    scale: f32,
    depth: f32,
    scales: [u8; PARTS],
    depths: [u8; PARTS],
    codes: [u8; K_BLOCK],
}

impl<const PARTS: usize> Fits<PARTS> {
    /// Of parts of `LEN`. Where nothing is known of columns, `plain` says what errors weigh: of the
    /// root of the part's mean square, and the value.
    fn new<const LEN: usize>(
        values: &[f32; K_BLOCK],
        matter: Importance,
        grid: &Grid,
        plain: fn(f32, f32) -> f32,
    ) -> Fits<PARTS> {
        let parts = values.as_chunks::<LEN>().0;
        let spread = mean_square(values);
        let widths = Widths { first: grid.first, step: 0.1, count: grid.count };
        let mut sums = [0.0; PARTS];
        let fits: [Affine; PARTS] = std::array::from_fn(|part| {
            let (rms, values) = (mean_square(&parts[part]).sqrt(), &parts[part]);
            let matter = matter.map(|matter| &matter[part * LEN..][..LEN]);
            let weights = weights(values, matter, spread, |value| plain(rms, value));
            sums[part] = weights.iter().sum();
            best_affine(values, &weights, grid.last, &widths)
        });
        // What is stored decides the codes.
        let rounded = |parts: [f32; PARTS]| {
            let scale = f16::from_f32(best_positive_scale(&parts, &sums, grid.most)).to_f32();
            let inverse = inverse(scale);
            (scale, parts.map(|part| nearest(part * inverse, 0.0, grid.most) as u8))
        };
        let (scale, scales) = rounded(fits.map(|fit| fit.scale));
        let (depth, depths) = rounded(fits.map(|fit| fit.depth));
        let mut codes = [0; K_BLOCK];
        for (part, values) in parts.iter().enumerate() {
            let inverse = inverse(scale * f32::from(scales[part]));
            let depth = depth * f32::from(depths[part]);
            for (code, value) in codes[part * LEN..].iter_mut().zip(values) {
                *code = nearest((value + depth) * inverse, 0.0, grid.last) as u8;
            }
        }
        Fits { scale, depth, scales, depths, codes }
    }
}

impl Fits<8> {
    /// The f16 scale, the f16 minimum and 12 packed bytes.
    fn put_head(&self, out: &mut [u8]) {
        put_f16(out, 0, self.scale);
        put_f16(out, 2, self.depth);
        put_scales_and_minimums(&mut out[4..16], &self.scales, &self.depths);
    }
}

/// A block whose parts of 16 are `scale * scales[part] * (code - half)`.
struct Symmetric {
    scale: f32,
    scales: [i8; 16],
    codes: [u8; K_BLOCK],
}

impl Symmetric {
    /// With codes `0..2 * half` and scales `-most..=most - 1`; errors weigh as much as `matter`
    /// says, else as the square of the value. `None` where all values are zero within f16's reach
    /// (or hopeless): zero scales say so.
    fn new(
        values: &[f32; K_BLOCK],
        matter: Option<&[f32; K_BLOCK]>,
        half: f32,
        most: f32,
    ) -> Option<Symmetric> {
        let parts = values.as_chunks::<16>().0;
        let mut sums = [0.0; 16];
        let fits: [f32; 16] = std::array::from_fn(|part| {
            let squares = || parts[part].map(|value| value * value);
            let matter = matter.map(|matter| matter.as_chunks::<16>().0[part]);
            let weights = matter.unwrap_or_else(squares);
            sums[part] = weights.iter().sum();
            best_scale(&parts[part], &weights, half)
        });
        farthest_from_zero(&fits)?;
        let scale = f16::from_f32(best_scale(&fits, &sums, most)).to_f32();
        let to_code = inverse(scale);
        let scales = fits.map(|fit| nearest(fit * to_code, -most, most - 1.0) as i8);
        let mut codes = [0u8; K_BLOCK];
        for (part, values) in parts.iter().enumerate() {
            let inverse = inverse(scale * f32::from(scales[part]));
            for (code, value) in codes[part * 16..].iter_mut().zip(values) {
                *code = (nearest(value * inverse, -half, half - 1.0) + half) as u8;
            }
        }
        Some(Symmetric { scale, scales, codes })
    }
}

/// The lower two bits of codes; [`super::k_quants::two_bits`] backwards.
fn put_two_bits(bytes: &mut [u8], codes: &[u8; K_BLOCK]) {
    for (byte, out) in bytes.iter_mut().enumerate() {
        let first = byte / 32 * 128 + byte % 32;
        *out = (0..4).map(|quarter| (codes[first + 32 * quarter] & 3) << (2 * quarter)).sum();
    }
}

/// The lower four bits of codes, each 64 apart.
fn put_codes(bytes: &mut [u8], codes: &[u8; K_BLOCK]) {
    for (bytes, codes) in bytes.as_chunks_mut::<32>().0.iter_mut().zip(codes.as_chunks::<64>().0) {
        put_nibbles(bytes, codes);
    }
}
