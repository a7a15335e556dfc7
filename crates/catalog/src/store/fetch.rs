//! One file, fetched in pieces over several connections, from the first host that gives its bytes.

use super::folder::Folder;
use super::hash::Hash;
use super::http::{self, Answer, Ask, Client, Failure};
use super::listing::{RemoteFile, Source, pause_after};
use super::partial::Partial;
use super::{Error, Event, Manner, Reference, Watch};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that are read and written at once.
const CHUNK_BYTES: usize = 128 << 10;

/// Fetches files of one model.
pub(super) struct Fetcher<'a> {
    client: &'a Client,
    manner: &'a Manner,
    reference: &'a Reference,
    /// The best first.
    sources: &'a [Source],
    /// Hosts that gave up on some file.
    down: Vec<AtomicBool>,
    connections: Permits,
    stopped: AtomicBool,
    watch: Watch<'a>,
}

/// A file that is being fetched.
struct Job<'a> {
    file: &'a RemoteFile,
    hash: &'a Hash,
    partial: Partial,
    /// Hosts that have other bytes, or none, under this name.
    banned: &'a [AtomicBool],
    /// Where a host's redirects ended, by its index.
    location: Mutex<Option<(usize, String)>>,
    /// The first failure that ends it, and whose.
    failure: Mutex<Option<(usize, Failure)>>,
}

