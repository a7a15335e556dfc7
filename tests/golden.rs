//! The golden cases: tiny checkpoints whose weights are a pure function of the tensor name.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// Whether a case is to be run: all are, unless `BAIMO_CASES` lists some, with commas between.
fn is_wanted(case: &str) -> bool {
    std::env::var("BAIMO_CASES").map_or(true, |cases| cases.split(',').any(|name| name == case))
}

/// The cases in `tests/golden/`, by name.
pub fn cases() -> Vec<String> {
    let entries = std::fs::read_dir(folder("")).expect("tests/golden is there");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a readable folder"))
        .filter(|entry| entry.path().join("golden.json").exists())
        .map(|entry| entry.file_name().into_string().expect("a name in UTF-8"))
        .collect();
    names.sort();
    assert!(names.len() >= 15, "the golden cases are missing: found {names:?}");
    names.retain(|name| is_wanted(name));
    names
}

/// The cases in `tests/golden/gguf/`, by name.
pub fn gguf_cases() -> Vec<String> {
    let entries = std::fs::read_dir(folder("gguf")).expect("tests/golden/gguf is there");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a readable folder").file_name())
        .map(|name| format!("gguf/{}", name.into_string().expect("a name in UTF-8")))
        .collect();
    names.sort();
    assert!(names.len() >= 33, "the GGUF cases are missing: found {names:?}");
    names.retain(|name| is_wanted(name));
    names
}

/// A case's folder.
pub fn folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(case)
}

/// One of a case's JSON files.
pub fn json(case: &str, file: &str) -> Value {
    let path = folder(case).join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    baimo_labs::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A tensor of a case's checkpoint, as `tensors.json` lists it.
#[derive(Debug)]
pub struct Listed {
    /// The checkpoint name.
    pub name: String,
    /// Row-major.
    pub shape: Vec<usize>,
    /// The whole entry.
    pub entry: Value,
}

/// Every tensor of a case's checkpoint.
pub fn tensors(case: &str) -> Vec<Listed> {
    let list = json(case, "tensors.json");
    let list = list.get("tensors").unwrap_or(&list).as_array().expect("a list of tensors").clone();
    list.into_iter()
        .map(|entry| Listed {
            name: entry["name"].as_str().expect("a name").to_owned(),
            shape: entry["shape"]
                .as_array()
                .expect("a shape")
                .iter()
                .map(|size| size.as_u64().expect("a size") as usize)
                .collect(),
            entry,
        })
        .collect()
}
