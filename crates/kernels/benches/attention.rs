//! Attention of one layer, 16 query and 8 key heads of 128 in half precision or in 8 bits, and of a
//! latent layer, compared with a plain read of as much memory; and scores of index keys. Run with
//! `cargo bench -p baimo-kernels --bench attention`; after the rest, or alone with `-- shares`,
//! comes a table of shares of what the machine gives.

use baimo_kernels::Kernels;
use baimo_kernels::attention::{
    Attention, AttentionSpan, Chooser, IndexLayout, IndexStore, KvElement, KvLayout, KvStore, PAGE,
    attention, choose,
};
use baimo_kernels::limits::{Memory, Operations};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use std::time::Instant;

const GROUPED: KvLayout =
    KvLayout { kv_heads: 8, k_dim: 128, v_dim: 128, latent: false, element: KvElement::F16 };
const LATENT: KvLayout =
    KvLayout { kv_heads: 1, k_dim: 576, v_dim: 512, latent: true, element: KvElement::F16 };
const GROUPED_INT8: KvLayout = KvLayout { element: KvElement::Q8, ..GROUPED };
const LATENT_INT8: KvLayout = KvLayout { element: KvElement::Q8, ..LATENT };
const HEADS: usize = 16;

/// Layers, so that decoding reads from memory and not from cache.
const LAYERS: usize = 28;

fn main() {
    // Of the words that cargo passes, the ones that are no flags choose benchmarks.
    let words: Vec<String> = std::env::args().skip(1).collect();
    let chosen: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    if chosen != ["shares"] {
        divan::main();
    }
    if words.iter().any(|word| word == "--bench") && (chosen.is_empty() || chosen == ["shares"]) {
        shares();
        in_8_bits();
    }
}

/// Prints how much sooner one row is done where numbers have 8 bits: one thread, both alternately,
/// the best of each, over more memory than any cache has.
fn in_8_bits() {
    let kernels = Kernels::new(1);
    println!("\none row, one thread, {}: half precision, 8 bits", kernels.isa.name());
    for (name, both) in [("grouped", [GROUPED, GROUPED_INT8]), ("latent", [LATENT, LATENT_INT8])] {
        for positions in [4096, 32768] {
            let count = 2 * LAYERS * 4096 / positions;
            let layers = both.map(|layout| layers(&kernels, layout, count, positions));
            let work = both.map(|layout| Work::new(layout, count, positions, 1));
            let mut best = [f64::MAX; 2];
            for round in 0..18 {
                let start = Instant::now();
                work[round % 2].run(&kernels, &layers[round % 2]);
                best[round % 2] = best[round % 2].min(start.elapsed().as_secs_f64());
            }
            let [half, int8] = best.map(|seconds| 1e3 * seconds / count as f64);
            print!("{name:>8} at {positions:>5}: {half:.2} ms a layer, {int8:.2} ms");
            println!(" ({:.2} times as fast)", half / int8);
        }
    }
}