impl<'a> Fetcher<'a> {
    pub(super) fn new(
        client: &'a Client,
        manner: &'a Manner,
        reference: &'a Reference,
        sources: &'a [Source],
        watch: Watch<'a>,
    ) -> Fetcher<'a> {
        Fetcher {
            client,
            manner,
            reference,
            sources,
            down: none(sources.len()),
            connections: Permits::new(manner.connections),
            stopped: AtomicBool::new(false),
            watch,
        }
    }

    /// Ends whatever is going on, soon.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Makes the file's blob be there, and gives the bytes that were fetched for it.
    ///
    /// # Errors
    /// Where no host gives its bytes, or the disk does not take them. What came is kept for
    /// another try, unless it is wrong.
    pub(super) fn fetch(
        &self,
        folder: &Folder,
        file: &RemoteFile,
        hash: &Hash,
    ) -> Result<u64, Error> {
        let RemoteFile { path, size, .. } = file;
        let begin = |done| (self.watch)(Event::Begin { file: path, size: *size, done });
        let _lock = folder.lock(hash, &|| {
            (self.watch)(Event::Note(&format!("{path}: another process is at it; waiting")));
        })?;
        let blob = folder.blob(hash);
        if std::fs::metadata(&blob).is_ok_and(|known| known.len() == *size) {
            begin(*size);
            (self.watch)(Event::End { file: path });
            return Ok(0);
        }
        let (banned, mut fetched) = (none(self.sources.len()), 0);
        loop {
            let partial = Partial::open(&blob, *size).map_err(Error::io(&blob, "write"))?;
            let resumed = partial.count();
            begin(resumed);
            let (location, failure) = (Mutex::new(None), Mutex::new(None));
            let job = Job { file, hash, partial, banned: &banned, location, failure };
            self.fill(&job)?;
            fetched += size - resumed;
            (self.watch)(Event::Check { file: path });
            let written = job.partial.path();
            let found = hash.of_file(written, &|_| ()).map_err(Error::io(written, "read"))?;
            if found == *hash {
                job.partial.finish(&blob).map_err(Error::io(&blob, "write"))?;
                (self.watch)(Event::End { file: path });
                return Ok(fetched);
            }
            job.partial.discard();
            let source = self.source(&job).unwrap_or(0);
            // What an earlier attempt left may be what is wrong: then the host has another chance.
            banned[source].store(resumed == 0, Ordering::Relaxed);
            if self.source(&job).is_none() {
                let (file, host) = (path.clone(), self.sources[source].host());
                let (found, wanted) = (found.digits().to_owned(), hash.digits().to_owned());
                return Err(Error::Hash { file, host, found, wanted });
            }
        }
    }

    /// Fetches all that is missing.
    fn fill(&self, job: &Job<'_>) -> Result<(), Error> {
        let (mut piece_bytes, mut restarts) = (self.manner.piece_bytes, 0);
        loop {
            let pieces = job.partial.missing(piece_bytes);
            if pieces.is_empty() {
                return Ok(());
            }
            let workers = pieces.len().min(self.manner.connections);
            let queue = Mutex::new(pieces.into_iter());
            std::thread::scope(|scope| {
                (0..workers).for_each(|_| drop(scope.spawn(|| self.work(job, &queue))));
            });
            let Some((index, failure)) = held(&job.failure).take() else {
                match self.is_over(job) {
                    true => return Err(self.ended(job, 0, Failure::passing("was stopped"))),
                    false => continue,
                }
            };
            restarts += 1;
            if !matches!(failure, Failure::WholeOnly) || restarts > self.manner.tries {
                return Err(self.ended(job, index, failure));
            }
            job.partial.restart();
            piece_bytes = u64::MAX;
            let RemoteFile { path, size, .. } = job.file;
            (self.watch)(Event::Begin { file: path, size: *size, done: 0 });
        }
    }

    fn ended(&self, job: &Job<'_>, index: usize, failure: Failure) -> Error {
        // Another try may go on from here; where the disk is full, from further back.
        let _kept = job.partial.keep();
        match failure {
            Failure::Disk { action, source } => Error::io(job.partial.path(), action)(source),
            other => {
                let what = format!("{}/{}", self.reference.repository(), job.file.path);
                self.sources[index].error(&what, self.reference, other)
            }
        }
    }

    fn work(&self, job: &Job<'_>, queue: &Mutex<std::vec::IntoIter<Range<u64>>>) {
        while !self.is_over(job) {
            let Some(piece) = held(queue).next() else { return };
            if let Err(failure) = self.piece(job, piece) {
                held(&job.failure).get_or_insert(failure);
            }
        }
    }

    /// Fetches a piece, from one host after the other.
    fn piece(&self, job: &Job<'_>, piece: Range<u64>) -> Result<(), (usize, Failure)> {
        let (mut at, mut tries) = (piece.start, 0);
        let writer = job.partial.writer().map_err(Failure::disk("write"));
        let mut writer = writer.map_err(|failure| (0, failure))?;
        while at < piece.end {
            let Some(index) = self.source(job) else {
                return Err((0, Failure::passing("no host is left")));
            };
            let before = at;
            let Err(failure) = self.stream(job, index, &mut at, piece.end, &mut writer) else {
                continue;
            };
            if self.is_over(job) {
                return Ok(());
            }
            tries = if at > before { 1 } else { tries + 1 };
            match pause_after(&failure, tries, self.manner) {
                Some(pause) => self.wait(job, index, &failure, pause),
                None => {
                    self.give_up(job, index, failure).map_err(|failure| (index, failure))?;
                    tries = 0;
                }
            }
        }
        Ok(())
    }

    /// One request: writes what comes of `at..end`, and moves `at` along.
    fn stream(
        &self,
        job: &Job<'_>,
        index: usize,
        at: &mut u64,
        end: u64,
        writer: &mut File,
    ) -> Result<(), Failure> {
        let range = *at..end;
        let is_whole = range == (0..job.file.size);
        let _permit = self.connections.take();
        let answer = self.ask(job, index, (!is_whole).then_some(&range))?;
        check_length(&answer, is_whole, &range, job.file.size)?;
        writer.seek(SeekFrom::Start(*at)).map_err(Failure::disk("write"))?;
        let mut body = answer.body.into_reader();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            // One byte beyond, so that the connection sees the end and can be used again.
            let most = usize::try_from((end - *at).max(1)).unwrap_or(usize::MAX);
            let length = chunk.len().min(most);
            let count = match body.read(&mut chunk[..length]) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) if *at == end => 0,
                Err(error) => return Err(Failure::broken(&error)),
            };
            match (count, *at == end) {
                (0, true) => return Ok(()),
                (0, false) => return Err(Failure::passing("the connection ended early")),
                (_, true) => {
                    let (found, wanted) = ("more bytes".to_owned(), format!("{}", job.file.size));
                    return Err(Failure::Wrong { found, wanted });
                }
                (_, false) => (),
            }
            writer.write_all(&chunk[..count]).map_err(Failure::disk("write"))?;
            let next = *at + count as u64;
            let noted = job.partial.written(*at..next, self.manner.record);
            noted.map_err(Failure::disk("write"))?;
            *at = next;
            (self.watch)(Event::Advance { file: &job.file.path, bytes: count as u64 });
            if self.is_over(job) {
                return Err(Failure::passing("was stopped"));
            }
        }
    }

    /// Asks where the host's redirects led before, else the host itself.
    fn ask(
        &self,
        job: &Job<'_>,
        index: usize,
        range: Option<&Range<u64>>,
    ) -> Result<Answer, Failure> {
        let known = held(&job.location).clone().filter(|known| known.0 == index);
        if let Some((_, url)) = known {
            match self.client.get(Ask { url: &url, token: None, range }) {
                // Signed addresses expire.
                Err(Failure::Refused { .. }) => *held(&job.location) = None,
                other => return other,
            }
        }
        let source = &self.sources[index];
        let url = source.url(&job.file.path);
        let answer = self.client.get(Ask { url: &url, token: source.token.as_ref(), range })?;
        if let Some(found) = answer.hub_header("x-linked-etag").and_then(Hash::read)
            && std::mem::discriminant(&found) == std::mem::discriminant(job.hash)
            && found != *job.hash
        {
            let (found, wanted) = (found.digits().to_owned(), job.hash.digits().to_owned());
            return Err(Failure::Wrong { found, wanted });
        }
        if http::host(&answer.url) != http::host(&url) {
            *held(&job.location) = Some((index, answer.url.clone()));
        }
        Ok(answer)
    }

    /// The host that is asked now: the best that has not failed.
    fn source(&self, job: &Job<'_>) -> Option<usize> {
        let is = |flags: &[AtomicBool], index: usize| flags[index].load(Ordering::Relaxed);
        let left: Vec<usize> =
            (0..self.sources.len()).filter(|&index| !is(job.banned, index)).collect();
        left.iter().find(|&&index| !is(&self.down, index)).or(left.first()).copied()
    }

    /// Turns from a host to the next; the failure where there is none.
    fn give_up(&self, job: &Job<'_>, index: usize, failure: Failure) -> Result<(), Failure> {
        if matches!(failure, Failure::Disk { .. } | Failure::WholeOnly) {
            return Err(failure);
        }
        job.banned[index].store(true, Ordering::Relaxed);
        if matches!(failure, Failure::Passing { .. }) {
            self.down[index].store(true, Ordering::Relaxed);
        }
        let Some(next) = self.source(job) else { return Err(failure) };
        let (host, other) = (self.sources[index].host(), self.sources[next].host());
        let path = &job.file.path;
        (self.watch)(Event::Note(&format!("{path}: {host}: {failure}; going on with {other}")));
        Ok(())
    }

    fn wait(&self, job: &Job<'_>, index: usize, failure: &Failure, pause: Duration) {
        if pause > Duration::from_secs(2) {
            let (host, seconds) = (self.sources[index].host(), pause.as_secs());
            let path = &job.file.path;
            let text = format!("{path}: {host}: {failure}; trying again in {seconds} s");
            (self.watch)(Event::Note(&text));
        }
        let step = Duration::from_millis(50);
        let mut left = pause;
        while !left.is_zero() && !self.is_over(job) {
            std::thread::sleep(left.min(step));
            left = left.saturating_sub(step);
        }
    }

    fn is_over(&self, job: &Job<'_>) -> bool {
        self.stopped.load(Ordering::Relaxed) || held(&job.failure).is_some()
    }
}

