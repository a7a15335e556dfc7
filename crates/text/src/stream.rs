//! Token by token to text, without ever showing half a character.

use crate::error::Result;
use crate::tokenizer::Tokenizer;
use std::sync::Arc;

/// Decodes a stream of tokens. What all calls return, put together, is exactly what
/// [`Tokenizer::decode`] gives for all ids at once.
#[derive(Debug)]
pub struct Decoder {
    tokenizer: Arc<Tokenizer>,
    assembler: Assembler,
    skip_special: bool,
    /// Special tokens that are shown all the same.
    shown: Vec<u32>,
}

impl Decoder {
    /// For an answer that stands by itself.
    pub fn new(tokenizer: Arc<Tokenizer>, skip_special: bool) -> Decoder {
        let assembler = Assembler::new(tokenizer.vocabulary.strips_first_space);
        Decoder { tokenizer, assembler, skip_special, shown: Vec::new() }
    }

    /// For text that goes on where a prompt stopped: a space at its start belongs to the text,
    /// also where the vocabulary would begin a text with a space of its own.
    pub fn continuing(tokenizer: Arc<Tokenizer>, skip_special: bool) -> Decoder {
        Decoder { tokenizer, assembler: Assembler::new(false), skip_special, shown: Vec::new() }
    }

    /// Shows also those special tokens that are part of one of these `tags`: they are to be read,
    /// as by [`voice::Parser`](crate::voice::Parser).
    pub fn showing(mut self, tags: &[&str]) -> Decoder {
        let is_part = |id: &u32| {
            let text = self.tokenizer.token_text(*id).filter(|text| !text.is_empty());
            text.is_some_and(|text| tags.iter().any(|tag| tag.contains(&text)))
        };
        let special =
            (0..self.tokenizer.vocab_size() as u32).filter(|id| self.tokenizer.is_special(*id));
        self.shown = special.filter(is_part).collect();
        self
    }

    /// The text that `id` completes: often nothing, while a character's bytes are still coming.
    ///
    /// # Errors
    /// An id that the vocabulary does not have; the stream may go on after it.
    pub fn push(&mut self, id: u32) -> Result<String> {
        let skips = self.skip_special && !self.shown.contains(&id);
        let bytes = self.tokenizer.shown_bytes(id, skips)?;
        Ok(self.assembler.push(bytes))
    }

    /// Whether a character has begun that is not whole yet.
    pub(crate) fn waits(&self) -> bool {
        !self.assembler.waiting.is_empty()
    }

    /// What is left when no more tokens come: U+FFFD if a character was never finished.
    pub fn finish(&mut self) -> String {
        self.assembler.finish()
    }
}

/// Bytes to text. Holds back the bytes of a character that is not whole yet.
#[derive(Debug)]
pub(crate) struct Assembler {
    waiting: Vec<u8>,
    /// The next byte, if a space, is not part of the text.
    strips_space: bool,
}

impl Assembler {
    pub fn new(strips_space: bool) -> Assembler {
        Assembler { waiting: Vec::new(), strips_space }
    }

    pub fn push(&mut self, bytes: &[u8]) -> String {
        let Some(first) = bytes.first() else {
            return String::new();
        };
        let bytes = if self.strips_space && *first == b' ' { &bytes[1..] } else { bytes };
        self.strips_space = false;
        self.waiting.extend_from_slice(bytes);
        let waiting = std::mem::take(&mut self.waiting);
        let mut text = String::new();
        let mut chunks = waiting.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text += chunk.valid();
            if chunk.invalid().is_empty() {
                continue;
            }
            if chunks.peek().is_none() && is_unfinished(chunk.invalid()) {
                self.waiting = chunk.invalid().to_vec();
            } else {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        text
    }

    pub fn finish(&mut self) -> String {
        self.strips_space = false;
        String::from_utf8_lossy(&std::mem::take(&mut self.waiting)).into_owned()
    }
}

/// Whether more bytes could still make a character of these.
fn is_unfinished(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_in_any_portions_are_the_same_text(
            portions in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..4),
                    "[a你😀]{0,2}".prop_map(String::into_bytes),
                    (0..4usize).prop_map(|length| "😀".as_bytes()[..length].to_vec()),
                ],
                0..12,
            ),
        ) {
            let mut assembler = Assembler::new(false);
            let mut text: String = portions.iter().map(|bytes| assembler.push(bytes)).collect();
            text += &assembler.finish();
            let bytes = portions.concat();
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn half_a_character_waits_and_a_broken_one_does_not() {
        let mut assembler = Assembler::new(false);
        assert_eq!(assembler.push(&[b'a', 0xe4, 0xbd]), "a");
        assert_eq!(assembler.push(&[0xa0]), "你");
        assert_eq!(assembler.push(&[0xe4]), "");
        assert_eq!(assembler.push(b"b"), "\u{fffd}b");
        assert_eq!(assembler.push(&[0xff]), "\u{fffd}");
    }

    #[test]
    fn only_the_first_space_of_a_text_is_taken() {
        let mut assembler = Assembler::new(true);
        assert_eq!(assembler.push(&[]), "");
        assert_eq!(assembler.push(b"  a"), " a");
        assert_eq!(assembler.push(b" b"), " b");
    }
}
