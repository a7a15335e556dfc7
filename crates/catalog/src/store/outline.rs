//! What tells of a model without its weights, fetched without them.

use super::{Error, Remote, RemoteFile, choice};
use baimo_weights::gguf;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Files of a folder that tell of the model, beside its weights and its vocabulary.
const TELLING: [&str; 5] = [
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
];
/// What `TELLING` files have at most.
const TELLING_BYTES_MAX: u64 = 16 << 20;
/// Bytes of a GGUF file that are read at first: most vocabularies end before. Where one does not,
/// twice as many are read.
const HEAD_BYTES: u64 = 8 << 20;
/// Bytes at which one gives up.
const HEAD_BYTES_MAX: u64 = 256 << 20;
/// Tensors of no layer up to this many bytes are read: rotations by position are told there.
const TENSOR_BYTES_MAX: usize = 64 << 10;

/// A model as far as it is known without its weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// What is to be opened: a folder without weights, or a GGUF file.
    pub path: PathBuf,
    /// Bytes of its weights, at the hub.
    pub weight_bytes: u64,
}

impl Remote<'_> {
    /// Lays out in a `folder` of the caller's what tells of the model: configuration and templates,
    /// or the head of each GGUF file. Such a file has its full length, and in the place of weights
    /// a hole, which takes no room on the disk and reads as zeros.
    ///
    /// # Errors
    /// Where the hub does not give it, a head is not what it should be, or the folder cannot be
    /// written.
    pub fn outline(&self, folder: &Path) -> Result<Outline, Error> {
        let (files, opened) = self.chosen()?;
        for file in &files {
            let path = folder.join(&file.path);
            if file.path.ends_with(".gguf") {
                self.lay_out_gguf(file, &path)?;
            } else if TELLING.contains(&&*file.path) && file.size <= TELLING_BYTES_MAX {
                fs::write(&path, self.read_file(&file.path)?).map_err(Error::io(&path, "write"))?;
            }
        }
        let weights = files.iter().filter(|file| choice::is_weights(&file.path));
        let weight_bytes = weights.map(|file| file.size).sum();
        let path = opened.map_or_else(|| folder.to_path_buf(), |file| folder.join(file));
        Ok(Outline { path, weight_bytes })
    }

    fn lay_out_gguf(&self, file: &RemoteFile, path: &Path) -> Result<(), Error> {
        let (beginning, contents) = self.head(file)?;
        let failed = || Error::io(path, "write");
        let folder = path.parent().unwrap_or(path);
        fs::create_dir_all(folder).map_err(Error::io(folder, "make the folder"))?;
        let mut laid = File::create(path).map_err(failed())?;
        // More than the head may have come.
        let first = contents.tensors.iter().map(|tensor| tensor.range.start).min();
        let head = &beginning[..first.unwrap_or(beginning.len()).min(beginning.len())];
        laid.write_all(head).and_then(|()| laid.set_len(file.size)).map_err(failed())?;
        let telling = contents.tensors.iter().filter(|tensor| {
            let is_of_layer = tensor.name.starts_with("blk.");
            !is_of_layer && tensor.range.len() <= TENSOR_BYTES_MAX
        });
        for tensor in telling {
            let range = tensor.range.start as u64..tensor.range.end as u64;
            let bytes = self.read(&file.path, range.clone())?;
            let at = SeekFrom::Start(range.start);
            laid.seek(at).and_then(|_| laid.write_all(&bytes)).map_err(failed())?;
        }
        Ok(())
    }

    /// The beginning of a GGUF file, and what it says.
    fn head(&self, file: &RemoteFile) -> Result<(Vec<u8>, gguf::Contents), Error> {
        let mut beginning = Vec::new();
        loop {
            let known = beginning.len() as u64;
            let until = (2 * known).max(HEAD_BYTES).min(file.size);
            beginning.extend(self.read(&file.path, known..until)?);
            let contents = gguf::read_head(&beginning, file.size as usize, Path::new(&file.path));
            let is_gguf = beginning.starts_with(b"GGUF");
            match contents {
                Ok(contents) => return Ok((beginning, contents)),
                Err(_) if is_gguf && until < file.size.min(HEAD_BYTES_MAX) => (),
                Err(source) => {
                    return Err(Error::Head { what: self.reference.repository(), source });
                }
            }
        }
    }
}
