//! Packed weights kept between starts: what a load makes of a checkpoint, in a file that the next
//! start maps instead of making it again.
//!
//! A file is found by a [`Key`]: a hash of all that decides its bytes. It is written beside its
//! place and renamed when it is whole and on the disk, so that nobody ever sees half of one; of two
//! programs that write the same, the last one's stays. It may be deleted at any time. Nothing in it
//! is trusted but the numbers themselves: a file that is cut off, foreign or damaged in its table
//! is as good as none. Its name is `<key>.packed`; `<key>.<process>.part` is one being written.
//!
//! To hash a checkpoint is to read all of it, so its hash is remembered, in `known`, beside its
//! path, length, time of change and number in its file system. What that trusts: whoever changes a
//! file leaves a trace in one of them.

mod content;
mod read;
mod write;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Report};
use crate::os;

pub use read::{PackedFile, PackedReader, Pages};
pub use write::{Keeping, PackedWriter};

/// The first bytes of a file.
const MAGIC: [u8; 8] = *b"BAIMOPK\n";
/// Bytes before the first weight: magic, then [`Head`] in JSON, then zeros.
const HEAD_BYTES: usize = 4096;
/// Weights begin on multiples of so many bytes: pages, which come and go alone.
pub(crate) const ALIGNMENT: usize = 4096;
/// Changes when head or table, a fold, a conversion or the order of loading changes. (How a matrix
/// is packed has a version of its own.)
const VERSION: u32 = 1;

/// A folder of packed weights.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// What decides the bytes of a packed file: the checkpoint's, what is made of them, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the file says of itself.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Head {
    version: u32,
    layout: u32,
    key: String,
    /// Where the table begins, behind the last weight; it ends with the file.
    table: usize,
    /// Bytes of the table.
    table_bytes: usize,
    /// Of the table's bytes.
    table_hash: String,
}

/// A tensor of the file.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Entry {
    pub name: String,
    /// The format of packed tiles; `None` for floats in a row.
    pub format: Option<String>,
    pub rows: usize,
    pub columns: usize,
    /// Where its bytes begin.
    pub at: usize,
    pub bytes: usize,
    pub scales: Option<Scales>,
}

/// FP8's outer scales: floats in a row.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Scales {
    pub rows_per_block: usize,
    pub columns_per_block: usize,
    pub at: usize,
    pub bytes: usize,
}

impl Store {
    /// The packed weights in `folder`, which need not be there yet.
    pub fn new(folder: PathBuf) -> Store {
        Store { folder }
    }

    /// The key of what `recipe` makes of a checkpoint. Reads all of a checkpoint that it does not
    /// know.
    ///
    /// # Errors
    /// If a file of the checkpoint is gone.
    pub fn key(&self, checkpoint: &Checkpoint, recipe: &str) -> Result<Key, Error> {
        let layout = baimo_kernels::matmul::LAYOUT_VERSION;
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{VERSION} {layout} {}\n", env!("CARGO_PKG_VERSION")).as_bytes());
        for file in checkpoint.files() {
            let hash = content::hash(file, &self.folder.join("known"))?;
            hasher.update(format!("{hash}\n").as_bytes());
        }
        hasher.update(recipe.as_bytes());
        Ok(Key(hasher.finalize().to_hex()[..32].to_owned()))
    }

    /// Opens the file of that key; `None` where there is none or it is not sound.
    pub fn open(&self, key: &Key) -> Option<PackedFile> {
        PackedFile::open(&self.path(key), key).ok()
    }

    /// Begins the file of that key, which will have about `bytes`. Files that no version but an
    /// older one made are deleted, and what writers that died left.
    ///
    /// # Errors
    /// If the folder cannot be made or written to, or less than as much again would stay free on
    /// the disk: a cache should not take the last of it.
    pub fn begin(&self, key: &Key, bytes: usize) -> Result<PackedWriter, Error> {
        std::fs::create_dir_all(&self.folder).map_err(|source| Error::Io {
            file: self.folder.clone(),
            action: "make",
            source,
        })?;
        write::tidy(&self.folder);
        let wanted = (bytes as u64).saturating_mul(2);
        if let Some(free) = os::free_bytes(&self.folder).filter(|free| *free < wanted) {
            let found = format!("{free} bytes");
            let wanted = format!("{wanted}: the packed weights and as much to spare");
            let report = Report::new(&self.folder, "free on the disk", found, wanted);
            return Err(report.hint("delete files there that you do not need").mismatch());
        }
        PackedWriter::create(&self.path(key), key)
    }

    /// Where the file of that key lies, if it was written.
    pub fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{}.packed", key.0))
    }

    /// Bytes of all files in the folder, whoever's; `None` where there is no folder.
    pub fn bytes(&self) -> Option<usize> {
        let entries = std::fs::read_dir(&self.folder).ok()?.flatten();
        let files = entries.filter_map(|entry| entry.metadata().ok()).filter(|file| file.is_file());
        Some(files.map(|file| file.len() as usize).sum())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
