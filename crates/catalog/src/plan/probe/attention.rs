//! Softmax attention of few rows and of many, of grouped and of latent layers.

use super::super::machine::{Attention, Cost};
use super::{MEMORY, numbers, seconds};
use baimo_kernels::Kernels;
use baimo_kernels::attention::{
    Attention as How, AttentionSpan, Chooser, KvElement, KvLayout, KvStore, PAGE, attention, choose,
};

/// Positions that answers look back on.
const POSITIONS: usize = 4096;
/// Bytes that are cached, so that they come from memory.
const CACHED: usize = MEMORY / 2;
/// Rows and positions of a prompt.
const PROMPT: usize = 512;

const LATENT: KvLayout =
    KvLayout { kv_heads: 1, k_dim: 576, v_dim: 512, latent: true, element: KvElement::F16 };

pub(super) fn measure(kernels: &Kernels) -> Attention {
    let [narrow, wide] = [64, 128].map(|dim| prompt(kernels, dim));
    // Two widths tell what a pair costs and what each of its numbers does.
    let pair_number = ((wide - narrow) / 128.0).max(0.0);
    let pair = (narrow - 128.0 * pair_number).max(0.0);
    let latents = caches(kernels, LATENT, layers(LATENT));
    let at = |rows: usize| {
        let spent = spent(kernels, &latents, rows.min(128), rows.div_ceil(128), None);
        let met = (latents.len() * POSITIONS * LATENT.k_dim * rows.div_ceil(128)) as f64;
        Cost { rows: rows.min(128) as f64, seconds: spent / met }
    };
    let latent = [16, 32, 64].map(at).to_vec();
    let [asked, asked_number, chosen_number] = chosen(kernels, &latents[..2]);
    Attention {
        few_f16: few(kernels, KvElement::F16),
        few_f32: few(kernels, KvElement::F32),
        few_q8: few(kernels, KvElement::Q8),
        pair,
        pair_number,
        latent,
        chosen_number,
        asked,
        asked_number,
    }
}

/// How many layers hold so much together.
fn layers(layout: KvLayout) -> usize {
    CACHED.div_ceil(POSITIONS / PAGE * layout.bytes_per_page())
}

/// Layers that hold [`POSITIONS`].
fn caches(kernels: &Kernels, layout: KvLayout, count: usize) -> Vec<KvStore> {
    let pages: Vec<u32> = (0..(POSITIONS / PAGE) as u32).collect();
    let k = numbers(PROMPT * layout.kv_heads * layout.k_dim);
    let values = if layout.latent { 0 } else { PROMPT * layout.kv_heads * layout.v_dim };
    let v = numbers(values);
    let layer = |_| {
        let mut store = KvStore::new(layout, pages.len());
        for first in (0..POSITIONS).step_by(PROMPT) {
            store.write(kernels, &pages, first, &k, &v);
        }
        store
    };
    (0..count).map(layer).collect()
}

/// Seconds of the last `rows` rows in all layers, with `heads` query heads for each key head.
fn spent(
    kernels: &Kernels,
    stores: &[KvStore],
    heads: usize,
    rows: usize,
    choice: Option<&baimo_kernels::attention::Choice>,
) -> f64 {
    let layout = *stores[0].layout();
    let pages: Vec<u32> = (0..(POSITIONS / PAGE) as u32).collect();
    let heads = heads * layout.kv_heads;
    let q = numbers(rows * heads * layout.k_dim);
    let mut out = vec![0.0; rows * heads * layout.v_dim];
    let span = AttentionSpan::causal(0, rows, POSITIONS - rows, &pages);
    let how = How { choice, ..How::causal(heads, 0.08) };
    seconds(|| {
        stores.iter().for_each(|store| attention(kernels, &how, &q, store, &[span], &mut out))
    })
}

/// For each cached number, by the query heads that share it.
fn few(kernels: &Kernels, element: KvElement) -> Vec<Cost> {
    let layout = KvLayout { kv_heads: 8, k_dim: 128, v_dim: 128, latent: false, element };
    let stores = caches(kernels, layout, layers(layout));
    let met = (stores.len() * POSITIONS * 8 * 256) as f64;
    let of = |heads: usize| Cost {
        rows: heads as f64,
        seconds: spent(kernels, &stores, heads, 1, None) / met,
    };
    [1, 2, 4, 8].map(of).to_vec()
}

/// Seconds for each pair of a row and a position that a prompt of heads so wide goes through.
fn prompt(kernels: &Kernels, dim: usize) -> f64 {
    let element = KvElement::F16;
    let layout = KvLayout { kv_heads: 2, k_dim: dim, v_dim: dim, latent: false, element };
    let stores = caches(kernels, layout, 1);
    let heads = 4;
    let seconds = spent(kernels, &stores, heads, PROMPT, None);
    // Pages are gone through whole, by tiles of 128 rows: 32 tokens of 4 heads.
    let tokens = 128 / heads;
    let tile = |first: usize| (POSITIONS - PROMPT + first + tokens).div_ceil(PAGE) * PAGE;
    let pairs: usize = (0..PROMPT).step_by(tokens).map(|first| tile(first) * tokens * heads).sum();
    seconds / (2 * pairs) as f64
}

/// For each position asked, for each number of a key asked, and for each number of a position that
/// was chosen.
fn chosen(kernels: &Kernels, latents: &[KvStore]) -> [f64; 3] {
    const ROWS: usize = 32;
    const ACTIVE: usize = 1024;
    let layout =
        KvLayout { kv_heads: 1, k_dim: 128, v_dim: 0, latent: false, element: KvElement::F16 };
    let pages: Vec<u32> = (0..(POSITIONS / PAGE) as u32).collect();
    let keys = &caches(kernels, layout, 1)[0];
    let span = AttentionSpan::causal(0, ROWS, POSITIONS - ROWS, &pages);
    let asked = |heads: usize| {
        let (q, weights) = (numbers(ROWS * heads * 128), numbers(ROWS * heads));
        let how = Chooser { heads, active: ACTIVE, q: &q, weights: &weights };
        let mut choice = None;
        let seconds = seconds(|| choice = Some(choose(kernels, &how, keys, &[span])));
        (seconds / (ROWS * POSITIONS) as f64, choice)
    };
    let (few, many) = (asked(4).0, asked(32));
    let number = ((many.0 - few) / (28 * 128) as f64).max(0.0);
    let spent = spent(kernels, latents, 16, ROWS, many.1.as_ref());
    let met = (latents.len() * ROWS * ACTIVE * LATENT.k_dim) as f64;
    [(few - 4.0 * 128.0 * number).max(0.0), number, spent / met]
}
