//! Checkpoints in several files: how the files are named.

use std::path::{Path, PathBuf};

use crate::error::{Error, Report};
use crate::os::MappedFile;
use crate::tensor::TensorInfo;

/// One file of a checkpoint and its table of contents.
#[derive(Debug)]
pub(crate) struct Part {
    pub file: MappedFile,
    pub tensors: Vec<TensorInfo>,
}

/// What the name of a part says without its ending, such as `model-00002-of-00005`: the model's
/// name, and which part of how many it is. Numbers have five digits or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartStem<'a> {
    /// What stands before the numbers.
    pub prefix: &'a str,
    /// Counted from 1.
    pub number: usize,
    /// How many parts there are.
    pub count: usize,
    /// How many digits the count is written with.
    pub digits: usize,
}

impl PartStem<'_> {
    /// Reads a name without its ending; `None` if it is not that of a part.
    pub fn parse(stem: &str) -> Option<PartStem<'_>> {
        let (rest, count) = stem.rsplit_once("-of-")?;
        let (prefix, number) = rest.rsplit_once('-')?;
        let is_number = |text: &str| text.len() >= 5 && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(number) || !is_number(count) {
            return None;
        }
        let digits = count.len();
        Some(PartStem { prefix, number: number.parse().ok()?, count: count.parse().ok()?, digits })
    }
}

/// A file name of the form `model-00002-of-00005.gguf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartName {
    folder: PathBuf,
    prefix: String,
    digits: usize,
    extension: String,
    /// Counted from 1.
    pub number: usize,
    /// How many parts there are.
    pub count: usize,
}

impl PartName {
    /// Reads the name of `path`; `None` if it is not that of a part.
    pub fn parse(path: &Path) -> Option<PartName> {
        let extension = path.extension()?.to_str()?;
        let PartStem { prefix, number, count, digits } =
            PartStem::parse(path.file_stem()?.to_str()?)?;
        Some(PartName {
            folder: path.parent().unwrap_or(Path::new("")).to_path_buf(),
            prefix: prefix.to_string(),
            digits,
            extension: extension.to_string(),
            number,
            count,
        })
    }

    /// The path of part `number` of the same set.
    pub fn sibling(&self, number: usize) -> PathBuf {
        let PartName { folder, prefix, digits, extension, count, .. } = self;
        folder.join(format!("{prefix}-{number:0digits$}-of-{count:0digits$}.{extension}"))
    }

    /// Paths of all parts, in order.
    ///
    /// # Errors
    /// If the numbers in the name make no sense, or the first part that is not there.
    pub fn siblings(&self) -> Result<Vec<PathBuf>, Error> {
        let PartName { number, count, .. } = *self;
        if number == 0 || number > count {
            let found = format!("part {number} of {count}");
            let path = self.sibling(number);
            return Err(Report::new(&path, "file name", found, "parts counted from 1").malformed());
        }
        let mut paths = Vec::new();
        for number in 1..=count {
            let path = self.sibling(number);
            if !path.is_file() {
                let subject = format!("part {number} of {count}");
                return Err(Report::new(&path, subject, "no such file", "every part")
                    .hint("download the missing part into the same folder")
                    .missing());
            }
            paths.push(path);
        }
        Ok(paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_name_is_read_and_gives_its_siblings() {
        let name = PartName::parse(Path::new("a/big-model-00002-of-00003.gguf")).unwrap();
        assert_eq!((name.number, name.count), (2, 3));
        assert_eq!(name.sibling(3), Path::new("a/big-model-00003-of-00003.gguf"));
        assert_eq!(name.sibling(2), Path::new("a/big-model-00002-of-00003.gguf"));
    }

    #[test]
    fn other_names_are_not_part_names() {
        for name in ["model.gguf", "model-1-of-3.gguf", "model-0000x-of-00003.gguf", "-of-.gguf"] {
            assert_eq!(PartName::parse(Path::new(name)), None, "{name}");
        }
    }

    #[test]
    fn part_zero_and_part_five_of_three_are_refused() {
        for name in ["m-00000-of-00003.gguf", "m-00005-of-00003.gguf"] {
            let error = PartName::parse(Path::new(name)).unwrap().siblings().unwrap_err();
            assert!(error.to_string().contains("file name"), "{error}");
        }
    }
}
