//! Files to tensors: safetensors and GGUF, whole or in parts, under one set of names.
//!
//! ```text
//! path ─► Checkpoint ─► Claims ─► RowSource ─► rows of bytes in the format the model computes in
//!         what is        what was   which rows,
//!         there          asked for  converted to what
//! ```
//!
//! A [`Checkpoint`] knows every tensor of its files and reads none. A loader asks for tensors
//! through [`Claims`], which at the end names what nobody asked for. A [`RowSource`] streams the
//! rows of one tensor, chosen, reordered and converted on the way, in bounded memory.
//!
//! Tensors are asked for by the names they have on the hub; [`names`] knows what GGUF files call
//! them. Everything read here was written by somebody else: whatever the bytes are, the answer is
//! a tensor or an [`Error`] that names the file and the part at fault.

mod checkpoint;
mod claims;
mod draft;
mod error;
mod folds;
pub mod gguf;
mod importance;
mod mixture;
pub mod names;
mod os;
mod packed;
mod parts;
mod quantize;
mod rewrite;
mod rows;
pub mod safetensors;
pub mod store;
mod tensor;

pub use baimo_kernels::format::Format;
pub use checkpoint::Checkpoint;
pub use claims::Claims;
pub use draft::{Draft, Layout};
pub use error::{Error, Report};
pub use importance::Importance;
pub use mixture::{Facts, Mixture, fitting, is_quantizable};
pub use os::{free_bytes, linux_bytes, resident_bytes};
pub use parts::PartStem;
pub use quantize::{Role, RowSource, Target, target_format};
pub use rows::Rows;
pub use store::Store;
pub use tensor::{BlockScales, Dtype, Tensor, TensorInfo};
