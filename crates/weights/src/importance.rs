//! How much each column of a map matters: the mean square of what it is multiplied with, over some
//! text. Known to users of GGUF tools as an importance matrix.
//!
//! Source of both file formats: `tools/imatrix/imatrix.cpp` of
//! <https://github.com/ggml-org/llama.cpp>. One is a GGUF file with two tensors for each map, sums
//! of squares `[matrices, columns]` and counts `[matrices, 1]`; the older one a list of means.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use baimo_kernels::format::Format;

use crate::error::{Error, Report, quoted, shape_text};
use crate::gguf::{self, Array, Kind, Value};
use crate::tensor::{Dtype, TensorInfo};

const SUMS: &str = ".in_sum2";
const COUNTS: &str = ".counts";
const DATASETS: &str = "imatrix.datasets";
/// Entries and bytes of a name that the older format may announce.
const ENTRIES_MAX: usize = 1 << 20;
const NAME_BYTES_MAX: usize = 1 << 10;

/// What is known of each map, by its GGUF name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Importance {
    maps: BTreeMap<String, Vec<Columns>>,
    /// Pieces of text that were read.
    pub chunks: usize,
    /// The texts.
    pub texts: Vec<String>,
}

/// Of one matrix.
#[derive(Clone, Debug, Default, PartialEq)]
struct Columns {
    /// Sums of squares.
    sums: Vec<f32>,
    /// How many rows are summed.
    count: f32,
}

impl Importance {
    /// What is known of the columns of a matrix: nothing where it met no row.
    pub fn of(&self, map: &str, matrix: usize) -> Option<Vec<f32>> {
        let Columns { sums, count } = self.maps.get(map)?.get(matrix)?;
        (*count > 0.0).then(|| sums.iter().map(|sum| sum / count).collect())
    }

    /// How many columns the matrices of a map have, where it is known.
    pub fn columns(&self, map: &str) -> Option<usize> {
        self.maps.get(map)?.iter().map(|matrix| matrix.sums.len()).max()
    }

    /// The maps it knows.
    pub fn maps(&self) -> impl Iterator<Item = &str> {
        self.maps.keys().map(String::as_str)
    }

    /// Adds what the matrix `matrix` of the `matrices` of a map was multiplied with: of each column
    /// the sum of the squares, over so many rows.
    ///
    /// # Panics
    /// If the map has fewer matrices, or had other columns before.
    pub fn add(&mut self, map: &str, matrices: usize, matrix: usize, squares: &[f64], rows: usize) {
        let all = self.maps.entry(map.to_owned()).or_default();
        let none = Columns { sums: vec![0.0; squares.len()], count: 0.0 };
        all.resize(matrices.max(all.len()), none);
        let Columns { sums, count } = &mut all[matrix];
        assert_eq!(sums.len(), squares.len(), "columns of {map}");
        sums.iter_mut().zip(squares).for_each(|(sum, more)| *sum += *more as f32);
        *count += rows as f32;
    }

    /// Writes a GGUF file that GGUF tools read, of texts in chunks of so many tokens.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path, chunk_tokens: usize) -> Result<(), Error> {
        let number = |key: &str, count: usize| {
            (format!("imatrix.{key}"), Value::Unsigned(Kind::U32, count as u64))
        };
        let metadata = [
            ("general.type".to_owned(), Value::String("imatrix".to_owned())),
            (DATASETS.to_owned(), Value::Array(Array::Strings(self.texts.clone()))),
            number("chunk_count", self.chunks),
            number("chunk_size", chunk_tokens),
        ];
        let mut tensors = Vec::new();
        for (map, matrices) in &self.maps {
            let columns = matrices.first().map_or(0, |first| first.sums.len());
            let sums: Vec<f32> = matrices.iter().flat_map(|it| &it.sums).copied().collect();
            let counts: Vec<f32> = matrices.iter().map(|it| it.count).collect();
            for (ending, columns, numbers) in [(SUMS, columns, sums), (COUNTS, 1, counts)] {
                let (name, dtype) = (format!("{map}{ending}"), Dtype::Weights(Format::F32));
                let shape = vec![matrices.len(), columns];
                let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
                tensors.push((TensorInfo { name, dtype, shape, range: 0..0 }, bytes));
            }
        }
        let tensors: Vec<(TensorInfo, &[u8])> =
            tensors.iter().map(|(info, bytes)| (info.clone(), &bytes[..])).collect();
        gguf::write(path, &metadata, &tensors)
    }

    /// Reads a file of either format.
    ///
    /// # Errors
    /// If it is no such file, or damaged.
    pub fn read(path: &Path) -> Result<Importance, Error> {
        let failed = |source| Error::Io { file: path.to_path_buf(), action: "read", source };
        let bytes = std::fs::read(path).map_err(failed)?;
        match bytes.starts_with(b"GGUF") {
            true => from_gguf(&gguf::read(&bytes, path)?, &bytes, path),
            false => Reader { rest: &bytes, path }.list(),
        }
    }
}

