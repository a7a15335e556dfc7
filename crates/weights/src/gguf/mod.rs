//! The GGUF format (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>), versions 2 and 3,
//! little-endian: metadata, a table of tensors, then their bytes, aligned.

mod metadata;
mod read;
mod split;
mod types;
mod write;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::error::{Error, Report, quoted, shape_text};
use crate::tensor::TensorInfo;

pub use metadata::{Array, Kind, Metadata, Value};
pub(crate) use split::open;
pub use write::{Writer, write};

use read::Reader;

const MAGIC: [u8; 4] = *b"GGUF";
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=3;
const ALIGNMENT_KEY: &str = "general.alignment";
const ALIGNMENT_DEFAULT: usize = 32;
const ALIGNMENT_MAX: usize = 1 << 20;
const DIMENSIONS_MAX: usize = 4;
const KEY_BYTES_MAX: usize = 65_535;
const NAME_BYTES_MAX: usize = 1_024;
/// The least a key with its value can take: an empty key's length, a type, one byte.
const PAIR_BYTES_MIN: usize = 8 + 4 + 1;
/// The least a tensor's entry can take: a name's length, a dimension count, one dimension, a type,
/// an offset.
const ENTRY_BYTES_MIN: usize = 8 + 4 + 8 + 4 + 8;
/// Known files have less than a hundred keys and a few thousand tensors.
const PAIRS_MAX: usize = 1 << 16;
const TENSORS_MAX: usize = 1 << 20;

/// What one GGUF file says of itself.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Keys and values.
    pub metadata: Metadata,
    /// The tensors, in the order of the file.
    pub tensors: Vec<TensorInfo>,
}

/// Reads metadata and table of contents of a whole GGUF file; `file` is its name in messages.
///
/// # Errors
/// If the file is no GGUF file of a known version, is malformed, or holds a tensor type that this
/// build cannot compute with.
pub fn read(bytes: &[u8], file: &Path) -> Result<Contents, Error> {
    read_head(bytes, bytes.len(), file)
}

/// The same from the beginning of a file of `file_bytes` bytes, which has to reach up to the bytes
/// of the tensors.
///
/// # Errors
/// As [`read`], also where `beginning` ends too early.
pub fn read_head(beginning: &[u8], file_bytes: usize, file: &Path) -> Result<Contents, Error> {
    let mut reader = Reader::new(beginning, file);
    check_magic_and_version(&mut reader)?;
    let tensor_count = reader.count("tensor count", ENTRY_BYTES_MIN, TENSORS_MAX)?;
    let pair_count = reader.count("metadata count", PAIR_BYTES_MIN, PAIRS_MAX)?;
    let metadata = read_metadata(&mut reader, pair_count)?;
    let alignment = alignment(&metadata, file)?;
    let mut entries = Vec::new();
    let mut seen = HashSet::new();
    for _ in 0..tensor_count {
        let entry = read_entry(&mut reader)?;
        if !seen.insert(entry.info.name.clone()) {
            let subject = format!("tensor {}", quoted(&entry.info.name));
            return Err(Report::new(file, subject, "a second one", "each name once").malformed());
        }
        entries.push(entry);
    }
    let data_start = reader.position().next_multiple_of(alignment);
    let mut tensors = Vec::with_capacity(tensor_count);
    for entry in entries {
        tensors.push(place(entry, data_start, alignment, file_bytes, file)?);
    }
    check_overlaps(&tensors, file)?;
    Ok(Contents { metadata, tensors })
}

fn check_magic_and_version(reader: &mut Reader<'_>) -> Result<(), Error> {
    let file = reader.file();
    let magic = reader.take(MAGIC.len(), "magic")?;
    if magic != MAGIC {
        let found = format!("`{}`", magic.escape_ascii());
        let hint = "this is no GGUF file, or its download was cut or replaced by an error page";
        return Err(Report::new(file, "magic", found, "`GGUF`").hint(hint).malformed());
    }
    let version = reader.u32("version")?;
    if VERSIONS.contains(&version) {
        return Ok(());
    }
    let hint = if VERSIONS.contains(&version.swap_bytes()) {
        "the file is big-endian; take or make a little-endian one"
    } else {
        "take or make the file anew with a current converter"
    };
    Err(Report::new(file, "version", version.to_string(), "2 or 3").hint(hint).unsupported())
}

