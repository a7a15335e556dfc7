//! What is kept longer than memory holds it, and longer than this process lives: pages and copies
//! of slots, each in a file of its own.
//!
//! A file is named by a hash of what it is of and of what decides its bytes; it is written beside
//! its place and renamed when it is whole. Nothing in it is believed before its hash is checked: a
//! file that is cut off, foreign or damaged is deleted, and what it held is computed. Any file may
//! be deleted at any time. Whoever can write to the folder can put rows there, so it should be the
//! user's own.

use crate::chain::Key;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// The first bytes of a file; they change with what follows them.
const MAGIC: [u8; 8] = *b"BAIMOKV\x01";
/// Bytes before the rows: these, then the hash of the file's name and of the rows.
const HEAD_BYTES: usize = 8 + 32;
/// Ends the names of whole files.
const WHOLE: &str = "rows";
/// Ends the names of files that are being written.
const PART: &str = "part";
/// A file that is still a part after so long was left by a process that died.
const ABANDONED: Duration = Duration::from_secs(3600);
/// Bytes that may wait to be written.
const WAITING_BYTES_MAX: usize = 256 << 20;

/// What a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The rows of a page.
    Page,
    /// What was in a slot at the end of the page.
    Slot,
}

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "{folder}: cannot keep prefixes there: {source}\n\
     hint: name a folder that can be made and written to"
)]
pub struct Unusable {
    folder: PathBuf,
    source: io::Error,
}

/// A folder of such files, within a budget of bytes; what was used longest ago goes first.
#[derive(Debug)]
pub struct Spill {
    folder: PathBuf,
    model: String,
    bytes_max: u64,
    /// When each file was used last, and its length.
    files: HashMap<String, (u64, u64)>,
    by_use: BTreeMap<u64, String>,
    /// Of all files, those on their way among them.
    bytes: u64,
    /// Counts uses.
    now: u64,
    /// Bytes of files that are on their way.
    waiting: HashMap<String, usize>,
    /// `None` once the writer is to end.
    jobs: Option<Sender<Job>>,
    done: Receiver<Done>,
    writer: Option<JoinHandle<()>>,
}

/// A file to be written.
struct Job {
    path: PathBuf,
    name: String,
    bytes: Vec<u8>,
}

/// A file that was written, or could not be.
struct Done {
    name: String,
    written: bool,
}

impl Spill {
    /// The files in `folder`, which is made where it is not there. `model` stands for all that
    /// decides the bytes of rows beside tokens: weights, layout, version. Files of other models
    /// share the budget.
    ///
    /// # Errors
    /// Where the folder cannot be made or read.
    pub fn open(folder: &Path, model: String, bytes_max: u64) -> Result<Spill, Unusable> {
        let unusable = |source| Unusable { folder: folder.to_path_buf(), source };
        fs::create_dir_all(folder).map_err(unusable)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).map_err(unusable)?.flatten() {
            let (Ok(metadata), Ok(name)) = (entry.metadata(), entry.file_name().into_string())
            else {
                continue;
            };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let extension = Path::new(&name).extension();
            if extension.is_some_and(|extension| extension == WHOLE) {
                found.push((used, name, metadata.len()));
            } else if extension.is_some_and(|extension| extension == PART)
                && used.elapsed().is_ok_and(|age| age > ABANDONED)
            {
                // Whoever cannot delete it is no worse off than before.
                drop(fs::remove_file(entry.path()));
            }
        }
        found.sort();
        let (jobs, todo) = mpsc::channel();
        let (tell, done) = mpsc::channel();
        let mut spill = Spill {
            folder: folder.to_path_buf(),
            model,
            bytes_max,
            files: HashMap::new(),
            by_use: BTreeMap::new(),
            bytes: 0,
            now: 0,
            waiting: HashMap::new(),
            jobs: Some(jobs),
            done,
            writer: Some(std::thread::spawn(move || write_all(&todo, &tell))),
        };
        found.into_iter().for_each(|(_, name, length)| spill.list(name, length));
        spill.make_room(0);
        Ok(spill)
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there seems to be such a file, to be read.
    pub fn has(&self, kind: Kind, key: &Key) -> bool {
        let name = self.name(kind, key);
        self.files.contains_key(&name) && !self.waiting.contains_key(&name)
    }

    /// Whether there is such a file, or one is on its way.
    pub fn keeps(&self, kind: Kind, key: &Key) -> bool {
        self.files.contains_key(&self.name(kind, key))
    }

    /// Learns what was written since.
    pub fn look(&mut self) {
        while let Ok(done) = self.done.try_recv() {
            self.settle(&done);
        }
    }

