//! Which files of packed weights there are, and room for one more.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Origin, Store, read};
use crate::error::{Error, Report};
use crate::os;

/// The limit where nobody set one and the system does not tell how full the disk is.
const LIMIT_BLIND: u64 = 64 << 30;

/// A file of packed weights in a [`Store`]'s folder.
#[derive(Clone, Debug)]
pub struct KeptFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What it was made of, as far as it tells.
    pub origin: Origin,
    /// Its length.
    pub bytes: u64,
    /// When it was written or a start last opened it.
    pub used: SystemTime,
    /// Whether a model runs on it now; also where the file system does not tell.
    pub in_use: bool,
}

impl Store {
    /// All files of packed weights, the last used first.
    pub fn files(&self) -> Vec<KeptFile> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        let packed = paths.filter(|path| path.extension().is_some_and(|end| end == "packed"));
        let mut files: Vec<KeptFile> = packed.filter_map(|path| kept_file(&path)).collect();
        files.sort_by(|one, other| (other.used, &other.path).cmp(&(one.used, &one.path)));
        files
    }

    /// Deletes a file that is not in use: whether it is gone.
    pub fn remove(&self, file: &KeptFile) -> bool {
        // Locked while it goes, so that of two that look for room one removes it.
        unused(&file.path).is_some_and(|_locked| std::fs::remove_file(&file.path).is_ok())
    }

    /// Bytes that all files may have together. Where nobody set a limit, half of what the disk
    /// would have free without them: it holds for small disks and large models alike, and what is
    /// kept takes no more than what it leaves.
    pub fn limit(&self) -> u64 {
        let half = |free: u64| free.saturating_add(self.bytes().unwrap_or(0) as u64) / 2;
        self.limit.unwrap_or_else(|| os::free_bytes(&self.folder).map_or(LIMIT_BLIND, half))
    }

    /// Removes files not in use, those unused for longest first, until `bytes` more fit the limit
    /// and the disk; none where that cannot be reached. Of two that write at once, each makes room
    /// for its own: what is over the limit then goes when the next is written.
    pub(super) fn make_room(&self, bytes: u64) -> Result<(), Error> {
        let files: Vec<KeptFile> = self.files().into_iter().filter(|file| !file.in_use).collect();
        let spare: u64 = files.iter().map(|file| file.bytes).sum();
        let (all, limit) = (self.bytes().unwrap_or(0) as u64, self.limit());
        let stays = all.saturating_sub(spare);
        if stays.saturating_add(bytes) > limit {
            let found = format!("{stays} bytes in use and {bytes} wanted");
            let whose = match self.limit {
                Some(_) => "--cache-limit or BAIMO_CACHE_LIMIT",
                None => "half of the free disk, where --cache-limit says nothing else",
            };
            let wanted = format!("{limit} bytes at most: {whose}");
            return Err(Report::new(&self.folder, "packed weights", found, wanted).mismatch());
        }
        let free = os::free_bytes(&self.folder).unwrap_or(u64::MAX);
        if free.saturating_add(spare) < bytes {
            let wanted = format!("{bytes} for the packed weights");
            let found = format!("{free} bytes");
            return Err(Report::new(&self.folder, "free on the disk", found, wanted).mismatch());
        }
        let mut gone = 0;
        let fits = |gone: u64| {
            let left = all.saturating_sub(gone).saturating_add(bytes);
            left <= limit && free.saturating_add(gone) >= bytes
        };
        for file in files.iter().rev() {
            if fits(gone) {
                break;
            }
            // One that a start has opened since stays, and a younger one goes.
            gone += if self.remove(file) { file.bytes } else { 0 };
        }
        Ok(())
    }
}

fn kept_file(path: &Path) -> Option<KeptFile> {
    let metadata = std::fs::metadata(path).ok().filter(|metadata| metadata.is_file())?;
    Some(KeptFile {
        path: path.to_path_buf(),
        origin: read::head_of(path).map_or_else(Origin::default, |head| head.origin),
        bytes: metadata.len(),
        used: metadata.modified().unwrap_or(UNIX_EPOCH),
        in_use: unused(path).is_none(),
    })
}

/// The file, locked for its removal; `None` where it is in use.
fn unused(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    file.try_lock().ok().map(|()| file)
}
