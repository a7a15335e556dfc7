//! The pages of keys and values of one layer.

use super::element::KvNumber;
use crate::Kernels;
use crate::lanes::{Lanes, Operation, WIDE, on_wide};
use crate::memory::{AlignedBuffer, put, take};
use crate::threads::Shared;
use std::ops::Range;

/// Positions in a page.
pub const PAGE: usize = 64;

/// Keys stand in blocks of this many positions: half-precision ones fill a cache line.
pub(super) const KEY_BLOCK: usize = 32;

/// Values stand in panels of up to this many dimensions.
pub(super) const PANEL: usize = 32;

/// How cached numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvElement {
    /// Half precision: half the memory and half the reading. Numbers beyond its range are stored
    /// as the largest it has.
    F16,
    /// As computed.
    F32,
}

impl KvElement {
    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        match self {
            KvElement::F16 => 2,
            KvElement::F32 => 4,
        }
    }
}

/// What a layer caches for each position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KvLayout {
    /// Heads that have keys and values of their own.
    pub kv_heads: usize,
    /// Numbers in a key.
    pub k_dim: usize,
    /// Numbers in a value; none where only keys are kept, to choose by.
    pub v_dim: usize,
    /// Whether the value is the first `v_dim` numbers of the key and not stored (multi-head
    /// latent attention in its absorbed form, arXiv:2405.04434).
    pub latent: bool,
    /// How numbers are stored.
    pub element: KvElement,
}

impl KvLayout {
    /// Bytes of a page of one layer.
    pub fn bytes_per_page(&self) -> usize {
        self.kv_heads * self.head_len() * self.element.bytes()
    }

    /// Numbers of one head in a page: its keys, then its values.
    pub(super) fn head_len(&self) -> usize {
        self.keys_len() + PAGE * self.value_width()
    }

    /// Numbers of one head's keys in a page; none where values are stored and keys are read from
    /// them.
    pub(super) fn keys_len(&self) -> usize {
        if self.latent { 0 } else { PAGE * self.k_dim }
    }

    /// Numbers of a value in a page, whole vectors.
    pub(super) fn value_width(&self) -> usize {
        let dim = if self.latent { self.k_dim } else { self.v_dim };
        dim.next_multiple_of(WIDE)
    }
}

/// The pages of one layer.
///
/// A page has, for each head, the keys as `[PAGE / 32][k_dim][32 positions]`, so that a vector
/// is one dimension of sixteen positions and scores need no sums across lanes; then the values in
/// panels of 32 dimensions, each `[PAGE][32]`, so that a panel's sums stay in registers while all
/// positions go by. A latent layer has only value panels, of the whole key.
pub struct KvStore {
    layout: KvLayout,
    pages: usize,
    pub(super) numbers: Numbers,
}

/// The numbers of all pages.
pub(super) enum Numbers {
    F16(AlignedBuffer<u16>),
    F32(AlignedBuffer<f32>),
}

impl KvStore {
    /// `pages` pages of zeros. Memory is taken as pages are written.
    pub fn new(layout: KvLayout, pages: usize) -> KvStore {
        assert!(layout.kv_heads > 0 && layout.k_dim > 0, "{layout:?} is empty");
        assert!(!layout.latent || layout.v_dim <= layout.k_dim, "{layout:?}: value beyond the key");
        let len = pages * layout.kv_heads * layout.head_len();
        let numbers = match layout.element {
            KvElement::F16 => Numbers::F16(AlignedBuffer::zeros(len)),
            KvElement::F32 => Numbers::F32(AlignedBuffer::zeros(len)),
        };
        KvStore { layout, pages, numbers }
    }

    /// What is cached for each position.
    pub fn layout(&self) -> &KvLayout {
        &self.layout
    }

    /// How many pages there are.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Writes consecutive positions from `position` on: `k` is `[tokens, kv_heads, k_dim]` and
    /// `v` is `[tokens, kv_heads, v_dim]` (empty for a latent layer). Position `p` goes to page
    /// `pages[p / PAGE]`; entries of other positions are not looked at.
    pub fn write(
        &mut self,
        kernels: &Kernels,
        pages: &[u32],
        position: usize,
        k: &[f32],
        v: &[f32],
    ) {
        let layout = self.layout;
        let tokens = k.len() / (layout.kv_heads * layout.k_dim);
        assert_eq!(k.len(), tokens * layout.kv_heads * layout.k_dim, "keys of whole tokens");
        let values = if layout.latent { 0 } else { tokens * layout.kv_heads * layout.v_dim };
        assert_eq!(v.len(), values, "a value for each key");
        let target = Target { layout, pages, position, tokens, k, v };
        match &mut self.numbers {
            Numbers::F16(numbers) => write(kernels, &target, numbers),
            Numbers::F32(numbers) => write(kernels, &target, numbers),
        }
    }

    /// The key and the value of one head at `position`, as stored: for tests and for moving a
    /// sequence elsewhere.
    pub fn read(&self, pages: &[u32], position: usize, kv_head: usize) -> (Vec<f32>, Vec<f32>) {
        let layout = &self.layout;
        let page = pages[position / PAGE] as usize;
        let start = head_start(layout, page, kv_head);
        let slot = position % PAGE;
        let number = |index: usize| self.number(start + index);
        let key =
            |d| if layout.latent { in_panel(layout, slot, d) } else { in_block(layout, slot, d) };
        let value = |d| in_panel(layout, slot, d);
        let k = (0..layout.k_dim).map(|d| number(key(d))).collect();
        (k, (0..layout.v_dim).map(|d| number(value(d))).collect())
    }

