//! The safetensors format (<https://github.com/huggingface/safetensors>): an 8-byte length, a JSON
//! header of that length, then the tensors' bytes with no holes between them.

mod shards;
mod write;

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use baimo_kernels::format::Format;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::error::{Error, Report, quoted, shape_text};
use crate::tensor::{Dtype, TensorInfo};

pub(crate) use shards::{open_file, open_folder};
pub use write::{Writer, write};

/// The longest header that is read, as in the reference implementation.
pub const HEADER_BYTES_MAX: usize = 100_000_000;

const DIMENSIONS_MAX: usize = 8;
const LENGTH_BYTES: usize = 8;

/// Reads the table of contents of a whole safetensors file; `file` is its name in messages.
///
/// # Errors
/// If the header is malformed, or does not describe exactly the bytes that follow it.
pub fn read(bytes: &[u8], file: &Path) -> Result<Vec<TensorInfo>, Error> {
    let (header, data_start) = header_text(bytes, file)?;
    let header: Header = serde_json::from_str(header).map_err(|error| {
        Report::new(file, "header", json_problem(&error), "the JSON of a safetensors header")
            .malformed()
    })?;
    let data_bytes = bytes.len() - data_start;
    let mut tensors = Vec::with_capacity(header.entries.len());
    for (name, entry) in header.entries {
        tensors.push(tensor_info(file, name, entry, data_start, data_bytes)?);
    }
    check_coverage(file, &tensors, data_start, bytes.len())?;
    Ok(tensors)
}

/// The header, checked for length and encoding, and where the data starts.
fn header_text<'a>(bytes: &'a [u8], file: &Path) -> Result<(&'a str, usize), Error> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        let found = format!("{} bytes", bytes.len());
        return Err(Report::new(file, "header length", found, "8 bytes")
            .hint("was the download cut off?")
            .malformed());
    };
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length)
        .ok()
        .filter(|&length| length <= HEADER_BYTES_MAX)
        .and_then(|length| rest.get(..length));
    let Some(header) = header else {
        let wanted = format!("at most {HEADER_BYTES_MAX} and at most the file's {}", rest.len());
        return Err(Report::new(file, "header length", length.to_string(), wanted)
            .hint("the file is cut off, or is no safetensors file")
            .malformed());
    };
    let text = std::str::from_utf8(header).map_err(|error| {
        let found = format!("bad UTF-8 at byte {}", error.valid_up_to());
        Report::new(file, "header", found, "UTF-8").malformed()
    })?;
    if !text.starts_with('{') {
        let start: String = text.chars().take(1).collect();
        let hint = "this is no safetensors file";
        return Err(Report::new(file, "header", format!("`{}`", start.escape_debug()), "`{`")
            .hint(hint)
            .malformed());
    }
    Ok((text, LENGTH_BYTES + header.len()))
}

fn tensor_info(
    file: &Path,
    name: String,
    entry: Entry,
    data_start: usize,
    data_bytes: usize,
) -> Result<TensorInfo, Error> {
    let subject = || format!("tensor {}", quoted(&name));
    let report = |found: String, wanted: String| Report::new(file, subject(), found, wanted);
    let Some(dtype) = dtype(&entry.dtype) else {
        let wanted = "F32, F16, BF16, F8_E4M3, I64, I32, U8 or BOOL".to_string();
        return Err(report(format!("dtype {}", quoted(&entry.dtype)), wanted).unsupported());
    };
    if entry.shape.len() > DIMENSIONS_MAX {
        let found = format!("{} dimensions", entry.shape.len());
        return Err(report(found, format!("at most {DIMENSIONS_MAX}")).malformed());
    }
    let [begin, end] = entry.data_offsets;
    if begin > end || end > data_bytes {
        let found = format!("data_offsets [{begin}, {end}]");
        let wanted = format!("a range within the {data_bytes} bytes of data");
        return Err(report(found, wanted).hint("the file may be cut off").malformed());
    }
    if dtype.bytes(&entry.shape) != Some(end - begin) {
        let found = format!("{} bytes", end - begin);
        let wanted = format!("those of {} {}", entry.dtype, shape_text(&entry.shape));
        return Err(report(found, wanted).malformed());
    }
    let range = data_start + begin..data_start + end;
    Ok(TensorInfo { name, dtype, shape: entry.shape, range })
}

/// Every byte after the header belongs to exactly one tensor.
fn check_coverage(
    file: &Path,
    tensors: &[TensorInfo],
    data_start: usize,
    file_end: usize,
) -> Result<(), Error> {
    let mut in_order: Vec<&TensorInfo> = tensors.iter().collect();
    in_order.sort_by_key(|tensor| (tensor.range.start, tensor.range.end));
    let mut covered = data_start;
    for tensor in in_order {
        if tensor.range.start != covered {
            let what = if tensor.range.start < covered { "an overlap" } else { "a hole" };
            let found = format!("{what} before byte {}", tensor.range.start - data_start);
            let wanted = format!("data from byte {}", covered - data_start);
            let subject = format!("tensor {}", quoted(&tensor.name));
            return Err(Report::new(file, subject, found, wanted).malformed());
        }
        covered = tensor.range.end;
    }
    if covered != file_end {
        let found = format!("{} bytes that no tensor claims", file_end - covered);
        return Err(Report::new(file, "end of file", found, "the last tensor's end").malformed());
    }
    Ok(())
}

fn dtype(name: &str) -> Option<Dtype> {
    Some(match name {
        "F32" => Dtype::Weights(Format::F32),
        "F16" => Dtype::Weights(Format::F16),
        "BF16" => Dtype::Weights(Format::Bf16),
        "F8_E4M3" => Dtype::Weights(Format::F8E4M3),
        "I64" => Dtype::I64,
        "I32" => Dtype::I32,
        "U8" => Dtype::U8,
        "BOOL" => Dtype::Bool,
        _ => return None,
    })
}

/// What serde has against a text, cut to a line.
fn json_problem(error: &serde_json::Error) -> String {
    const CHARACTERS_MAX: usize = 200;
    let text: String = error.to_string().chars().take(CHARACTERS_MAX).collect();
    text.escape_debug().to_string()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// The header's entries in the order of the file, each name once.
struct Header {
    entries: Vec<(String, Entry)>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Header, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of tensors")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Header, M::Error> {
                let mut entries = Vec::new();
                let mut seen = HashSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    if !seen.insert(name.clone()) {
                        return Err(de::Error::custom(format!("{} twice", quoted(&name))));
                    }
                    let in_entry = |error| de::Error::custom(format!("{}: {error}", quoted(&name)));
                    if name == "__metadata__" {
                        map.next_value::<Pairs<String>>().map_err(in_entry)?;
                    } else {
                        let entry = map.next_value::<Entry>().map_err(in_entry)?;
                        entries.push((name, entry));
                    }
                }
                Ok(Header { entries })
            }
        }
        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// A JSON object in the order of the file that is refused where a key stands twice.
pub(crate) struct Pairs<V>(pub Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs<V>, D::Error> {
        struct PairsVisitor<V>(std::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for PairsVisitor<V> {
            type Value = Pairs<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Pairs<V>, M::Error> {
                let mut pairs = Vec::new();
                let mut seen = HashSet::new();
                while let Some(key) = map.next_key::<String>()? {
                    if !seen.insert(key.clone()) {
                        return Err(de::Error::custom(format!("{} twice", quoted(&key))));
                    }
                    let value = map
                        .next_value()
                        .map_err(|error| de::Error::custom(format!("{}: {error}", quoted(&key))))?;
                    pairs.push((key, value));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor(std::marker::PhantomData))
    }
}
