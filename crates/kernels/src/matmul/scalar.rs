//! The definition of every product.

use std::ops::Range;

use super::activations::{
    Activations, GROUP, InputKind, Int8Block, Int8Group, Int16Block, input_kind,
};
use super::lane::{GroupLane, Lane, Scale, Scales};
use super::layout::{BLOCK, FLOAT_ROWS, QUANTIZED_ROWS};
use super::matrix::{Matrix, float_at};
use super::{ROWS_AT_ONCE, Store};

/// Quantizes blocks of 32 floats: `scale = max |x| / 127`, `code = round_half_even(x * 127 / max)`.
pub(super) fn to_int8(floats: &[f32], out: &mut [Int8Block]) {
    for (floats, out) in floats.as_chunks::<BLOCK>().0.iter().zip(out) {
        let inverse;
        (out.scale, inverse) = scale(floats, 127.0);
        for (out, value) in out.codes.iter_mut().zip(floats) {
            *out = code(value * inverse, 127.0) as i8;
        }
        for (sum, codes) in out.sums.iter_mut().zip(out.codes.as_chunks::<16>().0) {
            *sum = codes.iter().copied().map(i16::from).sum();
        }
        out.set_share();
    }
}

/// The same for each 256 floats.
pub(super) fn to_int8_groups(floats: &[f32], out: &mut [Int8Group]) {
    for (floats, out) in floats.as_chunks::<GROUP>().0.iter().zip(out) {
        let inverse;
        (out.scale, inverse) = scale(floats, 127.0);
        for (out, value) in out.codes.as_flattened_mut().iter_mut().zip(floats) {
            *out = code(value * inverse, 127.0) as i8;
        }
        for (sum, codes) in out.sums.iter_mut().zip(&out.codes) {
            *sum = codes.iter().copied().map(i16::from).sum();
        }
    }
}

/// As [`to_int8`] with 32767 in place of 127.
pub(super) fn to_int16(floats: &[f32], out: &mut [Int16Block]) {
    for (floats, out) in floats.as_chunks::<BLOCK>().0.iter().zip(out) {
        let inverse;
        (out.scale, inverse) = scale(floats, 32767.0);
        for (column, value) in floats.iter().enumerate() {
            out.codes[Int16Block::place(column)] = code(value * inverse, 32767.0) as i16;
        }
    }
}

/// The scale of a block whose largest magnitude becomes `most`, and what codes multiply by.
fn scale(floats: &[f32], most: f32) -> (f32, f32) {
    let largest = floats.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let nan = floats.iter().any(|value| value.is_nan());
    let inverse = if largest > 0.0 { most / largest } else { 0.0 };
    (if nan { f32::NAN } else { largest / most }, inverse)
}

/// Rounded and cut to `-most..=most`. NaN (infinity times zero) goes to the lower end, as the
/// vector instructions have it.
fn code(scaled: f32, most: f32) -> f32 {
    let cut = if scaled > -most { scaled.min(most) } else { -most };
    cut.round_ties_even()
}

/// Tiles of quantized weights times the input rows `rows`.
pub(super) fn quantized_tiles(
    weights: &Matrix,
    tiles: Range<usize>,
    input: &Activations,
    rows: &[u32],
    store: Store<QUANTIZED_ROWS>,
) {
    let mut sums = [[0.0; QUANTIZED_ROWS]; ROWS_AT_ONCE];
    let sums = &mut sums[..rows.len()];
    for tile in tiles {
        sums.fill([0.0; QUANTIZED_ROWS]);
        match input_kind(weights.format()) {
            InputKind::Int8Groups => grouped_tile(weights, tile, input, rows, sums),
            InputKind::Int8 | InputKind::Int16 | InputKind::Floats => {
                quantized_tile(weights, tile, input, rows, sums);
            }
        }
        store(tile, sums);
    }
}

/// One tile of weights whose inputs share a scale over a group of columns.
fn grouped_tile(
    weights: &Matrix,
    tile: usize,
    input: &Activations,
    rows: &[u32],
    out: &mut [[f32; QUANTIZED_ROWS]],
) {
    let bytes = weights.tile(tile);
    for group in 0..weights.columns() / GROUP {
        for row in 0..QUANTIZED_ROWS {
            let lane = GroupLane::new(weights.format(), bytes, group, row);
            for (out, &input_row) in out.iter_mut().zip(rows) {
                let input = &input.int8_groups_row(input_row)[group];
                out[row] = accumulate_group(&lane, input, out[row]);
            }
        }
    }
}

