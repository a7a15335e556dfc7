//! What is kept here: finding it, listing it, removing it.

use super::choice;
use super::folder::{FRESH_SUFFIX, Folder, files_below, is_fresh};
use super::partial::{RECORD_SUFFIX, SUFFIX};
use super::pull::opened;
use super::{Error, Hub, Reference, Store};
use std::collections::{BTreeSet, HashSet};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

/// A repository of which something is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The repository, whole.
    pub reference: Reference,
    /// What of it can be run: the repository, or its GGUF files. Empty where it is incomplete.
    pub models: Vec<Reference>,
    /// Branches and commits that are here.
    pub revisions: Vec<String>,
    /// Bytes on the disk, without those below.
    pub bytes: u64,
    /// Bytes of downloads that have not ended.
    pub partial_bytes: u64,
    /// Where it lies.
    pub path: PathBuf,
}

/// Something that nobody needs, or that somebody wants to be rid of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unused {
    /// The file or folder.
    pub path: PathBuf,
    /// What it is.
    pub what: String,
    /// Bytes that its removal frees.
    pub bytes: u64,
}

/// What is to be removed.
#[derive(Debug, Default)]
pub struct Removal {
    /// All of it.
    pub items: Vec<Unused>,
    /// Repositories of which nothing is taken, because they are being fetched right now.
    pub busy: Vec<String>,
    /// Held until it is done, so that nobody begins to fetch what is being removed.
    _locks: Vec<fs::File>,
}

impl Store {
    /// Where a model lies here, if all of it does. Nobody is asked.
    pub fn find(&self, reference: &Reference) -> Option<PathBuf> {
        let folder = Folder::new(self.settings(), reference.hub, &reference.repo);
        let commit = folder.commit(reference.revision())?;
        let snapshot = folder.snapshot(&commit);
        find_in(&snapshot, &files_below(&snapshot), reference)
    }

    /// All repositories of which something is here, by hub and name.
    pub fn kept(&self) -> Vec<Kept> {
        let hubs = [Hub::HuggingFace, Hub::ModelScope].into_iter();
        let folders = hubs.flat_map(|hub| Folder::all(self.settings(), hub));
        folders.map(|folder| kept(&folder)).collect()
    }

    /// What is to be removed so that a model, or a part or revision of it, is not here any more.
    ///
    /// # Errors
    /// Where nothing of it is here, or it is being fetched right now.
    pub fn removal(&self, reference: &Reference) -> Result<Removal, Error> {
        let folder = Folder::new(self.settings(), reference.hub, &reference.repo);
        let nothing = |found: &str| Error::Choice {
            what: reference.to_string(),
            found: found.to_owned(),
            wanted: "something to remove".to_owned(),
            hint: "`baimo list --local` tells what is here".to_owned(),
        };
        if !folder.root.is_dir() {
            return Err(nothing("nothing of it here"));
        }
        let Some(lock) = folder.alone() else {
            return Err(nothing("that it is being fetched right now"));
        };
        let mut removal = Removal { _locks: vec![lock], ..Removal::default() };
        let item = |path: PathBuf, what: &str, bytes| Unused { path, what: what.to_owned(), bytes };
        if reference.part.is_none() && reference.revision.is_none() {
            let bytes = bytes_below(&folder.root);
            removal.items.push(item(folder.root.clone(), &reference.repository(), bytes));
            if folder.locks().is_dir() {
                removal.items.push(item(folder.locks().to_path_buf(), "its locks", 0));
            }
            return Ok(removal);
        }
        let commit = folder.commit(reference.revision());
        let commit = commit.ok_or_else(|| nothing("no such revision here"))?;
        let snapshot = folder.snapshot(&commit);
        let files = files_below(&snapshot);
        let files = match &reference.part {
            Some(_) => {
                let choice = chosen(&snapshot, &files, reference);
                choice.map_err(|_| nothing("no such part here"))?.files
            }
            None => files,
        };
        let gone: Vec<PathBuf> = files.iter().map(|file| snapshot.join(file)).collect();
        if gone.is_empty() {
            return Err(nothing("nothing of it here"));
        }
        removal
            .items
            .extend(gone.iter().map(|path| item(path.clone(), "a file", disk_bytes(path))));
        if reference.part.is_none() {
            let name = folder.refs().join(reference.revision());
            let all = [name, snapshot].into_iter().filter(|path| path.exists());
            removal.items.extend(all.map(|path| item(path, "the revision", 0)));
        }
        removal.items.extend(orphans(&folder, &gone));
        Ok(removal)
    }

