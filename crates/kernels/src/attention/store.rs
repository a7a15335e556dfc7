//! The pages of keys and values of one layer.

use super::element::Cached;
use super::write::{Target, write};
use crate::Kernels;
use crate::lanes::WIDE;
use crate::memory::{AlignedBuffer, put, take};
use std::ops::Range;

/// Positions in a page.
pub const PAGE: usize = 64;

/// Keys stand in blocks of this many positions: half-precision ones fill a cache line.
pub(super) const KEY_BLOCK: usize = 32;

/// Values stand in panels of up to this many dimensions, and so many numbers share a scale.
pub(super) const PANEL: usize = 32;

/// How cached numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvElement {
    /// Half precision: half the memory and half the reading. Numbers beyond its range are stored
    /// as the largest it has.
    F16,
    /// As computed.
    F32,
    /// 8 bits, and for each 32 dimensions of a position's key or value a scale in half precision
    /// (as q8_0, with the scale rounded up): little more than half of what `F16` takes.
    Q8,
}

impl KvElement {
    /// Bytes of a number, without its share of a scale.
    pub fn bytes(self) -> usize {
        match self {
            KvElement::F16 => 2,
            KvElement::F32 => 4,
            KvElement::Q8 => 1,
        }
    }

    /// The name users give.
    pub fn name(self) -> &'static str {
        match self {
            KvElement::F16 => "f16",
            KvElement::F32 => "f32",
            KvElement::Q8 => "q8",
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
        let scales = self.scales_len() * size_of::<u16>();
        self.kv_heads * (self.head_len() * self.element.bytes() + scales)
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

    /// Scales of one head in a page: of its keys, then of its values.
    fn scales_len(&self) -> usize {
        match self.element {
            KvElement::F16 | KvElement::F32 => 0,
            KvElement::Q8 => self.key_scales_len() + PAGE * self.value_width().div_ceil(PANEL),
        }
    }

    /// Scales of one head's keys in a page, where there are any.
    pub(super) fn key_scales_len(&self) -> usize {
        if self.latent { 0 } else { PAGE * self.k_dim.div_ceil(PANEL) }
    }
}

/// The pages of one layer.
///
/// A page has, for each head, the keys as `[PAGE / 32][k_dim][32 positions]`, so that a vector
/// is one dimension of sixteen positions and scores need no sums across lanes; then the values in
/// panels of 32 dimensions, each `[PAGE][32]`, so that a panel's sums stay in registers while all
/// positions go by. A latent layer has only value panels, of the whole key.
///
/// Scales, where there are any, lie apart in the same order: for each head of a page those of the
/// keys as `[PAGE / 32][k_dim / 32][32 positions]`, then those of each panel as `[PAGE]`.
pub struct KvStore {
    layout: KvLayout,
    pages: usize,
    pub(super) numbers: Numbers,
    pub(super) scales: AlignedBuffer<u16>,
}

/// The numbers of all pages.
pub(super) enum Numbers {
    F16(AlignedBuffer<u16>),
    F32(AlignedBuffer<f32>),
    Q8(AlignedBuffer<i8>),
}

impl KvStore {
    /// `pages` pages of zeros. Memory is taken as pages are written.
    pub fn new(layout: KvLayout, pages: usize) -> KvStore {
        assert!(layout.kv_heads > 0 && layout.k_dim > 0, "{layout:?} is empty");
        assert!(!layout.latent || layout.v_dim <= layout.k_dim, "{layout:?}: value beyond the key");
        let len = pages * layout.kv_heads * layout.head_len();
        let numbers = match layout.element {
            KvElement::F16 => Numbers::F16(AlignedBuffer::zeros_to_stream(len)),
            KvElement::F32 => Numbers::F32(AlignedBuffer::zeros_to_stream(len)),
            KvElement::Q8 => Numbers::Q8(AlignedBuffer::zeros_to_stream(len)),
        };
        let scales = AlignedBuffer::zeros(pages * layout.kv_heads * layout.scales_len());
        KvStore { layout, pages, numbers, scales }
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
        let scales = &mut self.scales;
        match &mut self.numbers {
            Numbers::F16(numbers) => write(kernels, &target, numbers, scales),
            Numbers::F32(numbers) => write(kernels, &target, numbers, scales),
            Numbers::Q8(numbers) => write(kernels, &target, numbers, scales),
        }
    }

