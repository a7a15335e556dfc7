//! Whether a model fits a machine, and how fast it will be there: from its Blueprint alone.
//!
//! One walk over the Blueprint, in the decoder's own order, writes down every operation of a pass,
//! every weight it meets and every buffer it lends ([`tape`], `walk`). Memory is the sum of what
//! was written down ([`memory`]); where it is too much, [`advice`] says what to change. Time is the
//! sum of what each operation takes on a [`machine`] that was measured ([`mod@probe`]) or on a chip
//! by its sheet ([`chips`]); [`forecast`] and [`plot`] tell it by the length of the context.

pub mod advice;
pub mod chips;
mod ffn;
pub mod forecast;
pub mod machine;
pub mod memory;
mod mixers;
pub mod packing;
mod pass;
pub mod plot;
pub mod probe;
mod recurrent;
mod scratch;
mod speed;
pub mod tape;
mod walk;

pub use advice::Fit;
pub use chips::Chip;
pub use forecast::{Forecast, Host, Point, formats};
pub use machine::Machine;
pub use memory::{Copies, Memory, PartBytes, Question, StateKind};
pub use packing::{Packing, Said, Stored};
pub use tape::{Part, Shape, Tape};
