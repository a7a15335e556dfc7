//! Four-bit indices into a table: `iq4_nl`, `iq4_xs`, `mxfp4`.
//!
//! Elements 0..16 of 32 are the low, 16..32 the high halves of 16 bytes.

use super::{K_BLOCK, f16_at};

/// The 16 values of `iq4_nl` and `iq4_xs`: denser near zero, as weights are.
pub(crate) const IQ4_VALUES: [i8; 16] =
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// The 16 values of E2M1, doubled so that they are integers.
pub(crate) const MXFP4_VALUES: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// f16 scale, 16 bytes of nibbles.
pub(super) fn dequantize_iq4_nl(block: &[u8; 18], out: &mut [f32; 32]) {
    look_up(&IQ4_VALUES, f16_at(block, 0), &block[2..], out);
}

/// f16 scale, 8 x 2 upper scale bits, 8 x 4 lower scale bits, 8 x 16 bytes of nibbles. The scale of
/// 32 elements is `f16 * (6 bits - 32)`.
pub(super) fn dequantize_iq4_xs(block: &[u8; 136], out: &mut [f32; K_BLOCK]) {
    let scale = f16_at(block, 0);
    for (part, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let part_scale = f32::from(iq4_xs_scale(block, part));
        look_up(&IQ4_VALUES, scale * part_scale, &block[8 + part * 16..][..16], out);
    }
}

/// The integer scale of 32 elements of an `iq4_xs` block: -32..=31.
fn iq4_xs_scale(block: &[u8], part: usize) -> i8 {
    let high = u16::from_le_bytes([block[2], block[3]]) >> (2 * part) & 3;
    let low = block[4 + part / 2] >> (4 * (part % 2)) & 15;
    (high << 4) as i8 + low as i8 - 32
}

/// One byte of exponent, 16 bytes of nibbles.
pub(super) fn dequantize_mxfp4(block: &[u8; 17], out: &mut [f32; 32]) {
    look_up(&MXFP4_VALUES, e8m0_to_half_scale(block[0]), &block[1..], out);
}

/// Half of `2^(exponent - 127)`: the table holds doubled values. 255, NaN in the MX specification,
/// is taken as an ordinary exponent, as GGUF tools do.
pub(crate) fn e8m0_to_half_scale(exponent: u8) -> f32 {
    match exponent {
        0 => f32::from_bits(0x0020_0000),
        1 => f32::from_bits(0x0040_0000),
        _ => f32::from_bits(u32::from(exponent - 1) << 23),
    }
}

fn look_up(values: &[i8; 16], scale: f32, nibbles: &[u8], out: &mut [f32; 32]) {
    let (low, high) = out.split_at_mut(16);
    for ((byte, low), high) in nibbles.iter().zip(low).zip(high) {
        *low = scale * f32::from(values[usize::from(byte & 15)]);
        *high = scale * f32::from(values[usize::from(byte >> 4)]);
    }
}
