//! Pre-tokenization: cutting text into the words that merges stay inside of.

use crate::error::{Error, Result};
use fancy_regex::{Regex, RegexBuilder};

/// How often a pattern may step back in one search. The patterns in use stay far below it on any
/// text; a file with a pattern that explodes must not hang the engine.
const BACKTRACK_MAX: usize = 10_000_000;

/// Patterns applied one after the other: each cuts the pieces that the one before left.
///
/// A match is a piece, and so is what lies between two matches ("isolated" in the field's terms).
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    stages: Vec<Regex>,
}

impl Splitter {
    /// Compiles the patterns; the error is the pattern and what is wrong with it.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> std::result::Result<Splitter, String> {
        let compile = |pattern: &S| {
            RegexBuilder::new(pattern.as_ref())
                .backtrack_limit(BACKTRACK_MAX)
                .build()
                .map_err(|cause| format!("pattern {:?}: {cause}", pattern.as_ref()))
        };
        Ok(Splitter {
            stages: patterns.iter().map(compile).collect::<std::result::Result<_, _>>()?,
        })
    }

    /// Calls `word` with every piece of `text`, in order; the pieces add up to the text.
    pub fn split<'t>(&self, text: &'t str, word: &mut impl FnMut(&'t str)) -> Result<()> {
        split_from(&self.stages, text, word)
    }
}

fn split_from<'t>(stages: &[Regex], text: &'t str, word: &mut impl FnMut(&'t str)) -> Result<()> {
    let Some((stage, rest)) = stages.split_first() else {
        if !text.is_empty() {
            word(text);
        }
        return Ok(());
    };
    let mut done = 0;
    for found in stage.find_iter(text) {
        let found = found.map_err(|cause| Error::Encode { cause: cause.to_string() })?;
        split_from(rest, &text[done..found.start()], word)?;
        split_from(rest, found.as_str(), word)?;
        done = found.end();
    }
    split_from(rest, &text[done..], word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<'t>(patterns: &[&str], text: &'t str) -> Vec<&'t str> {
        let mut words = Vec::new();
        Splitter::new(patterns).unwrap().split(text, &mut |word| words.push(word)).unwrap();
        words
    }

    #[test]
    fn matches_and_gaps_are_both_pieces() {
        assert_eq!(words(&[r"\p{N}{1,3}"], "ab12345c"), ["ab", "123", "45", "c"]);
        assert_eq!(words(&[r"\p{N}", r"a"], "aa1a"), ["a", "a", "1", "a"]);
        assert_eq!(words(&[], "as it is"), ["as it is"]);
        assert!(words(&[r"x"], "").is_empty());
    }

    #[test]
    fn a_pattern_that_explodes_is_an_error_and_not_a_hang() {
        let splitter = Splitter::new(&[r"^(?=(a|aa)+$)(a|aa)+$(?<!b)\1c"]).unwrap();
        let found = splitter.split(&"a".repeat(64), &mut |_| {});
        assert!(found.is_err());
    }

    #[test]
    fn a_long_run_of_spaces_is_split_and_an_absurd_one_is_an_error() {
        let spaces = " ".repeat(200_000) + "x";
        assert_eq!(words(&[crate::patterns::QWEN2], &spaces).len(), 2);
        let splitter = Splitter::new(&[crate::patterns::QWEN2]).unwrap();
        assert!(splitter.split(&" ".repeat(4_000_000), &mut |_| {}).is_err());
    }
}
