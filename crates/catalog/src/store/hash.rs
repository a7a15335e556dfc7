//! The hashes that hubs name files by.

use sha1::{Digest, Sha1};
use sha2::Sha256;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What a hub says of a file's bytes. Both kinds name the file in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hash {
    /// Of large files, and of all on ModelScope: 64 hexadecimal digits.
    Sha256(String),
    /// Of files that lie in Git itself: SHA-1 of a header with the length and of the bytes, 40
    /// digits. See "Git Objects" in Pro Git.
    GitBlob(String),
}

impl Hash {
    /// The hash in a hub's words: bare, or as an `ETag` has it.
    pub fn read(text: &str) -> Option<Hash> {
        let text = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
        let text = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        match text.len() {
            64 => Some(Hash::Sha256(text)),
            40 => Some(Hash::GitBlob(text)),
            _ => None,
        }
    }

    /// The digits.
    pub fn digits(&self) -> &str {
        match self {
            Hash::Sha256(digits) | Hash::GitBlob(digits) => digits,
        }
    }

    /// The hash of this kind that the file's bytes have.
    pub(super) fn of_file(&self, path: &Path, passed: &dyn Fn(u64)) -> io::Result<Hash> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        self.of(&mut file, length, passed)
    }

    /// The hash of this kind that these bytes have.
    pub(super) fn of_bytes(&self, mut bytes: &[u8]) -> Hash {
        let length = bytes.len() as u64;
        self.of(&mut bytes, length, &|_| ()).expect("memory can be read")
    }

    fn of(&self, source: &mut dyn Read, length: u64, passed: &dyn Fn(u64)) -> io::Result<Hash> {
        Ok(match self {
            Hash::Sha256(_) => Hash::Sha256(digest(Sha256::new(), source, passed)?),
            Hash::GitBlob(_) => Hash::GitBlob(digest(git_blob(length), source, passed)?),
        })
    }
}

/// SHA-1 that has read Git's header of a blob.
fn git_blob(length: u64) -> Sha1 {
    Sha1::new_with_prefix(format!("blob {length}\0"))
}

fn digest(
    mut hasher: impl Digest,
    source: &mut dyn Read,
    passed: &dyn Fn(u64),
) -> io::Result<String> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(&buffer[..count]);
                passed(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_git_and_of_sha256sum() {
        let git = Hash::read("W/\"3b18e512dba79e4c8300dd08aeb37f8e728b8dad\"").unwrap();
        assert_eq!(git.of_bytes(b"hello world\n"), git);
        let sha = "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447";
        let sha = Hash::read(sha).unwrap();
        assert_eq!(sha.of_bytes(b"hello world\n"), sha);
        assert_ne!(sha.of_bytes(b"hello world"), sha);
    }

    #[test]
    fn a_file_and_its_bytes_have_one_hash() {
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes) = (folder.path().join("f"), vec![7; (2 << 20) + 3]);
        std::fs::write(&path, &bytes).unwrap();
        let passed = std::cell::Cell::new(0);
        for kind in [Hash::Sha256(String::new()), Hash::GitBlob(String::new())] {
            let found = kind.of_file(&path, &|count| passed.set(passed.get() + count)).unwrap();
            assert_eq!(found, kind.of_bytes(&bytes));
        }
        assert_eq!(passed.get(), 2 * bytes.len() as u64);
    }

    #[test]
    fn what_is_no_hash_is_none() {
        assert_eq!(Hash::read("\"0-abc\""), None);
        assert_eq!(Hash::read("../../../../../../../../../../etc/passwd"), None);
        assert_eq!(Hash::read(""), None);
    }
}
