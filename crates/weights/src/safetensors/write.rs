//! Writing safetensors files.

use std::io::Write;
use std::path::Path;

use baimo_kernels::format::Format;

use crate::error::{Error, Report, quoted};
use crate::tensor::{Dtype, TensorInfo};

/// Writes a safetensors file tensor by tensor, so that none has to be whole in memory.
pub struct Writer<W: Write> {
    out: W,
    data_bytes: usize,
    written: usize,
}

impl<W: Write> Writer<W> {
    /// Writes the header for `tensors` (their `range`s are not read: they follow each other in the
    /// order given); `file` is the name in messages.
    ///
    /// # Errors
    /// If a tensor has a type or a shape that the format lacks, or writing fails.
    pub fn new(mut out: W, file: &Path, tensors: &[TensorInfo]) -> Result<Writer<W>, Error> {
        let mut header = serde_json::Map::new();
        let mut at = 0_usize;
        for tensor in tensors {
            let subject = format!("tensor {}", quoted(&tensor.name));
            let refuse = |found: String, wanted: &str| {
                Report::new(file, subject.clone(), found, wanted).unsupported()
            };
            let Some(dtype) = dtype_name(tensor.dtype) else {
                let found = tensor.dtype.name().to_string();
                return Err(refuse(found, "a type that safetensors has"));
            };
            let end = tensor.dtype.bytes(&tensor.shape).and_then(|bytes| at.checked_add(bytes));
            let Some(end) = end else {
                return Err(refuse(format!("shape {:?}", tensor.shape), "a size that fits a file"));
            };
            let entry = serde_json::json!({
                "dtype": dtype, "shape": tensor.shape, "data_offsets": [at, end],
            });
            if header.insert(tensor.name.clone(), entry).is_some() {
                return Err(refuse("a second one".to_string(), "each name once"));
            }
            at = end;
        }
        let mut text = serde_json::Value::Object(header).to_string();
        // Padded so that the data is aligned, as the reference implementation does.
        while !text.len().is_multiple_of(8) {
            text.push(' ');
        }
        let failed = |source| Error::Io { file: file.to_path_buf(), action: "write", source };
        out.write_all(&(text.len() as u64).to_le_bytes()).map_err(failed)?;
        out.write_all(text.as_bytes()).map_err(failed)?;
        Ok(Writer { out, data_bytes: at, written: 0 })
    }

    /// Appends bytes of the current tensor; the next begins where its bytes end.
    ///
    /// # Errors
    /// If writing fails.
    pub fn push(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.written += bytes.len();
        self.out.write_all(bytes)
    }

    /// Ends the file and returns what it was written to.
    ///
    /// # Errors
    /// If writing fails.
    ///
    /// # Panics
    /// If the bytes pushed are not those of the tensors announced.
    pub fn finish(mut self) -> std::io::Result<W> {
        assert_eq!(self.written, self.data_bytes, "bytes pushed and bytes announced differ");
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
pub fn write(file: &Path, tensors: &[(TensorInfo, &[u8])]) -> Result<(), Error> {
    let failed = |source| Error::Io { file: file.to_path_buf(), action: "write", source };
    let out = std::io::BufWriter::new(std::fs::File::create(file).map_err(failed)?);
    let infos: Vec<TensorInfo> = tensors.iter().map(|(info, _)| info.clone()).collect();
    let mut writer = Writer::new(out, file, &infos)?;
    for (_, bytes) in tensors {
        writer.push(bytes).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    Ok(())
}

fn dtype_name(dtype: Dtype) -> Option<&'static str> {
    Some(match dtype {
        Dtype::Weights(Format::F32) => "F32",
        Dtype::Weights(Format::F16) => "F16",
        Dtype::Weights(Format::Bf16) => "BF16",
        Dtype::Weights(Format::F8E4M3) => "F8_E4M3",
        Dtype::Weights(_) => return None,
        Dtype::I64 => "I64",
        Dtype::I32 => "I32",
        Dtype::U8 => "U8",
        Dtype::Bool => "BOOL",
    })
}
