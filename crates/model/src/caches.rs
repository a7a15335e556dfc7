//! The floats that mixers keep between steps. Who holds which page is the engine's business.

use baimo_blueprint::{Blueprint, State};
use baimo_kernels::attention::{KvElement, KvLayout, KvStore};

/// A store for every state of the model, layer by layer, all with the same number of pages.
pub struct Caches {
    stores: Vec<KvStore>,
}

impl Caches {
    /// Zeroed caches of `pages` pages.
    pub fn new(blueprint: &Blueprint, pages: usize, element: KvElement) -> Caches {
        let stores = layouts(blueprint, element).map(|layout| KvStore::new(layout, pages));
        Caches { stores: stores.collect() }
    }

    /// Bytes that one page takes in all layers together.
    pub fn bytes_per_page(blueprint: &Blueprint, element: KvElement) -> usize {
        layouts(blueprint, element).map(|layout| layout.bytes_per_page()).sum()
    }

    /// The store of the model's `index`-th state.
    pub(crate) fn store(&mut self, index: usize) -> &mut KvStore {
        &mut self.stores[index]
    }
}

fn layouts(blueprint: &Blueprint, element: KvElement) -> impl Iterator<Item = KvLayout> {
    blueprint.states().into_iter().flatten().map(move |state| match state {
        State::Rows { heads, k_dim, v_dim, window: _ } => {
            KvLayout { kv_heads: heads, k_dim, v_dim, latent: false, element }
        }
        State::LatentRows { rank, rope_dim } => {
            let k_dim = rank + rope_dim;
            KvLayout { kv_heads: 1, k_dim, v_dim: rank, latent: true, element }
        }
    })
}
