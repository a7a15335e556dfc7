//! Ten seconds of measuring: what this machine's kernels cost, each operation by itself.

mod attention;
mod numbers;
mod products;
mod recurrence;

use super::machine::{Cost, Machine};
use baimo_kernels::Kernels;
use baimo_kernels::limits::Memory;
use std::time::Instant;

/// Bytes beyond what any cache keeps.
pub(super) const MEMORY: usize = 512 << 20;

/// Measures this machine on so many threads; `told` hears what comes next.
pub fn probe(threads: usize, name: String, date: String, told: &mut dyn FnMut(&str)) -> Machine {
    let kernels = Kernels::new(threads);
    told("reading memory");
    let read = read(&kernels);
    let region_seconds = region(&kernels);
    told("products of every weight format");
    let (products, streamed) = products::measure(&kernels);
    told("attention");
    let attention = attention::measure(&kernels);
    told("recurrences and the rest");
    Machine {
        name,
        date,
        threads,
        instructions: kernels.isa.name().to_owned(),
        read,
        region_seconds,
        products,
        streamed,
        attention,
        recurrence: recurrence::measure(&kernels),
        numbers: numbers::measure(&kernels),
    }
}

/// Seconds for each byte, by the bytes that are read again and again.
fn read(kernels: &Kernels) -> Vec<Cost> {
    let sizes = [8 << 20, 32 << 20, 64 << 20, 128 << 20, 256 << 20, MEMORY];
    let of = |bytes: usize| {
        let memory = Memory::new(kernels, bytes);
        let times = (MEMORY / bytes).clamp(3, 16);
        let rates = (0..times).map(|_| memory.read(kernels));
        Cost { rows: bytes as f64, seconds: 1.0 / rates.fold(0.0, f64::max) }
    };
    sizes.into_iter().map(of).collect()
}

/// Seconds that threads need to meet.
fn region(kernels: &Kernels) -> f64 {
    const TIMES: usize = 2000;
    let chunks = 8 * kernels.pool.threads();
    let each = |_| {
        let start = Instant::now();
        for _ in 0..TIMES {
            kernels.pool.run(chunks, &|chunk| {
                std::hint::black_box(chunk);
            });
        }
        start.elapsed().as_secs_f64() / TIMES as f64
    };
    (0..5).map(each).fold(f64::INFINITY, f64::min)
}

/// Seconds of one call, the least of some after one that warms up: whatever else runs here only
/// ever adds to them.
pub(super) fn seconds(mut work: impl FnMut()) -> f64 {
    work();
    let once = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..5).map(once).fold(f64::INFINITY, f64::min)
}

/// Numbers without order, none of them special.
pub(super) fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|index| (index * 7919 % 1013) as f32 / 512.0 - 1.0).collect()
}
