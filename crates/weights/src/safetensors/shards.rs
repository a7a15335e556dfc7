//! Checkpoints of one or many safetensors files.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::{HEADER_BYTES_MAX, Pairs, json_problem, read};
use crate::error::{Error, Report, quoted};
use crate::os::MappedFile;
use crate::parts::{Part, PartName};

const INDEX: &str = "model.safetensors.index.json";
const LONE: &str = "model.safetensors";

#[derive(Deserialize)]
struct Index {
    weight_map: Pairs<String>,
}

/// Opens the safetensors checkpoint in `folder`: what the index lists, or `model.safetensors`, or
/// all of `model-00001-of-0000n.safetensors`, or the one safetensors file there is.
pub(crate) fn open_folder(folder: &Path) -> Result<Vec<Part>, Error> {
    let index = folder.join(INDEX);
    if index.is_file() {
        return open_index(folder, &index);
    }
    let lone = folder.join(LONE);
    if lone.is_file() {
        return open_all(vec![lone]);
    }
    let names = safetensors_files(folder)?;
    if let Some(part) = names.iter().find_map(|path| PartName::parse(path)) {
        return open_all(part.siblings()?);
    }
    match names.as_slice() {
        [only] => open_all(vec![only.clone()]),
        [] => Err(Report::new(folder, "weights", "no safetensors file", format!("`{LONE}`"))
            .hint("give the folder of a checkpoint, or a .gguf file by its own path")
            .missing()),
        [first, ..] => {
            let found = format!("{} files, among them `{}`", names.len(), first.display());
            Err(Report::new(folder, "weights", found, format!("`{LONE}` or an index"))
                .hint("give the path of the one file that is meant")
                .mismatch())
        }
    }
}

/// Opens one safetensors file, or the whole set that it is a part of.
pub(crate) fn open_file(path: &Path) -> Result<Vec<Part>, Error> {
    let Some(part) = PartName::parse(path) else { return open_all(vec![path.to_path_buf()]) };
    let index = path.with_file_name(INDEX);
    if index.is_file() {
        return open_index(path.parent().unwrap_or(Path::new("")), &index);
    }
    open_all(part.siblings()?)
}

fn safetensors_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Io { file: folder.to_path_buf(), action: "list", source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            names.push(path);
        }
    }
    names.sort();
    Ok(names)
}

fn open_part(path: &Path) -> Result<Part, Error> {
    let file = MappedFile::open(path)?;
    let tensors = read(file.bytes(), path)?;
    Ok(Part { file, tensors })
}

/// Opens files that no index describes: no tensor may be in two of them.
fn open_all(paths: Vec<PathBuf>) -> Result<Vec<Part>, Error> {
    let parts = paths.iter().map(|path| open_part(path)).collect::<Result<Vec<Part>, Error>>()?;
    let mut seen: HashMap<&str, &Path> = HashMap::new();
    for part in &parts {
        for tensor in &part.tensors {
            if let Some(first) = seen.insert(&tensor.name, part.file.path()) {
                let subject = format!("tensor {}", quoted(&tensor.name));
                let found = format!("a second one, the first is in `{}`", first.display());
                return Err(Report::new(part.file.path(), subject, found, "one").mismatch());
            }
        }
    }
    Ok(parts)
}

/// Opens what the index lists and holds each shard to it, both ways.
fn open_index(folder: &Path, index: &Path) -> Result<Vec<Part>, Error> {
    let weight_map = read_index(index)?;
    let mut by_shard: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (tensor, shard) in &weight_map {
        by_shard.entry(shard).or_default().push(tensor);
    }
    let mut parts = Vec::with_capacity(by_shard.len());
    for (&shard, tensors) in &by_shard {
        check_shard_name(index, shard, tensors[0])?;
        let path = folder.join(shard);
        if !path.is_file() {
            let subject = format!("shard of {} and {} more", quoted(tensors[0]), tensors.len() - 1);
            return Err(Report::new(&path, subject, "no such file", "what the index lists")
                .hint("download the missing shard into the same folder")
                .missing());
        }
        let part = open_part(&path)?;
        check_against_index(index, &part, tensors)?;
        parts.push(part);
    }
    Ok(parts)
}

fn read_index(index: &Path) -> Result<Vec<(String, String)>, Error> {
    let failed = |source| Error::Io { file: index.to_path_buf(), action: "read", source };
    let length = std::fs::metadata(index).map_err(failed)?.len();
    if length > HEADER_BYTES_MAX as u64 {
        let wanted = format!("at most {HEADER_BYTES_MAX}");
        return Err(Report::new(index, "index", format!("{length} bytes"), wanted).malformed());
    }
    let bytes = std::fs::read(index).map_err(failed)?;
    let parsed: Index = serde_json::from_slice(&bytes).map_err(|error| {
        Report::new(index, "index", json_problem(&error), "a JSON object with a `weight_map`")
            .malformed()
    })?;
    let Pairs(weight_map) = parsed.weight_map;
    if weight_map.is_empty() {
        return Err(Report::new(index, "weight_map", "no tensor", "at least one").malformed());
    }
    Ok(weight_map)
}

/// A shard is a file beside its index: a name that leads elsewhere is refused.
fn check_shard_name(index: &Path, shard: &str, tensor: &str) -> Result<(), Error> {
    let mut components = Path::new(shard).components();
    let first = components.next();
    let plain = matches!(first, Some(Component::Normal(_))) && components.next().is_none();
    // A backslash separates folders on some systems and not on others.
    if plain && !shard.contains('\\') && shard.ends_with(".safetensors") {
        return Ok(());
    }
    let subject = format!("weight_map, tensor {}", quoted(tensor));
    let found = format!("file {}", quoted(shard));
    Err(Report::new(index, subject, found, "a .safetensors file beside the index").malformed())
}

fn check_against_index(index: &Path, part: &Part, listed: &[&str]) -> Result<(), Error> {
    let mut unlisted: HashMap<&str, ()> =
        part.tensors.iter().map(|tensor| (tensor.name.as_str(), ())).collect();
    for name in listed {
        if unlisted.remove(name).is_none() {
            let subject = format!("tensor {}", quoted(name));
            let wanted = format!("what `{}` lists", index.display());
            return Err(Report::new(part.file.path(), subject, "no such tensor", wanted)
                .hint("index and shard are of different checkpoints")
                .missing());
        }
    }
    let Some(extra) = unlisted.keys().min() else { return Ok(()) };
    let found = format!("{} tensors the index does not list", unlisted.len());
    let subject = format!("tensor {}", quoted(extra));
    let wanted = format!("what `{}` lists", index.display());
    Err(Report::new(part.file.path(), subject, found, wanted)
        .hint("index and shard are of different checkpoints")
        .mismatch())
}
