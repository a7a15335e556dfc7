//! Writing a file of packed weights.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use baimo_kernels::LARGE_PAGE;
use baimo_kernels::format::Format;
use baimo_kernels::matmul::BlockScales;

use super::read::{self, PackedFile};
use super::{ALIGNMENT, Entry, HEAD_BYTES, Head, Key, MAGIC, Origin, Scales, VERSION};
use crate::error::Error;
use crate::os::{self, MappedFile};

/// A file of packed weights that are still coming, one tensor after the other.
pub struct PackedWriter {
    file: File,
    /// Where it is written.
    part: PathBuf,
    /// Where it will lie.
    place: PathBuf,
    key: Key,
    origin: Origin,
    /// Bytes of the file so far.
    end: usize,
    /// The last of them, less than a large page, which are not in the file yet.
    pending: Vec<u8>,
    entries: Vec<Entry>,
    broken: bool,
    /// Whether the file is whole: else it is deleted with this value.
    whole: bool,
}

impl PackedWriter {
    pub(super) fn create(place: &Path, key: &Key, origin: &Origin) -> Result<PackedWriter, Error> {
        // Two loads of one process write two files.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let part = place.with_extension(format!("{}-{number}.part", std::process::id()));
        let failed = |action| {
            let file = part.clone();
            move |source| Error::Io { file, action, source }
        };
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&part);
        let file = file.map_err(failed("make"))?;
        // Held until this process ends, whatever its end: an unlocked one is nobody's.
        file.try_lock().map_err(std::io::Error::from).map_err(failed("lock"))?;
        Ok(PackedWriter {
            file,
            part,
            place: place.to_path_buf(),
            key: key.clone(),
            origin: origin.shortened(),
            // The head comes last.
            end: HEAD_BYTES,
            pending: vec![0; HEAD_BYTES],
            entries: Vec::new(),
            broken: false,
            whole: false,
        })
    }

    /// Adds a vector.
    ///
    /// # Errors
    /// Where the file cannot be written: the disk is full, say.
    pub fn floats(&mut self, name: &str, values: &[f32]) -> Result<(), Error> {
        let at = self.align(size_of::<f32>())?;
        let bytes = self.put_floats(values)?;
        let (name, columns) = (name.to_owned(), values.len());
        self.entries.push(Entry { name, format: None, rows: 1, columns, at, bytes, scales: None });
        Ok(())
    }

    /// Begins a matrix `[rows, columns]`: its tiles come by [`PackedWriter::tiles`].
    ///
    /// # Errors
    /// As [`PackedWriter::floats`].
    pub fn matrix(
        &mut self,
        name: &str,
        format: Format,
        [rows, columns]: [usize; 2],
        scales: Option<&BlockScales>,
    ) -> Result<(), Error> {
        let scales = match scales {
            None => None,
            Some(BlockScales { rows_per_block, columns_per_block, values }) => {
                let at = self.align(size_of::<f32>())?;
                let bytes = self.put_floats(values)?;
                let (rows_per_block, columns_per_block) = (*rows_per_block, *columns_per_block);
                Some(Scales { rows_per_block, columns_per_block, at, bytes })
            }
        };
        let at = self.align(ALIGNMENT)?;
        let (name, format) = (name.to_owned(), Some(format.name().to_owned()));
        self.entries.push(Entry { name, format, rows, columns, at, bytes: 0, scales });
        Ok(())
    }

    /// Adds tiles of the matrix begun last.
    ///
    /// # Errors
    /// As [`PackedWriter::floats`].
    ///
    /// # Panics
    /// If none was begun.
    pub fn tiles(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.put(bytes)?;
        self.entries.last_mut().expect("a matrix was begun").bytes += bytes.len();
        Ok(())
    }

    /// Ends the file and opens it. It comes to its place once it is on the disk, which another
    /// thread waits for.
    ///
    /// # Errors
    /// As [`PackedWriter::floats`], or where it cannot be mapped.
    pub fn finish(mut self) -> Result<(PackedFile, Keeping), Error> {
        // The last weights share no page with the table.
        let table = self.align(ALIGNMENT)?;
        let entries = serde_json::to_vec(&self.entries).expect("plain data");
        self.put(&entries)?;
        self.write_pending()?;
        let head = Head {
            version: VERSION,
            layout: baimo_kernels::matmul::LAYOUT_VERSION,
            key: self.key.0.clone(),
            table,
            table_bytes: entries.len(),
            table_hash: blake3::hash(&entries).to_hex().to_string(),
            origin: self.origin.clone(),
        };
        let mut bytes = MAGIC.to_vec();
        serde_json::to_writer(&mut bytes, &head).expect("plain data");
        let written = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.write_all(&bytes));
        written.map_err(self.failed())?;
        let [mapped, file] = [self.file.try_clone(), self.file.try_clone()];
        let mapped = MappedFile::of_written(&self.part, mapped.map_err(self.failed())?)?;
        let opened = PackedFile::of(mapped, &self.key)?;
        let file = file.map_err(self.failed())?;
        self.whole = true;
        let (part, place) = (self.part.clone(), self.place.clone());
        let keep = move || {
            let kept = keep(&file, &part, &place);
            if kept.is_err() {
                let _gone = std::fs::remove_file(&part);
            }
            kept
        };
        let thread = std::thread::Builder::new().name("keep".to_owned()).spawn(keep);
        Ok((opened, Keeping { thread: Some(thread.map_err(self.failed())?) }))
    }

    /// Whether a write has failed.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    fn failed(&self) -> impl Fn(std::io::Error) -> Error + use<> {
        let file = self.part.clone();
        move |source| Error::Io { file: file.clone(), action: "write", source }
    }

    /// Appends bytes. They go to the file by whole large pages: what is written at once, the system
    /// can keep, and map later, as one.
    fn put(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        self.end += bytes.len();
        while !bytes.is_empty() {
            let room = LARGE_PAGE - self.pending.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.pending.extend_from_slice(now);
            if self.pending.len() == LARGE_PAGE {
                self.write_pending()?;
            }
            bytes = later;
        }
        Ok(())
    }

    fn write_pending(&mut self) -> Result<(), Error> {
        let written = self.file.write_all(&self.pending);
        self.pending.clear();
        self.broken |= written.is_err();
        written.map_err(self.failed())
    }

    fn put_floats(&mut self, values: &[f32]) -> Result<usize, Error> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.put(&bytes)?;
        Ok(bytes.len())
    }

    /// Fills up to the next multiple of `alignment`: where that is.
    fn align(&mut self, alignment: usize) -> Result<usize, Error> {
        let zeros = [0; ALIGNMENT];
        self.put(&zeros[..self.end.next_multiple_of(alignment) - self.end])?;
        Ok(self.end)
    }
}