fn read_metadata(reader: &mut Reader<'_>, pair_count: usize) -> Result<Metadata, Error> {
    let file = reader.file();
    let mut pairs = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for index in 0..pair_count {
        let key = reader.string(&format!("key number {index}"), KEY_BYTES_MAX)?;
        let value = reader.value(&key)?;
        if seen.insert(key.clone(), index).is_some() {
            let subject = format!("key {}", quoted(&key));
            return Err(Report::new(file, subject, "a second one", "each key once").malformed());
        }
        pairs.push((key, value));
    }
    Ok(Metadata::new(file, pairs, seen))
}

fn alignment(metadata: &Metadata, file: &Path) -> Result<usize, Error> {
    let Some(value) = metadata.get(ALIGNMENT_KEY) else { return Ok(ALIGNMENT_DEFAULT) };
    value
        .as_u64()
        .and_then(|value| usize::try_from(value).ok())
        .filter(|value| value.is_power_of_two() && *value <= ALIGNMENT_MAX)
        .ok_or_else(|| {
            let wanted = format!("a power of two, at most {ALIGNMENT_MAX}");
            let subject = format!("key `{ALIGNMENT_KEY}`");
            Report::new(file, subject, value.short_text(), wanted).malformed()
        })
}

/// A tensor's entry before its place in the file is known.
struct Entry {
    info: TensorInfo,
    bytes: usize,
    offset: u64,
}

fn read_entry(reader: &mut Reader<'_>) -> Result<Entry, Error> {
    let file = reader.file();
    let name = reader.string("tensor name", NAME_BYTES_MAX)?;
    let subject = format!("tensor {}", quoted(&name));
    let malformed =
        |found: String, wanted: &str| Report::new(file, &*subject, found, wanted).malformed();
    if name.is_empty() {
        return Err(malformed("an empty name".to_string(), "a name"));
    }
    let dimensions = reader.u32(&subject)? as usize;
    if dimensions == 0 || dimensions > DIMENSIONS_MAX {
        return Err(malformed(format!("{dimensions} dimensions"), "1 to 4"));
    }
    let mut shape = Vec::with_capacity(dimensions);
    for _ in 0..dimensions {
        let dimension = reader.u64(&subject)?;
        let Ok(dimension) = usize::try_from(dimension) else {
            return Err(malformed(format!("a dimension of {dimension}"), "one that fits memory"));
        };
        shape.push(dimension);
    }
    // The file has the innermost dimension first.
    shape.reverse();
    let type_number = reader.u32(&subject)?;
    let dtype = types::dtype(type_number).map_err(|name| {
        let found = format!("type {type_number} ({name})");
        Report::new(file, &*subject, found, types::KNOWN)
            .hint("take the model in another quantization")
            .unsupported()
    })?;
    let offset = reader.u64(&subject)?;
    let Some(bytes) = dtype.bytes(&shape) else {
        let found = format!("{} of shape {}", dtype.name(), shape_text(&shape));
        return Err(malformed(found, "rows of whole blocks and a size that fits memory"));
    };
    Ok(Entry { info: TensorInfo { name, dtype, shape, range: 0..0 }, bytes, offset })
}

/// Where the tensor lies in the file, checked against its end.
fn place(
    entry: Entry,
    data_start: usize,
    alignment: usize,
    file_bytes: usize,
    file: &Path,
) -> Result<TensorInfo, Error> {
    let Entry { info, bytes, offset } = entry;
    let subject = || format!("tensor {}", quoted(&info.name));
    if offset % alignment as u64 != 0 {
        let found = format!("offset {offset}");
        let wanted = format!("a multiple of the alignment {alignment}");
        return Err(Report::new(file, subject(), found, wanted).malformed());
    }
    let start = usize::try_from(offset).ok().and_then(|offset| data_start.checked_add(offset));
    let range = start.and_then(|start| Some(start..start.checked_add(bytes)?));
    match range {
        Some(range) if range.end <= file_bytes => Ok(TensorInfo { range, ..info }),
        _ => {
            let found = format!("{bytes} bytes at offset {offset}");
            let wanted = format!("a place within the file's {file_bytes} bytes");
            Err(Report::new(file, subject(), found, wanted)
                .hint("the file is cut off: download it again")
                .malformed())
        }
    }
}

fn check_overlaps(tensors: &[TensorInfo], file: &Path) -> Result<(), Error> {
    let mut in_order: Vec<&TensorInfo> = tensors.iter().filter(|t| !t.range.is_empty()).collect();
    in_order.sort_by_key(|tensor| tensor.range.start);
    for pair in in_order.windows(2) {
        if pair[1].range.start < pair[0].range.end {
            let subject = format!("tensor {}", quoted(&pair[1].name));
            let found = format!("bytes that belong to {}", quoted(&pair[0].name));
            return Err(Report::new(file, subject, found, "bytes of its own").malformed());
        }
    }
    Ok(())
}
