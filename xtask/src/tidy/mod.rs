//! What the compiler cannot check: sizes, names, closed sums, dependency arrows.
//!
//! Each check is a function from a text to findings, so that its tests need no files.

mod arrows;
mod lines;
mod names;
mod sums;
mod syntax;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

/// One broken rule, printed as `file:line: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Path from the workspace root, with `/` between its parts.
    pub path: String,
    /// Line from 1.
    pub line: usize,
    /// What was found, and what to do.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// A text file of the tree.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn finding(&self, line: usize, message: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, message: message.into() }
    }

    /// The folder below `crates/` that this file lies in, if it does.
    fn crate_folder(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }
}

/// Runs every check over the workspace at `root`, in the order of the paths.
pub fn check(root: &Path) -> Vec<Finding> {
    let mut sources = Vec::new();
    collect(root, root, &mut sources);
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(
        sources.iter().any(|s| s.path == "Cargo.toml"),
        "no workspace at {}: tidy would have nothing to check",
        root.display()
    );

    let mut findings = Vec::new();
    for source in &sources {
        findings.extend(lines::check(source));
    }
    findings.extend(arrows::check(&sources));
    findings.extend(check_rust(&sources));
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    findings
}

/// The checks that need a parsed file, and the vocabulary of all files for the closed sums.
fn check_rust(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut parsed = Vec::new();
    for source in sources.iter().filter(|s| s.path.ends_with(".rs")) {
        match syn::parse_file(&source.text) {
            Ok(file) => parsed.push((source, file)),
            Err(error) => {
                findings.push(source.finding(error.span().start().line, format!("{error}")));
            }
        }
    }
    let blueprint: BTreeSet<String> = parsed
        .iter()
        .filter(|(source, _)| source.path.starts_with("crates/blueprint/src/"))
        .flat_map(|(_, file)| sums::enums_of(file))
        .collect();
    for (source, file) in &parsed {
        findings.extend(syntax::check(source, file));
        findings.extend(names::check(source, file));
        // Another crate's enum of the same name (a parser's `State`) is its own affair.
        let own: BTreeSet<String> = parsed
            .iter()
            .filter(|(other, _)| other.crate_folder() == source.crate_folder())
            .flat_map(|(_, file)| sums::enums_of(file))
            .collect();
        let is_blueprint = source.crate_folder() == Some("blueprint");
        let closed =
            blueprint.iter().filter(|name| is_blueprint || !own.contains(*name)).cloned().collect();
        findings.extend(sums::check(source, file, &closed));
    }
    findings
}

/// Reads every text file below `folder` that people write: no build output, no version control.
fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    const SKIPPED: &[&str] = &[".git", "target", "corpus", "artifacts", "__pycache__", ".venv"];
    const READ: &[&str] = &["rs", "toml", "lock", "md", "py", "sh", "yml"];
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder's entry can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                collect(root, &path, sources);
            }
            continue;
        }
        let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        let in_ci = folder == root.join(".ci");
        if !READ.contains(&extension.as_str()) && !in_ci {
            continue;
        }
        if let Ok(text) = std::fs::read_to_string(&path) {
            let relative = path.strip_prefix(root).expect("collected below the root");
            let path = relative.to_string_lossy().replace('\\', "/");
            sources.push(Source { path, text });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().expect("a temporary folder");
        for (path, text) in files.iter().chain(&[("Cargo.toml", "[workspace]\n")]) {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        check(root.path()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_clean_tree_has_no_findings() {
        let page = "//! Qwen.\n/// One page.\npub fn qwen3() {}\n";
        assert_eq!(tree(&[("crates/labs/src/qwen.rs", page)]), Vec::<String>::new());
    }

    #[test]
    fn a_finding_names_its_file_and_line() {
        let found = tree(&[("crates/model/src/lib.rs", "fn a() {}\nfn qwen3() {}\n")]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("crates/model/src/lib.rs:2: "), "{found:?}");
    }

    #[test]
    fn a_file_that_does_not_parse_is_a_finding() {
        let found = tree(&[("crates/model/src/lib.rs", "fn a( {}\n")]);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn build_output_is_not_read() {
        assert!(tree(&[("target/x.rs", "fn qwen( {"), ("fuzz/target/y.rs", "}")]).is_empty());
    }

    #[test]
    fn the_vocabulary_is_read_from_the_blueprint_crate() {
        let vocabulary = ("crates/blueprint/src/lib.rs", "pub enum Mixer { Softmax, Mla }");
        let open = "fn f(m: Mixer) -> u8 { match m { Mixer::Mla => 1, _ => 0 } }";
        let own = format!("enum Mixer {{ Mla, Other }} {open}");
        assert_eq!(tree(&[vocabulary, ("crates/model/src/lib.rs", open)]).len(), 1);
        assert!(tree(&[vocabulary, ("crates/engine/src/lib.rs", &own)]).is_empty());
        assert!(tree(&[("crates/model/src/lib.rs", open)]).is_empty());
    }
}
