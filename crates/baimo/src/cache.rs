//! The user's cache folder, where what lies may be deleted at any time, and `baimo cache`.

use crate::args::{Cache, parse_bytes};
use crate::show::human;
use anyhow::{Result, anyhow, bail};
use baimo_weights::Store;
use baimo_weights::store::KeptFile;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// The folder that BAIMO_CACHE names, else the user's cache folder, else that for temporary files.
pub fn folder() -> PathBuf {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    named("BAIMO_CACHE")
        .or_else(|| named("XDG_CACHE_HOME"))
        .or_else(|| named("LOCALAPPDATA"))
        .or_else(|| named("HOME").map(|home| home.join(".cache")))
        .filter(|folder| std::fs::create_dir_all(folder).is_ok())
        .unwrap_or_else(std::env::temp_dir)
}

/// Where a server keeps what it computed of prompts.
pub fn prefixes() -> PathBuf {
    folder().join("baimo-prefixes")
}

/// Where packed weights are kept, within a limit of bytes: what the flag says, else
/// BAIMO_CACHE_LIMIT, else as [`Store::limit`] has it.
///
/// # Errors
/// If the variable holds no number of bytes.
pub fn packed_weights(limit: Option<usize>) -> Result<Store> {
    let variable = "BAIMO_CACHE_LIMIT";
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty());
    let named = text.map(|text| parse_bytes(&text).map_err(|error| anyhow!("{variable}: {error}")));
    let limit = limit.or(named.transpose()?).map(|bytes| bytes as u64);
    Ok(Store::new(folder().join("baimo-packed")).limited(limit))
}

/// Lists the files of packed weights, or drops some.
///
/// # Errors
/// If none has the name, or one is in use.
pub fn run(arguments: &Cache) -> Result<()> {
    let store = packed_weights(None)?;
    if arguments.all || !arguments.drop.is_empty() {
        return remove(&store, arguments);
    }
    let mut out = std::io::stdout().lock();
    let files = store.files();
    if arguments.json {
        let files: Vec<_> = files.iter().map(report).collect();
        let (folder, limit) = (store.folder(), store.limit());
        let report = json!({ "folder": folder, "limit_bytes": limit, "files": files });
        writeln!(out, "{report:#}")?;
        return Ok(());
    }
    let rows: Vec<[String; 4]> = files.iter().map(row).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let [model, weights, size] = [0, 1, 2].map(|column| width(column).unwrap_or(0));
    for [name, kind, bytes, used] in &rows {
        writeln!(out, "{name:model$}  {kind:weights$}  {bytes:>size$}  {used}")?;
    }
    let all = files.iter().map(|file| file.bytes).sum::<u64>();
    let [all, limit] = [all, store.limit()].map(|bytes| human(bytes as usize, 1024, "B"));
    let (count, folder) = (files.len(), store.folder().display());
    writeln!(out, "packed weights: {all} of at most {limit}, files: {count}, in {folder}")?;
    Ok(())
}

fn remove(store: &Store, arguments: &Cache) -> Result<()> {
    let files = store.files();
    let named = |name: &String| {
        let of_name: Vec<_> = files.iter().filter(|file| is_named(file, name)).collect();
        match of_name.is_empty() {
            true => Err(anyhow!("{name}: no packed weights of that name\nhint: see `baimo cache`")),
            false => Ok(of_name),
        }
    };
    let chosen: Vec<&KeptFile> = match arguments.all {
        true => files.iter().collect(),
        false => arguments.drop.iter().map(named).collect::<Result<Vec<_>>>()?.concat(),
    };
    let (gone, left): (Vec<&KeptFile>, Vec<&KeptFile>) =
        chosen.into_iter().partition(|file| store.remove(file) || !file.path.exists());
    let mut out = std::io::stdout().lock();
    for file in gone {
        let [name, weights, size, _] = row(file);
        writeln!(out, "dropped {name} ({weights}, {size})")?;
    }
    if let Some(file) = left.first() {
        bail!("{}: in use\nhint: end the baimo that runs it first", row(file)[0]);
    }
    Ok(())
}

/// Whether somebody who says `name` may mean the file: it is the model's path, the last part of it,
/// or how the file's own name begins.
fn is_named(file: &KeptFile, name: &str) -> bool {
    let model = Path::new(&file.origin.model);
    let is_model = file.origin.model == name || model.file_name().is_some_and(|last| last == name);
    let same = std::fs::canonicalize(name).is_ok_and(|path| path == model);
    is_model || same || (!name.is_empty() && key(file).starts_with(name))
}

fn key(file: &KeptFile) -> String {
    file.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Model, weights, size, last use.
fn row(file: &KeptFile) -> [String; 4] {
    let model = match file.origin.model.as_str() {
        "" => key(file),
        model => model.to_owned(),
    };
    let used = match file.in_use {
        true => "in use".to_owned(),
        false => ago(file.used.elapsed().unwrap_or_default()),
    };
    [model, file.origin.weights.clone(), human(file.bytes as usize, 1024, "B"), used]
}

fn report(file: &KeptFile) -> serde_json::Value {
    let used = file.used.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    json!({
        "key": key(file),
        "model": file.origin.model,
        "weights": file.origin.weights,
        "bytes": file.bytes,
        "used": used,
        "in_use": file.in_use,
    })
}

/// A length of time in its largest unit.
fn ago(time: Duration) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    let seconds = time.as_secs();
    let unit = UNITS.iter().find(|(length, _)| seconds >= *length);
    unit.map_or("just now".to_owned(), |(length, name)| {
        let count = seconds / length;
        format!("{count} {name}{} ago", if count == 1 { "" } else { "s" })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_told_in_its_largest_unit() {
        let found = [59, 60, 7_199, 86_400, 200_000].map(|s| ago(Duration::from_secs(s)));
        assert_eq!(found, ["just now", "1 minute ago", "1 hour ago", "1 day ago", "2 days ago"]);
    }
}
