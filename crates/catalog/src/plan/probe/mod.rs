//! Ten seconds of measuring: what this machine's kernels cost, each operation by itself.

mod attention;
mod layer;
mod numbers;
mod products;
mod recurrence;

use super::machine::{Beside, Cost, Machine};
use baimo_kernels::attention::KvElement;
use baimo_kernels::limits::Memory;
use baimo_kernels::{Format, Kernels};
use products::Products;
use std::time::Instant;

/// Bytes beyond what any cache keeps.
pub(super) const MEMORY: usize = 384 << 20;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Threads that compute.
    pub threads: usize,
    /// Formats of weights.
    pub formats: Vec<Format>,
    /// How cached keys and values are stored.
    pub elements: Vec<KvElement>,
}

impl Scope {
    /// All that models may have.
    pub fn all(threads: usize) -> Scope {
        let elements = vec![KvElement::F16, KvElement::F32, KvElement::Q8];
        Scope { threads, formats: Format::ALL.to_vec(), elements }
    }
}

/// Measures this machine; `told` hears what comes next.
pub fn probe(scope: &Scope, name: String, date: String, told: &mut dyn FnMut(&str)) -> Machine {
    let &Scope { threads, ref formats, ref elements } = scope;
    let kernels = Kernels::new(threads);
    told("reading memory");
    let read = read(&kernels);
    let region_seconds = region(&kernels);
    told("products of weights");
    let Products { cached, streamed } = products::measure(&kernels, formats, region_seconds);
    told("attention");
    let attention = attention::measure(&kernels, elements);
    told("recurrences and the rest");
    let mut machine = Machine {
        name,
        date,
        threads,
        instructions: kernels.isa.name().to_owned(),
        read,
        region_seconds,
        products: cached,
        streamed,
        attention,
        recurrence: recurrence::measure(&kernels, region_seconds),
        numbers: numbers::measure(&kernels),
        beside: Beside::default(),
    };
    machine.beside = layer::measure(&kernels, &machine);
    machine
}

/// Seconds for each byte, by the bytes that are read again and again.
fn read(kernels: &Kernels) -> Vec<Cost> {
    let sizes = [16 << 20, 64 << 20, 112 << 20, 160 << 20, 256 << 20, MEMORY];
    let of = |bytes: usize| {
        let memory = Memory::new(kernels, bytes);
        let times = (MEMORY / bytes).clamp(3, 8);
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

/// Seconds of one call after one that warms up: of some, one of the quicker, as what else runs on a
/// machine makes calls slower and never quicker. Long calls are made less often.
pub(super) fn seconds(mut work: impl FnMut()) -> f64 {
    const MOST: usize = 7;
    const LEAST: usize = 3;
    const ENOUGH: f64 = 0.1;
    work();
    let (mut calls, mut all) = (Vec::with_capacity(MOST), 0.0);
    while calls.len() < LEAST || calls.len() < MOST && all < ENOUGH {
        let start = Instant::now();
        work();
        calls.push(start.elapsed().as_secs_f64());
        all += calls[calls.len() - 1];
    }
    calls.sort_by(f64::total_cmp);
    calls[calls.len() / 4]
}

/// Numbers without order, none of them special.
pub(super) fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|index| (index * 7919 % 1013) as f32 / 512.0 - 1.0).collect()
}
