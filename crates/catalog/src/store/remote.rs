//! Parts of files, read where they are: a header without the weights.

use super::folder::Folder;
use super::http::{Ask, Client, Failure};
use super::listing::{Listing, RemoteFile, Source, tried};
use super::{Error, Event, Hash, Reference, Store, Watch, choice};
use std::io::Read;
use std::ops::Range;

/// A repository on a hub, of which parts are read. Nothing is kept.
pub struct Remote<'a> {
    client: &'a Client,
    store: &'a Store,
    pub(super) reference: Reference,
    pub(super) listing: Listing,
    pub(super) sources: Vec<Source>,
}

impl Store {
    /// The repository of a reference, to be read from where it is. `others` name the same model
    /// elsewhere: they give its bytes too, and stand for it where the hub itself cannot be
    /// reached.
    ///
    /// # Errors
    /// Where nobody can be reached, or the model may not be had.
    pub fn remote(
        &self,
        reference: &Reference,
        others: &[Reference],
        watch: Watch<'_>,
    ) -> Result<Remote<'_>, Error> {
        let (mut listed, mut reference) = (self.list(reference, watch), reference);
        for other in others {
            let Err(error) = listed.as_ref() else { break };
            if !error.is_network() {
                break;
            }
            watch(Event::Note(&format!("{reference}: cannot be reached; asking for {other}")));
            (listed, reference) = (self.list(other, watch), other);
        }
        let (listing, mut sources) = listed?;
        let others = others.iter().filter(|other| *other != reference);
        if !listing.is_private {
            sources.extend(others.flat_map(|other| self.sources(other)));
        }
        let client = self.client(reference)?;
        Ok(Remote { client, store: self, reference: reference.clone(), listing, sources })
    }
}

impl Remote<'_> {
    /// The files that the reference asks for, as [`Store::plan`] chooses them, and which of them is
    /// opened; `None` where that is the folder.
    ///
    /// # Errors
    /// Where it is not clear what is meant, or the index of shards cannot be read.
    pub fn chosen(&self) -> Result<(Vec<&RemoteFile>, Option<String>), Error> {
        let files = &self.listing.files;
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let mut index = |path: &str| {
            self.read_file(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        let choice = choice::choose(&self.reference, &paths, &mut index)?;
        let chosen = files.iter().filter(|file| choice.files.contains(&file.path)).collect();
        Ok((chosen, choice.opened))
    }

    /// All of a small file, checked by its hash; from here, where it is here.
    ///
    /// # Errors
    /// As [`Remote::read`], and where the bytes have another hash.
    pub fn read_file(&self, path: &str) -> Result<Vec<u8>, Error> {
        let file = self.file(path)?;
        let wanted = file.hash.as_ref();
        if let Some(bytes) = wanted.and_then(|hash| self.here(path, hash)) {
            return Ok(bytes);
        }
        let bytes = self.read(path, 0..file.size)?;
        let found = wanted.map(|wanted| wanted.of_bytes(&bytes));
        match (wanted, found) {
            (Some(wanted), Some(found)) if *wanted != found => Err(Error::Hash {
                file: path.to_owned(),
                host: self.sources[0].host(),
                found: found.digits().to_owned(),
                wanted: wanted.digits().to_owned(),
            }),
            (Some(_) | None, Some(_) | None) => Ok(bytes),
        }
    }

    /// All of a file that is here, by us or by the hub's own library.
    fn here(&self, path: &str, hash: &Hash) -> Option<Vec<u8>> {
        let Remote { reference, listing, .. } = self;
        let folder = Folder::new(self.store.settings(), reference.hub, &reference.repo);
        let places = [folder.blob(hash), folder.snapshot(&listing.commit).join(path)];
        let mut found = places.iter().filter_map(|place| std::fs::read(place).ok());
        found.find(|bytes| hash.of_bytes(bytes) == *hash)
    }

    /// Bytes of a file; fewer where it ends before. They cannot be checked by the file's hash.
    ///
    /// # Errors
    /// Where there is no such file, or no host gives it.
    pub fn read(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>, Error> {
        let size = self.file(path)?.size;
        let range = range.start.min(size)..range.end.min(size);
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let manner = &self.store.settings.manner;
        let mut failed = None;
        for source in &self.sources {
            let failure = match tried(manner, || self.read_once(source, path, &range, size)) {
                Ok(bytes) => return Ok(bytes),
                Err(failure) => failure,
            };
            let what = format!("{}/{path}", self.reference.repository());
            failed.get_or_insert_with(|| source.error(&what, &self.reference, failure));
        }
        Err(failed.expect("a repository has at least one host"))
    }

    fn read_once(
        &self,
        source: &Source,
        path: &str,
        range: &Range<u64>,
        size: u64,
    ) -> Result<Vec<u8>, Failure> {
        let is_whole = *range == (0..size);
        let url = source.url(path);
        let part = (!is_whole).then_some(range);
        let answer =
            self.client.get(Ask { url: &url, token: source.token.as_ref(), range: part })?;
        let skipped = match super::fetch::check_length(&answer, is_whole, range, size) {
            // All of it comes: what is before is read over.
            Err(Failure::WholeOnly) => range.start,
            checked => checked.map(|()| 0)?,
        };
        let wanted = range.end - range.start;
        let mut body = answer.body.into_reader();
        let broken = |error: std::io::Error| Failure::broken(&error);
        std::io::copy(&mut body.by_ref().take(skipped), &mut std::io::sink()).map_err(broken)?;
        let mut bytes = Vec::new();
        body.take(wanted).read_to_end(&mut bytes).map_err(broken)?;
        match bytes.len() as u64 == wanted {
            true => Ok(bytes),
            false => Err(Failure::passing("the connection ended early")),
        }
    }

    fn file(&self, path: &str) -> Result<&RemoteFile, Error> {
        let files = &self.listing.files;
        files.iter().find(|file| file.path == path).ok_or_else(|| Error::Choice {
            what: self.reference.to_string(),
            found: format!("{} files", files.len()),
            wanted: path.to_owned(),
            hint: "names of files are case-sensitive".to_owned(),
        })
    }
}
