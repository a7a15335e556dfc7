//! Attention of one layer, 16 query and 8 key heads of 128 in half precision, and of a latent
//! layer, compared with a plain read of as much memory.

use baimo_kernels::Kernels;
use baimo_kernels::attention::{
    Attention, AttentionSpan, KvElement, KvLayout, KvStore, PAGE, attention,
};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

const GROUPED: KvLayout =
    KvLayout { kv_heads: 8, k_dim: 128, v_dim: 128, latent: false, element: KvElement::F16 };
const LATENT: KvLayout =
    KvLayout { kv_heads: 1, k_dim: 576, v_dim: 512, latent: true, element: KvElement::F16 };
const HEADS: usize = 16;

/// Layers, so that decoding reads from memory and not from cache.
const LAYERS: usize = 28;

fn main() {
    divan::main();
}

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 7919 % 1013) as f32 / 512.0 - 1.0).collect()
}

/// Layers that hold `positions` positions.
fn layers(kernels: &Kernels, layout: KvLayout, count: usize, positions: usize) -> Vec<KvStore> {
    let pages = positions.div_ceil(PAGE);
    let table: Vec<u32> = (0..pages as u32).collect();
    let k = numbers(positions * layout.kv_heads * layout.k_dim);
    let v = if layout.latent { &[] } else { &k[..positions * layout.kv_heads * layout.v_dim] };
    let layer = |_| {
        let mut store = KvStore::new(layout, pages);
        store.write(kernels, &table, 0, &k, v);
        store
    };
    (0..count).map(layer).collect()
}

/// Runs `rows` rows at the end of `positions` positions in every layer.
fn run(bencher: Bencher, layout: KvLayout, count: usize, positions: usize, rows: usize) {
    let kernels = Kernels::new(2);
    let layers = layers(&kernels, layout, count, positions);
    let pages: Vec<u32> = (0..positions.div_ceil(PAGE) as u32).collect();
    let q = numbers(rows * HEADS * layout.k_dim);
    let mut out = vec![0.0; rows * HEADS * layout.v_dim];
    let how = Attention::causal(HEADS, 0.08);
    let position = positions - rows;
    let span = AttentionSpan::causal(0, rows, position, &pages);
    // Multiplications and additions of what a row sees; what is masked is not counted.
    let pairs = rows * position + rows * (rows + 1) / 2;
    let operations = 2 * count * pairs * HEADS * (layout.k_dim + layout.v_dim);
    bencher
        .counter(BytesCount::new(count * pages.len() * layout.bytes_per_page()))
        .counter(ItemsCount::new(operations))
        .bench_local(|| {
            for store in &layers {
                attention(&kernels, &how, &q, store, &[span], black_box(&mut out));
            }
        });
}

#[divan::bench(sample_count = 20, args = [256, 1024, 4096])]
fn decode(bencher: Bencher, positions: usize) {
    run(bencher, GROUPED, LAYERS, positions, 1);
}

#[divan::bench(sample_count = 20, args = [4096])]
fn decode_latent(bencher: Bencher, positions: usize) {
    run(bencher, LATENT, LAYERS, positions, 1);
}

#[divan::bench(sample_count = 10, args = [128, 512, 2048])]
fn prefill(bencher: Bencher, positions: usize) {
    run(bencher, GROUPED, 1, positions, positions);
}

#[divan::bench(sample_count = 10, args = [512])]
fn prefill_latent(bencher: Bencher, positions: usize) {
    run(bencher, LATENT, 1, positions, positions);
}

/// The yardstick: the bytes of `decode` at 4096, read on both threads.
#[divan::bench(sample_count = 20)]
fn plain_read(bencher: Bencher) {
    let kernels = Kernels::new(2);
    let len = LAYERS * 4096 / PAGE * GROUPED.bytes_per_page() / 8;
    let memory: Vec<u64> = (0..len as u64).collect();
    bencher.counter(BytesCount::new(len * 8)).bench_local(|| {
        kernels.pool.run(16, &|chunk| {
            let part = &memory[len * chunk / 16..len * (chunk + 1) / 16];
            black_box(part.iter().fold(0, |sum, &number| sum ^ number));
        });
    });
}

/// Storing the keys and values of one token in all layers.
#[divan::bench(sample_count = 50)]
fn append(bencher: Bencher) {
    let kernels = Kernels::new(2);
    let mut layers = layers(&kernels, GROUPED, LAYERS, 4096);
    let pages: Vec<u32> = (0..64).collect();
    let k = numbers(8 * 128);
    bencher.bench_local(|| {
        for store in &mut layers {
            store.write(&kernels, &pages, 1234, &k, &k);
        }
    });
}