    /// Adds the key of one head at `position` to `sum`.
    pub(super) fn add_key(&self, pages: &[u32], position: usize, head: usize, sum: &mut [f32]) {
        let start = head_start(&self.layout, pages[position / PAGE] as usize, head);
        for (d, sum) in sum.iter_mut().enumerate() {
            *sum += self.number(start + in_block(&self.layout, position % PAGE, d));
        }
    }

    fn number(&self, index: usize) -> f32 {
        match &self.numbers {
            Numbers::F16(numbers) => half::f16::from_bits(numbers[index]).to_f32(),
            Numbers::F32(numbers) => numbers[index],
        }
    }

    /// Appends the bytes of a page.
    pub fn page(&self, page: u32, bytes: &mut Vec<u8>) {
        let range = self.range(page);
        match &self.numbers {
            Numbers::F16(numbers) => put(&numbers[range], bytes),
            Numbers::F32(numbers) => put(&numbers[range], bytes),
        }
    }

    /// Sets a page to the bytes that `bytes` begins with, and gives the rest of them.
    ///
    /// # Panics
    /// Where there are too few.
    pub fn set_page<'a>(&mut self, page: u32, bytes: &'a [u8]) -> &'a [u8] {
        let range = self.range(page);
        match &mut self.numbers {
            Numbers::F16(numbers) => take(&mut numbers[range], bytes),
            Numbers::F32(numbers) => take(&mut numbers[range], bytes),
        }
    }

    /// Where the numbers of a page are.
    fn range(&self, page: u32) -> Range<usize> {
        let len = self.layout.kv_heads * self.layout.head_len();
        page as usize * len..(page as usize + 1) * len
    }
}

/// Where one head's numbers begin in a page.
pub(super) fn head_start(layout: &KvLayout, page: usize, kv_head: usize) -> usize {
    (page * layout.kv_heads + kv_head) * layout.head_len()
}

/// Where dimension `d` of the key in `slot` is, from the start of its head.
pub(super) fn in_block(layout: &KvLayout, slot: usize, d: usize) -> usize {
    (slot / KEY_BLOCK * layout.k_dim + d) * KEY_BLOCK + slot % KEY_BLOCK
}

/// Where dimension `d` of the value in `slot` is, from the start of its head.
pub(super) fn in_panel(layout: &KvLayout, slot: usize, d: usize) -> usize {
    let first = d / PANEL * PANEL;
    let width = PANEL.min(layout.value_width() - first);
    layout.keys_len() + first * PAGE + slot * width + (d - first)
}

/// What to write, and where.
struct Target<'a> {
    layout: KvLayout,
    pages: &'a [u32],
    position: usize,
    tokens: usize,
    k: &'a [f32],
    v: &'a [f32],
}

/// Numbers of keys below which one thread writes them all. There are few, as each number of a key
/// goes to a cache line of its own, far away.
const WORTH_SHARING: usize = 512;

fn write<E: KvNumber>(kernels: &Kernels, target: &Target, numbers: &mut [E]) {
    let heads = target.layout.kv_heads;
    let shared = Shared::new(numbers);
    let chunks = if target.k.len() < WORTH_SHARING { 1 } else { heads };
    kernels.pool.run(chunks, &|chunk| {
        let heads = chunk * heads / chunks..(chunk + 1) * heads / chunks;
        on_wide(kernels.isa, WriteHeads { target, heads, numbers: &shared });
    });
}

/// Writes some of the heads; no two threads write the same head.
struct WriteHeads<'a, E> {
    target: &'a Target<'a>,
    heads: Range<usize>,
    numbers: &'a Shared<'a, E>,
}

impl<E: KvNumber> Operation<WIDE> for WriteHeads<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, lanes: L) {
        let Target { layout, pages, position, tokens, k, v } = *self.target;
        for head in self.heads {
            for token in 0..tokens {
                let position = position + token;
                let start = head_start(&layout, pages[position / PAGE] as usize, head);
                // SAFETY: heads of a page do not overlap, and each is in one thread's `heads`.
                let out = unsafe { self.numbers.part(start..start + layout.head_len()) };
                let (slot, source) = (position % PAGE, token * layout.kv_heads + head);
                let key = &k[source * layout.k_dim..][..layout.k_dim];
                if layout.latent {
                    write_value(lanes, &layout, slot, key, out);
                } else {
                    write_key(lanes, &layout, slot, key, out);
                    let value = &v[source * layout.v_dim..][..layout.v_dim];
                    write_value(lanes, &layout, slot, value, out);
                }
            }
        }
    }
}

#[inline(always)]
fn write_key<L: Lanes<WIDE>, E: KvNumber>(
    lanes: L,
    layout: &KvLayout,
    slot: usize,
    key: &[f32],
    out: &mut [E],
) {
    let column = &mut out[in_block(layout, slot, 0)..];
    for (index, part) in key.chunks(WIDE).enumerate() {
        let stored = E::narrow(lanes, lanes.load_padded(part, 0.0));
        for (d, &number) in (index * WIDE..).zip(&stored[..part.len()]) {
            column[d * KEY_BLOCK] = number;
        }
    }
}

#[inline(always)]
fn write_value<L: Lanes<WIDE>, E: KvNumber>(
    lanes: L,
    layout: &KvLayout,
    slot: usize,
    value: &[f32],
    out: &mut [E],
) {
    for (index, part) in value.chunks(WIDE).enumerate() {
        let stored = E::narrow(lanes, lanes.load_padded(part, 0.0));
        out[in_panel(layout, slot, index * WIDE)..][..WIDE].copy_from_slice(&stored);
    }
}
