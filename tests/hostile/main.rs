//! Files that somebody broke, by accident or on purpose. Each must be answered by an error of one
//! or two lines that names the file and the part at fault: no panic, no endless loop, and no more
//! memory than a few times the file's size.

mod folders;
mod gguf;
mod mutations;
mod safetensors;
mod splits;

use std::alloc::System;
use std::path::Path;

use baimo_weights::Checkpoint;
use cap::Cap;

/// More than the test runner and the largest file here need; far less than what the absurd counts
/// and sizes in the files ask for. Whoever allocates beyond it aborts the tests.
const MEMORY_MAX: usize = 64 << 20;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, MEMORY_MAX);

/// Opens `path`, which has to fail, and holds the message to its contract: it names the `file` at
/// fault and says each of `says`.
fn refuses(case: &str, path: &Path, file: &str, says: &[&str]) {
    let error = match Checkpoint::open(path) {
        Ok(_) => panic!("{case}: was accepted"),
        Err(error) => error.to_string(),
    };
    assert!(error.lines().count() <= 2, "{case}: more than two lines: {error}");
    assert!(error.chars().all(|c| c == '\n' || !c.is_control()), "{case}: {error:?}");
    assert!(error.len() < 2_000, "{case}: {} bytes", error.len());
    for part in says.iter().chain([&file]) {
        assert!(error.contains(part), "{case}: `{part}` is missing in: {error}");
    }
}

/// As [`refuses`], of a lone file of these bytes.
fn refuses_bytes(case: &str, file: &str, bytes: &[u8], says: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    std::fs::write(&path, bytes).unwrap();
    refuses(case, &path, file, says);
}

#[test]
fn the_memory_limit_of_these_tests_is_in_force() {
    let mut bytes: Vec<u8> = Vec::new();
    assert!(bytes.try_reserve_exact(2 * MEMORY_MAX).is_err());
}
