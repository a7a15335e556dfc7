//! Added tokens: strings that are one token wherever they stand, found before anything is merged.

use aho_corasick::{AhoCorasick, MatchKind};

/// A string that is always one token, with the options Hugging Face files give it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AddedToken {
    pub content: String,
    pub id: u32,
    /// A control token: left out of decoded text on request, and never read out of a user's text.
    pub special: bool,
    /// Takes the white space to its left with it.
    pub left_strip: bool,
    /// Takes the white space to its right with it.
    pub right_strip: bool,
    /// Counts only where no letter, digit or underscore touches it.
    pub single_word: bool,
}

/// Finds added tokens: leftmost first, the longest where several start at one place.
#[derive(Debug)]
pub(crate) struct AddedTokens {
    tokens: Vec<AddedToken>,
    matcher: AhoCorasick,
}

/// A stretch of text, or the added token that stood there.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece<'t> {
    Text(&'t str),
    Token(u32),
}

impl AddedTokens {
    /// The error is what the string matcher said: too many or too long strings.
    pub fn new(tokens: Vec<AddedToken>) -> Result<AddedTokens, String> {
        let tokens: Vec<_> = tokens.into_iter().filter(|t| !t.content.is_empty()).collect();
        let matcher = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(tokens.iter().map(|token| &token.content))
            .map_err(|cause| cause.to_string())?;
        Ok(AddedTokens { tokens, matcher })
    }

    /// Cuts `text` at the added tokens; `specials` says whether special ones count.
    pub fn cut<'t>(&self, text: &'t str, specials: bool) -> Vec<Piece<'t>> {
        if self.tokens.is_empty() {
            return if text.is_empty() { Vec::new() } else { vec![Piece::Text(text)] };
        }
        let mut pieces = Vec::new();
        let mut done = 0;
        for found in self.matcher.find_iter(text) {
            let token = &self.tokens[found.pattern().as_usize()];
            let (mut start, mut end) = (found.start(), found.end());
            if (token.special && !specials) || start < done {
                continue;
            }
            if token.single_word && (ends_in_word(&text[..start]) || starts_word(&text[end..])) {
                continue;
            }
            if token.left_strip {
                start = text[..start].trim_end().len().max(done);
            }
            if token.right_strip {
                end = text.len() - text[end..].trim_start().len();
            }
            if start > done {
                pieces.push(Piece::Text(&text[done..start]));
            }
            pieces.push(Piece::Token(token.id));
            done = end;
        }
        if done < text.len() {
            pieces.push(Piece::Text(&text[done..]));
        }
        pieces
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn ends_in_word(text: &str) -> bool {
    text.chars().next_back().is_some_and(is_word)
}

fn starts_word(text: &str) -> bool {
    text.chars().next().is_some_and(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(content: &str, id: u32) -> AddedToken {
        AddedToken { content: content.to_owned(), id, ..AddedToken::default() }
    }

    #[test]
    fn the_longest_token_at_a_place_wins() {
        let added = AddedTokens::new(vec![token("<a>", 1), token("<a><b>", 2)]).unwrap();
        let pieces = added.cut("x<a><b><a>", true);
        assert_eq!(pieces, [Piece::Text("x"), Piece::Token(2), Piece::Token(1)]);
    }

    #[test]
    fn a_special_token_in_plain_text_stays_text_unless_asked_for() {
        let special = AddedToken { special: true, ..token("<|end|>", 7) };
        let added = AddedTokens::new(vec![special, token("<think>", 8)]).unwrap();
        let plain = added.cut("<|end|><think>", false);
        assert_eq!(plain, [Piece::Text("<|end|>"), Piece::Token(8)]);
        assert_eq!(added.cut("<|end|>", true), [Piece::Token(7)]);
    }

    #[test]
    fn strip_and_single_word_do_what_hugging_face_files_mean_by_them() {
        let strip = AddedToken { left_strip: true, right_strip: true, ..token("<m>", 1) };
        let single = AddedToken { single_word: true, ..token("dog", 2) };
        let added = AddedTokens::new(vec![strip, single]).unwrap();
        let pieces = added.cut("a  <m>\n dogs dog", true);
        let wanted = [Piece::Text("a"), Piece::Token(1), Piece::Text("dogs "), Piece::Token(2)];
        assert_eq!(pieces, wanted);
    }
}
