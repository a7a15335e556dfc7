//! The round trip of an empty region: what every parallel operation pays.

use baimo_kernels::Pool;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

#[divan::bench(args = [2, 8, 16])]
fn empty_region_on_two_threads(bencher: Bencher, chunks: usize) {
    let pool = Pool::new(2);
    bencher.bench_local(|| {
        pool.run(chunks, &|chunk| {
            black_box(chunk);
        });
    });
}

/// What waking costs: the workers have gone to sleep before.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn empty_region_after_a_pause(bencher: Bencher) {
    let pool = Pool::new(2);
    bencher
        .with_inputs(|| std::thread::sleep(std::time::Duration::from_millis(2)))
        .bench_local_values(|()| {
            pool.run(16, &|chunk| {
                black_box(chunk);
            });
        });
}
