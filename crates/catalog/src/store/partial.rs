//! A file that is on its way: its bytes so far, and beside them a record of which those are.
//!
//! The record never claims what the disk does not have: bytes are synced first, then the record is
//! written beside the old one, synced, and put in its place. What came since is fetched again.

use super::fetch::held;
use super::ranges::Ranges;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How such files end; `huggingface_hub` knows and counts them by this name.
pub(super) const SUFFIX: &str = ".incomplete";
/// How their records end.
pub(super) const RECORD_SUFFIX: &str = ".incomplete-ranges";

/// A file on its way, which several threads fill at once.
pub(super) struct Partial {
    data: PathBuf,
    record: PathBuf,
    size: u64,
    file: File,
    done: Mutex<Ranges>,
    /// When the record was last written.
    recorded: Mutex<Instant>,
}

#[derive(Deserialize, Serialize)]
struct Record {
    size: u64,
    done: Vec<[u64; 2]>,
}

impl Partial {
    /// The partial file that is to become `whole`: what is there of it, or a new one.
    pub(super) fn open(whole: &Path, size: u64) -> io::Result<Partial> {
        let (data, record) = paths(whole);
        let done = known(&data, &record, size).unwrap_or_default();
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&data)?;
        file.set_len(size)?;
        let (done, recorded) = (Mutex::new(done), Mutex::new(Instant::now()));
        Ok(Partial { data, record, size, file, done, recorded })
    }

    /// Where the bytes are.
    pub(super) fn path(&self) -> &Path {
        &self.data
    }

    /// Bytes that are there.
    pub(super) fn count(&self) -> u64 {
        self.done().count()
    }

    /// What is missing, in pieces.
    pub(super) fn missing(&self, piece_max: u64) -> Vec<Range<u64>> {
        self.done().missing(self.size, piece_max)
    }

    /// Another handle, with a place of its own in the file.
    pub(super) fn writer(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(&self.data)
    }

    /// Says that these bytes have been written; records it where `every` has passed.
    pub(super) fn written(&self, range: Range<u64>, every: Duration) -> io::Result<()> {
        self.done().add(range);
        // Whoever finds another at it goes on.
        let Ok(mut recorded) = self.recorded.try_lock() else { return Ok(()) };
        if recorded.elapsed() < every {
            return Ok(());
        }
        let kept = self.keep();
        *recorded = Instant::now();
        kept
    }

    /// Makes what is there outlast a crash.
    pub(super) fn keep(&self) -> io::Result<()> {
        let done = self.done().pairs();
        self.file.sync_data()?;
        // One name is enough: whoever writes holds the lock, and what is damaged is not believed.
        let fresh = fresh(&self.record);
        let written = File::create(&fresh).and_then(|mut file| {
            file.write_all(&serde_json::to_vec(&Record { size: self.size, done })?)?;
            file.sync_data()?;
            std::fs::rename(&fresh, &self.record)
        });
        if written.is_err() {
            let _gone = std::fs::remove_file(&fresh);
        }
        written
    }

    /// Forgets that anything is there, after a host that gives only whole files broke off.
    pub(super) fn restart(&self) {
        *self.done() = Ranges::default();
    }

    /// Removes it, with its record.
    pub(super) fn discard(&self) {
        discard(&self.data, &self.record);
    }

    /// Puts the whole file in its place: readers find all of it or nothing.
    pub(super) fn finish(self, whole: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        match std::fs::rename(&self.data, whole) {
            Ok(()) => (),
            // Where locks do not hold, another process with the same bytes may have been first.
            Err(_) if is_of_size(whole, self.size) => (),
            Err(error) => return Err(error),
        }
        sync_folder(whole);
        let _gone = (std::fs::remove_file(&self.record), std::fs::remove_file(fresh(&self.record)));
        Ok(())
    }

    fn done(&self) -> std::sync::MutexGuard<'_, Ranges> {
        held(&self.done)
    }
}

/// Bytes of `whole` that an earlier attempt left.
pub(super) fn bytes_there(whole: &Path, size: u64) -> u64 {
    let (data, record) = paths(whole);
    known(&data, &record, size).map_or(0, |done| done.count())
}

fn paths(whole: &Path) -> (PathBuf, PathBuf) {
    let name = whole.file_name().unwrap_or_default().to_string_lossy();
    let beside = |suffix| whole.with_file_name(format!("{name}.baimo{suffix}"));
    (beside(SUFFIX), beside(RECORD_SUFFIX))
}

/// A record that is being written.
fn fresh(record: &Path) -> PathBuf {
    record.with_extension("incomplete-ranges.tmp")
}

/// What a record says, if it is one of these bytes.
fn known(data: &Path, record: &Path, size: u64) -> Option<Ranges> {
    let Record { size: recorded, done } =
        serde_json::from_slice(&std::fs::read(record).ok()?).ok()?;
    (recorded == size && is_of_size(data, size)).then(|| Ranges::from_pairs(&done, size))?
}

fn is_of_size(path: &Path, size: u64) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == size)
}

fn discard(data: &Path, record: &Path) {
    // The record first: alone it would vouch for bytes of another file.
    let _gone = (std::fs::remove_file(record), std::fs::remove_file(data));
}

/// Makes a new name in a folder outlast a crash, where the system can do that.
fn sync_folder(of: &Path) {
    if let Some(folder) = of.parent().and_then(|folder| File::open(folder).ok()) {
        let _done = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, SeekFrom};

    fn write(partial: &Partial, at: u64, bytes: &[u8]) {
        let mut writer = partial.writer().unwrap();
        writer.seek(SeekFrom::Start(at)).unwrap();
        writer.write_all(bytes).unwrap();
        partial.written(at..at + bytes.len() as u64, Duration::ZERO).unwrap();
    }

    #[test]
    fn what_is_recorded_is_found_again_and_the_rest_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let whole = folder.path().join("blob");
        let partial = Partial::open(&whole, 10).unwrap();
        write(&partial, 4, b"efg");
        drop(partial);
        assert_eq!(bytes_there(&whole, 10), 3);
        assert_eq!(bytes_there(&whole, 11), 0, "another file");
        let partial = Partial::open(&whole, 10).unwrap();
        assert_eq!(partial.missing(3), [0..3, 3..4, 7..10]);
        write(&partial, 0, b"abcd");
        write(&partial, 7, b"hij");
        partial.finish(&whole).unwrap();
        assert_eq!(std::fs::read(&whole).unwrap(), b"abcdefghij");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_record_without_its_bytes_or_that_is_damaged_counts_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let whole = folder.path().join("blob");
        let partial = Partial::open(&whole, 10).unwrap();
        write(&partial, 0, b"abc");
        let (data, record) = (partial.data.clone(), partial.record.clone());
        std::fs::write(&record, b"{\"size\":10,\"done\":[[3,1]]}").unwrap();
        assert_eq!(bytes_there(&whole, 10), 0);
        partial.keep().unwrap();
        assert_eq!(bytes_there(&whole, 10), 3);
        std::fs::remove_file(&data).unwrap();
        assert_eq!(bytes_there(&whole, 10), 0);
    }
}
