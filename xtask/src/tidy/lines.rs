//! Checks that look at a text line by line.

use super::{Finding, Source};

const LINES_MAX: usize = 400;
const COLUMNS_MAX: usize = 100;

/// Words for work left undone. Split, so that this file passes its own check.
const UNFINISHED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];

/// Folders of one machine, which mean nothing on another.
const MACHINE: &[&str] = &[concat!("/wo", "rk/"), concat!("/tm", "p/"), concat!("/ro", "ot/")];

/// The only place dependencies may come from, as every `Cargo.lock` spells it.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(source: &Source) -> Vec<Finding> {
    if source.path.ends_with(".lock") {
        return check_lock(source);
    }
    let mut findings = Vec::new();
    let is_rust = source.path.ends_with(".rs");
    if is_rust {
        let count = source.text.lines().count();
        if count > LINES_MAX {
            let message = format!("{count} lines, at most {LINES_MAX}: split it by what it does");
            findings.push(source.finding(count, message));
        }
    }
    for (index, line) in source.text.lines().enumerate() {
        let columns = line.chars().count();
        if is_rust && columns > COLUMNS_MAX {
            let message = format!("{columns} columns, at most {COLUMNS_MAX}");
            findings.push(source.finding(index + 1, message));
        }
        for word in UNFINISHED.iter().filter(|word| is_rust && line.contains(**word)) {
            let message = format!("`{word}`: finish it, or file an issue and drop the note");
            findings.push(source.finding(index + 1, message));
        }
        for folder in MACHINE.iter().filter(|folder| names_folder(line, folder)) {
            let message = format!("`{folder}` is a folder of one machine; use a relative path");
            findings.push(source.finding(index + 1, message));
        }
    }
    findings
}

/// Whether `folder` stands in `line` as the start of an absolute path.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-}/~*".contains(c))
    })
}

fn check_lock(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        if line.starts_with("source = ") && line != format!("source = {REGISTRY:?}") {
            let message = format!("{line}: every dependency comes from {REGISTRY}");
            findings.push(source.finding(index + 1, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, text: &str) -> Vec<String> {
        let source = Source { path: path.into(), text: text.into() };
        check(&source).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_of_400_lines_passes_and_one_of_401_does_not() {
        assert!(messages("a.rs", &"x\n".repeat(400)).is_empty());
        assert_eq!(messages("a.rs", &"x\n".repeat(401)).len(), 1);
        assert!(messages("a.py", &"x\n".repeat(401)).is_empty());
    }

    #[test]
    fn columns_are_characters_and_not_bytes() {
        assert!(messages("a.rs", &"模".repeat(100)).is_empty());
        assert_eq!(messages("a.rs", &"模".repeat(101)), ["a.rs:1: 101 columns, at most 100"]);
    }

    #[test]
    fn unfinished_work_is_found_in_comments_too() {
        for word in UNFINISHED {
            assert_eq!(messages("a.rs", &format!("// {word} later")).len(), 1);
        }
        assert!(messages("a.rs", "// to do: nothing").is_empty());
    }

    #[test]
    fn a_machine_path_is_found_and_a_relative_one_is_not() {
        for folder in MACHINE {
            assert_eq!(messages("a.md", &format!("see {folder}x")).len(), 1);
            assert_eq!(messages("a.rs", &format!("open(\"{folder}x\")")).len(), 1);
            assert!(messages("a.md", &format!("see crates{folder}x and .{folder}x")).is_empty());
        }
    }

    #[test]
    fn a_lock_file_knows_one_registry() {
        let good = format!("source = {REGISTRY:?}\n");
        assert!(messages("Cargo.lock", &good).is_empty());
        let mirror = "name = \"x\"\nsource = \"registry+https://mirror.example/index\"\n";
        assert_eq!(messages("Cargo.lock", mirror).len(), 1);
        assert_eq!(messages("Cargo.lock", "source = \"git+https://x.example/y\"\n").len(), 1);
    }
}