/// One tile of other quantized weights times the input rows `rows`: lane by lane, and in the order
/// of the columns, `out[i]` is the sum over whatever shares a scale of
/// `fma(a_scale * scale, integer dot, ..)` and then `fma(minimum, a_scale * sum of a, ..)`.
fn quantized_tile(
    weights: &Matrix,
    tile: usize,
    input: &Activations,
    rows: &[u32],
    out: &mut [[f32; QUANTIZED_ROWS]],
) {
    let bytes = weights.tile(tile);
    for block in 0..weights.columns() / BLOCK {
        for row in 0..QUANTIZED_ROWS {
            let lane = Lane::new(weights.format(), bytes, block, row);
            for (out, &input_row) in out.iter_mut().zip(rows) {
                out[row] = match input_kind(weights.format()) {
                    InputKind::Int16 => {
                        accumulate_wide(&lane, &input.int16_row(input_row)[block], out[row])
                    }
                    InputKind::Int8 | InputKind::Int8Groups | InputKind::Floats => {
                        accumulate(&lane, &input.int8_row(input_row)[block], out[row])
                    }
                };
            }
        }
    }
}

/// Integers are exact; each float operation is rounded once.
fn accumulate(lane: &Lane, input: &Int8Block, sum: f32) -> f32 {
    let part = |columns: Range<usize>, total: i32, scale: Scale, sum: f32| {
        let dot: i32 = columns.map(|k| lane.values[k] * i32::from(input.codes[k])).sum();
        let sum = (input.scale * scale.scale).mul_add(dot as f32, sum);
        let Some(minimum) = scale.minimum else { return sum };
        minimum.mul_add(input.scale * total as f32, sum)
    };
    let [first, second] = input.sums.map(i32::from);
    match lane.scales {
        Scales::Whole(scale) => part(0..BLOCK, first + second, scale, sum),
        Scales::Halves([low, high]) => {
            let sum = part(0..BLOCK / 2, first, low, sum);
            part(BLOCK / 2..BLOCK, second, high, sum)
        }
    }
}

/// The same where a group of 256 columns shares a scale: integers all through each half of it, and
/// the minimums with the second. With values up to 15 and small scales up to 63 a half's total is
/// at most 4 * 63 * 32 * 15 * 127 < 2^24, so that instruction sets may hold it in floats as well.
fn accumulate_group(lane: &GroupLane, input: &Int8Group, sum: f32) -> f32 {
    let (mut totals, mut minimums) = ([0; 2], 0);
    for (block, values) in lane.values.iter().enumerate() {
        let terms = values.iter().zip(input.codes[block]);
        let dot: i32 = terms.map(|(value, code)| value * i32::from(code)).sum();
        totals[block / 4] += lane.small[block] * dot;
        minimums += lane.small_minimums[block] * i32::from(input.sums[block]);
    }
    let [first, second] = totals.map(|total| lane.scale * total as f32);
    let sum = input.scale.mul_add(first, sum);
    input.scale.mul_add((-lane.minimum).mul_add(minimums as f32, second), sum)
}

/// The same with an input in 16 bits, for formats of one scale and no minimum: the sum of 32
/// products of 8 and 16 bits stays below 2^27.
fn accumulate_wide(lane: &Lane, input: &Int16Block, sum: f32) -> f32 {
    let Scales::Whole(Scale { scale, minimum: None }) = lane.scales else {
        unreachable!("such formats take inputs in 8 bits")
    };
    let codes = (0..BLOCK).map(|k| i32::from(input.codes[Int16Block::place(k)]));
    let total: i32 = codes.zip(lane.values).map(|(code, value)| code * value).sum();
    (input.scale * scale).mul_add(total as f32, sum)
}

/// One tile of float weights: each output is one chain of fused multiply-adds along the columns; in
/// FP8 one chain for each block of columns, and one over the blocks with their scales.
fn float_tile(
    weights: &Matrix,
    tile: usize,
    input: &Activations,
    rows: &[u32],
    out: &mut [[f32; FLOAT_ROWS]],
) {
    let bytes = weights.tile(tile);
    let value = |column, lane| float_at(weights.format(), bytes, column, lane);
    for (out, row) in out.iter_mut().zip(rows) {
        let input = input.float_row(*row);
        for (lane, out) in out.iter_mut().enumerate() {
            let chain = |from: usize, input: &[f32]| {
                input
                    .iter()
                    .enumerate()
                    .fold(0.0f32, |sum, (k, x)| x.mul_add(value(from + k, lane), sum))
            };
            let Some(scales) = weights.scales() else {
                *out = chain(0, input);
                continue;
            };
            let width = scales.columns_per_block;
            let blocks = input.chunks(width).zip(scales.tile(tile)).enumerate();
            *out = blocks.fold(0.0, |sum, (index, (input, scale))| {
                chain(index * width, input).mul_add(scale[lane], sum)
            });
        }
    }
}

/// Tiles of float weights times the input rows `rows`.
pub(super) fn float_tiles(
    weights: &Matrix,
    tiles: Range<usize>,
    input: &Activations,
    rows: &[u32],
    store: Store<FLOAT_ROWS>,
) {
    let mut sums = [[0.0; FLOAT_ROWS]; ROWS_AT_ONCE];
    let sums = &mut sums[..rows.len()];
    for tile in tiles {
        float_tile(weights, tile, input, rows, sums);
        store(tile, sums);
    }
}
