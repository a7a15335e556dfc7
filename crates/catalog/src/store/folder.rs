//! The folder of one repository in a hub's cache, laid out as `huggingface_hub` does it:
//! `blobs/HASH`, `snapshots/COMMIT/PATH` that link to them, `refs/BRANCH` with a commit in each.
//! ModelScope's library keeps plain files in `snapshots/REVISION`; links there serve it as well.

use super::hash::Hash;
use super::listing::RemoteFile;
use super::{Error, Hub, Settings};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// How folders of models begin in Hugging Face's cache.
const MODELS: &str = "models--";
/// The lock of a whole repository, which those who fetch share.
const PULLING: &str = "baimo-pull.lock";
/// What tells programs that make copies of disks to leave the cache out: the standard of
/// <https://bford.info/cachedir/>.
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
# Models that can be fetched again. See https://bford.info/cachedir/\n";

/// The folder of a repository; it need not be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) hub: Hub,
    pub(super) repo: String,
    pub(super) root: PathBuf,
    locks: PathBuf,
}

/// What holds a lock until it is dropped.
pub(super) struct Lock {
    _file: Option<File>,
}

impl Folder {
    /// The folder of a repository.
    pub(super) fn new(settings: &Settings, hub: Hub, repo: &str) -> Folder {
        let cache = settings.cache(hub);
        let joined = repo.replace('/', "--");
        let name = match hub {
            Hub::HuggingFace => format!("{MODELS}{joined}"),
            Hub::ModelScope => joined,
        };
        let (root, locks) = (cache.join(&name), cache.join(".locks").join(&name));
        Folder { hub, repo: repo.to_owned(), root, locks }
    }

    /// The folders of all models that a hub's cache has, by name.
    pub(super) fn all(settings: &Settings, hub: Hub) -> Vec<Folder> {
        let names = fs::read_dir(settings.cache(hub)).into_iter().flatten().flatten();
        let repo = |name: String| {
            let name = match hub {
                Hub::HuggingFace => name.strip_prefix(MODELS)?.to_owned(),
                Hub::ModelScope => Some(name).filter(|name| name.contains("--"))?,
            };
            Some(name.replacen("--", "/", 1))
        };
        let mut repos: Vec<String> =
            names.filter_map(|entry| repo(entry.file_name().into_string().ok()?)).collect();
        repos.sort();
        let folders = repos.iter().map(|repo| Folder::new(settings, hub, repo));
        folders.filter(|folder| folder.snapshots().is_dir() || folder.blobs().is_dir()).collect()
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub(super) fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    pub(super) fn refs(&self) -> PathBuf {
        self.root.join("refs")
    }

    pub(super) fn locks(&self) -> &Path {
        &self.locks
    }

    /// Where a file's bytes lie.
    pub(super) fn blob(&self, hash: &Hash) -> PathBuf {
        self.blobs().join(hash.digits())
    }

    /// Where a snapshot of a commit lies.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.snapshots().join(commit)
    }

    /// The branches and tags that were fetched.
    pub(super) fn branches(&self) -> Vec<String> {
        files_below(&self.refs()).into_iter().filter(|name| !is_fresh(name)).collect()
    }

