//! Reading the head of a GGUF file, never past its end.

use std::path::Path;

use super::metadata::{Array, Kind, Value};
use crate::error::{Error, Report, quoted};

/// How deep arrays may stand in arrays: known files have one level.
const ARRAY_DEPTH_MAX: usize = 4;
const LENGTH_BYTES: usize = 8;
/// The least an array within an array takes: its kind and its length.
const ARRAY_BYTES_MIN: usize = 4 + LENGTH_BYTES;

/// A position in the bytes of a file.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    file: &'a Path,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8], file: &'a Path) -> Reader<'a> {
        Reader { bytes, position: 0, file }
    }

    pub fn file(&self) -> &'a Path {
        self.file
    }

    pub fn position(&self) -> usize {
        self.position
    }

    fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// The next `count` bytes, which belong to `subject`.
    pub fn take(&mut self, count: usize, subject: &str) -> Result<&'a [u8], Error> {
        if count > self.remaining() {
            let found = format!("the end of the file at byte {}", self.bytes.len());
            let wanted = format!("{count} bytes more at byte {}", self.position);
            return Err(Report::new(self.file, subject, found, wanted)
                .hint("the file is cut off or damaged: download it again")
                .malformed());
        }
        let taken = &self.bytes[self.position..][..count];
        self.position += count;
        Ok(taken)
    }

    fn take_array<const N: usize>(&mut self, subject: &str) -> Result<[u8; N], Error> {
        let bytes = self.take(N, subject)?;
        Ok(bytes.try_into().expect("as many as were asked for"))
    }

    pub fn u32(&mut self, subject: &str) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.take_array(subject)?))
    }

    pub fn u64(&mut self, subject: &str) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.take_array(subject)?))
    }

    /// How many things follow, at most `limit`, each of at least `bytes_min` bytes: more than can
    /// fit in the rest of the file is refused before anything is allocated for them.
    pub fn count(&mut self, subject: &str, bytes_min: usize, limit: usize) -> Result<usize, Error> {
        let count = self.u64(subject)?;
        let count_max = limit.min(self.remaining() / bytes_min);
        match usize::try_from(count) {
            Ok(count) if count <= count_max => Ok(count),
            _ => {
                let wanted =
                    format!("at most {count_max}, for which the rest of the file has room");
                Err(Report::new(self.file, subject, count.to_string(), wanted)
                    .hint("the file is cut off or damaged: download it again")
                    .malformed())
            }
        }
    }

    /// A string of at most `bytes_max` bytes.
    pub fn string(&mut self, subject: &str, bytes_max: usize) -> Result<String, Error> {
        let length = self.count(subject, 1, bytes_max)?;
        let bytes = self.take(length, subject)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_string()),
            Err(error) => {
                let found = format!("bad UTF-8 at byte {} of a string", error.valid_up_to());
                Err(Report::new(self.file, subject, found, "UTF-8").malformed())
            }
        }
    }

    /// The value of `key`: its kind, then itself.
    pub fn value(&mut self, key: &str) -> Result<Value, Error> {
        let subject = format!("key {}", quoted(key));
        let kind = self.kind(&subject)?;
        match kind {
            Kind::String => Ok(Value::String(self.string(&subject, usize::MAX)?)),
            Kind::Array => Ok(Value::Array(self.array(&subject, 1)?)),
            _ => {
                let width = kind.bytes().expect("neither string nor array");
                let bytes = self.take(width, &subject)?;
                self.check_bools(kind, bytes, &subject)?;
                Ok(Value::from_le_bytes(kind, bytes))
            }
        }
    }

    fn kind(&mut self, subject: &str) -> Result<Kind, Error> {
        let number = self.u32(subject)?;
        Kind::ALL.get(number as usize).copied().ok_or_else(|| {
            let found = format!("value type {number}");
            Report::new(self.file, subject, found, "0 to 12").malformed()
        })
    }

    fn array(&mut self, subject: &str, depth: usize) -> Result<Array, Error> {
        if depth > ARRAY_DEPTH_MAX {
            let wanted = format!("at most {ARRAY_DEPTH_MAX} levels");
            let found = "arrays nested deeper";
            return Err(Report::new(self.file, subject, found, wanted).malformed());
        }
        let kind = self.kind(subject)?;
        match kind {
            Kind::String => {
                let count = self.count(subject, LENGTH_BYTES, usize::MAX)?;
                let strings = (0..count).map(|_| self.string(subject, usize::MAX));
                Ok(Array::Strings(strings.collect::<Result<_, _>>()?))
            }
            Kind::Array => {
                let count = self.count(subject, ARRAY_BYTES_MIN, usize::MAX)?;
                let arrays = (0..count).map(|_| self.array(subject, depth + 1));
                Ok(Array::Arrays(arrays.collect::<Result<_, _>>()?))
            }
            _ => {
                let width = kind.bytes().expect("neither string nor array");
                let count = self.count(subject, width, usize::MAX)?;
                let bytes = self.take(count * width, subject)?;
                self.check_bools(kind, bytes, subject)?;
                Ok(Array::Numbers(kind, bytes.to_vec()))
            }
        }
    }

    fn check_bools(&self, kind: Kind, bytes: &[u8], subject: &str) -> Result<(), Error> {
        let wrong = bytes.iter().find(|&&byte| kind == Kind::Bool && byte > 1);
        wrong.map_or(Ok(()), |byte| {
            let found = format!("a bool of {byte}");
            Err(Report::new(self.file, subject, found, "0 or 1").malformed())
        })
    }
}
