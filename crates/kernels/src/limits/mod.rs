//! What this machine gives at most, measured: what the shares that benchmarks report are shares of.
//!
//! A chain multiplies and adds in registers alone; a read fetches memory and nothing else.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;
#[cfg(test)]
mod tests;

use crate::memory::AlignedBuffer;
use crate::{Isa, Kernels};
use std::hint::black_box;
use std::time::Instant;

/// Vectors that a step of a chain multiplies: enough to hide how long one product takes.
const CHAINS: usize = 12;

/// Multiplications and additions per second, on all threads together.
#[derive(Clone, Copy, Debug)]
pub struct Operations {
    /// Fused multiply-adds of `f32`, two operations each.
    pub float: f64,
    /// Products of 16-bit integers, added in 32 bits.
    pub int16: f64,
    /// Products of 8-bit integers, any of them, added in 32 bits.
    pub int8: f64,
}

impl Operations {
    /// Times each loop for about a tenth of a second and keeps its quickest part.
    pub fn measure(kernels: &Kernels) -> Operations {
        let rate = |chain: Chain| {
            let threads = kernels.pool.threads();
            let once = || {
                kernels.pool.run(threads, &|_| {
                    black_box(chain.run(kernels.isa, STEPS));
                });
            };
            let seconds = (0..PARTS).map(|_| timed(once)).fold(f64::INFINITY, f64::min);
            (threads * STEPS * chain.operations(kernels.isa)) as f64 / seconds
        };
        Operations { float: rate(Chain::Float), int16: rate(Chain::Int16), int8: rate(Chain::Int8) }
    }
}

/// Steps of a chain that are timed together: some milliseconds.
const STEPS: usize = 1 << 20;
/// How often they are.
const PARTS: usize = 12;

/// What a chain multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chain {
    Float,
    Int16,
    Int8,
}

impl Chain {
    /// What a step multiplies and adds: vectors of `lanes` sums.
    fn operations(self, isa: Isa) -> usize {
        let bits = match isa {
            Isa::Scalar => 32 * scalar::LANES,
            Isa::Avx2(_) => 256,
            Isa::Avx512(_) => 512,
        };
        let products = match self {
            Chain::Float => bits / 32,
            Chain::Int16 => bits / 16,
            Chain::Int8 => bits / 8,
        };
        2 * CHAINS * products
    }

    /// Takes so many steps. What comes out is one lane's sums, equal on every instruction set.
    fn run(self, isa: Isa, steps: usize) -> i32 {
        match isa {
            Isa::Scalar => match self {
                Chain::Float => scalar::float(steps),
                Chain::Int16 => scalar::int16(steps),
                Chain::Int8 => scalar::int8(steps),
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Avx2` exists only where the instructions were seen.
            Isa::Avx2(_) => unsafe {
                match self {
                    Chain::Float => avx2::float(steps),
                    Chain::Int16 => avx2::int16(steps),
                    Chain::Int8 => avx2::int8(steps),
                }
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Avx512` exists only where the instructions were seen.
            Isa::Avx512(_) => unsafe {
                match self {
                    Chain::Float => avx512::float(steps),
                    Chain::Int16 => avx512::int16(steps),
                    Chain::Int8 => avx512::int8(steps),
                }
            },
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2(_) | Isa::Avx512(_) => unreachable!("they are only detected on x86-64"),
        }
    }
}

/// Memory that is read to see how fast it comes.
pub struct Memory {
    bytes: AlignedBuffer<u8>,
}

impl Memory {
    /// So many bytes, all of them present. What is read at once should exceed every cache.
    pub fn new(kernels: &Kernels, bytes: usize) -> Memory {
        let mut bytes = AlignedBuffer::zeros(bytes);
        // The system gives every page that is written a place of its own.
        kernels.pool.run_rows(&mut bytes, PAGE_BYTES, &|first, rows| {
            rows.iter_mut().step_by(64).for_each(|byte| *byte = first as u8 | 1);
        });
        Memory { bytes }
    }

    /// Bytes per second of one pass on all threads, each through a part of its own.
    pub fn read(&self, kernels: &Kernels) -> f64 {
        let seconds = timed(|| {
            black_box(self.checksum(kernels));
        });
        self.bytes.len() as f64 / seconds
    }

    /// All words together, by exclusive or.
    fn checksum(&self, kernels: &Kernels) -> u64 {
        let words = self.bytes.as_chunks::<8>().0;
        let parts = 8 * kernels.pool.threads();
        let sum = std::sync::atomic::AtomicU64::new(0);
        kernels.pool.run(parts, &|part| {
            let range = words.len() * part / parts..words.len() * (part + 1) / parts;
            sum.fetch_xor(xor(kernels.isa, &words[range]), std::sync::atomic::Ordering::Relaxed);
        });
        sum.into_inner()
    }
}

const PAGE_BYTES: usize = 4096;

fn xor(isa: Isa, words: &[[u8; 8]]) -> u64 {
    match isa {
        Isa::Scalar => scalar::xor(words),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Avx2` or `Avx512` exists only where the instructions were seen. A read waits
        // for memory, whatever the width of its registers.
        Isa::Avx2(_) | Isa::Avx512(_) => unsafe { avx2::xor(words) },
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Avx2(_) | Isa::Avx512(_) => unreachable!("they are only detected on x86-64"),
    }
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}
