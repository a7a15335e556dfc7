//! Split GGUF models that are incomplete, renamed or mixed.

use std::path::{Path, PathBuf};

use baimo_weights::Checkpoint;
use tempfile::TempDir;

use crate::gguf::{Draft, entry, pair};
use crate::refuses;

fn part(number: u16, count: u16, tensors: i32, name: &str) -> Draft {
    Draft {
        entries: vec![entry(name, &[8], 0, 0)],
        ..Draft::with_pairs(&[
            pair("split.no", 2, &number.to_le_bytes()),
            pair("split.count", 2, &count.to_le_bytes()),
            pair("split.tensors.count", 5, &tensors.to_le_bytes()),
        ])
    }
}

fn three() -> [Draft; 3] {
    [part(0, 3, 3, "a"), part(1, 3, 3, "b"), part(2, 3, 3, "c")]
}

fn path(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("m-{number:05}-of-00003.gguf"))
}

fn written(parts: &[Draft]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (index, part) in parts.iter().enumerate() {
        std::fs::write(path(folder.path(), index + 1), part.bytes()).unwrap();
    }
    folder
}

#[test]
fn any_part_of_a_good_split_opens_all_of_it() {
    let folder = written(&three());
    for number in 1..=3 {
        let checkpoint = Checkpoint::open(&path(folder.path(), number)).unwrap();
        assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}

#[test]
fn a_missing_part_is_named() {
    let folder = written(&three());
    std::fs::remove_file(path(folder.path(), 2)).unwrap();
    for number in [1, 3] {
        let says = ["part 2 of 3", "no such file"];
        refuses("missing", &path(folder.path(), number), "m-00002-of-00003.gguf", &says);
    }
}

#[test]
fn parts_that_contradict_each_other_are_refused() {
    let first = "m-00001-of-00003.gguf";
    let second = "m-00002-of-00003.gguf";
    let open = |case, parts: &[Draft], file, says: &[&str]| {
        let folder = written(parts);
        refuses(case, &path(folder.path(), 1), file, says);
    };
    let [a, b, c] = three();
    open("swapped", &[a.clone(), c.clone(), b.clone()], second, &["split.no", "2"]);
    open("the first twice", &[a.clone(), a.clone(), c.clone()], second, &["split.no", "0"]);
    let same = part(1, 3, 3, "a");
    open("a tensor twice", &[a.clone(), same, c.clone()], second, &["tensor `a`"]);
    let five = part(1, 5, 3, "b");
    open("another count", &[a.clone(), five, c.clone()], second, &["split.count", "5"]);
    let eight = part(0, 3, 8, "a");
    open("too few tensors", &[eight, b.clone(), c.clone()], first, &["split.tensors.count", "8"]);
    let huge = part(0, 65_535, 3, "a");
    open("65535 parts", &[huge, b.clone(), c.clone()], first, &["split.count", "65535"]);
    let lone = Draft { entries: b.entries.clone(), ..Draft::good() };
    open("a part that says nothing", &[a.clone(), lone, c.clone()], second, &["split.no"]);
    let text = Draft::with_pairs(&[pair("split.count", 8, &crate::gguf::string(b"3"))]);
    open("a count in letters", &[text, b.clone(), c.clone()], first, &["split.count"]);
    let broken = Draft { magic: *b"HTML", ..b };
    open("a broken part", &[a, broken, c], second, &["magic"]);
}

#[test]
fn a_part_under_another_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let renamed = folder.path().join("model.gguf");
    std::fs::write(&renamed, part(0, 3, 3, "a").bytes()).unwrap();
    refuses("renamed", &renamed, "model.gguf", &["split.count", "-00001-of-"]);
    let zero = folder.path().join("m-00000-of-00003.gguf");
    std::fs::write(&zero, part(0, 3, 3, "a").bytes()).unwrap();
    refuses("part zero", &zero, "m-00000-of-00003.gguf", &["file name"]);
}