/// Prints what one thread reaches, as a share of its limits of the same minute: one row of a pure
/// read, more of products in registers. What is masked is not counted.
fn shares() {
    let kernels = Kernels::new(1);
    let memory = Memory::new(&kernels, 400 << 20);
    println!("\none thread, {}", kernels.isa.name());
    for (name, layout) in [("grouped", GROUPED), ("latent", LATENT)] {
        for (positions, rows) in [(4096, 1), (512, 512), (2048, 512), (8192, 128)] {
            let layers = layers(&kernels, layout, if rows == 1 { LAYERS } else { 1 }, positions);
            let work = Work::new(layout, layers.len(), positions, rows);
            let seconds = || {
                let start = Instant::now();
                work.run(&kernels, &layers);
                start.elapsed().as_secs_f64()
            };
            seconds();
            let seconds = (0..5).map(|_| seconds()).fold(f64::MAX, f64::min);
            let float = Operations::measure(&kernels).float;
            let rate = work.operations as f64 / seconds;
            print!("{name:>8} {rows:>4} rows of {positions:>4}: {:>6.1} GFLOP/s", rate / 1e9);
            print!(" ({:>3.0} %)", 100.0 * rate / float);
            let (rate, read) = (work.bytes as f64 / seconds, memory.read(&kernels));
            println!(", {:>5.2} GB/s ({:>3.0} %)", rate / 1e9, 100.0 * rate / read);
        }
    }
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

/// Rows at the end of some positions, in every layer.
struct Work {
    rows: usize,
    positions: usize,
    pages: Vec<u32>,
    q: Vec<f32>,
    values: usize,
    /// Multiplications and additions of what rows see; what is masked is not counted.
    operations: usize,
    /// Bytes of all pages.
    bytes: usize,
}

impl Work {
    fn new(layout: KvLayout, layers: usize, positions: usize, rows: usize) -> Work {
        let pages: Vec<u32> = (0..positions.div_ceil(PAGE) as u32).collect();
        let pairs = rows * (positions - rows) + rows * (rows + 1) / 2;
        Work {
            rows,
            positions,
            q: numbers(rows * HEADS * layout.k_dim),
            values: rows * HEADS * layout.v_dim,
            operations: 2 * layers * pairs * HEADS * (layout.k_dim + layout.v_dim),
            bytes: layers * pages.len() * layout.bytes_per_page(),
            pages,
        }
    }

    fn run(&self, kernels: &Kernels, layers: &[KvStore]) {
        let how = Attention::causal(HEADS, 0.08);
        let position = self.positions - self.rows;
        let span = AttentionSpan::causal(0, self.rows, position, &self.pages);
        let mut out = vec![0.0; self.values];
        for store in layers {
            attention(kernels, &how, &self.q, store, &[span], black_box(&mut out));
        }
    }
}

/// Runs `rows` rows at the end of `positions` positions in every layer.
fn run(bencher: Bencher, layout: KvLayout, count: usize, positions: usize, rows: usize) {
    let kernels = Kernels::new(2);
    let layers = layers(&kernels, layout, count, positions);
    let work = Work::new(layout, count, positions, rows);
    bencher
        .counter(BytesCount::new(work.bytes))
        .counter(ItemsCount::new(work.operations))
        .bench_local(|| work.run(&kernels, &layers));
}

#[divan::bench(sample_count = 20, args = [256, 1024, 4096])]
fn decode(bencher: Bencher, positions: usize) {
    run(bencher, GROUPED, LAYERS, positions, 1);
}

#[divan::bench(sample_count = 20, args = [256, 1024, 4096])]
fn decode_int8(bencher: Bencher, positions: usize) {
    run(bencher, GROUPED_INT8, LAYERS, positions, 1);
}

#[divan::bench(sample_count = 20, args = [4096])]
fn decode_latent(bencher: Bencher, positions: usize) {
    run(bencher, LATENT, LAYERS, positions, 1);
}

#[divan::bench(sample_count = 10, args = [128, 512, 2048, 8192])]
fn prefill(bencher: Bencher, positions: usize) {
    run(bencher, GROUPED, 1, positions, positions);
}

#[divan::bench(sample_count = 10, args = [2048])]
fn prefill_int8(bencher: Bencher, positions: usize) {
    run(bencher, GROUPED_INT8, 1, positions, positions);
}

#[divan::bench(sample_count = 10, args = [512])]
fn prefill_latent(bencher: Bencher, positions: usize) {
    run(bencher, LATENT, 1, positions, positions);
}

/// One row on one thread that chooses 2,048 positions by an indexer of 64 heads of 128.
fn index(bencher: Bencher, element: KvElement, positions: usize) {
    const DIM: usize = 128;
    const INDEX_HEADS: usize = 64;
    let kernels = Kernels::new(1);
    let pages: Vec<u32> = (0..positions.div_ceil(PAGE) as u32).collect();
    let mut store = IndexStore::new(IndexLayout { dim: DIM, element }, pages.len());
    store.write(&kernels, &pages, 0, &numbers(positions * DIM));
    let (q, weights) = (numbers(INDEX_HEADS * DIM), numbers(INDEX_HEADS));
    let how = Chooser { heads: INDEX_HEADS, active: 2048, q: &q, weights: &weights };
    let span = AttentionSpan::causal(0, 1, positions - 1, &pages);
    bencher
        .counter(ItemsCount::new(2 * INDEX_HEADS * DIM * positions))
        .bench_local(|| choose(&kernels, &how, &store, &[span]));
}

#[divan::bench(sample_count = 20, args = [4096, 16384, 65536])]
fn index_int8(bencher: Bencher, positions: usize) {
    index(bencher, KvElement::F16, positions);
}

#[divan::bench(sample_count = 20, args = [16384])]
fn index_exact(bencher: Bencher, positions: usize) {
    index(bencher, KvElement::F32, positions);
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
