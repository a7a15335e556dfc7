//! Longest match: a word is, from left to right, the longest token that begins what is left of it.

use aho_corasick::{AhoCorasick, MatchKind};

/// The tokens of words, found by their text.
#[derive(Debug)]
pub(crate) struct Longest {
    matcher: AhoCorasick,
    /// By the matcher's patterns.
    ids: Vec<u32>,
    unknown: u32,
    /// Several unknown characters in a row become one unknown token.
    fuses_unknown: bool,
}

impl Longest {
    /// Of texts and their ids. The error is what the string matcher said: too many or too long
    /// strings.
    pub fn new(
        tokens: &[(String, u32)],
        unknown: u32,
        fuses_unknown: bool,
    ) -> Result<Longest, String> {
        let matcher = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(tokens.iter().map(|(text, _)| text))
            .map_err(|cause| cause.to_string())?;
        let ids = tokens.iter().map(|(_, id)| *id).collect();
        Ok(Longest { matcher, ids, unknown, fuses_unknown })
    }

    /// Appends the tokens of `word` to `out`.
    pub fn encode(&self, word: &str, out: &mut Vec<u32>) {
        let mut done = 0;
        for found in self.matcher.find_iter(word) {
            self.skip(&word[done..found.start()], out);
            out.push(self.ids[found.pattern().as_usize()]);
            done = found.end();
        }
        self.skip(&word[done..], out);
    }

    /// Characters that no token begins with.
    fn skip(&self, text: &str, out: &mut Vec<u32>) {
        let count = text.chars().count();
        let count = if self.fuses_unknown { count.min(1) } else { count };
        out.extend(std::iter::repeat_n(self.unknown, count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(fuses_unknown: bool, word: &str) -> Vec<u32> {
        let tokens = [("你", 1), ("你好", 2), ("好", 3), ("ab", 4), ("abcd", 5)];
        let tokens = tokens.map(|(text, id)| (text.to_owned(), id));
        let mut out = Vec::new();
        Longest::new(&tokens, 0, fuses_unknown).unwrap().encode(word, &mut out);
        out
    }

    #[test]
    fn the_longest_token_wins_and_what_follows_begins_anew() {
        assert_eq!(encoded(false, "你好好abc你"), [2, 3, 4, 0, 1]);
        assert_eq!(encoded(false, "abcdab"), [5, 4]);
        assert!(encoded(false, "").is_empty());
    }

    #[test]
    fn unknown_characters_are_counted_or_fused() {
        assert_eq!(encoded(false, "éé你é"), [0, 0, 1, 0]);
        assert_eq!(encoded(true, "éé你é"), [0, 1, 0]);
    }
}
