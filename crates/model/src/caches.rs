//! The floats that mixers keep between steps. Who holds which page and which slot is the engine's
//! business.

use baimo_blueprint::{Blueprint, State};
use baimo_kernels::attention::{
    IndexLayout, IndexStore, KvElement, KvLayout, KvStore, PooledLayout, PooledStore,
};
use baimo_kernels::{Kernels, SlotStore, recurrence};

/// A store for every state of the model, layer by layer: those in rows all with the same number of
/// pages, those of fixed size all with the same number of slots.
pub struct Caches {
    stores: Vec<Store>,
    element: KvElement,
}

/// Positions that are made up at once.
const MADE_UP: usize = 512;

enum Store {
    Pages(KvStore),
    Index(IndexStore),
    Pooled(PooledStore),
    Slots(SlotStore),
}

/// Bytes that one state takes of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateBytes {
    /// For each page.
    pub page: usize,
    /// For each slot.
    pub slot: usize,
}

/// How a state is laid out.
enum Layout {
    Pages(KvLayout),
    Index(IndexLayout),
    Pooled(PooledLayout),
    /// Numbers of a slot.
    Slots(usize),
}

impl Caches {
    /// Zeroed caches of `pages` pages and `slots` slots.
    pub fn new(blueprint: &Blueprint, pages: usize, slots: usize, element: KvElement) -> Caches {
        let stores = layouts(blueprint, element).map(|layout| match layout {
            Layout::Pages(layout) => Store::Pages(KvStore::new(layout, pages)),
            Layout::Index(layout) => Store::Index(IndexStore::new(layout, pages)),
            Layout::Pooled(layout) => Store::Pooled(PooledStore::new(layout, pages)),
            Layout::Slots(each) => Store::Slots(SlotStore::new(each, slots)),
        });
        Caches { stores: stores.collect(), element }
    }

    /// Bytes that one page takes in all layers together.
    pub fn bytes_per_page(blueprint: &Blueprint, element: KvElement) -> usize {
        let states = blueprint.states().into_iter().flatten();
        states.map(|state| Caches::bytes_of(state, element).page).sum()
    }

    /// Bytes that one slot takes in all layers together.
    pub fn bytes_per_slot(blueprint: &Blueprint) -> usize {
        let states = blueprint.states().into_iter().flatten();
        states.map(|state| Caches::bytes_of(state, KvElement::F32).slot).sum()
    }

    /// What one state takes.
    pub fn bytes_of(state: State, element: KvElement) -> StateBytes {
        match layout(state, element) {
            Layout::Pages(layout) => StateBytes { page: layout.bytes_per_page(), slot: 0 },
            Layout::Index(layout) => StateBytes { page: layout.bytes_per_page(), slot: 0 },
            Layout::Pooled(layout) => StateBytes { page: layout.bytes_per_page(), slot: 0 },
            Layout::Slots(each) => StateBytes { page: 0, slot: each * size_of::<f32>() },
        }
    }

    /// Writes made-up rows at the first `positions` positions of a sequence that holds `pages`, so
    /// that speed after a long prompt can be measured without computing it. Means of rows and what
    /// is of fixed size stay as they are.
    pub fn make_up(&mut self, kernels: &Kernels, pages: &[u32], positions: usize) {
        let pieces = || (0..positions).step_by(MADE_UP);
        let count = |first: usize| MADE_UP.min(positions - first);
        for store in &mut self.stores {
            match store {
                Store::Pages(store) => {
                    let KvLayout { kv_heads, k_dim, v_dim, latent, .. } = *store.layout();
                    let numbers = made_up(MADE_UP * kv_heads * k_dim.max(v_dim));
                    for first in pieces() {
                        let rows = count(first) * kv_heads;
                        let values = if latent { 0 } else { rows * v_dim };
                        let (keys, values) = (&numbers[..rows * k_dim], &numbers[..values]);
                        store.write(kernels, pages, first, keys, values);
                    }
                }
                Store::Index(store) => {
                    let dim = store.layout().dim;
                    let numbers = made_up(MADE_UP * dim);
                    for first in pieces() {
                        store.write(kernels, pages, first, &numbers[..count(first) * dim]);
                    }
                }
                Store::Pooled(_) | Store::Slots(_) => (),
            }
        }
    }

    /// How numbers of rows are stored.
    pub fn element(&self) -> KvElement {
        self.element
    }

    /// All rows of a page, and the means that end in it.
    pub fn page(&self, page: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for store in &self.stores {
            match store {
                Store::Pages(store) => store.page(page, &mut bytes),
                Store::Index(store) => store.page(page, &mut bytes),
                Store::Pooled(store) => store.page(page, &mut bytes),
                Store::Slots(_) => (),
            }
        }
        bytes
    }

