//! What a model needs, what of it is missing, and fetching that.

use super::choice;
use super::fetch::{Fetcher, held};
use super::folder::Folder;
use super::hash::Hash;
use super::listing::{Listing, RemoteFile, Source};
use super::{Error, Event, Reference, Remote, Store, Watch, human, mirrors, partial};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Room that is left on a disk for others.
const SPARE_BYTES: u64 = 64 << 20;

/// What a pull would do.
pub struct Plan {
    reference: Reference,
    folder: Folder,
    commit: String,
    opened: Option<String>,
    files: Vec<Planned>,
    sources: Vec<Source>,
}

/// One file of a plan.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What the hub says of it.
    pub file: RemoteFile,
    /// The hub's hash.
    pub hash: Hash,
    /// It is here already.
    pub is_here: bool,
    /// And in its place among the files of the commit.
    is_placed: bool,
    /// Bytes of it that an earlier attempt left.
    pub started: u64,
}

impl Planned {
    /// Bytes that are to be fetched.
    pub fn missing_bytes(&self) -> u64 {
        match self.is_here {
            true => 0,
            false => self.file.size - self.started,
        }
    }
}

/// What a pull has done.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// What is to be opened: a folder or a file.
    pub path: PathBuf,
    /// Bytes that were fetched.
    pub fetched: u64,
}

impl Plan {
    /// What is pulled.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The commit, or the revision where the hub names none.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// The files, in the repository's order.
    pub fn files(&self) -> &[Planned] {
        &self.files
    }

    /// Bytes in all.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|planned| planned.file.size).sum()
    }

    /// Bytes that are to be fetched.
    pub fn missing_bytes(&self) -> u64 {
        self.files.iter().map(Planned::missing_bytes).sum()
    }

    /// What is to be opened once all is here.
    pub fn path(&self) -> PathBuf {
        opened(&self.folder.snapshot(&self.commit), self.opened.as_deref())
    }
}

/// A folder, or a file in it.
pub(super) fn opened(snapshot: &Path, file: Option<&str>) -> PathBuf {
    file.map_or_else(|| snapshot.to_path_buf(), |file| snapshot.join(file))
}

impl Store {
    /// Asks the hub what a model consists of, and compares with what is here. `others` name the
    /// same model elsewhere: they give its bytes too, and all of it where the hub itself cannot
    /// be reached.
    ///
    /// # Errors
    /// Where nobody can be reached, the model may not be had, or it is not clear what is meant.
    pub fn plan(
        &self,
        reference: &Reference,
        others: &[Reference],
        watch: Watch<'_>,
    ) -> Result<Plan, Error> {
        self.compare(self.remote(reference, others, watch)?)
    }

    /// The files of a repository, from the first host that can be reached, and all hosts of it.
    pub(super) fn list(
        &self,
        reference: &Reference,
        watch: Watch<'_>,
    ) -> Result<(Listing, Vec<Source>), Error> {
        let (client, mut sources) = (self.client(reference)?, self.sources(reference));
        let mut manner = self.settings.manner.clone();
        let mut failed = None;
        for index in 0..sources.len() {
            if index + 1 < sources.len() {
                manner.tries = manner.tries.min(2);
            } else {
                manner.tries = self.settings.manner.tries;
            }
            match sources[index].list(client, reference, &manner) {
                Ok(listing) => {
                    if listing.is_private {
                        sources = vec![sources[index].clone()];
                    } else if index > 0 {
                        let (first, host) = (sources[0].host(), sources[index].host());
                        watch(Event::Note(&format!(
                            "{first} cannot be reached: what {host} says of the files is believed"
                        )));
                        sources.rotate_left(index);
                    }
                    for source in &mut sources {
                        source.revision.clone_from(&listing.commit);
                    }
                    return Ok((listing, sources));
                }
                Err(error) if error.is_network() => _ = failed.get_or_insert(error),
                // What a mirror refuses, the hub itself might not have.
                Err(error) => return Err(failed.unwrap_or(error)),
            }
        }
        Err(failed.expect("a repository has at least one host"))
    }

