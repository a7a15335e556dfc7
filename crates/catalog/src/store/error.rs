//! What can go wrong with a model that is fetched or kept.

use std::io;
use std::path::{Path, PathBuf};

/// Why a model could not be named, found, fetched or kept. No variant ever holds a token or a
/// signed address.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A reference that does not parse.
    #[error(
        "{text}: found {found}\nhint: a model on a hub is hf:OWNER/REPO or ms:OWNER/REPO, with \
         @REVISION and then :FILE or :QUANTIZATION where wanted, such as hf:owner/repo:q4_k_m"
    )]
    Reference {
        /// What was given.
        text: String,
        /// What is wrong with it.
        found: String,
    },
    /// The hub says that it may not be had, or that it is not there.
    #[error("{what}: {host} answers {found}\nhint: {hint}")]
    Refused {
        /// The reference or file.
        what: String,
        /// Who answered.
        host: String,
        /// Its answer.
        found: String,
        /// What to do next.
        hint: String,
    },
    /// A host cannot be reached or breaks off again and again.
    #[error("{what}: {host}: {found}\nhint: {hint}")]
    Network {
        /// The reference or file.
        what: String,
        /// Who was asked.
        host: String,
        /// What happened.
        found: String,
        /// What to do next.
        hint: String,
    },
    /// An answer that does not say what it should.
    #[error("{what}: {host}: found {found}, wanted {wanted}\nhint: the hub or mirror is at fault")]
    Answer {
        /// The reference or file.
        what: String,
        /// Who answered.
        host: String,
        /// What the answer has.
        found: String,
        /// What it should have.
        wanted: String,
    },
    /// The bytes that came are not those that the hub names.
    #[error(
        "{file}: {host}: found {found}, wanted {wanted}; what was fetched is removed\nhint: pull \
         again; where that does not help, the mirror is at fault (HF_ENDPOINT names another)"
    )]
    Hash {
        /// The file.
        file: String,
        /// Where it came from.
        host: String,
        /// The hash of what came.
        found: String,
        /// The hub's hash.
        wanted: String,
    },
    /// Not enough room on the disk.
    #[error(
        "{}: found {} free, wanted {}\nhint: `baimo prune` and `baimo rm` make room, HF_HOME (for \
         ms: MODELSCOPE_CACHE) names another disk, a smaller quantization needs less",
        folder.display(), human(*free), human(*wanted)
    )]
    Space {
        /// Where it would lie.
        folder: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are needed.
        wanted: u64,
    },
    /// It is not here and the network may not be used.
    #[error(
        "{what}: not here, and HF_HUB_OFFLINE forbids to fetch it\nhint: `baimo pull {what}` \
         where there is a network"
    )]
    Offline {
        /// The reference.
        what: String,
    },
    /// No file, or more than one, is what was asked for.
    #[error("{what}: found {found}, wanted {wanted}\nhint: {hint}")]
    Choice {
        /// The reference.
        what: String,
        /// What the repository has.
        found: String,
        /// What was looked for.
        wanted: String,
        /// What to do next.
        hint: String,
    },
    /// The beginning of a file of weights is not what it should be.
    #[error("{what}: {source}")]
    Head {
        /// The reference.
        what: String,
        /// What is wrong with it.
        source: baimo_weights::Error,
    },
    /// A file of the store cannot be read or written.
    #[error("{}: cannot {action}: {source}{}", file.display(), hint_of(source))]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// What was to be done.
        action: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`.
    pub(super) fn io(file: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { file: file.to_path_buf(), action, source }
    }

    /// Whether it is the network's fault, so that another hub may do.
    pub(super) fn is_network(&self) -> bool {
        matches!(self, Error::Network { .. })
    }
}

fn hint_of(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "\nhint: make room (`baimo prune`, `baimo rm`) and pull again: it goes on where it \
             stopped; HF_HOME (for ms: MODELSCOPE_CACHE) names another disk"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "\nhint: HF_HOME (for ms: MODELSCOPE_CACHE) names another folder"
        }
        _ => "",
    }
}

/// `1.23 GB`: bytes in powers of ten, as hubs and disks count them.
pub fn human(bytes: u64) -> String {
    let (mut value, mut prefix) = (bytes as f64, 0);
    while value >= 999.5 && prefix < 4 {
        value /= 1000.0;
        prefix += 1;
    }
    let unit = ["B", "kB", "MB", "GB", "TB"][prefix];
    let digits = if prefix == 0 || value >= 99.95 { 0 } else { 1 + usize::from(value < 9.995) };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits() {
        let all = [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (12_345_678, "12.3 MB")];
        for (bytes, text) in all.into_iter().chain([(999_600_000, "1.00 GB")]) {
            assert_eq!(human(bytes), text);
        }
    }

    #[test]
    fn a_full_disk_is_told_with_what_to_do() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let text = Error::io(Path::new("blob"), "write")(full).to_string();
        assert!(text.contains("blob") && text.contains("baimo prune"), "{text}");
    }
}