    /// Puts back what a page held.
    ///
    /// # Panics
    /// Where `bytes` are not those of a page of these caches.
    pub fn set_page(&mut self, page: u32, bytes: &[u8]) {
        let mut rest = bytes;
        for store in &mut self.stores {
            match store {
                Store::Pages(store) => rest = store.set_page(page, rest),
                Store::Index(store) => rest = store.set_page(page, rest),
                Store::Pooled(store) => rest = store.set_page(page, rest),
                Store::Slots(_) => (),
            }
        }
        assert!(rest.is_empty(), "{} bytes more than a page has", rest.len());
    }

    /// Whether any layer keeps something in slots.
    pub fn has_slots(&self) -> bool {
        self.stores.iter().any(|store| match store {
            Store::Slots(_) => true,
            Store::Pages(_) | Store::Index(_) | Store::Pooled(_) => false,
        })
    }

    /// What is in a slot, in all layers.
    pub fn slot(&self, slot: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for store in &self.stores {
            match store {
                Store::Slots(store) => store.slot(slot, &mut bytes),
                Store::Pages(_) | Store::Index(_) | Store::Pooled(_) => (),
            }
        }
        bytes
    }

    /// Puts back what was in a slot.
    ///
    /// # Panics
    /// Where `bytes` are not those of a slot of these caches.
    pub fn set_slot(&mut self, slot: usize, bytes: &[u8]) {
        let mut rest = bytes;
        for store in &mut self.stores {
            match store {
                Store::Slots(store) => rest = store.set_slot(slot, rest),
                Store::Pages(_) | Store::Index(_) | Store::Pooled(_) => (),
            }
        }
        assert!(rest.is_empty(), "{} bytes more than a slot has", rest.len());
    }

    /// The rows of the model's `index`-th state.
    pub(crate) fn store(&mut self, index: usize) -> &mut KvStore {
        match &mut self.stores[index] {
            Store::Pages(store) => store,
            Store::Index(_) | Store::Pooled(_) | Store::Slots(_) => {
                panic!("state {index} is not kept in rows")
            }
        }
    }

    /// The index keys of the model's `index`-th state.
    pub(crate) fn index(&mut self, index: usize) -> &mut IndexStore {
        match &mut self.stores[index] {
            Store::Index(store) => store,
            Store::Pages(_) | Store::Pooled(_) | Store::Slots(_) => {
                panic!("state {index} is not of index keys")
            }
        }
    }

    /// The model's `pooled`-th state, of the keys that are its `rows`-th, later one.
    pub(crate) fn pooled(&mut self, pooled: usize, rows: usize) -> (&mut PooledStore, &KvStore) {
        let (before, after) = self.stores.split_at_mut(rows);
        let (Store::Pooled(pooled), Store::Pages(rows)) = (&mut before[pooled], &after[0]) else {
            panic!("state {pooled} is not pooled from {rows}");
        };
        (pooled, rows)
    }

    /// The slots of the model's `index`-th state.
    pub(crate) fn slots(&mut self, index: usize) -> &mut SlotStore {
        match &mut self.stores[index] {
            Store::Slots(store) => store,
            Store::Pages(_) | Store::Index(_) | Store::Pooled(_) => {
                panic!("state {index} is kept in pages")
            }
        }
    }
}

fn layouts(blueprint: &Blueprint, element: KvElement) -> impl Iterator<Item = Layout> {
    blueprint.states().into_iter().flatten().map(move |state| layout(state, element))
}

fn layout(state: State, element: KvElement) -> Layout {
    match state {
        State::Rows { heads, k_dim, v_dim, window: _ } => {
            Layout::Pages(KvLayout { kv_heads: heads, k_dim, v_dim, latent: false, element })
        }
        State::LatentRows { rank, rope_dim } => {
            let k_dim = rank + rope_dim;
            Layout::Pages(KvLayout { kv_heads: 1, k_dim, v_dim: rank, latent: true, element })
        }
        State::Fixed { inputs, heads, k_dim, v_dim } => {
            Layout::Slots(inputs + recurrence::kept(heads, k_dim, v_dim))
        }
        State::Pooled { heads: kv_heads, dim, run: size, stride } => {
            Layout::Pooled(PooledLayout { kv_heads, dim, size, stride })
        }
        State::Keys { dim } => Layout::Index(IndexLayout { dim, element }),
    }
}

/// Numbers that are not all the same.
fn made_up(len: usize) -> Vec<f32> {
    (0..len).map(|index| (index * 7919 % 1013) as f32 / 1013.0 - 0.5).collect()
}
