//! Softmax attention of few rows and of many, of grouped and of latent layers.

use super::super::machine::{Attention, Cost, Pace, Sourced};
use super::{MEMORY, numbers, seconds};
use baimo_kernels::Kernels;
use baimo_kernels::attention::{
    Attention as How, AttentionSpan, BlockChooser, Choice, Chooser, GROUP_ROWS, IndexLayout,
    IndexStore, KvElement, KvLayout, KvStore, PAGE, PooledLayout, PooledStore, attention, choose,
    choose_blocks,
};

/// Positions that answers look back on.
const POSITIONS: usize = 4096;
/// Layers whose rows the last cache keeps.
const NEAR: usize = 2;
/// Layers whose first position answers look back on.
const SHORT: usize = 8;
/// Rows and positions of a prompt.
const PROMPT: usize = 512;

const GROUPED: KvLayout =
    KvLayout { kv_heads: 8, k_dim: 128, v_dim: 128, latent: false, element: KvElement::F16 };

const LATENT: KvLayout =
    KvLayout { kv_heads: 1, k_dim: 576, v_dim: 512, latent: true, element: KvElement::F16 };

/// Cached numbers are stored in the ways of `elements`.
pub(super) fn measure(kernels: &Kernels, elements: &[KvElement]) -> Attention {
    let [narrow, wide] = [64, 128].map(|dim| prompt(kernels, dim));
    // Two widths tell what a pair costs and what each of its numbers does.
    let pair_number = ((wide - narrow) / 128.0).max(0.0);
    let pair = (narrow - 128.0 * pair_number).max(0.0);
    let latents = caches(kernels, LATENT, layers(LATENT));
    let latent = |stores: &[KvStore], rows: &[usize]| {
        let at = |&rows: &usize| {
            let spent = spent(kernels, stores, rows, 1, None);
            Cost { rows: rows as f64, seconds: spent / (POSITIONS * LATENT.k_dim) as f64 }
        };
        rows.iter().map(at).collect()
    };
    let latent = Sourced {
        cached: latent(&latents[..NEAR], &[16, 32, 64]),
        memory: latent(&latents, &[16, 64]),
    };
    let index = asked(kernels, KvElement::F16);
    let chosen_number = Pace {
        one: chosen(kernels, &latents[..NEAR], &index.of_one),
        one_memory: chosen(kernels, &latents, &index.of_one),
        many: chosen(kernels, &latents[..NEAR], &index.of_many),
    };
    let number = |&element: &KvElement| {
        let number = match element {
            KvElement::F32 => asked(kernels, element).number,
            // Index keys have 8 bits beside both.
            KvElement::F16 | KvElement::Q8 => index.number,
        };
        (element.name().to_owned(), number)
    };
    let [pooled, pooled_number] = pooled(kernels);
    drop(latents);
    let of = |&element: &KvElement| (element.name().to_owned(), few(kernels, element));
    Attention {
        call: call(kernels),
        few: elements.iter().map(of).collect(),
        pair,
        pair_number,
        latent,
        chosen_number,
        asked: index.position,
        asked_number: elements.iter().map(number).collect(),
        pooled,
        pooled_number,
    }
}

/// How many layers hold more than any cache.
fn layers(layout: KvLayout) -> usize {
    MEMORY.div_ceil(POSITIONS / PAGE * layout.bytes_per_page())
}

