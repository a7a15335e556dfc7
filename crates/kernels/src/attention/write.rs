//! Writing new keys and values into pages.

use super::element::KvNumber;
use super::store::{
    KEY_BLOCK, KvLayout, PAGE, PANEL, head_part, in_block, in_panel, key_scale, panel_scale,
};
use crate::Kernels;
use crate::lanes::{Lanes, Operation, WIDE, on_wide};
use crate::threads::Shared;
use std::ops::Range;

/// What to write, and where.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub layout: KvLayout,
    pub pages: &'a [u32],
    pub position: usize,
    pub tokens: usize,
    pub k: &'a [f32],
    pub v: &'a [f32],
}

/// Numbers of keys below which one thread writes them all. There are few, as each number of a key
/// goes to a cache line of its own, far away.
const WORTH_SHARING: usize = 512;

/// Writes keys and values to `numbers` and `scales`, those of all pages.
pub(super) fn write<E: KvNumber>(
    kernels: &Kernels,
    target: &Target,
    numbers: &mut [E],
    scales: &mut [u16],
) {
    let heads = target.layout.kv_heads;
    let (numbers, scales) = (&Shared::new(numbers), &Shared::new(scales));
    let chunks = if target.k.len() < WORTH_SHARING { 1 } else { heads };
    kernels.pool.run(chunks, &|chunk| {
        let heads = chunk * heads / chunks..(chunk + 1) * heads / chunks;
        on_wide(kernels.isa, WriteHeads { target, heads, numbers, scales });
    });
}

/// Writes some of the heads; no two threads write the same head.
struct WriteHeads<'a, E> {
    target: &'a Target<'a>,
    heads: Range<usize>,
    numbers: &'a Shared<'a, E>,
    scales: &'a Shared<'a, u16>,
}

impl<E: KvNumber> Operation<WIDE> for WriteHeads<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, lanes: L) {
        let Target { layout, pages, position, tokens, .. } = *self.target;
        for head in self.heads {
            let of = OfHead { target: self.target, head };
            let mut token = 0;
            while token < tokens {
                let position = position + token;
                let part = head_part(&layout, pages[position / PAGE] as usize, head);
                // SAFETY: heads of a page do not overlap, and each is in one thread's `heads`.
                let out = unsafe { self.numbers.part(part.numbers) };
                // SAFETY: the same.
                let scales = unsafe { self.scales.part(part.scales) };
                let mut out = Slot { layout: &layout, slot: position % PAGE, out, scales };
                token += of.write(lanes, token, &mut out);
            }
        }
    }
}

/// What one head has to write.
struct OfHead<'a> {
    target: &'a Target<'a>,
    head: usize,
}

impl OfHead<'_> {
    fn key(&self, token: usize) -> &[f32] {
        let Target { layout, k, .. } = *self.target;
        &k[(token * layout.kv_heads + self.head) * layout.k_dim..][..layout.k_dim]
    }

    fn value(&self, token: usize) -> &[f32] {
        let Target { layout, v, .. } = *self.target;
        &v[(token * layout.kv_heads + self.head) * layout.v_dim..][..layout.v_dim]
    }

    /// Writes a token, or sixteen where they fill vectors; how many they were.
    #[inline(always)]
    fn write<L: Lanes<WIDE>, E: KvNumber>(
        &self,
        lanes: L,
        token: usize,
        to: &mut Slot<E>,
    ) -> usize {
        if to.layout.latent {
            write_value(lanes, self.key(token), to);
            return 1;
        }
        let whole = to.slot.is_multiple_of(WIDE) && token + WIDE <= self.target.tokens;
        if whole && self.write_keys(lanes, token, to) {
            for token in token..token + WIDE {
                write_value(lanes, self.value(token), to);
                to.slot += 1;
            }
            return WIDE;
        }
        write_key(lanes, self.key(token), to);
        write_value(lanes, self.value(token), to);
        1
    }

    /// Writes the keys of sixteen tokens, each dimension's numbers side by side: one store instead
    /// of sixteen. Nothing where numbers have scales.
    #[inline(always)]
    fn write_keys<L: Lanes<WIDE>, E: KvNumber>(
        &self,
        lanes: L,
        token: usize,
        to: &mut Slot<E>,
    ) -> bool {
        let dim = to.layout.k_dim;
        for d in (0..dim).step_by(WIDE) {
            let mut columns = [lanes.splat(0.0); WIDE];
            for (token, column) in (token..).zip(&mut columns) {
                *column = lanes.load_padded(&self.key(token)[d..dim.min(d + WIDE)], 0.0);
                // Tokens lie far apart, too many for the processor to foresee.
                if token + WIDE < self.target.tokens {
                    lanes.prefetch(self.key(token + WIDE)[d..].as_ptr());
                }
            }
            let columns = lanes.transpose(columns);
            let lines = to.out[in_block(to.layout, to.slot, d)..].chunks_mut(KEY_BLOCK);
            for (line, column) in lines.zip(columns).take(dim - d) {
                let Some(numbers) = E::alone(lanes, column) else { return false };
                line[..WIDE].copy_from_slice(&numbers);
            }
        }
        true
    }
}

/// One position of a head that is being written.
struct Slot<'a, E> {
    layout: &'a KvLayout,
    slot: usize,
    out: &'a mut [E],
    /// Of the head, or empty.
    scales: &'a mut [u16],
}

#[inline(always)]
fn write_key<L: Lanes<WIDE>, E: KvNumber>(lanes: L, key: &[f32], to: &mut Slot<E>) {
    let Slot { layout, slot, ref mut out, ref mut scales } = *to;
    let column = &mut out[in_block(layout, slot, 0)..];
    for (d, block) in (0..).step_by(PANEL).zip(key.chunks(PANEL)) {
        let (stored, scale) = E::narrow(lanes, block);
        for (d, &number) in (d..).zip(&stored[..block.len()]) {
            column[d * KEY_BLOCK] = number;
        }
        if let Some(place) = scales.get_mut(key_scale(layout, slot, d)) {
            *place = scale;
        }
    }
}

#[inline(always)]
fn write_value<L: Lanes<WIDE>, E: KvNumber>(lanes: L, value: &[f32], to: &mut Slot<E>) {
    let Slot { layout, slot, ref mut out, ref mut scales } = *to;
    for (d, block) in (0..).step_by(PANEL).zip(value.chunks(PANEL)) {
        let (stored, scale) = E::narrow(lanes, block);
        let width = block.len().next_multiple_of(WIDE);
        out[in_panel(layout, slot, d)..][..width].copy_from_slice(&stored[..width]);
        if let Some(place) = scales.get_mut(panel_scale(layout, slot, d)) {
            *place = scale;
        }
    }
}
