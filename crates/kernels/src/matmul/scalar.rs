//! The definition of every product.

use super::activations::{Activations, Int8Block};
use super::lane::Lane;
use super::layout::{BLOCK, FLOAT_ROWS, QUANTIZED_ROWS};
use super::matrix::{Matrix, float_at};

/// Quantizes blocks of 32 floats: `scale = max |x| / 127`, `code = round_half_even(x * 127 / max)`.
pub(super) fn quantize(floats: &[f32], out: &mut [Int8Block]) {
    for (floats, out) in floats.as_chunks::<BLOCK>().0.iter().zip(out) {
        let largest = floats.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        let nan = floats.iter().any(|value| value.is_nan());
        out.scale = if nan { f32::NAN } else { largest / 127.0 };
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        for (code, value) in out.codes.iter_mut().zip(floats) {
            let scaled = value * inverse;
            // NaN (infinity times zero) goes to the lower end, as the vector instructions have it.
            let cut = if scaled > -127.0 { scaled.min(127.0) } else { -127.0 };
            *code = cut.round_ties_even() as i8;
        }
        for (sum, codes) in out.sums.iter_mut().zip(out.codes.as_chunks::<16>().0) {
            *sum = codes.iter().copied().map(i16::from).sum();
        }
    }
}

/// One tile of quantized weights times the input rows `rows`: `out[i]` is lane by lane
/// `sum over blocks of fma(a_scale * scale, integer dot, ..)`, then of the minimum likewise, in the
/// order of the columns.
pub(super) fn quantized_tile(
    weights: &Matrix,
    tile: usize,
    input: &Activations,
    rows: &[u32],
    out: &mut [[f32; QUANTIZED_ROWS]],
) {
    let bytes = weights.tile(tile);
    out.fill([0.0; QUANTIZED_ROWS]);
    for block in 0..weights.columns() / BLOCK {
        for row in 0..QUANTIZED_ROWS {
            let lane = Lane::new(weights.format(), bytes, block, row);
            for (out, input_row) in out.iter_mut().zip(rows) {
                let input = &input.int8_row(*input_row)[block];
                out[row] = accumulate(&lane, input, out[row]);
            }
        }
    }
}

/// Integers are exact; each float operation is rounded once.
fn accumulate(lane: &Lane, input: &Int8Block, sum: f32) -> f32 {
    let dot = |part: usize| -> i32 {
        let columns = part * 16..part * 16 + 16;
        columns.map(|k| lane.values[k] * i32::from(input.codes[k])).sum()
    };
    let total = lane.small[0] * dot(0) + lane.small[1] * dot(1);
    let sum = (input.scale * lane.scale).mul_add(total as f32, sum);
    let Some(minimum) = lane.minimum else { return sum };
    let [first, second] = input.sums.map(i32::from);
    let total = lane.small_minimum[0] * first + lane.small_minimum[1] * second;
    (input.scale * minimum).mul_add(total as f32, sum)
}

/// One tile of float weights: each output is one chain of fused multiply-adds along the columns; in
/// FP8 one chain for each block of columns, and one over the blocks with their scales.
pub(super) fn float_tile(
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
