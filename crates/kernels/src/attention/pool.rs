//! Means of cached keys over runs of positions: what whole blocks are judged by.

use super::store::PAGE;
use super::{AttentionSpan, KvStore};
use crate::lanes::WIDTH;
use crate::memory::{AlignedBuffer, put, take};
use std::ops::Range;

/// Which runs of positions have a pooled key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PooledLayout {
    /// Key heads.
    pub kv_heads: usize,
    /// Numbers in a key.
    pub dim: usize,
    /// Positions in a run.
    pub size: usize,
    /// Positions from the beginning of a run to that of the next.
    pub stride: usize,
}

impl PooledLayout {
    /// Bytes of a page of one layer.
    pub fn bytes_per_page(&self) -> usize {
        self.page_len() * size_of::<f32>()
    }

    /// Whole runs within the first `length` positions.
    pub fn runs(&self, length: usize) -> usize {
        length.checked_sub(self.size).map_or(0, |rest| rest / self.stride + 1)
    }

    /// Numbers of a key with its padding.
    pub(super) fn width(&self) -> usize {
        self.dim.next_multiple_of(WIDTH)
    }

    /// Runs that end in one page at most.
    fn slots(&self) -> usize {
        PAGE.div_ceil(self.stride)
    }

    fn page_len(&self) -> usize {
        self.kv_heads * self.slots() * self.width()
    }
}

/// The pooled keys of one layer, in the pages of the keys they are the means of: a run's key is in
/// the page where the run ends, so that a page depends on nothing after it.
pub struct PooledStore {
    layout: PooledLayout,
    numbers: AlignedBuffer<f32>,
}

impl PooledStore {
    /// `pages` pages of zeros.
    pub fn new(layout: PooledLayout, pages: usize) -> PooledStore {
        assert!(layout.size > 0 && layout.stride > 0, "{layout:?}: runs of nothing");
        PooledStore { layout, numbers: AlignedBuffer::zeros(pages * layout.page_len()) }
    }

    /// Which runs have a pooled key.
    pub fn layout(&self) -> &PooledLayout {
        &self.layout
    }

    /// Pools every run that ends in one of the spans, whose keys `keys` holds already: from what
    /// it holds, positions upwards, however the sequence was cut.
    pub fn write(&mut self, keys: &KvStore, spans: &[AttentionSpan]) {
        let PooledLayout { kv_heads, dim, size, .. } = self.layout;
        let cached = keys.layout();
        assert!(!cached.latent, "{cached:?}: keys of their own");
        assert_eq!((cached.kv_heads, cached.k_dim), (kv_heads, dim), "the keys of these heads");
        for span in spans {
            let end = span.position + span.rows;
            for run in self.layout.runs(span.position)..self.layout.runs(end) {
                let first = run * self.layout.stride;
                for head in 0..kv_heads {
                    let mut mean = vec![0.0; dim];
                    for position in first..first + size {
                        keys.add_key(span.pages, position, head, &mut mean);
                    }
                    mean.iter_mut().for_each(|number| *number /= size as f32);
                    let at = self.place(span.pages, run, head);
                    self.numbers[at..at + dim].copy_from_slice(&mean);
                }
            }
        }
    }

    /// Appends the bytes of a page.
    pub fn page(&self, page: u32, bytes: &mut Vec<u8>) {
        put(&self.numbers[self.range(page)], bytes);
    }

    /// Sets a page to the bytes that `bytes` begins with, and gives the rest of them.
    ///
    /// # Panics
    /// Where there are too few.
    pub fn set_page<'a>(&mut self, page: u32, bytes: &'a [u8]) -> &'a [u8] {
        let range = self.range(page);
        take(&mut self.numbers[range], bytes)
    }

    /// Where the numbers of a page are.
    fn range(&self, page: u32) -> Range<usize> {
        let len = self.layout.page_len();
        page as usize * len..(page as usize + 1) * len
    }

    /// The key of a run, followed by zeros up to whole vectors.
    pub(super) fn key(&self, pages: &[u32], run: usize, head: usize) -> &[f32] {
        &self.numbers[self.place(pages, run, head)..][..self.layout.width()]
    }

    fn place(&self, pages: &[u32], run: usize, head: usize) -> usize {
        let layout = &self.layout;
        let last = run * layout.stride + layout.size - 1;
        // Ends are a stride apart, so no two of a page fall in the same slot.
        let slot = last % PAGE / layout.stride;
        let page = pages[last / PAGE] as usize;
        page * layout.page_len() + (head * layout.slots() + slot) * layout.width()
    }
}
