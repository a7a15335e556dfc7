//! Writing a model anew, tensor by tensor: what is in memory is a few rows for each thread.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use baimo_kernels::Pool;

use crate::error::{Error, Report};
use crate::gguf::{Value, Writer};
use crate::os::{self, folder_of, free_bytes};
use crate::quantize::RowSource;
use crate::tensor::{Tensor, TensorInfo};

/// What a tensor of the new file is made of.
pub(crate) enum Content<'a> {
    /// The bytes of a tensor as they are.
    Stored(Tensor<'a>),
    /// Numbers, which are written as they are.
    Floats(Vec<f32>),
    /// The rows of one source after those of another.
    Rows(Vec<RowSource<'a>>),
}

/// Bytes of a tensor that are copied at once.
const COPIED_BYTES: usize = 1 << 20;

/// Writes the GGUF file `path` of these tensors (their `range`s are not read). `content` is asked
/// for each in turn, by its place in `tensors`; `progress` is told how many more bytes are written.
///
/// The file comes to its place whole: before, it lies beside it under another name, and is removed
/// where anything fails.
///
/// # Errors
/// If a tensor cannot be read or the file not be written, or the disk has no room for it.
///
/// # Panics
/// If a content has not as many bytes as its tensor's entry says.
pub(crate) fn write_model<'a>(
    path: &Path,
    metadata: &[(String, Value)],
    tensors: &[TensorInfo],
    threads: usize,
    mut content: impl FnMut(usize) -> Result<Content<'a>, Error>,
    progress: &mut dyn FnMut(usize),
) -> Result<(), Error> {
    check_room(path, tensors)?;
    let (part, pool) = (PartFile::create(path)?, Pool::new(threads));
    let failed = |source| Error::Io { file: path.to_path_buf(), action: "write", source };
    let file = part.file.try_clone().map_err(failed)?;
    let mut writer = Writer::new(BufWriter::new(file), path, metadata, tensors)?;
    for (index, info) in tensors.iter().enumerate() {
        let mut push = |bytes: &[u8]| {
            progress(bytes.len());
            writer.push(bytes).map_err(failed)
        };
        match content(index)? {
            Content::Stored(tensor) => {
                assert_eq!(tensor.dtype, info.dtype, "{}", info.name);
                for (index, bytes) in tensor.data.chunks(COPIED_BYTES).enumerate() {
                    push(bytes)?;
                    let first = index * COPIED_BYTES;
                    tensor.release_bytes(first..first + bytes.len());
                }
            }
            Content::Floats(values) => {
                let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
                push(&bytes)?;
            }
            Content::Rows(sources) => write_rows(&sources, &pool, &mut push)?,
        }
    }
    writer.finish().map_err(failed)?;
    part.keep(path)
}

/// Reads and converts rows on all threads, and gives them in order, those of one source after those
/// of another: the matrices of a stack may be too small to keep all threads busy alone.
fn write_rows(
    sources: &[RowSource],
    pool: &Pool,
    push: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    // Where conversion is slow for some rows, the others go on.
    let chunks: Vec<Mutex<Vec<u8>>> = (0..4 * pool.threads()).map(|_| Mutex::default()).collect();
    let mut pieces = sources.iter().flat_map(|source| {
        let (rows, step) = (source.rows(), source.chunk_rows());
        (0..rows).step_by(step).map(move |first| (source, first..rows.min(first + step)))
    });
    loop {
        let some: Vec<_> = pieces.by_ref().take(chunks.len()).collect();
        if some.is_empty() {
            return Ok(());
        }
        pool.run(some.len(), &|index| {
            let (source, rows) = &some[index];
            source.read(rows.clone(), &mut chunks[index].lock().expect("no chunk panics"));
        });
        for ((source, rows), chunk) in some.into_iter().zip(&chunks) {
            push(&chunk.lock().expect("no chunk panics"))?;
            source.release(rows);
        }
    }
}

fn check_room(path: &Path, tensors: &[TensorInfo]) -> Result<(), Error> {
    let sizes = tensors.iter().map(|tensor| tensor.dtype.bytes(&tensor.shape));
    let wanted: usize = sizes.flatten().sum();
    let folder = folder_of(path);
    match free_bytes(folder) {
        Some(free) if free < wanted as u64 => {
            let found = format!("{free} bytes free in {}", folder.display());
            Err(Report::new(path, "disk", found, format!("{wanted} for the file"))
                .hint("make room, or write to another disk")
                .missing())
        }
        Some(_) | None => Ok(()),
    }
}

/// A file that is still being written: it goes with this value unless it is kept.
struct PartFile {
    file: File,
    path: PathBuf,
}

impl PartFile {
    fn create(place: &Path) -> Result<PartFile, Error> {
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let path = place.with_file_name(name);
        match File::create(&path) {
            Ok(file) => Ok(PartFile { file, path }),
            Err(source) => Err(Error::Io { file: path, action: "make", source }),
        }
    }

    /// Brings the file to its place, once all of it is on the disk.
    fn keep(self, place: &Path) -> Result<(), Error> {
        os::land(&self.file, &self.path, place).map_err(|source| Error::Io {
            file: place.to_path_buf(),
            action: "write",
            source,
        })
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        // Nothing is there where it was kept.
        let _gone = std::fs::remove_file(&self.path);
    }
}
