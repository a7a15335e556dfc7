//! Reading a file of packed weights: all that its table says is checked before it is used.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use baimo_kernels::SharedBytes;
use baimo_kernels::format::Format;
use baimo_kernels::matmul::{self, BlockScales, Matrix};

use super::{ALIGNMENT, Entry, HEAD_BYTES, Head, Key, MAGIC, VERSION};
use crate::error::{Error, Report, quoted};
use crate::os::MappedFile;

/// A whole file of packed weights, mapped.
#[derive(Debug)]
pub struct PackedFile {
    map: Arc<MappedFile>,
    entries: Vec<Entry>,
}

impl PackedFile {
    /// Opens the file at `path`, which must be of that key.
    pub(super) fn open(path: &Path, key: &Key) -> Result<PackedFile, Error> {
        PackedFile::of(MappedFile::open_in_use(path)?, key)
    }

    /// The file that is mapped, which must be of that key.
    pub(super) fn of(map: MappedFile, key: &Key) -> Result<PackedFile, Error> {
        let (path, bytes) = (map.path(), map.bytes());
        let damaged = |subject: &str, found: &str| {
            Report::new(path, subject, found, "packed weights of this model").malformed()
        };
        let head = head(bytes).ok_or_else(|| damaged("head", "no head"))?;
        if (head.version, head.layout) != (VERSION, matmul::LAYOUT_VERSION) || head.key != key.0 {
            return Err(damaged("head", "another key"));
        }
        let table = bytes.get(head.table..).filter(|table| table.len() == head.table_bytes);
        let table = table.ok_or_else(|| damaged("table", "a file of another length"))?;
        if blake3::hash(table).to_hex().as_str() != head.table_hash {
            return Err(damaged("table", "other bytes than were written"));
        }
        let entries: Vec<Entry> =
            serde_json::from_slice(table).map_err(|_| damaged("table", "no table"))?;
        if let Some(entry) = entries.iter().find(|entry| !is_sound(entry, head.table)) {
            return Err(damaged(&quoted(&entry.name), "a place or a size that cannot be"));
        }
        Ok(PackedFile { map: Arc::new(map), entries })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.map.path()
    }

    /// Its bytes on the disk.
    pub fn bytes(&self) -> usize {
        self.map.bytes().len()
    }

    /// To be called where all of it will be in memory: it then comes by large pages, if the system
    /// has such.
    pub fn use_large_pages(&self) {
        self.map.use_large_pages();
    }

    /// To be called where parts of it will come and go.
    pub fn use_small_pages(&self) {
        self.map.use_small_pages();
    }

    /// Its bytes, to bring and to send away.
    pub fn pages(&self) -> Pages {
        Pages(self.map.clone())
    }

    /// Reads it from the first tensor on.
    pub fn reader(&self) -> PackedReader<'_> {
        PackedReader { file: self, next: 0 }
    }

    fn floats(&self, at: usize, bytes: usize) -> Vec<f32> {
        let (values, _) = self.map.bytes()[at..at + bytes].as_chunks::<4>();
        values.iter().map(|value| f32::from_le_bytes(*value)).collect()
    }

    /// The matrix of an entry; its tiles stay in the file.
    fn matrix(&self, entry: &Entry) -> Option<Matrix> {
        let format = Format::from_name(entry.format.as_deref()?)?;
        let bytes = SharedBytes::new(self.map.clone(), entry.at..entry.at + entry.bytes)?;
        let scales = entry.scales.as_ref().map(|scales| BlockScales {
            rows_per_block: scales.rows_per_block,
            columns_per_block: scales.columns_per_block,
            values: self.floats(scales.at, scales.bytes),
        });
        Matrix::packed(format, [entry.rows, entry.columns], bytes, scales.as_ref())
    }
}

/// The bytes of a file, to be brought into memory and sent away.
#[derive(Clone, Debug)]
pub struct Pages(Arc<MappedFile>);

impl Pages {
    /// Begins to read `range`.
    pub fn begin(&self, range: Range<usize>) {
        self.0.begin(range);
    }

