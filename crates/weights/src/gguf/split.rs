//! GGUF checkpoints of one or many files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{Contents, Metadata, read};
use crate::error::{Error, Report, quoted};
use crate::os::MappedFile;
use crate::parts::{Part, PartName};

const SPLIT_NUMBER: &str = "split.no";
const SPLIT_COUNT: &str = "split.count";
const SPLIT_TENSORS: &str = "split.tensors.count";

/// Opens the GGUF file at `path` and, where it is a part of a split model, all the others. The
/// metadata is the first part's.
pub(crate) fn open(path: &Path) -> Result<(Metadata, Vec<Part>), Error> {
    let (contents, file) = open_one(path)?;
    let count = match contents.metadata.get(SPLIT_COUNT) {
        Some(_) => contents.metadata.get_u64(SPLIT_COUNT)?,
        None => 1,
    };
    if count <= 1 {
        return Ok((contents.metadata, vec![Part { file, tensors: contents.tensors }]));
    }
    let paths = part_paths(path, count)?;
    let mut opened = Some((contents, file));
    let mut first_metadata = None;
    let mut parts = Vec::with_capacity(paths.len());
    for (number, part_path) in paths.iter().enumerate() {
        // The part that was named is open already.
        let this = opened.take_if(|(_, file)| file.path().file_name() == part_path.file_name());
        let (contents, file) = match this {
            Some(this) => this,
            None => open_one(part_path)?,
        };
        check_part(&contents.metadata, part_path, number, paths.len())?;
        first_metadata.get_or_insert(contents.metadata);
        parts.push(Part { file, tensors: contents.tensors });
    }
    let metadata = first_metadata.expect("at least two parts");
    check_together(&metadata, &parts)?;
    Ok((metadata, parts))
}

fn open_one(path: &Path) -> Result<(Contents, MappedFile), Error> {
    let file = MappedFile::open(path)?;
    let contents = read(file.bytes(), path)?;
    Ok((contents, file))
}

fn part_paths(path: &Path, count: u64) -> Result<Vec<PathBuf>, Error> {
    let subject = format!("key `{SPLIT_COUNT}`");
    let Some(name) = PartName::parse(path) else {
        let wanted = "a file name that ends in -00001-of-0000n.gguf";
        return Err(Report::new(path, subject, format!("{count} parts"), wanted)
            .hint("give the part the name it was published under, beside the others")
            .mismatch());
    };
    if name.count as u64 != count {
        let wanted = format!("the {} of the file name", name.count);
        return Err(Report::new(path, subject, count.to_string(), wanted).mismatch());
    }
    name.siblings()
}

/// Part `index`, counted from 0, says the same of itself.
fn check_part(metadata: &Metadata, path: &Path, index: usize, count: usize) -> Result<(), Error> {
    for (key, wanted) in [(SPLIT_NUMBER, index), (SPLIT_COUNT, count)] {
        let found = metadata.get_u64(key)?;
        if found != wanted as u64 {
            let subject = format!("key `{key}`");
            return Err(Report::new(path, subject, found.to_string(), wanted.to_string())
                .hint("the parts are renamed, or of different models")
                .mismatch());
        }
    }
    Ok(())
}

fn check_together(metadata: &Metadata, parts: &[Part]) -> Result<(), Error> {
    let mut seen: HashMap<&str, &Path> = HashMap::new();
    for part in parts {
        for tensor in &part.tensors {
            if let Some(first) = seen.insert(&tensor.name, part.file.path()) {
                let subject = format!("tensor {}", quoted(&tensor.name));
                let found = format!("a second one, the first is in `{}`", first.display());
                return Err(Report::new(part.file.path(), subject, found, "one").mismatch());
            }
        }
    }
    let wanted = metadata.get_u64(SPLIT_TENSORS)?;
    if seen.len() as u64 != wanted {
        let subject = format!("key `{SPLIT_TENSORS}`");
        let found = format!("{} tensors in {} parts", seen.len(), parts.len());
        return Err(Report::new(parts[0].file.path(), subject, found, wanted.to_string())
            .hint("the parts are of different models")
            .mismatch());
    }
    Ok(())
}