    /// The key and the value of one head at `position`, as stored: for tests and for moving a
    /// sequence elsewhere.
    pub fn read(&self, pages: &[u32], position: usize, kv_head: usize) -> (Vec<f32>, Vec<f32>) {
        let layout = &self.layout;
        let page = pages[position / PAGE] as usize;
        let slot = position % PAGE;
        let part = head_part(layout, page, kv_head);
        let value = |d| self.value(&part, slot, d);
        let key = |d| if layout.latent { value(d) } else { self.key(&part, slot, d) };
        ((0..layout.k_dim).map(key).collect(), (0..layout.v_dim).map(value).collect())
    }

    /// Adds the key of one head at `position` to `sum`.
    pub(super) fn add_key(&self, pages: &[u32], position: usize, head: usize, sum: &mut [f32]) {
        let part = head_part(&self.layout, pages[position / PAGE] as usize, head);
        for (d, sum) in sum.iter_mut().enumerate() {
            *sum += self.key(&part, position % PAGE, d);
        }
    }

    fn key(&self, head: &Part, slot: usize, d: usize) -> f32 {
        let layout = &self.layout;
        self.number(head, in_block(layout, slot, d), key_scale(layout, slot, d))
    }

    fn value(&self, head: &Part, slot: usize, d: usize) -> f32 {
        let layout = &self.layout;
        self.number(head, in_panel(layout, slot, d), panel_scale(layout, slot, d))
    }

    /// A number of a head by its place and that of its scale.
    fn number(&self, head: &Part, place: usize, scale: usize) -> f32 {
        let half = |bits| half::f16::from_bits(bits).to_f32();
        let place = head.numbers.start + place;
        let scale = head.scales.start + scale;
        match &self.numbers {
            Numbers::F16(numbers) => half(numbers[place]),
            Numbers::F32(numbers) => numbers[place],
            Numbers::Q8(numbers) => f32::from(numbers[place]) * half(self.scales[scale]),
        }
    }

    /// Appends the bytes of a page.
    pub fn page(&self, page: u32, bytes: &mut Vec<u8>) {
        let Part { numbers: range, scales } = page_part(&self.layout, page as usize);
        match &self.numbers {
            Numbers::F16(numbers) => put(&numbers[range], bytes),
            Numbers::F32(numbers) => put(&numbers[range], bytes),
            Numbers::Q8(numbers) => put(&numbers[range], bytes),
        }
        put(&self.scales[scales], bytes);
    }

    /// Sets a page to the bytes that `bytes` begins with, and gives the rest of them.
    ///
    /// # Panics
    /// Where there are too few.
    pub fn set_page<'a>(&mut self, page: u32, bytes: &'a [u8]) -> &'a [u8] {
        let Part { numbers: range, scales } = page_part(&self.layout, page as usize);
        let rest = match &mut self.numbers {
            Numbers::F16(numbers) => take(&mut numbers[range], bytes),
            Numbers::F32(numbers) => take(&mut numbers[range], bytes),
            Numbers::Q8(numbers) => take(&mut numbers[range], bytes),
        };
        take(&mut self.scales[scales], rest)
    }
}

/// Where something has its numbers and its scales.
pub(super) struct Part {
    pub numbers: Range<usize>,
    pub scales: Range<usize>,
}

/// Heads one after another, pages one after another.
fn part(layout: &KvLayout, heads: Range<usize>) -> Part {
    let range = |len: usize| heads.start * len..heads.end * len;
    Part { numbers: range(layout.head_len()), scales: range(layout.scales_len()) }
}

fn page_part(layout: &KvLayout, page: usize) -> Part {
    part(layout, page * layout.kv_heads..(page + 1) * layout.kv_heads)
}

pub(super) fn head_part(layout: &KvLayout, page: usize, kv_head: usize) -> Part {
    let head = page * layout.kv_heads + kv_head;
    part(layout, head..head + 1)
}

/// What one head has in a page, of the numbers and scales of all pages.
#[inline(always)]
pub(super) fn head_of<'a, E>(
    layout: &KvLayout,
    all: Cached<'a, E>,
    page: usize,
    kv_head: usize,
) -> Cached<'a, E> {
    let Part { numbers, scales } = head_part(layout, page, kv_head);
    Cached { numbers: &all.numbers[numbers], scales: &all.scales[scales] }
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

/// Where the scale of dimension `d` of the key in `slot` is, from the start of its head's.
pub(super) fn key_scale(layout: &KvLayout, slot: usize, d: usize) -> usize {
    let blocks = layout.k_dim.div_ceil(PANEL);
    (slot / KEY_BLOCK * blocks + d / PANEL) * KEY_BLOCK + slot % KEY_BLOCK
}

/// Where the scale of dimension `d` of the value in `slot` is, from the start of its head's.
pub(super) fn panel_scale(layout: &KvLayout, slot: usize, d: usize) -> usize {
    layout.key_scales_len() + d / PANEL * PAGE + slot
}
