//! Recurrences of one layer of 16 key and 32 value heads of 128: items are multiplications and
//! additions of the definition, to be held against those of plain registers.

use baimo_kernels::recurrence::{Decays, Fed, Recurrence, Sharing, Write, kept, recur};
use baimo_kernels::{Isa, Kernels, SlotSpan, SlotStore};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

const KEY_HEADS: usize = 16;
const HEADS: usize = 32;
const DIM: usize = 128;

fn main() {
    divan::main();
}

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919 % 1013) as f32 / 512.0 - 1.0) / 16.0).collect()
}

fn run(bencher: Bencher, isa: &str, write: Write, by_channel: bool, rows: usize) {
    let Some(isa) = Isa::available().into_iter().find(|one| one.name() == isa) else { return };
    let kernels = Kernels::on(isa, 1);
    let (q, k) = (numbers(rows * KEY_HEADS * DIM), numbers(rows * KEY_HEADS * DIM));
    let v = numbers(rows * HEADS * DIM);
    let (decays, rates) = (vec![0.9; rows * HEADS * DIM], vec![0.5; rows * HEADS]);
    let decays = match by_channel {
        true => Decays::PerChannel(&decays),
        false => Decays::PerHead(&decays[..rows * HEADS]),
    };
    let fed = Fed { q: &q, k: &k, v: &v, decays, rates: Some(&rates) };
    let how = Recurrence {
        heads: HEADS,
        key_heads: KEY_HEADS,
        sharing: Sharing::Neighbours,
        k_dim: DIM,
        v_dim: DIM,
        scale: 0.08,
        write,
        skip: None,
    };
    let mut store = SlotStore::new(kept(HEADS, DIM, DIM), 1);
    let mut out = vec![0.0; v.len()];
    let span = SlotSpan { first_row: 0, rows, slot: 0 };
    // Shrink, write, read, and for the delta rule what the state knows.
    let each = match write {
        Write::Value => 5,
        Write::Difference => 7,
    };
    bencher.counter(ItemsCount::new(each * rows * HEADS * DIM * DIM)).bench_local(|| {
        recur(&kernels, &how, &fed, &mut store, 0, &[span], black_box(&mut out));
    });
}

#[divan::bench(sample_count = 20, args = ["avx2", "avx512"], consts = [1, 64])]
fn gated_delta<const ROWS: usize>(bencher: Bencher, isa: &str) {
    run(bencher, isa, Write::Difference, false, ROWS);
}

#[divan::bench(sample_count = 20, args = ["avx2", "avx512"], consts = [1, 64])]
fn by_channel<const ROWS: usize>(bencher: Bencher, isa: &str) {
    run(bencher, isa, Write::Difference, true, ROWS);
}

#[divan::bench(sample_count = 20, args = ["avx2", "avx512"], consts = [1, 64])]
fn linear<const ROWS: usize>(bencher: Bencher, isa: &str) {
    run(bencher, isa, Write::Value, false, ROWS);
}