    /// Returns when `range` is in memory.
    ///
    /// # Errors
    /// If it cannot be read: the disk is at fault, or the file was cut.
    pub fn bring(&self, range: Range<usize>) -> Result<(), Error> {
        let failed = |source| Error::Io { file: self.0.path().into(), action: "read", source };
        self.0.bring(range).map_err(failed)
    }

    /// Lets `range` leave memory.
    pub fn send_away(&self, range: Range<usize>) {
        self.0.send_away(range);
    }
}

/// Gives the tensors of a file in the order they were written.
pub struct PackedReader<'a> {
    file: &'a PackedFile,
    next: usize,
}

impl<'a> PackedReader<'a> {
    /// The next tensor, a vector of that name and length.
    ///
    /// # Errors
    /// If it is something else.
    pub fn floats(&mut self, name: &str, count: usize) -> Result<Vec<f32>, Error> {
        let entry = self.entry(name)?;
        match entry.format {
            None if entry.columns == count => Ok(self.file.floats(entry.at, entry.bytes)),
            _ => Err(self.other(name)),
        }
    }

    /// The next tensor, a matrix of that name and shape.
    ///
    /// # Errors
    /// If it is something else.
    pub fn matrix(&mut self, name: &str, shape: [usize; 2]) -> Result<Matrix, Error> {
        let entry = self.entry(name)?;
        let fits = [entry.rows, entry.columns] == shape;
        let matrix = if fits { self.file.matrix(entry) } else { None };
        matrix.ok_or_else(|| self.other(name))
    }

    /// How many tensors were given.
    pub fn position(&self) -> usize {
        self.next
    }

    /// Where the bytes of tensors lie that were given since the `from`-th, in order.
    pub fn ranges_since(&self, from: usize) -> Vec<Range<usize>> {
        let given = &self.file.entries[from..self.next];
        given.iter().map(|entry| entry.at..entry.at + entry.bytes).collect()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// If tensors are left over.
    pub fn finish(self) -> Result<(), Error> {
        match self.file.entries.get(self.next) {
            None => Ok(()),
            Some(entry) => Err(self.other(&entry.name)),
        }
    }

    fn entry(&mut self, name: &str) -> Result<&'a Entry, Error> {
        let entry = self.file.entries.get(self.next).filter(|entry| entry.name == name);
        self.next += 1;
        entry.ok_or_else(|| self.other(name))
    }

    fn other(&self, name: &str) -> Error {
        let found = "another tensor";
        Report::new(self.file.path(), "table", found, quoted(name)).mismatch()
    }
}

/// The head, whatever its version.
fn head(bytes: &[u8]) -> Option<Head> {
    let text = bytes.get(..HEAD_BYTES)?.strip_prefix(&MAGIC)?;
    let end = text.iter().position(|byte| *byte == 0)?;
    serde_json::from_slice(&text[..end]).ok()
}

/// The head of the file at `path`, whatever its version.
pub(super) fn head_of(path: &Path) -> Option<Head> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(HEAD_BYTES as u64).read_to_end(&mut bytes).ok()?;
    head(&bytes)
}

/// Whether an older version wrote the file: a newer one's, and what is no such file, is left alone.
pub(super) fn is_older(path: &Path) -> bool {
    let now = (VERSION, matmul::LAYOUT_VERSION);
    head_of(path).is_some_and(|head| (head.version, head.layout) < now)
}

/// Whether its bytes and scales lie between head and table and are as many as its shape says.
fn is_sound(entry: &Entry, table: usize) -> bool {
    let lies = |at: usize, bytes: usize, alignment: usize| {
        let end = at.checked_add(bytes);
        at >= HEAD_BYTES && at.is_multiple_of(alignment) && end.is_some_and(|end| end <= table)
    };
    let Some(format) = &entry.format else {
        let bytes = entry.columns.checked_mul(size_of::<f32>());
        return entry.rows == 1
            && bytes == Some(entry.bytes)
            && lies(entry.at, entry.bytes, size_of::<f32>());
    };
    let Some(format) = Format::from_name(format) else { return false };
    lies(entry.at, entry.bytes, ALIGNMENT)
        && matmul::packed_bytes(format, entry.rows, entry.columns) == Some(entry.bytes)
        && entry.scales.as_ref().is_none_or(|scales| lies(scales.at, scales.bytes, 4))
}
