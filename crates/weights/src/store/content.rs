//! Which bytes a checkpoint's file has, told by a hash that is remembered.

use std::fs::Metadata;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::os::MappedFile;

/// Bytes that one thread hashes at a time.
const PIECE_BYTES: usize = 16 << 20;

/// A file changed so shortly before it was hashed may change again within the same tick of the file
/// system's clock: its hash is not remembered.
const SETTLED: Duration = Duration::from_secs(2);

/// A hash with what tells that a file is still the one it is of.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Known {
    path: String,
    length: u64,
    /// Nanoseconds since 1970.
    modified: u64,
    /// Its device and its number there; zeros where the system has none.
    place: [u64; 2],
    hash: String,
}

/// The hash of all bytes of `file`. Remembered in the folder `known`; where that cannot be written,
/// the next start hashes again.
pub(super) fn hash(file: &MappedFile, known: &Path) -> Result<String, Error> {
    let failed = |source| Error::Io { file: file.path().to_path_buf(), action: "look at", source };
    let path = std::fs::canonicalize(file.path()).map_err(failed)?;
    let metadata = std::fs::metadata(&path).map_err(failed)?;
    let path = path.to_string_lossy().into_owned();
    let record = known.join(format!("{}.json", &blake3::hash(path.as_bytes()).to_hex()[..32]));
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
    let of_hash = |hash| Known {
        path: path.clone(),
        length: metadata.len(),
        modified: modified.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64),
        place: place(&metadata),
        hash,
    };
    let earlier = std::fs::read(&record).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(Known { hash, .. }) = &earlier
        && earlier.as_ref() == Some(&of_hash(hash.clone()))
    {
        return Ok(hash.clone());
    }
    let hash = of_bytes(file.bytes());
    file.release(0..file.bytes().len());
    let age = SystemTime::now().duration_since(modified);
    if age.is_ok_and(|age| age >= SETTLED) && std::fs::create_dir_all(known).is_ok() {
        // Written beside and renamed: another start never reads half of it.
        let fresh = record.with_extension(std::process::id().to_string());
        let bytes = serde_json::to_vec(&of_hash(hash.clone())).expect("plain data");
        let kept = std::fs::write(&fresh, bytes).and_then(|()| std::fs::rename(&fresh, &record));
        if kept.is_err() {
            let _gone = std::fs::remove_file(&fresh);
        }
    }
    Ok(hash)
}

#[cfg(unix)]
fn place(metadata: &Metadata) -> [u64; 2] {
    use std::os::unix::fs::MetadataExt;
    [metadata.dev(), metadata.ino()]
}

#[cfg(not(unix))]
fn place(_: &Metadata) -> [u64; 2] {
    [0, 0]
}

/// The hash of the hashes of all pieces, which threads share.
fn of_bytes(bytes: &[u8]) -> String {
    let pieces: Vec<&[u8]> = bytes.chunks(PIECE_BYTES).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(pieces.len());
    let next = AtomicUsize::new(0);
    let work = || {
        let numbers = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let mine = numbers.map_while(|number| Some((number, pieces.get(number)?)));
        mine.map(|(number, piece)| (number, blake3::hash(piece))).collect::<Vec<_>>()
    };
    let mut hashes = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut hashes = work();
        for other in others {
            hashes.extend(other.join().expect("hashing does not panic"));
        }
        hashes
    });
    hashes.sort_by_key(|(number, _)| *number);
    let mut hasher = blake3::Hasher::new();
    for (_, hash) in &hashes {
        hasher.update(hash.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_time(path: &Path, time: SystemTime) {
        std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn a_hash_is_remembered_until_the_file_shows_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let (path, known) = (folder.path().join("w"), folder.path().join("known"));
        let hash = || hash(&MappedFile::open(&path).unwrap(), &known).unwrap();
        std::fs::write(&path, "one").unwrap();
        let fresh = hash();
        assert!(!known.exists(), "a file changed just now may change again");
        let past = SystemTime::now() - 2 * SETTLED;
        set_time(&path, past);
        assert_eq!(hash(), fresh);
        assert_eq!(std::fs::read_dir(&known).unwrap().count(), 1);
        // What the memory trusts: other bytes of the same length, time and place go unseen.
        std::fs::write(&path, "two").unwrap();
        set_time(&path, past);
        assert_eq!(hash(), fresh);
        set_time(&path, past - SETTLED);
        assert_ne!(hash(), fresh);
    }

    #[test]
    fn a_hash_depends_on_every_piece_and_their_order() {
        let mut bytes = vec![1; 2 * PIECE_BYTES + 5];
        let first = of_bytes(&bytes);
        bytes[2 * PIECE_BYTES + 4] = 2;
        let last = of_bytes(&bytes);
        bytes[2 * PIECE_BYTES + 4] = 1;
        bytes[0] = 2;
        let other = of_bytes(&bytes);
        bytes[0] = 1;
        bytes[PIECE_BYTES] = 2;
        assert!(first != last && last != other && other != of_bytes(&bytes));
        assert_ne!(of_bytes(&[]), first);
    }
}
