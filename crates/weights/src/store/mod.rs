//! Packed weights kept between starts: what a load makes of a checkpoint, in a file that the next
//! start maps instead of making it again.
//!
//! A file is found by a [`Key`]: a hash of all that decides its bytes. It is written beside its
//! place and renamed when it is whole and on the disk, so that nobody ever sees half of one; of two
//! programs that write the same, the last one's stays. It may be deleted at any time. Nothing in it
//! is trusted but the numbers themselves: a file that is cut off, foreign or damaged in its table
//! is as good as none. Its name is `<key>.packed`; `<key>.<process>.part` is one being written.
//!
//! All files together stay within a limit: those that no start opened for longest make room for a
//! new one. A file in use has a shared lock, and none is removed that has one, as that would free
//! nothing; were one removed all the same, its mapped bytes outlive its name.
//!
//! To hash a checkpoint is to read all of it, so its hash is remembered, in `known`, beside its
//! path, length, time of change and number in its file system. What that trusts: whoever changes a
//! file leaves a trace in one of them.

mod content;
mod read;
mod room;
mod write;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::error::Error;

pub use read::{PackedFile, PackedReader, Pages};
pub use room::KeptFile;
pub use write::{Keeping, PackedWriter};

/// The first bytes of a file.
const MAGIC: [u8; 8] = *b"BAIMOPK\n";
/// Bytes before the first weight: magic, then [`Head`] in JSON, then zeros.
const HEAD_BYTES: usize = 4096;
/// Weights begin on multiples of so many bytes: pages, which come and go alone.
pub const ALIGNMENT: usize = 4096;
/// Changes when head or table, a fold, a conversion or the order of loading changes. (How a matrix
/// is packed has a version of its own.)
const VERSION: u32 = 1;

/// A folder of packed weights.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
    /// Bytes that its files may have, where somebody said so.
    limit: Option<u64>,
}

/// What a file of packed weights was made of, for people to read.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// Where the checkpoint lay.
    pub model: String,
    /// What weights became.
    pub weights: String,
}

/// So many characters of an origin fit into a head, however they are written in JSON.
const ORIGIN_CHARACTERS_MAX: usize = 250;

impl Origin {
    /// With the ends of what is longer than a head has room for.
    fn shortened(&self) -> Origin {
        let end = |text: &str| {
            let count = text.chars().count();
            text.chars().skip(count.saturating_sub(ORIGIN_CHARACTERS_MAX)).collect()
        };
        Origin { model: end(&self.model), weights: end(&self.weights) }
    }
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
    #[serde(default)]
    origin: Origin,
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
        Store { folder, limit: None }
    }

    /// With so many bytes as the most that its files may have together.
    pub fn limited(self, limit: Option<u64>) -> Store {
        Store { limit, ..self }
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

    /// Opens the file of that key, which counts as used from then on; `None` where there is none or
    /// it is not sound.
    pub fn open(&self, key: &Key) -> Option<PackedFile> {
        let file = PackedFile::open(&self.path(key), key).ok()?;
        // Times of reading are not kept everywhere. Whoever may not change the file may use it.
        let _refused = File::open(file.path()).and_then(|f| f.set_modified(SystemTime::now()));
        Some(file)
    }

    /// Begins the file of that key, which will have about `bytes`. Files that no version but an
    /// older one made are deleted, what writers that died left, and, where the limit or the disk
    /// asks for it, those that were not used for longest.
    ///
    /// # Errors
    /// If the folder cannot be made or written to, or has no room for so many bytes.
    pub fn begin(&self, key: &Key, origin: &Origin, bytes: usize) -> Result<PackedWriter, Error> {
        std::fs::create_dir_all(&self.folder).map_err(|source| Error::Io {
            file: self.folder.clone(),
            action: "make",
            source,
        })?;
        write::tidy(&self.folder);
        self.make_room(bytes as u64)?;
        PackedWriter::create(&self.path(key), key, origin)
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
