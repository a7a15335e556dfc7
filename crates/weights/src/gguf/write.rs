//! Writing GGUF files, version 3.

use std::io::Write;
use std::path::Path;

use super::metadata::{Array, Kind, Value};
use super::{ALIGNMENT_DEFAULT, MAGIC, types};
use crate::error::{Error, Report, quoted};
use crate::tensor::TensorInfo;

const VERSION: u32 = 3;

/// Writes a GGUF file tensor by tensor, so that none has to be whole in memory.
pub struct Writer<W: Write> {
    out: W,
    /// Bytes of each tensor that is not complete, the current one last.
    pending: Vec<usize>,
    /// Bytes the current tensor still lacks.
    lacking: usize,
    /// Bytes of padding that are due when it is complete.
    padding: usize,
}

impl<W: Write> Writer<W> {
    /// Writes metadata and table of contents for `tensors` (their `range`s are not read: they
    /// follow each other, aligned, in the order given); `file` is the name in messages.
    ///
    /// # Errors
    /// If a tensor has a type or a shape that the format lacks, or writing fails.
    pub fn new(
        mut out: W,
        file: &Path,
        metadata: &[(String, Value)],
        tensors: &[TensorInfo],
    ) -> Result<Writer<W>, Error> {
        let mut head = Vec::new();
        head.extend(MAGIC);
        head.extend(VERSION.to_le_bytes());
        head.extend((tensors.len() as u64).to_le_bytes());
        head.extend((metadata.len() as u64).to_le_bytes());
        for (key, value) in metadata {
            put_string(&mut head, key);
            put_kind(&mut head, value.kind());
            put_value(&mut head, value);
        }
        let mut pending = Vec::with_capacity(tensors.len());
        let mut offset = 0_usize;
        for tensor in tensors {
            let refuse = |found: String| {
                let subject = format!("tensor {}", quoted(&tensor.name));
                Report::new(file, subject, found, "what GGUF can hold").unsupported()
            };
            let Some(number) = types::number(tensor.dtype) else {
                return Err(refuse(format!("type {}", tensor.dtype.name())));
            };
            let Some(bytes) = tensor.dtype.bytes(&tensor.shape) else {
                return Err(refuse(format!("{} {:?}", tensor.dtype.name(), tensor.shape)));
            };
            put_string(&mut head, &tensor.name);
            head.extend((tensor.shape.len() as u32).to_le_bytes());
            for &dimension in tensor.shape.iter().rev() {
                head.extend((dimension as u64).to_le_bytes());
            }
            head.extend(number.to_le_bytes());
            head.extend((offset as u64).to_le_bytes());
            offset += bytes.next_multiple_of(ALIGNMENT_DEFAULT);
            pending.push(bytes);
        }
        head.resize(head.len().next_multiple_of(ALIGNMENT_DEFAULT), 0);
        let failed = |source| Error::Io { file: file.to_path_buf(), action: "write", source };
        out.write_all(&head).map_err(failed)?;
        pending.reverse();
        let mut writer = Writer { out, pending, lacking: 0, padding: 0 };
        writer.next_tensor().map_err(failed)?;
        Ok(writer)
    }

    /// Pads the tensors that are complete and goes on to the next that has bytes.
    fn next_tensor(&mut self) -> std::io::Result<()> {
        self.out.write_all(&[0; ALIGNMENT_DEFAULT][..std::mem::take(&mut self.padding)])?;
        while self.lacking == 0 {
            let Some(bytes) = self.pending.pop() else { break };
            self.lacking = bytes;
            self.padding = bytes.next_multiple_of(ALIGNMENT_DEFAULT) - bytes;
        }
        Ok(())
    }

    /// Appends bytes of the current tensor; the next begins where its bytes end.
    ///
    /// # Errors
    /// If writing fails.
    ///
    /// # Panics
    /// If they are more than the current tensor has.
    pub fn push(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        assert!(bytes.len() <= self.lacking, "more bytes than the tensor announced");
        self.out.write_all(bytes)?;
        self.lacking -= bytes.len();
        if self.lacking == 0 { self.next_tensor() } else { Ok(()) }
    }

    /// Ends the file and returns what it was written to.
    ///
    /// # Errors
    /// If writing fails.
    ///
    /// # Panics
    /// If a tensor lacks bytes.
    pub fn finish(mut self) -> std::io::Result<W> {
        assert!(self.lacking == 0 && self.pending.is_empty(), "a tensor lacks bytes");
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Writes a file of whole tensors, each with its bytes.
///
/// # Errors
/// As [`Writer::new`], or if writing fails.
///
/// # Panics
/// If a tensor's bytes are not as many as its shape says.
pub fn write(
    file: &Path,
    metadata: &[(String, Value)],
    tensors: &[(TensorInfo, &[u8])],
) -> Result<(), Error> {
    let failed = |source| Error::Io { file: file.to_path_buf(), action: "write", source };
    let out = std::io::BufWriter::new(std::fs::File::create(file).map_err(failed)?);
    let infos: Vec<TensorInfo> = tensors.iter().map(|(info, _)| info.clone()).collect();
    let mut writer = Writer::new(out, file, metadata, &infos)?;
    for (info, bytes) in tensors {
        assert_eq!(info.dtype.bytes(&info.shape), Some(bytes.len()), "bytes of {}", info.name);
        writer.push(bytes).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    Ok(())
}

fn put_string(head: &mut Vec<u8>, text: &str) {
    head.extend((text.len() as u64).to_le_bytes());
    head.extend(text.as_bytes());
}

fn put_kind(head: &mut Vec<u8>, kind: Kind) {
    let number = Kind::ALL.iter().position(|known| *known == kind).expect("ALL has every kind");
    head.extend((number as u32).to_le_bytes());
}

fn put_value(head: &mut Vec<u8>, value: &Value) {
    let width = value.kind().bytes().unwrap_or(0);
    match value {
        Value::Unsigned(_, value) => head.extend(&value.to_le_bytes()[..width]),
        Value::Signed(_, value) => head.extend(&value.to_le_bytes()[..width]),
        Value::F32(value) => head.extend(value.to_le_bytes()),
        Value::F64(value) => head.extend(value.to_le_bytes()),
        Value::Bool(value) => head.push(u8::from(*value)),
        Value::String(text) => put_string(head, text),
        Value::Array(array) => put_array(head, array),
    }
}

fn put_array(head: &mut Vec<u8>, array: &Array) {
    let kind = match array {
        Array::Numbers(kind, _) => *kind,
        Array::Strings(_) => Kind::String,
        Array::Arrays(_) => Kind::Array,
    };
    put_kind(head, kind);
    head.extend((array.len() as u64).to_le_bytes());
    match array {
        Array::Numbers(_, bytes) => head.extend(bytes),
        Array::Strings(strings) => strings.iter().for_each(|text| put_string(head, text)),
        Array::Arrays(arrays) => arrays.iter().for_each(|array| put_array(head, array)),
    }
}