    /// What no branch needs: downloads that have not ended, snapshots of older commits, and bytes
    /// that no snapshot has.
    pub fn unused(&self) -> Removal {
        let mut removal = Removal::default();
        for hub in [Hub::HuggingFace, Hub::ModelScope] {
            for folder in Folder::all(self.settings(), hub) {
                let Some(lock) = folder.alone() else {
                    removal.busy.push(Reference::new(hub, &folder.repo).to_string());
                    continue;
                };
                let old = old_snapshots(&folder);
                let gone: Vec<PathBuf> = old
                    .iter()
                    .flat_map(|snapshot| {
                        files_below(snapshot).into_iter().map(move |file| snapshot.join(file))
                    })
                    .collect();
                let repo = Reference::new(hub, &folder.repo);
                let snapshots = old.into_iter().map(|path| Unused {
                    bytes: bytes_below(&path),
                    what: format!("{repo}: a commit that no branch names"),
                    path,
                });
                removal.items.extend(snapshots);
                removal.items.extend(partials(&folder));
                removal.items.extend(unplaced(&folder));
                removal.items.extend(orphans(&folder, &gone));
                removal._locks.push(lock);
            }
        }
        removal
    }
}

impl Removal {
    /// Bytes that it frees.
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.bytes).sum()
    }

    /// Removes it all.
    ///
    /// # Errors
    /// The first that cannot be removed; what stood before it is gone.
    pub fn carry_out(self) -> Result<u64, Error> {
        let bytes = self.bytes();
        for Unused { path, .. } in &self.items {
            let is_folder = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
            let removed = match is_folder {
                true => fs::remove_dir_all(path),
                false => fs::remove_file(path),
            };
            match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io(path, "remove")(error));
                }
                Ok(()) | Err(_) => (),
            }
        }
        Ok(bytes)
    }
}

/// What a reference means among the `files` of a snapshot.
fn chosen(
    snapshot: &Path,
    files: &[String],
    reference: &Reference,
) -> Result<choice::Choice, Error> {
    let paths: Vec<&str> = files.iter().map(String::as_str).collect();
    let mut index = |path: &str| {
        let path = snapshot.join(path);
        fs::read_to_string(&path).map_err(Error::io(&path, "read"))
    };
    choice::choose(reference, &paths, &mut index)
}

fn find_in(snapshot: &Path, files: &[String], reference: &Reference) -> Option<PathBuf> {
    let choice = chosen(snapshot, files, reference).ok()?;
    // Weights without configuration are a download that somebody broke off.
    let is_model = choice.opened.is_some() || choice.files.iter().any(|file| file == "config.json");
    is_model.then(|| opened(snapshot, choice.opened.as_deref()))
}

fn kept(folder: &Folder) -> Kept {
    let reference = Reference::new(folder.hub, &folder.repo);
    let mut revisions = folder.branches();
    let known = commits_of(folder, &revisions);
    let snapshots = names_in(&folder.snapshots());
    revisions.extend(snapshots.iter().filter(|name| !known.contains(*name)).cloned());
    let mut models = Vec::new();
    for revision in &revisions {
        let Some(snapshot) = folder.commit(revision).map(|commit| folder.snapshot(&commit)) else {
            continue;
        };
        let is_default = revision == folder.hub.default_revision();
        let revision = (!is_default).then(|| revision.clone());
        let whole = Reference { revision, ..reference.clone() };
        let files = files_below(&snapshot);
        let ggufs: BTreeSet<PathBuf> = files
            .iter()
            .filter(|path| path.ends_with(".gguf"))
            .map(|path| Reference { part: Some(path.clone()), ..whole.clone() })
            .filter_map(|file| find_in(&snapshot, &files, &file))
            .collect();
        let is_folder = find_in(&snapshot, &files, &whole).is_some_and(|path| path == snapshot);
        models.extend(is_folder.then(|| whole.clone()));
        models.extend(ggufs.iter().filter_map(|path| {
            let part = path.strip_prefix(&snapshot).ok()?.to_str()?.to_owned();
            Some(Reference { part: Some(part), ..whole.clone() })
        }));
    }
    let partial_bytes = partials(folder).iter().map(|partial| partial.bytes).sum();
    let bytes = bytes_below(&folder.root).saturating_sub(partial_bytes);
    Kept { reference, models, revisions, bytes, partial_bytes, path: folder.root.clone() }
}

