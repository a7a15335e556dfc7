//! What the bytes of a quantized tile mean: the definition every fast version is tested against.

use super::activations::GROUP;
use super::codes;
use super::layout::{BLOCK, QUANTIZED_ROWS, group};
use crate::format::{
    Format, IQ4_VALUES, MXFP4_VALUES, e8m0_to_half_scale, f16_at, q3_k_scale, scale_and_minimum,
};

/// 32 columns of one row: `weight[k] = scale * values[k] + minimum`, each half of the columns with
/// scales of its own where the format has them. A scale is an f16 times at most 8 bits: exact.
pub(super) struct Lane {
    /// Signed integers, at most 8 bits.
    pub values: [i32; BLOCK],
    /// The scales: one for all columns, or one for each 16.
    pub scales: Scales,
}

/// What multiplies the values, and what is added.
pub(super) enum Scales {
    /// For all 32 columns.
    Whole(Scale),
    /// For columns 0..16 and 16..32.
    Halves([Scale; 2]),
}

/// `weight = scale * value + minimum`
#[derive(Clone, Copy)]
pub(super) struct Scale {
    pub scale: f32,
    /// `None` where a format has none (K-quants subtract theirs: negated here).
    pub minimum: Option<f32>,
}

impl Scale {
    fn plain(scale: f32) -> Scale {
        Scale { scale, minimum: None }
    }
}

impl Lane {
    /// Block `block` of row `row` of a tile.
    pub(super) fn new(format: Format, tile: &[u8], block: usize, row: usize) -> Lane {
        let shape = group(format);
        let (at, index) = shape.find(block);
        let group = &tile[at..];
        let values = values(format, group, index, row);
        Lane { values, scales: Scales::read(format, group, index, row) }
    }

    /// The 32 weights as floats, with the roundings of [`crate::format::dequantize`].
    pub(super) fn dequantized(&self) -> [f32; BLOCK] {
        let halves = match self.scales {
            Scales::Whole(scale) => [scale; 2],
            Scales::Halves(scales) => scales,
        };
        std::array::from_fn(|k| {
            let Scale { scale, minimum } = halves[k / 16];
            let scaled = scale * self.values[k] as f32;
            minimum.map_or(scaled, |minimum| scaled + minimum)
        })
    }
}

/// 256 columns of one row of a format whose small scales and minimums are integers:
/// `weight[k] = scale * small * value[k] - minimum * small_minimum`.
pub(super) struct GroupLane {
    /// Of each 32 columns, as a [`Lane`]'s.
    pub values: [[i32; BLOCK]; GROUP / BLOCK],
    /// Of each 32 columns.
    pub small: [i32; GROUP / BLOCK],
    /// Likewise.
    pub small_minimums: [i32; GROUP / BLOCK],
    pub scale: f32,
    pub minimum: f32,
}

impl GroupLane {
    /// Group `index` of row `row` of a tile of `q4_k`.
    pub(super) fn new(format: Format, tile: &[u8], index: usize, row: usize) -> GroupLane {
        let shape = group(format);
        let group = &tile[index * shape.bytes()..];
        let packed = packed_scales(group, row);
        let both: [(u8, u8); GROUP / BLOCK] =
            std::array::from_fn(|block| scale_and_minimum(&packed, block));
        GroupLane {
            values: std::array::from_fn(|block| values(format, group, block, row)),
            small: both.map(|(scale, _)| i32::from(scale)),
            small_minimums: both.map(|(_, minimum)| i32::from(minimum)),
            scale: f16_at(group, 2 * row),
            minimum: f16_at(group, 2 * (QUANTIZED_ROWS + row)),
        }
    }
}

/// The values of block `index` of a group, before any scale.
fn values(format: Format, group: &[u8], index: usize, row: usize) -> [i32; BLOCK] {
    let shape = self::group(format);
    let code_bytes = &group[shape.head_bytes + index * shape.block_bytes()..];
    codes::load(shape.code_bits, code_bytes, row).map(|code| value(format, code))
}

/// The small scales and minimums of a row of `q4_k` or `q5_k`, six bits each.
fn packed_scales(group: &[u8], row: usize) -> [u8; 12] {
    std::array::from_fn(|number| group[32 + number * QUANTIZED_ROWS + row])
}

impl Scales {
    fn read(format: Format, group: &[u8], index: usize, row: usize) -> Scales {
        let half = |number: usize| f16_at(group, 2 * (number * QUANTIZED_ROWS + row));
        let byte = |head: usize, number: usize| group[head + number * QUANTIZED_ROWS + row];
        let whole = |scale, minimum| Scales::Whole(Scale { scale, minimum: Some(minimum) });
        match format {
            Format::Mxfp4 => Scales::Whole(Scale::plain(e8m0_to_half_scale(byte(0, index)))),
            Format::Int4 => whole(half(index), -(half(index) * f32::from(byte(64, index)))),
            Format::Q4_1 | Format::Q5_1 => whole(half(index), half(4 + index)),
            Format::Q2K => Scales::Halves([0, 1].map(|part| {
                let packed = byte(32, 2 * index + part);
                let minimum = -half(1) * f32::from(packed >> 4);
                Scale { scale: half(0) * f32::from(packed & 15), minimum: Some(minimum) }
            })),
            Format::Q3K => {
                let packed: [u8; 12] = std::array::from_fn(|number| byte(16, number));
                let small = |part| f32::from(q3_k_scale(&packed, 2 * index + part));
                Scales::Halves([0, 1].map(|part| Scale::plain(half(0) * small(part))))
            }
            Format::Q4K | Format::Q5K => {
                let (small, small_minimum) = scale_and_minimum(&packed_scales(group, row), index);
                whole(half(0) * f32::from(small), -half(1) * f32::from(small_minimum))
            }
            Format::Q6K => {
                let small = |part| f32::from(byte(16, 2 * index + part) as i8);
                Scales::Halves([0, 1].map(|part| Scale::plain(half(0) * small(part))))
            }
            Format::Iq4Xs => {
                let upper = u16::from_le_bytes([byte(16, 0), byte(16, 1)]) >> (2 * index) & 3;
                let lower = byte(16, 2 + index / 2) >> (4 * (index % 2)) & 15;
                let small = i32::from(upper << 4) + i32::from(lower) - 32;
                Scales::Whole(Scale::plain(half(0) * small as f32))
            }
            _ => Scales::Whole(Scale::plain(half(index))),
        }
    }
}

/// The signed integer a code stands for.
fn value(format: Format, code: u8) -> i32 {
    match format {
        Format::Q4_0 => i32::from(code) - 8,
        Format::Q5_0 => i32::from(code) - 16,
        Format::Q3K => i32::from(code) - 4,
        Format::Q6K => i32::from(code) - 32,
        Format::Q8_0 => i32::from(code as i8),
        Format::Iq4Nl | Format::Iq4Xs => i32::from(IQ4_VALUES[usize::from(code)]),
        Format::Mxfp4 => i32::from(MXFP4_VALUES[usize::from(code)]),
        _ => i32::from(code),
    }
}