fn from_gguf(contents: &gguf::Contents, bytes: &[u8], path: &Path) -> Result<Importance, Error> {
    let mut importance = Importance::default();
    let metadata = &contents.metadata;
    let chunks = metadata.get("imatrix.chunk_count").and_then(Value::as_u64);
    importance.chunks = chunks.unwrap_or(0) as usize;
    if metadata.get(DATASETS).is_some() {
        importance.texts = metadata.get_strings(DATASETS)?.to_vec();
    }
    let floats = |info: &TensorInfo| -> Option<Vec<f32>> {
        let numbers = bytes[info.range.clone()].as_chunks::<4>().0;
        let f32 = info.dtype == Dtype::Weights(Format::F32);
        f32.then(|| numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    };
    let by_name: HashMap<&str, &TensorInfo> =
        contents.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    for info in &contents.tensors {
        let Some(name) = info.name.strip_suffix(SUMS) else { continue };
        let columns = info.shape.last().copied().unwrap_or(1).max(1);
        let counts = by_name.get(&*format!("{name}{COUNTS}")).copied().and_then(&floats);
        let (Some(sums), Some(counts)) = (floats(info), counts) else {
            let wanted = "f32 sums with f32 counts beside them";
            return Err(malformed(path, name, "something else", wanted));
        };
        if counts.len() * columns != sums.len() {
            let found = format!("{} counts for {}", counts.len(), shape_text(&info.shape));
            return Err(malformed(path, name, &found, "a count for each matrix"));
        }
        let matrices = sums.chunks_exact(columns).zip(counts);
        let matrices = matrices.map(|(sums, count)| Columns { sums: sums.to_vec(), count });
        let matrices: Vec<Columns> = matrices.collect();
        check_numbers(&matrices, name, path)?;
        importance.maps.insert(name.to_owned(), matrices);
    }
    if importance.maps.is_empty() {
        return Err(malformed(path, "tensors", "none that end in `.in_sum2`", "an imatrix file"));
    }
    Ok(importance)
}

fn malformed(path: &Path, subject: &str, found: &str, wanted: &str) -> Error {
    Report::new(path, format!("importance of {}", quoted(subject)), found, wanted)
        .hint("make the file anew, with llama-imatrix")
        .malformed()
}

fn check_numbers(matrices: &[Columns], name: &str, path: &Path) -> Result<(), Error> {
    let fine = |number: &f32| number.is_finite() && *number >= 0.0;
    let all = |matrix: &Columns| fine(&matrix.count) && matrix.sums.iter().all(fine);
    match matrices.iter().all(all) {
        true => Ok(()),
        false => Err(malformed(path, name, "a negative number, or none", "sums of squares")),
    }
}

/// The older format: how many entries, then of each a name, how many calls, and the means.
struct Reader<'a> {
    rest: &'a [u8],
    path: &'a Path,
}

impl Reader<'_> {
    fn list(mut self) -> Result<Importance, Error> {
        let mut importance = Importance::default();
        let entries = self.count("entries", ENTRIES_MAX)?;
        for _ in 0..entries {
            let length = self.count("name", NAME_BYTES_MAX)?;
            let name = String::from_utf8_lossy(self.take(length)?).into_owned();
            let calls = self.count(&name, usize::MAX)?.max(1) as f32;
            let numbers = self.count(&name, self.rest.len() / 4)?;
            let numbers = self.take(4 * numbers)?.as_chunks::<4>().0;
            let sums = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            let matrices = vec![Columns { sums, count: calls }];
            check_numbers(&matrices, &name, self.path)?;
            importance.maps.insert(name, matrices);
        }
        match entries {
            0 => Err(malformed(self.path, "file", "no entries", "an imatrix file")),
            // What follows is told for people.
            _ => Ok(importance),
        }
    }

    fn take(&mut self, count: usize) -> Result<&[u8], Error> {
        let cut = || malformed(self.path, "file", "its end", &format!("{count} bytes more"));
        self.rest.split_off(..count).ok_or_else(cut)
    }

    fn count(&mut self, what: &str, most: usize) -> Result<usize, Error> {
        let bytes = self.take(4)?.try_into().expect("four bytes");
        let count = i32::from_le_bytes(bytes);
        match usize::try_from(count) {
            Ok(count) if count <= most => Ok(count),
            _ => {
                let wanted = "an imatrix file of llama.cpp, old or new";
                Err(malformed(self.path, what, &format!("the count {count}"), wanted))
            }
        }
    }
}

impl Importance {
    /// The older format does not say how many matrices a map has: where `matrices` have `columns`
    /// each, their numbers are taken apart.
    pub fn apart(&mut self, map: &str, matrices: usize, columns: usize) {
        let Some([one]) = self.maps.get(map).map(Vec::as_slice) else { return };
        if matrices > 1 && one.sums.len() == matrices * columns {
            let count = one.count;
            let parts = one.sums.chunks_exact(columns);
            let parts = parts.map(|sums| Columns { sums: sums.to_vec(), count }).collect();
            self.maps.insert(map.to_owned(), parts);
        }
    }
}