    /// Whether so much waits to be written that more should not come yet.
    pub fn is_busy(&mut self) -> bool {
        self.look();
        self.waiting.values().sum::<usize>() >= WAITING_BYTES_MAX
    }

    /// Waits until nothing is on its way any more.
    pub fn wait(&mut self) {
        while !self.waiting.is_empty() {
            let Ok(done) = self.done.recv() else { return };
            self.settle(&done);
        }
    }

    fn settle(&mut self, done: &Done) {
        self.waiting.remove(&done.name);
        if !done.written {
            self.forget(&done.name);
        }
    }

    /// What was kept; a file that is not what it should be is deleted.
    pub fn read(&mut self, kind: Kind, key: &Key) -> Option<Arc<[u8]>> {
        if !self.has(kind, key) {
            return None;
        }
        let name = self.name(kind, key);
        let path = self.folder.join(&name);
        let bytes = fs::read(&path).ok().and_then(|bytes| rows(&name, &bytes));
        match &bytes {
            Some(_) => {
                self.list_again(&name);
                // So that the next start knows, too; where that fails it goes sooner.
                let touched = File::options().append(true).open(&path);
                drop(touched.and_then(|file| file.set_modified(SystemTime::now())));
            }
            None => self.delete(&name),
        }
        bytes
    }

    /// Keeps rows, at the cost of files that were used longer ago. They are on the disk some time
    /// after.
    pub fn keep(&mut self, kind: Kind, key: &Key, rows: &[u8]) {
        let name = self.name(kind, key);
        let length = (HEAD_BYTES + rows.len()) as u64;
        if self.files.contains_key(&name) || length > self.bytes_max {
            return;
        }
        self.make_room(length);
        let bytes = [&MAGIC[..], hash(&name, rows).as_bytes(), rows].concat();
        self.waiting.insert(name.clone(), bytes.len());
        self.list(name.clone(), length);
        let job = Job { path: self.folder.join(&name), name: name.clone(), bytes };
        if self.jobs.as_ref().is_none_or(|jobs| jobs.send(job).is_err()) {
            self.settle(&Done { name, written: false });
        }
    }

    fn name(&self, kind: Kind, key: &Key) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(key.bytes());
        hasher.update(match kind {
            Kind::Page => b"page",
            Kind::Slot => b"slot",
        });
        hasher.update(self.model.as_bytes());
        format!("{}.{WHOLE}", &hasher.finalize().to_hex()[..40])
    }

    fn list(&mut self, name: String, length: u64) {
        self.now += 1;
        self.bytes += length;
        self.by_use.insert(self.now, name.clone());
        self.files.insert(name, (self.now, length));
    }

    fn list_again(&mut self, name: &str) {
        if let Some(length) = self.forget(name) {
            self.list(name.to_owned(), length);
        }
    }

    fn forget(&mut self, name: &str) -> Option<u64> {
        let (used, length) = self.files.remove(name)?;
        self.by_use.remove(&used);
        self.bytes -= length;
        Some(length)
    }

    fn delete(&mut self, name: &str) {
        self.forget(name);
        // What cannot be deleted is found again by the next start.
        drop(fs::remove_file(self.folder.join(name)));
    }

    /// Deletes what was used longest ago until so many bytes more are within the budget. Files on
    /// their way stay.
    fn make_room(&mut self, bytes: u64) {
        while self.bytes + bytes > self.bytes_max {
            let mut oldest = self.by_use.values();
            let Some(name) = oldest.find(|name| !self.waiting.contains_key(*name)).cloned() else {
                return;
            };
            self.delete(&name);
        }
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // It only writes files; if it panicked they are not whole and will not be believed.
            drop(writer.join());
        }
    }
}

/// Writes what comes until nothing more can.
fn write_all(todo: &Receiver<Job>, tell: &Sender<Done>) {
    for Job { path, name, bytes } in todo {
        let part = path.with_extension(format!("{}.{PART}", std::process::id()));
        let written = fs::write(&part, &bytes).and_then(|()| fs::rename(&part, &path)).is_ok();
        if !written {
            drop(fs::remove_file(&part));
        }
        if tell.send(Done { name, written }).is_err() {
            // Nobody asks any more, but what was to be kept still is.
            continue;
        }
    }
}

fn hash(name: &str, rows: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(name.as_bytes());
    hasher.update(rows);
    hasher.finalize()
}

/// The rows in the file of that name, where it is sound.
fn rows(name: &str, bytes: &[u8]) -> Option<Arc<[u8]>> {
    let (magic, rest) = bytes.split_at_checked(MAGIC.len())?;
    let (told, rows) = rest.split_at_checked(HEAD_BYTES - MAGIC.len())?;
    (magic == MAGIC && hash(name, rows).as_bytes() == told).then(|| rows.into())
}

#[cfg(test)]
mod tests;
