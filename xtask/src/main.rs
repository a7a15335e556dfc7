//! The project's own chores. `cargo xtask tidy` checks those rules of STYLE.md that the compiler
//! cannot.

mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => report(&tidy::check(&workspace_root())),
        other => {
            eprintln!("xtask: no task {other:?}; try `cargo xtask tidy`");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace's `Cargo.toml`: the parent of this crate's.
fn workspace_root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask lies in the workspace").to_path_buf()
}

fn report(findings: &[tidy::Finding]) -> ExitCode {
    for finding in findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => {
            println!("tidy: nothing to say");
            ExitCode::SUCCESS
        }
        count => {
            eprintln!("tidy: {count} findings");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tree_is_tidy() {
        let findings = super::tidy::check(&super::workspace_root());
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "{} findings:\n{}", lines.len(), lines.join("\n"));
    }
}