/// Seconds of an answer's first token, which meets hardly anything.
fn call(kernels: &Kernels) -> f64 {
    let layout = GROUPED;
    let stores = caches(kernels, layout, SHORT);
    let pages = [0];
    let heads = 2 * layout.kv_heads;
    let q = numbers(heads * layout.k_dim);
    let mut out = vec![0.0; heads * layout.v_dim];
    let span = AttentionSpan::causal(0, 1, 0, &pages);
    let how = How::causal(heads, 0.08);
    let spent = seconds(|| {
        stores.iter().for_each(|store| attention(kernels, &how, &q, store, &[span], &mut out));
    });
    spent / SHORT as f64
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

/// Seconds of the last `rows` rows in each layer, with `heads` query heads for each key head.
fn spent(
    kernels: &Kernels,
    stores: &[KvStore],
    heads: usize,
    rows: usize,
    choice: Option<&Choice>,
) -> f64 {
    let layout = *stores[0].layout();
    let pages: Vec<u32> = (0..(POSITIONS / PAGE) as u32).collect();
    let heads = heads * layout.kv_heads;
    let q = numbers(rows * heads * layout.k_dim);
    let mut out = vec![0.0; rows * heads * layout.v_dim];
    let span = AttentionSpan::causal(0, rows, POSITIONS - rows, &pages);
    let how = How { choice, ..How::causal(heads, 0.08) };
    let all = seconds(|| {
        stores.iter().for_each(|store| attention(kernels, &how, &q, store, &[span], &mut out));
    });
    all / stores.len() as f64
}

/// For each cached number, by the query heads that share it.
fn few(kernels: &Kernels, element: KvElement) -> Sourced {
    let layout = KvLayout { element, ..GROUPED };
    let stores = caches(kernels, layout, layers(layout));
    let met = (POSITIONS * layout.kv_heads * (layout.k_dim + layout.v_dim)) as f64;
    let of = |stores: &[KvStore], heads: &[usize]| {
        let cost = |&heads: &usize| Cost {
            rows: heads as f64,
            seconds: spent(kernels, stores, heads, 1, None) / met,
        };
        heads.iter().map(cost).collect()
    };
    Sourced { cached: of(&stores[..NEAR], &[1, 2, 4, 8]), memory: of(&stores, &[1, 2, 8]) }
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

/// What rows cost that choose positions, and what the last time chose.
struct Asked {
    /// Seconds for each position.
    position: f64,
    /// Seconds for each number of a key and each head.
    number: f64,
    of_one: Choice,
    of_many: Choice,
}

/// Rows that choose.
const CHOOSING: usize = 32;
/// Positions that each of them chooses.
const ACTIVE: usize = 1024;

/// Scores of keys as they are kept beside what is cached as `element`.
fn asked(kernels: &Kernels, element: KvElement) -> Asked {
    const DIM: usize = 128;
    let pages: Vec<u32> = (0..(POSITIONS / PAGE) as u32).collect();
    let mut keys = IndexStore::new(IndexLayout { dim: DIM, element }, pages.len());
    keys.write(kernels, &pages, 0, &numbers(POSITIONS * DIM));
    let ask = |rows: usize, heads: usize| {
        let span = AttentionSpan::causal(0, rows, POSITIONS - rows, &pages);
        let (q, weights) = (numbers(rows * heads * DIM), numbers(rows * heads));
        let how = Chooser { heads, active: ACTIVE, q: &q, weights: &weights };
        let mut choice = choose(kernels, &how, &keys, &[span]);
        let seconds = seconds(|| choice = choose(kernels, &how, &keys, &[span]));
        (seconds / (rows * POSITIONS) as f64, choice)
    };
    let ((few, _), (many, of_many)) = (ask(CHOOSING, 4), ask(CHOOSING, 32));
    let (_, of_one) = ask(1, 32);
    let number = ((many - few) / (28 * DIM) as f64).max(0.0);
    Asked { position: (few - (4 * DIM) as f64 * number).max(0.0), number, of_one, of_many }
}

/// For each number of a position that was chosen.
fn chosen(kernels: &Kernels, latents: &[KvStore], choice: &Choice) -> f64 {
    // Of one row as many heads as give each thread a part.
    let parts = kernels.pool.threads().div_ceil(choice.rows());
    let spent = spent(kernels, latents, parts * GROUP_ROWS, choice.rows(), Some(choice));
    spent / (parts * choice.rows() * ACTIVE * LATENT.k_dim) as f64
}

/// For each pooled key that a head meets, and for each number of such a key.
fn pooled(kernels: &Kernels) -> [f64; 2] {
    const ROWS: usize = 16;
    const HEADS: usize = 16;
    let pages: Vec<u32> = (0..(POSITIONS / PAGE) as u32).collect();
    let of = |dim: usize| {
        let layout = PooledLayout { kv_heads: 2, dim, size: 32, stride: 16 };
        let q = numbers(ROWS * HEADS * dim);
        let how = BlockChooser {
            heads: HEADS,
            scale: 0.1,
            block: PAGE,
            active: 16,
            first: 1,
            latest: 4,
            coarse: 4,
            q: &q,
        };
        let span = AttentionSpan::causal(0, ROWS, POSITIONS - ROWS, &pages);
        let store = PooledStore::new(layout, pages.len());
        let spent = seconds(|| _ = choose_blocks(kernels, &how, &store, &[span]));
        spent / (ROWS * HEADS * layout.runs(POSITIONS)) as f64
    };
    let (narrow, wide) = (of(64), of(128));
    let number = ((wide - narrow) / 64.0).max(0.0);
    [(narrow - 64.0 * number).max(0.0), number]
}
