//! The files that tokenizers come in.

mod config;
mod export;
mod filling;
mod gguf;
mod huggingface;
mod lines;
mod ranks;
mod sentencepiece;

pub(crate) use config::FolderConfig;
pub use export::GgufExport;
pub use gguf::GgufVocabulary;

use crate::error::{Error, Result, read};
use crate::tokenizer::Tokenizer;
use std::path::{Path, PathBuf};

impl Tokenizer {
    /// Reads the tokenizer of a Hugging Face folder: `tokenizer.json`, else tiktoken ranks
    /// (`*.tiktoken`, `tiktoken.model`), else SentencePiece (`tokenizer.model`, `ice_text.model`),
    /// else a token a line (`vocab.txt`); with what `tokenizer_config.json` and
    /// `generation_config.json` add.
    ///
    /// # Errors
    /// No such file, a damaged one, or one that asks for something unknown; the file is named.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Tokenizer> {
        let folder = folder.as_ref();
        let config = FolderConfig::read(folder)?;
        let mut tokenizer = read_tokenizer(folder, &config)?;
        config.complete(&mut tokenizer);
        Ok(tokenizer)
    }
}

fn read_tokenizer(folder: &Path, config: &FolderConfig) -> Result<Tokenizer> {
    let json = folder.join("tokenizer.json");
    if json.exists() {
        return huggingface::File::read(&json)?.tokenizer(config);
    }
    if let Some(path) = find_ranks(folder)? {
        return ranks::load(&path, &read(&path)?, config);
    }
    let model = folder.join("tokenizer.model");
    if !model.exists() {
        return read_rare(folder, config);
    }
    let bytes = read(&model)?;
    // Two formats share this name; lines of base64 and a number are never a protobuf message.
    if ranks::is_ranks(&bytes) {
        ranks::load(&model, &bytes, config)
    } else if filling::is_class(config) {
        filling::load_named(&model, &bytes, config)
    } else {
        sentencepiece::load(&model, &bytes, config)
    }
}

/// The formats of few models.
fn read_rare(folder: &Path, config: &FolderConfig) -> Result<Tokenizer> {
    let (images, lines) = (folder.join("ice_text.model"), folder.join("vocab.txt"));
    if images.exists() {
        filling::load(&images, &read(&images)?, config)
    } else if lines.exists() {
        lines::load(&lines, &read(&lines)?)
    } else {
        Err(Error::NoTokenizer { folder: folder.display().to_string() })
    }
}

fn find_ranks(folder: &Path) -> Result<Option<PathBuf>> {
    let failed = |source| Error::Read { file: folder.display().to_string(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let by_name = path.file_name().is_some_and(|name| name == "tiktoken.model");
        if by_name || path.extension().is_some_and(|extension| extension == "tiktoken") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found.into_iter().next())
}
