//! What can be wrong with a file that somebody else wrote.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a checkpoint could not be read, or a new one not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// What was tried, as a verb: `open`, `read`, `write`.
        action: &'static str,
        /// What the system answered.
        source: std::io::Error,
    },
    /// The bytes break the rules of their format.
    #[error("{0}")]
    Malformed(Box<Report>),
    /// The file is well formed and asks for something this build does not know.
    #[error("{0}")]
    Unsupported(Box<Report>),
    /// A file or a tensor that has to be there is not.
    #[error("{0}")]
    Missing(Box<Report>),
    /// Parts that are each well formed do not fit together.
    #[error("{0}")]
    Mismatch(Box<Report>),
    /// The checkpoint holds tensors that the model never asked for.
    #[error("{0}")]
    Unclaimed(Box<Report>),
}

/// One finding: where, what was found, what was wanted and what may help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The file or folder at fault.
    pub file: PathBuf,
    /// The key, tensor or part of the file at fault.
    pub subject: String,
    /// What is there.
    pub found: String,
    /// What should be there.
    pub wanted: String,
    /// What the reader may do about it; empty when nothing is known.
    pub hint: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { file, subject, found, wanted, hint } = self;
        write!(f, "{}: {subject}: found {found}, wanted {wanted}", file.display())?;
        if hint.is_empty() { Ok(()) } else { write!(f, "\nhint: {hint}") }
    }
}

impl Report {
    /// A finding in `file` about `subject`.
    pub fn new(
        file: &Path,
        subject: impl Into<String>,
        found: impl Into<String>,
        wanted: impl Into<String>,
    ) -> Report {
        Report {
            file: file.to_path_buf(),
            subject: subject.into(),
            found: found.into(),
            wanted: wanted.into(),
            hint: String::new(),
        }
    }

    /// With what the reader may do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Report {
        self.hint = hint.into();
        self
    }

    pub(crate) fn malformed(self) -> Error {
        Error::Malformed(Box::new(self))
    }

    pub(crate) fn unsupported(self) -> Error {
        Error::Unsupported(Box::new(self))
    }

    pub(crate) fn missing(self) -> Error {
        Error::Missing(Box::new(self))
    }

    /// The error that parts do not fit together.
    pub fn mismatch(self) -> Error {
        Error::Mismatch(Box::new(self))
    }

    pub(crate) fn unclaimed(self) -> Error {
        Error::Unclaimed(Box::new(self))
    }
}

/// A name from a file, safe to print: quoted, control characters escaped, cut when long.
pub(crate) fn quoted(name: &str) -> String {
    const CHARACTERS_MAX: usize = 96;
    let mut characters = name.chars();
    let mut text: String = characters.by_ref().take(CHARACTERS_MAX).collect();
    if characters.next().is_some() {
        text.push('…');
    }
    format!("`{}`", text.escape_debug())
}

/// A shape as people write it: `[2048, 1024]`.
pub(crate) fn shape_text(shape: &[usize]) -> String {
    format!("{shape:?}")
}
