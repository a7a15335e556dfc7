//! What can be wrong with a configuration.

/// A configuration no Blueprint can be made of. Keys are dotted paths (`rope_scaling.factor`).
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum Error {
    /// The configuration is not a JSON object.
    #[error("config is not a JSON object: found {found}")]
    NotAnObject {
        /// The JSON type found.
        found: &'static str,
    },
    /// No page knows the architecture.
    #[error(
        "architecture `{found}` has no page here\nhint: `baimo list --architectures` shows what \
         runs; {nearest}"
    )]
    UnknownArchitecture {
        /// The architecture asked for.
        found: String,
        /// A hint at the nearest known name.
        nearest: String,
    },
    /// A key that the page needs is not there.
    #[error("config key `{key}` is missing; wanted {wanted}")]
    Missing {
        /// The key.
        key: String,
        /// What it should hold.
        wanted: &'static str,
    },
    /// A key holds the wrong kind of value.
    #[error("config key `{key}` is {found}; wanted {wanted}")]
    WrongType {
        /// The key.
        key: String,
        /// What it holds.
        found: String,
        /// What it should hold.
        wanted: &'static str,
    },
    /// A value this engine does not do, or that contradicts another.
    #[error("config key `{key}` is {found}; wanted {wanted}")]
    Unsupported {
        /// The key.
        key: String,
        /// What it holds.
        found: String,
        /// What would run.
        wanted: String,
    },
    /// No GGUF file is written of the architecture.
    #[error(
        "`{architecture}`: found an architecture of which baimo writes no GGUF file from \
         safetensors\nhint: convert it with llama.cpp's convert_hf_to_gguf.py, and quantize what \
         that gives: from GGUF to GGUF every architecture goes"
    )]
    NotWritten {
        /// The architecture.
        architecture: String,
    },
    /// The keys of GGUF files have no words for a part of the model.
    #[error(
        "`{architecture}`: {what} cannot be said by the keys of GGUF files, wanted a model that \
         comes back as it was\nhint: baimo runs the folder as it is, with --weights"
    )]
    Inexpressible {
        /// The architecture.
        architecture: String,
        /// The part.
        what: String,
    },
    /// Sizes whose product no machine could hold.
    #[error(
        "config asks for tensor `{tensor}` of {shape:?}: with it the model has more than 2^53 \
         parameters\nhint: one of these sizes is wrong"
    )]
    TooLarge {
        /// The first tensor that is too much.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// Keys the page did not read: their meaning is not known, so results could be wrong.
    #[error(
        "config has keys that the page of `{architecture}` does not read: {keys}\n\
         hint: they may change the numbers; remove them if they do not"
    )]
    Unread {
        /// The architecture.
        architecture: String,
        /// The keys, comma-separated.
        keys: String,
    },
}

/// The result of reading a configuration.
pub type Result<T> = std::result::Result<T, Error>;
