//! `baimo bench --limits`: what this machine gives at most, to compare a model's speed with.

use crate::args::Bench;
use crate::bench::Rates;
use crate::session;
use anyhow::Result;
use baimo_engine::Kernels;
use baimo_engine::limits::{Memory, Operations};
use serde_json::json;
use std::io::Write;

/// Bytes that are read: many times the largest cache.
const BYTES: usize = 1 << 29;

/// Measures and prints.
pub fn run(arguments: &Bench) -> Result<()> {
    let kernels = Kernels::new(session::threads(arguments.loading.threads));
    let memory = Memory::new(&kernels, BYTES);
    let read = Rates::new((0..arguments.repetitions).map(|_| memory.read(&kernels)).collect());
    let Operations { float, int16, int8 } = Operations::measure(&kernels);
    let (threads, instructions) = (kernels.pool.threads(), kernels.isa.name());
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let report = json!({
            "read_bytes_per_second": read.report(),
            "float_operations_per_second": float,
            "int16_operations_per_second": int16,
            "int8_operations_per_second": int8,
            "threads": threads,
            "instructions": instructions,
        });
        writeln!(out, "{report:#}")?;
        return Ok(());
    }
    let giga = |rate: f64| rate / 1e9;
    let (slowest, quickest) = (giga(read.slowest()), giga(read.quickest()));
    let median = giga(read.median());
    writeln!(out, "threads {threads}, instructions {instructions}")?;
    writeln!(out, "{median:>8.1} GB/s read (min {slowest:.1}, max {quickest:.1})")?;
    writeln!(out, "{:>8.1} GFLOP/s, fused multiply-adds of f32", giga(float))?;
    writeln!(out, "{:>8.1} GOP/s, products of 16-bit integers", giga(int16))?;
    writeln!(out, "{:>8.1} GOP/s, products of 8-bit integers", giga(int8))?;
    Ok(())
}