/// Refuses an answer that has other bytes than were asked for.
pub(super) fn check_length(
    answer: &Answer,
    is_whole: bool,
    range: &Range<u64>,
    size: u64,
) -> Result<(), Failure> {
    let wrong =
        |found: &str, wanted: String| Err(Failure::Wrong { found: found.to_owned(), wanted });
    if answer.status == 200 {
        if !is_whole {
            return Err(Failure::WholeOnly);
        }
        let length = answer.header("content-length").unwrap_or_default();
        return match length.parse::<u64>() {
            Ok(length) if length != size => wrong(&format!("{length} bytes"), size.to_string()),
            Ok(_) | Err(_) => Ok(()),
        };
    }
    let found = answer.header("content-range").unwrap_or("no Content-Range");
    let fits = found.strip_prefix("bytes ").and_then(|rest| {
        let (span, total) = rest.split_once('/')?;
        let start: u64 = span.split_once('-')?.0.trim().parse().ok()?;
        Some(start == range.start && (total == "*" || total.parse() == Ok(size)))
    });
    match fits {
        Some(true) => Ok(()),
        Some(false) | None => wrong(found, format!("bytes {}-/{size}", range.start)),
    }
}

fn none(count: usize) -> Vec<AtomicBool> {
    (0..count).map(|_| AtomicBool::new(false)).collect()
}

/// A panic elsewhere breaks none of what is behind these locks.
pub(super) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So many at once, over all files.
struct Permits {
    free: Mutex<usize>,
    returned: Condvar,
}

struct Permit<'a>(&'a Permits);

impl Permits {
    fn new(count: usize) -> Permits {
        Permits { free: Mutex::new(count.max(1)), returned: Condvar::new() }
    }

    fn take(&self) -> Permit<'_> {
        let free = held(&self.free);
        let free = self.returned.wait_while(free, |free| *free == 0);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *held(&self.0.free) += 1;
        self.0.returned.notify_one();
    }
}