/// The commits that branches name.
fn commits_of(folder: &Folder, branches: &[String]) -> HashSet<String> {
    branches.iter().filter_map(|branch| folder.commit(branch)).collect()
}

/// Snapshots of commits that no branch or tag names any more.
fn old_snapshots(folder: &Folder) -> Vec<PathBuf> {
    if folder.hub == Hub::ModelScope {
        return Vec::new();
    }
    let known = commits_of(folder, &folder.branches());
    let names = names_in(&folder.snapshots()).into_iter();
    names.filter(|name| !known.contains(name)).map(|name| folder.snapshot(&name)).collect()
}

/// Downloads that have not ended and that nobody is at.
fn partials(folder: &Folder) -> Vec<Unused> {
    let names = names_in(&folder.blobs()).into_iter();
    let endings = [SUFFIX, RECORD_SUFFIX, FRESH_SUFFIX];
    let names = names.filter(|name| endings.iter().any(|ending| name.ends_with(ending)));
    let names = names.filter(|name| !folder.is_locked(name.split('.').next().unwrap_or_default()));
    names.map(|name| unused(folder, &name, "a download that has not ended")).collect()
}

/// Branches and links that were being put in their places when something broke off.
fn unplaced(folder: &Folder) -> Vec<Unused> {
    let repo = Reference::new(folder.hub, &folder.repo);
    let what = format!("{repo}: what was being put in its place");
    let below = [folder.refs(), folder.snapshots()].into_iter().flat_map(|folder| {
        let paths = files_below(&folder).into_iter().filter(|path| is_fresh(path));
        paths.map(move |path| folder.join(path)).collect::<Vec<PathBuf>>()
    });
    below.map(|path| Unused { bytes: disk_bytes(&path), what: what.clone(), path }).collect()
}

fn unused(folder: &Folder, name: &str, why: &str) -> Unused {
    let (path, repo) = (folder.blobs().join(name), Reference::new(folder.hub, &folder.repo));
    Unused { bytes: disk_bytes(&path), what: format!("{repo}: {why}"), path }
}

/// Blobs that no snapshot links to once these files of snapshots are `gone`.
fn orphans(folder: &Folder, gone: &[PathBuf]) -> Vec<Unused> {
    let snapshots = folder.snapshots();
    let needed: HashSet<String> = files_below(&snapshots)
        .into_iter()
        .map(|path| snapshots.join(path))
        .filter(|path| !gone.contains(path))
        .filter_map(|path| Some(fs::read_link(path).ok()?.file_name()?.to_str()?.to_owned()))
        .collect();
    let names = names_in(&folder.blobs()).into_iter();
    let blobs = names.filter(|name| super::Hash::read(name).is_some() && !needed.contains(name));
    blobs.map(|name| unused(folder, &name, "bytes that no file has")).collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Bytes that a folder takes on the disk, each file once.
fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = |path: PathBuf| match path.is_dir() && !path.is_symlink() {
        true => bytes_below(&path),
        false => disk_bytes(&path),
    };
    entries.map(|entry| bytes(entry.path())).sum()
}

/// Bytes that a file takes. A link takes none, nor does what is missing of a download.
fn disk_bytes(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let is_partial = path.to_str().is_some_and(|path| path.ends_with(SUFFIX));
    match (metadata.is_symlink(), is_partial) {
        (true, _) => 0,
        (false, true) => metadata.len().min(allocated(&metadata)),
        (false, false) => metadata.len(),
    }
}

#[cfg(unix)]
fn allocated(metadata: &Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    metadata.blocks() * 512
}

#[cfg(not(unix))]
fn allocated(metadata: &Metadata) -> u64 {
    metadata.len()
}
