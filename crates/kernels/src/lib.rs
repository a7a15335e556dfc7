//! The arithmetic: a module per operation, a file per instruction set, a scalar twin for each.

pub mod activation;
pub mod attention;
pub mod convolution;
pub mod format;
mod heads;
pub mod isa;
mod lanes;
pub mod limits;
pub mod matmul;
mod memory;
pub mod norm;
pub mod recurrence;
pub mod rope;
mod slots;
pub mod softmax;
pub mod threads;

pub use format::Format;
pub use heads::HeadLayout;
pub use isa::Isa;
pub use slots::{SlotSpan, SlotStore};
pub use threads::Pool;

/// Where arithmetic runs: the instruction set and the threads. Every operation takes one.
pub struct Kernels {
    /// The instruction set every operation is dispatched on.
    pub isa: Isa,
    /// The threads that share every operation.
    pub pool: Pool,
}

impl Kernels {
    /// The best instruction set here and `threads` threads.
    pub fn new(threads: usize) -> Kernels {
        Kernels { isa: Isa::detect(), pool: Pool::new(threads) }
    }
}