    /// What of a repository is needed, and what of that is here.
    fn compare(&self, remote: Remote<'_>) -> Result<Plan, Error> {
        let (chosen, opened) = remote.chosen()?;
        let Remote { reference, listing, sources, .. } = &remote;
        let folder = Folder::new(&self.settings, reference.hub, &reference.repo);
        let planned = |file: &RemoteFile| {
            let hash = file.hash.clone().ok_or_else(|| Error::Answer {
                what: format!("{reference}: {}", file.path),
                host: sources[0].host(),
                found: "no hash".to_owned(),
                wanted: "a SHA-256 or the id of a Git blob".to_owned(),
            })?;
            let blob = folder.blob(&hash);
            let is_blob = std::fs::metadata(&blob).is_ok_and(|known| known.len() == file.size);
            let is_placed = folder.has(&listing.commit, file, &hash);
            let is_here = is_blob || is_placed;
            let started = if is_here { 0 } else { partial::bytes_there(&blob, file.size) };
            Ok(Planned { file: file.clone(), hash, is_here, is_placed, started })
        };
        let files = chosen.into_iter().map(planned).collect::<Result<Vec<Planned>, Error>>()?;
        let commit = listing.commit.clone();
        let Remote { reference, sources, .. } = remote;
        Ok(Plan { reference, folder, commit, opened, files, sources })
    }

    /// Fetches what is missing. The model is found under its revision only when all is there.
    ///
    /// # Errors
    /// Where the disk has no room, or a file cannot be fetched or is not what the hub says. What
    /// came is kept for another try.
    pub fn pull(&self, plan: &Plan, watch: Watch<'_>) -> Result<Pulled, Error> {
        let Plan { reference, folder, commit, files, .. } = plan;
        let missing: Vec<&Planned> = files.iter().filter(|planned| !planned.is_here).collect();
        let fetched = AtomicU64::new(0);
        if files.iter().all(|planned| planned.is_placed) {
            // A cache that cannot be written is good enough to be read.
            let _noted = folder.set_commit(reference.revision(), commit);
            return Ok(Pulled { path: plan.path(), fetched: 0 });
        }
        folder.create(&self.settings)?;
        // Until the end nobody removes what is fetched as something that no snapshot has.
        let _together = folder.together()?;
        if !missing.is_empty() {
            self.check_space(plan)?;
            let client = self.client(reference)?;
            let (manner, mut sources) = (&self.settings.manner, plan.sources.clone());
            let largest = missing.iter().max_by_key(|planned| planned.missing_bytes());
            if let Some(largest) = largest.filter(|_| plan.missing_bytes() > manner.compare_bytes) {
                sources = mirrors::order(client, manner, sources, &largest.file, watch);
            }
            let fetcher = Fetcher::new(client, manner, reference, &sources, watch);
            // Weights last: with them the rest is there too.
            let is_weights = |planned: &&&Planned| choice::is_weights(&planned.file.path);
            let (weights, rest): (Vec<&Planned>, Vec<&Planned>) =
                missing.iter().partition(|planned| is_weights(planned));
            for group in [rest, weights] {
                fetch_all(&fetcher, plan, &group, manner.files, &fetched)?;
            }
        }
        for Planned { file, hash, is_placed, .. } in files {
            // Another process may have placed it meanwhile.
            if !is_placed && !folder.has(commit, file, hash) {
                folder.point(commit, &file.path, hash)?;
            }
        }
        folder.set_commit(reference.revision(), commit)?;
        Ok(Pulled { path: plan.path(), fetched: fetched.into_inner() })
    }

    fn check_space(&self, plan: &Plan) -> Result<(), Error> {
        let folder = plan.folder.blobs();
        let Some(free) = baimo_weights::free_bytes(&folder) else { return Ok(()) };
        let wanted = plan.missing_bytes() + SPARE_BYTES;
        match free < wanted {
            true => Err(Error::Space { folder, free, wanted }),
            false => Ok(()),
        }
    }
}

/// Fetches files, a few at once; the first error ends it.
fn fetch_all(
    fetcher: &Fetcher<'_>,
    plan: &Plan,
    files: &[&Planned],
    at_once: usize,
    fetched: &AtomicU64,
) -> Result<(), Error> {
    let (queue, failed) = (Mutex::new(files.iter()), Mutex::new(None));
    let next = || held(&queue).next();
    let work = || {
        while let Some(Planned { file, hash, .. }) = next() {
            match fetcher.fetch(&plan.folder, file, hash) {
                Ok(bytes) => _ = fetched.fetch_add(bytes, Ordering::Relaxed),
                Err(error) => {
                    held(&failed).get_or_insert(error);
                    fetcher.stop();
                    return;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        (0..files.len().min(at_once.max(1))).for_each(|_| drop(scope.spawn(work)));
    });
    match failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (all, missing) = (self.bytes(), self.missing_bytes());
        write!(f, "{}: {}", self.reference, human(all))?;
        match missing {
            0 => write!(f, ", all here"),
            missing if missing == all => write!(f, " to fetch"),
            missing => write!(f, ", {} of it to fetch", human(missing)),
        }
    }
}