    /// The commit that a revision stood for when it was last fetched.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        if matches!(Hash::read(revision), Some(Hash::GitBlob(_))) || self.hub == Hub::ModelScope {
            return Some(revision.to_owned());
        }
        let commit = fs::read_to_string(self.refs().join(revision)).ok()?;
        let commit = commit.trim();
        matches!(Hash::read(commit), Some(Hash::GitBlob(_))).then(|| commit.to_owned())
    }

    /// Notes which commit a revision stands for.
    pub(super) fn set_commit(&self, revision: &str, commit: &str) -> Result<(), Error> {
        if self.hub == Hub::ModelScope || revision == commit {
            return Ok(());
        }
        let path = self.refs().join(revision);
        let is_known = fs::read_to_string(&path).is_ok_and(|known| known == commit);
        if is_known {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(Error::io(folder, "make the folder"))?;
        let fresh = unique(&path);
        fs::write(&fresh, commit)
            .and_then(|()| fs::rename(&fresh, &path))
            .map_err(Error::io(&path, "write"))
    }

    /// Makes the folders that fetching needs.
    pub(super) fn create(&self, settings: &Settings) -> Result<(), Error> {
        for folder in [self.blobs(), self.snapshots(), self.locks.clone()] {
            fs::create_dir_all(&folder).map_err(Error::io(&folder, "make the folder"))?;
        }
        let tag = settings.cache(self.hub).join("CACHEDIR.TAG");
        if self.hub == Hub::HuggingFace && !tag.exists() {
            // Nothing depends on it.
            let _written = fs::write(&tag, TAG);
        }
        Ok(())
    }

    /// Whether a snapshot has the file with these bytes. A plain file, as other programs may put
    /// there, is read and compared.
    pub(super) fn has(&self, commit: &str, file: &RemoteFile, hash: &Hash) -> bool {
        let path = self.snapshot(commit).join(&file.path);
        let Ok(metadata) = fs::metadata(&path) else { return false };
        if !metadata.is_file() || metadata.len() != file.size {
            return false;
        }
        match fs::read_link(&path) {
            Ok(target) => target.file_name().is_some_and(|name| name == hash.digits()),
            Err(_) => hash.of_file(&path, &|_| ()).is_ok_and(|found| found == *hash),
        }
    }

    /// Puts a blob into a snapshot under its path.
    pub(super) fn point(&self, commit: &str, path: &str, hash: &Hash) -> Result<(), Error> {
        let pointer = self.snapshot(commit).join(path);
        let failed = |source| Error::io(&pointer, "link")(source);
        let folder = pointer.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(Error::io(folder, "make the folder"))?;
        // From the pointer's folder up to the root, which the names below tell.
        let depth = path.split('/').count() + 1;
        let target = Path::new(&"../".repeat(depth)).join("blobs").join(hash.digits());
        if fs::read_link(&pointer).is_ok_and(|known| known == target) {
            return Ok(());
        }
        let fresh = unique(&pointer);
        match link(&target, &fresh) {
            Ok(()) => fs::rename(&fresh, &pointer).map_err(failed),
            // A file system without links: the file itself lies in the snapshot, as with
            // huggingface_hub.
            Err(_) => fs::rename(self.blob(hash), &pointer).map_err(failed),
        }
    }

    /// Waits for the lock of a blob, which `huggingface_hub` respects too; `waiting` is called
    /// once where it is another's.
    pub(super) fn lock(&self, hash: &Hash, waiting: &dyn Fn()) -> Result<Lock, Error> {
        let path = self.locks.join(format!("{}.lock", hash.digits()));
        let failed = |source| Error::io(&path, "lock")(source);
        let file = lock_file(&path).map_err(failed)?;
        let held = match file.try_lock() {
            Ok(()) => Ok(()),
            Err(fs::TryLockError::WouldBlock) => {
                waiting();
                file.lock()
            }
            Err(fs::TryLockError::Error(error)) => Err(error),
        };
        match held {
            Ok(()) => Ok(Lock { _file: Some(file) }),
            // Some network file systems have no locks. Bytes are the same whoever writes them, and
            // are checked before they get their name.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(Lock { _file: None }),
            Err(error) => Err(failed(error)),
        }
    }

    /// Says that the repository is being fetched, as others may do at the same time; `None` where
    /// the file system has no locks.
    pub(super) fn together(&self) -> Result<Option<File>, Error> {
        let path = self.locks.join(PULLING);
        let failed = |source| Error::io(&path, "lock")(source);
        let file = lock_file(&path).map_err(failed)?;
        match file.lock_shared() {
            Ok(()) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Keeps everybody from fetching the repository; `None` where somebody is at it.
    pub(super) fn alone(&self) -> Option<File> {
        fs::create_dir_all(&self.locks).ok()?;
        let file = lock_file(&self.locks.join(PULLING)).ok()?;
        let is_held = matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock));
        (!is_held).then_some(file)
    }

    /// Whether somebody holds the lock of the blob of this name.
    pub(super) fn is_locked(&self, digits: &str) -> bool {
        let file = File::open(self.locks.join(format!("{digits}.lock")));
        file.is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
    }
}

fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

/// What names of [`unique`] end in.
pub(super) const FRESH_SUFFIX: &str = ".tmp";

/// Whether a path is one of [`unique`]'s, which nobody but its maker needs.
pub(super) fn is_fresh(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.starts_with('.') && name.ends_with(FRESH_SUFFIX)
}

/// A name beside `path` that nobody else uses, in this process or another.
fn unique(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    path.with_file_name(format!(".{name}.{process}.{count}{FRESH_SUFFIX}"))
}

#[cfg(unix)]
fn link(target: &Path, path: &Path) -> io::Result<()> {
    let _earlier = fs::remove_file(path);
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn link(target: &Path, path: &Path) -> io::Result<()> {
    let _earlier = fs::remove_file(path);
    std::os::windows::fs::symlink_file(target, path)
}

/// All files below a folder, as paths with `/`, in order.
pub(super) fn files_below(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, before: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = format!("{before}{name}");
            match fs::metadata(entry.path()) {
                Ok(metadata) if metadata.is_dir() => {
                    walk(&entry.path(), &format!("{path}/"), found);
                }
                Ok(_) => found.push(path),
                // A link to nothing is no file.
                Err(_) => (),
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, "", &mut found);
    found.sort();
    found
}
