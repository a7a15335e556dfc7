//! Cached numbers in 8 bits: `n * s` with `n` in -127 ..= 127 and a scale `s` in half precision for
//! each block of up to 32 dimensions of one key or value.
//!
//! The product has at most 18 significant bits, so as a float it is exact: whoever reads a number,
//! in whatever order and with whichever instructions, computes with the same one. And a block
//! depends on nothing but its own numbers, so that nothing depends on how a prompt was cut.

use super::element::{Cached, KvNumber, halves};
use super::store::{KEY_BLOCK, KvLayout, PAGE, PANEL};
use crate::lanes::{Lanes, WIDE};
use crate::memory::AlignedBuffer;
use half::f16;

/// The largest of the integers.
const LARGEST: f32 = 127.0;

/// The scale of a block whose largest magnitude is `largest`, by its bits: about the least with
/// which 127 reaches that. What is beyond 127 times the largest scale counts as that.
///
/// So a number is at most half a scale away from what is stored, and a scale at most
/// `largest / 127 * (1 + 2^-10) + 2^-24`.
fn scale(largest: f32) -> u16 {
    let largest = largest.min(LARGEST * f16::MAX.to_f32());
    let nearest = f16::from_f32(largest / LARGEST);
    // The product is exact. The bits of positive numbers ascend as the numbers do.
    nearest.to_bits() + u16::from(nearest.to_f32() * LARGEST < largest)
}

impl KvNumber for i8 {
    #[inline(always)]
    fn floats<'a, L: Lanes<WIDE>>(
        lanes: L,
        layout: &KvLayout,
        head: Cached<'a, i8>,
        scratch: &'a mut AlignedBuffer<f32>,
    ) -> &'a [f32] {
        let scratch = scratch.room(head.numbers.len());
        let [keys, values] = head.split(layout);
        let (key_floats, value_floats) = scratch.split_at_mut(keys.numbers.len());
        if !layout.latent {
            key_floats_of(lanes, layout.k_dim, keys, key_floats);
        }
        value_floats_of(lanes, layout.value_width(), values, value_floats);
        scratch
    }

    #[inline(always)]
    fn scales<L: Lanes<WIDE>>(lanes: L, scales: &[u16], at: usize) -> L::Vector {
        lanes.load_half(scales[at..].first_chunk().expect("whole vectors"))
    }

    #[inline(always)]
    fn scale<L: Lanes<WIDE>>(lanes: L, scales: &[u16], at: usize) -> L::Vector {
        lanes.splat(f16::from_bits(scales[at]).to_f32())
    }

    #[inline(always)]
    fn load<L: Lanes<WIDE>>(lanes: L, from: &[i8; WIDE], scales: L::Vector) -> L::Vector {
        lanes.mul(lanes.load_int8(from), scales)
    }

    #[inline(always)]
    fn alone<L: Lanes<WIDE>>(_lanes: L, _numbers: L::Vector) -> Option<[i8; WIDE]> {
        None
    }

    /// The nearest, ties to even. Where one number is a NaN, all of the block are.
    #[inline(always)]
    fn narrow<L: Lanes<WIDE>>(lanes: L, block: &[f32]) -> ([i8; PANEL], u16) {
        let mut numbers = [0; PANEL];
        if block.iter().fold(false, |nan, number| nan | number.is_nan()) {
            return (numbers, f16::NAN.to_bits());
        }
        let parts = halves(lanes, block);
        let largest = lanes.largest(lanes.max(lanes.abs(parts[0]), lanes.abs(parts[1])));
        let scale = scale(largest);
        if scale == 0 {
            return (numbers, 0);
        }
        let divisor = lanes.splat(f16::from_bits(scale).to_f32());
        // Adding and subtracting 1.5 * 2^23 rounds to an integer.
        let round = lanes.splat(12_582_912.0);
        for (numbers, part) in numbers.as_chunks_mut::<WIDE>().0.iter_mut().zip(parts) {
            let part = lanes.max(lanes.splat(-LARGEST), lanes.div(part, divisor));
            let part = lanes.min(lanes.splat(LARGEST), part);
            let part = lanes.sub(lanes.add(part, round), round);
            *numbers = lanes.to_array(part).map(|number| number as i8);
        }
        (numbers, scale)
    }
}

/// Keys `[PAGE / 32][k_dim][32 positions]` as floats.
#[inline(always)]
fn key_floats_of<L: Lanes<WIDE>>(lanes: L, k_dim: usize, keys: Cached<i8>, floats: &mut [f32]) {
    let lines = keys.numbers.as_chunks::<KEY_BLOCK>().0.chunks(k_dim);
    let floats = floats.as_chunks_mut::<KEY_BLOCK>().0.chunks_mut(k_dim);
    let mut at = 0;
    for (lines, floats) in lines.zip(floats) {
        for (lines, floats) in lines.chunks(PANEL).zip(floats.chunks_mut(PANEL)) {
            for half in 0..KEY_BLOCK / WIDE {
                let scales = i8::scales(lanes, keys.scales, at + half * WIDE);
                for (line, floats) in lines.iter().zip(&mut *floats) {
                    let (from, to) = (line.as_chunks().0, floats.as_chunks_mut().0);
                    lanes.store(i8::load(lanes, &from[half], scales), &mut to[half]);
                }
            }
            at += KEY_BLOCK;
        }
    }
}

/// Panels of values, `width` dimensions together, as floats.
#[inline(always)]
fn value_floats_of<L: Lanes<WIDE>>(lanes: L, width: usize, values: Cached<i8>, floats: &mut [f32]) {
    let panels = values.numbers.chunks(PANEL * PAGE).zip(floats.chunks_mut(PANEL * PAGE));
    for (index, (numbers, floats)) in panels.enumerate() {
        let scales = i8::panel_scales(lanes, values.scales, index);
        let width = PANEL.min(width - index * PANEL);
        let lines = numbers.chunks_exact(width).zip(floats.chunks_exact_mut(width));
        for ((from, to), scale) in lines.zip(scales) {
            let scale = lanes.splat(scale);
            let parts = from.as_chunks().0.iter().zip(to.as_chunks_mut().0);
            for (from, to) in parts {
                lanes.store(i8::load(lanes, from, scale), to);
            }
        }
    }
}

#[cfg(test)]
mod tests;
