//! Blocks of 256 with two levels of scales: `q2_k` to `q6_k`.

use super::{K_BLOCK, f16_at};

/// 16 bytes of (4-bit scale, 4-bit minimum) per 16 elements, 64 bytes of 2-bit values, f16 scale,
/// f16 minimum. Byte `i` of each 32 bytes holds elements `i`, `i + 32`, `i + 64`, `i + 96` of 128.
pub(super) fn dequantize_q2_k(block: &[u8; 84], out: &mut [f32; K_BLOCK]) {
    let (scale, minimum) = (f16_at(block, 80), f16_at(block, 82));
    for (index, out) in out.iter_mut().enumerate() {
        let packed = block[index / 16];
        let part_scale = scale * f32::from(packed & 15);
        let part_minimum = minimum * f32::from(packed >> 4);
        let value = two_bits(&block[16..80], index);
        *out = part_scale * f32::from(value) - part_minimum;
    }
}

/// 32 bytes of third bits (bit `i / 32` of byte `i % 32`; set means "do not subtract 4"), 64 bytes
/// of 2-bit values as in `q2_k`, 12 bytes of 6-bit scales minus 32 per 16 elements, f16 scale.
pub(super) fn dequantize_q3_k(block: &[u8; 110], out: &mut [f32; K_BLOCK]) {
    let scale = f16_at(block, 108);
    for (index, out) in out.iter_mut().enumerate() {
        let part_scale = scale * f32::from(q3_k_scale(&block[96..108], index / 16));
        let third = block[index % 32] >> (index / 32) & 1;
        let value = (two_bits(&block[32..96], index) | third << 2) as i8 - 4;
        *out = part_scale * f32::from(value);
    }
}

/// f16 scale, f16 minimum, 12 bytes of 6-bit scales and minimums per 32 elements, 128 bytes of
/// nibbles: byte `i` of each 32 bytes holds elements `i` (low) and `i + 32` (high) of 64.
pub(super) fn dequantize_q4_k(block: &[u8; 144], out: &mut [f32; K_BLOCK]) {
    let (scale, minimum) = (f16_at(block, 0), f16_at(block, 2));
    for (part, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (part_scale, part_minimum) = scale_and_minimum(&block[4..16], part);
        let part_scale = scale * f32::from(part_scale);
        let part_minimum = minimum * f32::from(part_minimum);
        let bytes = &block[16 + part / 2 * 32..][..32];
        for (byte, out) in bytes.iter().zip(out) {
            *out = part_scale * f32::from(byte >> (part % 2 * 4) & 15) - part_minimum;
        }
    }
}

/// As `q4_k`, with 32 bytes of fifth bits before the nibbles: bit `i / 32` of byte `i % 32`.
pub(super) fn dequantize_q5_k(block: &[u8; 176], out: &mut [f32; K_BLOCK]) {
    let (scale, minimum) = (f16_at(block, 0), f16_at(block, 2));
    let (fifths, nibbles) = block[16..].split_at(32);
    for (part, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (part_scale, part_minimum) = scale_and_minimum(&block[4..16], part);
        let part_scale = scale * f32::from(part_scale);
        let part_minimum = minimum * f32::from(part_minimum);
        let bytes = &nibbles[part / 2 * 32..][..32];
        for ((byte, fifth), out) in bytes.iter().zip(fifths).zip(out) {
            let value = byte >> (part % 2 * 4) & 15 | (fifth >> part & 1) << 4;
            *out = part_scale * f32::from(value) - part_minimum;
        }
    }
}

/// 128 bytes of lower nibbles, 64 bytes of upper bit pairs, 16 signed scales per 16 elements, f16
/// scale; values minus 32. Per 128 elements: nibble byte `i` of 64 holds elements `i` (low) and
/// `i + 64` (high); pair byte `i` of 32 holds elements `i`, `i + 32`, `i + 64`, `i + 96`.
pub(super) fn dequantize_q6_k(block: &[u8; 210], out: &mut [f32; K_BLOCK]) {
    let scale = f16_at(block, 208);
    for (index, out) in out.iter_mut().enumerate() {
        let part_scale = scale * f32::from(block[192 + index / 16] as i8);
        *out = part_scale * f32::from(q6_k_value(block, index) as i8 - 32);
    }
}

/// Element `index` (0..256) of 64 bytes of bit pairs.
pub(crate) fn two_bits(bytes: &[u8], index: usize) -> u8 {
    let (half, quarter, byte) = (index / 128, index / 32 % 4, index % 32);
    bytes[half * 32 + byte] >> (2 * quarter) & 3
}

/// The 6-bit value of element `index` of a `q6_k` block, 0..=63.
pub(crate) fn q6_k_value(block: &[u8], index: usize) -> u8 {
    let (half, within) = (index / 128, index % 128);
    let low = block[half * 64 + within % 64] >> (within / 64 * 4) & 15;
    low | two_bits(&block[128..192], index) << 4
}

/// The scale of 16 elements of a `q3_k` block: -32..=31. 16 x 4 lower bits in 8 bytes (0..8 low
/// halves, 8..16 high halves), then 16 x 2 upper bits in 4 bytes (4 bytes x 4 pairs).
pub(crate) fn q3_k_scale(scales: &[u8], part: usize) -> i8 {
    let low = scales[part % 8] >> (part / 8 * 4) & 15;
    let high = scales[8 + part % 4] >> (part / 4 * 2) & 3;
    (low | high << 4) as i8 - 32
}

/// The 6-bit (scale, minimum) of 32 elements of a `q4_k` or `q5_k` block. Parts 0..4 have theirs in
/// the low 6 bits of bytes `part` and `part + 4`; parts 4..8 have 4 bits each in byte `part + 4`
/// and their upper 2 bits on top of the earlier ones.
pub(crate) fn scale_and_minimum(packed: &[u8], part: usize) -> (u8, u8) {
    if part < 4 {
        return (packed[part] & 63, packed[part + 4] & 63);
    }
    let scale = packed[part + 4] & 15 | packed[part - 4] >> 6 << 4;
    let minimum = packed[part + 4] >> 4 | packed[part] >> 6 << 4;
    (scale, minimum)
}

/// [`scale_and_minimum`] backwards: 8 scales and 8 minimums of 6 bits into 12 bytes.
pub(super) fn put_scales_and_minimums(packed: &mut [u8], scales: &[u8; 8], minimums: &[u8; 8]) {
    for part in 0..4 {
        packed[part] = scales[part] | scales[part + 4] >> 4 << 6;
        packed[part + 4] = minimums[part] | minimums[part + 4] >> 4 << 6;
        packed[part + 8] = scales[part + 4] & 15 | (minimums[part + 4] & 15) << 4;
    }
}
