//! How a model on a hub is named: `hf:owner/repo@revision:part`.

use super::Error;
use std::fmt;
use std::str::FromStr;

/// Where models are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hub {
    /// huggingface.co and its mirrors.
    HuggingFace,
    /// modelscope.cn.
    ModelScope,
}

impl Hub {
    /// What stands before the colon.
    pub fn scheme(self) -> &'static str {
        match self {
            Hub::HuggingFace => "hf",
            Hub::ModelScope => "ms",
        }
    }

    /// The revision that is meant where none is named.
    pub fn default_revision(self) -> &'static str {
        match self {
            Hub::HuggingFace => "main",
            Hub::ModelScope => "master",
        }
    }
}

/// A model on a hub, or a part of it. It is written `hf:owner/repo`, with `@revision` after the
/// repository and `:part` at the end, both optional. The part is a file of the repository or a kind
/// of quantization (`q4_k_m`), which several files may have together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Where it is published.
    pub hub: Hub,
    /// `owner/name`.
    pub repo: String,
    /// A branch, tag or commit; `None`: the hub's default branch.
    pub revision: Option<String>,
    /// A file or a kind of quantization; `None`: all that a model is run with.
    pub part: Option<String>,
}

/// Characters of one name in `owner/name`, at most: what hubs allow.
const NAME_LENGTH_MAX: usize = 96;

impl Reference {
    /// A whole repository at its default branch.
    pub fn new(hub: Hub, repo: &str) -> Reference {
        Reference { hub, repo: repo.to_owned(), revision: None, part: None }
    }

    /// Whether `text` is meant as a reference, good or bad.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("hf:") || text.starts_with("ms:")
    }

    /// The revision that is meant.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(self.hub.default_revision())
    }

    /// Hub and repository, without revision and part.
    pub fn repository(&self) -> String {
        format!("{}:{}", self.hub.scheme(), self.repo)
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Reference, Error> {
        let wrong =
            |found: &str| Error::Reference { text: text.to_owned(), found: found.to_owned() };
        let (hub, rest) = match text.split_once(':') {
            Some(("hf", rest)) => (Hub::HuggingFace, rest),
            Some(("ms", rest)) => (Hub::ModelScope, rest),
            Some(_) | None => return Err(wrong("neither hf: nor ms:")),
        };
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (repo, part) = match rest.split_once(':') {
            Some((repo, part)) => (repo, Some(part)),
            None => (rest, None),
        };
        let (repo, revision) = match repo.split_once('@') {
            Some((repo, revision)) => (repo, Some(revision)),
            None => (repo, None),
        };
        let names: Vec<&str> = repo.split('/').collect();
        // A few old repositories of Hugging Face have no owner.
        let counted = names.len() == 2 || (names.len() == 1 && hub == Hub::HuggingFace);
        if !counted || !names.iter().all(|name| is_name(name)) {
            return Err(wrong(&format!("`{repo}` where a repository belongs")));
        }
        if let Some(revision) = revision.filter(|revision| !is_safe_path(revision)) {
            return Err(wrong(&format!("`{revision}` where a revision belongs")));
        }
        if let Some(part) = part.filter(|part| !is_safe_path(part)) {
            return Err(wrong(&format!("`{part}` where a file or a quantization belongs")));
        }
        Ok(Reference {
            hub,
            repo: repo.to_owned(),
            revision: revision.map(str::to_owned),
            part: part.map(str::to_owned),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.hub.scheme(), self.repo)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        match &self.part {
            Some(part) => write!(f, ":{part}"),
            None => Ok(()),
        }
    }
}

/// Whether hubs have such owners and repositories, and folders may be named after them.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    // `--` joins owner and name in the names of folders.
    !name.is_empty()
        && name.len() <= NAME_LENGTH_MAX
        && name.bytes().all(allowed)
        && !name.contains("--")
        && !name.starts_with(['.', '-'])
        && !name.ends_with(['.', '-'])
        && !name.contains("..")
}

/// Whether `path` stays below the folder that it is joined to, on every system.
pub(super) fn is_safe_path(path: &str) -> bool {
    let is_plain = |piece: &str| {
        !piece.is_empty()
            && piece != "."
            && piece != ".."
            && !piece.contains(|c: char| c.is_control() || "\\:*?\"<>|".contains(c))
    };
    path.len() <= 1024 && path.split('/').all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_parts_of_a_reference_are_told_apart() {
        let all: Reference = "hf:owner/repo-1.5@refs/pr/1:sub/file.gguf".parse().unwrap();
        assert_eq!(all.repo, "owner/repo-1.5");
        assert_eq!(all.revision(), "refs/pr/1");
        assert_eq!(all.part.as_deref(), Some("sub/file.gguf"));
        let plain: Reference = "ms:owner/repo".parse().unwrap();
        assert_eq!((plain.hub, plain.revision()), (Hub::ModelScope, "master"));
        assert_eq!("hf://owner/repo".parse::<Reference>().unwrap().to_string(), "hf:owner/repo");
    }

    #[test]
    fn what_could_leave_its_folder_is_refused() {
        let bad = [
            "hf:",
            "hf:a/b/c",
            "hf:../b",
            "hf:a/..",
            "hf:a/b:../c",
            "hf:a/b:/etc",
            "hf:a/b@..",
            "hf:a--b/c",
            "ms:alone",
            "hf:a/b:",
            "hf:a/b@",
            "hf:a/b:c\\d",
            "hf:a/b:c:d",
            "model",
        ];
        for text in bad {
            let error = text.parse::<Reference>().expect_err(text).to_string();
            assert!(error.contains("hint"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_reference_is_printed_as_it_is_read(text in "(hf|ms):[a-z@:/.-]{1,24}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
            }
        }

        #[test]
        fn no_text_is_too_odd_to_be_read(text in "\\PC*") {
            let _whatever = text.parse::<Reference>();
        }
    }
}
