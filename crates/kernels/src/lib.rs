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
mod scratch;
mod slots;
pub mod softmax;
pub mod threads;

pub use format::Format;
pub use heads::HeadLayout;
pub use isa::Isa;
pub use memory::{LARGE_PAGE, SharedBytes, StableBytes};
pub use scratch::{BUFFERS_KEPT, Floats, Lent};
pub use slots::{SlotSpan, SlotStore};
pub use threads::Pool;

use matmul::{Int8Block, Int8Group, Int16Block, Observer};
use scratch::Scratch;

/// Where arithmetic runs: the instruction set and the threads. Every operation takes one.
pub struct Kernels {
    /// The instruction set every operation is dispatched on.
    pub isa: Isa,
    /// The threads that share every operation.
    pub pool: Pool,
    scratch: Scratch<f32>,
    int8: Scratch<Int8Block>,
    int8_groups: Scratch<Int8Group>,
    int16: Scratch<Int16Block>,
    observer: Option<Observer>,
}

impl Kernels {
    /// The best instruction set here and `threads` threads.
    pub fn new(threads: usize) -> Kernels {
        Kernels::on(Isa::detect(), threads)
    }

    /// That instruction set and `threads` threads.
    pub fn on(isa: Isa, threads: usize) -> Kernels {
        Kernels {
            isa,
            pool: Pool::new(threads),
            scratch: Scratch::default(),
            int8: Scratch::default(),
            int8_groups: Scratch::default(),
            int16: Scratch::default(),
            observer: None,
        }
    }

    /// The same, and from now on every product's inputs are summed up.
    #[must_use]
    pub fn observing(self) -> Kernels {
        Kernels { observer: Some(Observer::default()), ..self }
    }

    /// What has looked on since [`Kernels::observing`].
    pub fn observer(&self) -> Option<&Observer> {
        self.observer.as_ref()
    }

    /// `len` numbers for a result that is written whole; until then they have no particular value
    /// (in debug builds, none at all).
    pub fn floats(&self, len: usize) -> Floats {
        let mut floats = self.scratch.lend(len, 0.0);
        if cfg!(debug_assertions) {
            floats.fill(f32::NAN);
        }
        floats
    }

    /// `len` zeros.
    pub fn zeros(&self, len: usize) -> Floats {
        let mut floats = self.scratch.lend(len, 0.0);
        floats.fill(0.0);
        floats
    }
}
