//! What can be wrong with the files and requests that reach this crate.

use std::path::Path;

/// A fault in somebody else's file or request. Every message names the place, what was found and
/// the way out; our own mistakes are assertions, never an `Error`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read at all.
    #[error("{file}: cannot be read: {source}")]
    Read {
        /// The path as it was asked for.
        file: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file was read and is not what its name says.
    #[error("{file}: {fault} (hint: {hint})")]
    Malformed {
        /// The path, or "GGUF metadata".
        file: String,
        /// What was found and what was wanted.
        fault: String,
        /// What to try.
        hint: &'static str,
    },
    /// A file is well formed and asks for something this crate does not do.
    #[error("{file}: {key} is {found}, supported are {wanted} (hint: {hint})")]
    Unsupported {
        /// The path, or "GGUF metadata".
        file: String,
        /// The key that holds the value.
        key: String,
        /// The value.
        found: String,
        /// The values that would have been understood.
        wanted: String,
        /// What to try.
        hint: &'static str,
    },
    /// A folder has none of the tokenizer files.
    #[error(
        "{folder}: no tokenizer found, wanted tokenizer.json, a *.tiktoken or tiktoken.model file, \
         tokenizer.model, ice_text.model or vocab.txt (hint: download the tokenizer files that \
         belong to the weights)"
    )]
    NoTokenizer {
        /// The folder that was searched.
        folder: String,
    },
    /// A token id that the vocabulary does not have.
    #[error(
        "token id {id} is not in the vocabulary of {vocab_size} entries (hint: do tokenizer and \
         weights belong to the same model?)"
    )]
    UnknownId {
        /// The id that was asked for.
        id: u32,
        /// One more than the highest id.
        vocab_size: usize,
    },
    /// The text could not be encoded.
    #[error("the text cannot be encoded: {cause}")]
    Encode {
        /// Why not.
        cause: String,
    },
    /// A chat template does not parse, or failed on these messages.
    #[error("chat template `{name}`, line {line}: {cause}")]
    Template {
        /// The template's name.
        name: String,
        /// The line in the template, from 1; 0 where it is not known.
        line: usize,
        /// What went wrong, as the template or the template engine said it.
        cause: String,
    },
    /// A model has no chat template of that name.
    #[error("no chat template named `{name}`, there is {available}")]
    NoTemplate {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        available: String,
    },
}

/// The result of everything here that reads what others wrote.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn malformed(file: &str, fault: impl Into<String>, hint: &'static str) -> Error {
        Error::Malformed { file: file.to_owned(), fault: fault.into(), hint }
    }
}

/// Reads a whole file, naming it when that fails.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Error::Read { file: path.display().to_string(), source })
}

/// Reads a JSON file, naming it when it is missing, cut or not JSON.
pub(crate) fn read_json(path: &Path) -> Result<serde_json::Value> {
    let bytes = read(path)?;
    serde_json::from_slice(&bytes).map_err(|cause| {
        Error::malformed(
            &path.display().to_string(),
            format!("not JSON: {cause}"),
            "was the download cut short?",
        )
    })
}