impl Drop for PackedWriter {
    fn drop(&mut self) {
        if !self.whole {
            let _gone = std::fs::remove_file(&self.part);
        }
    }
}

/// A file on its way to the disk and to its place. Dropping it waits.
#[derive(Debug)]
pub struct Keeping {
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Keeping {
    /// Waits until the file is kept.
    ///
    /// # Errors
    /// What the system answered: then there is no file.
    pub fn wait(mut self) -> std::io::Result<()> {
        self.join()
    }

    fn join(&mut self) -> std::io::Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the thread that keeps died")))
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        let _tried = self.join();
    }
}

/// Brings a file to its place. From then on others may use it too.
fn keep(file: &File, part: &Path, place: &Path) -> std::io::Result<()> {
    os::land(file, part, place)?;
    file.unlock()?;
    // Whoever has it alone now only looks whether it is in use.
    let _unknown = file.lock_shared();
    Ok(())
}

/// Deletes what is of no use to any start: files of older versions, and those whose writer died.
pub(super) fn tidy(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let is_useless = match path.extension().and_then(|extension| extension.to_str()) {
            Some("part") => File::open(&path).is_ok_and(|file| file.try_lock().is_ok()),
            Some("packed") => read::is_older(&path),
            Some(_) | None => false,
        };
        if is_useless {
            let _gone = std::fs::remove_file(&path);
        }
    }
}
