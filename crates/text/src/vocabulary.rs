//! What every token id stands for, as bytes.

use crate::error::{Error, Result};
use crate::pipeline::SPACE;
use rustc_hash::FxHashMap;

/// The largest vocabularies have some 300,000 tokens; an id far above that is a damaged file, and
/// must not decide how much memory is taken.
pub(crate) const IDS_MAX: usize = 1 << 24;

/// One token: the bytes it adds to a text, and whether it is a control token.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Entry {
    pub bytes: Box<[u8]>,
    pub special: bool,
}

/// All tokens by id. Ids need not be dense: files leave holes.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    file: String,
    entries: Vec<Option<Entry>>,
    /// Added tokens by their text.
    added: FxHashMap<String, u32>,
    /// A decoded text's first space is the tokenizer's own, and is taken away.
    pub strips_first_space: bool,
}

impl Vocabulary {
    /// An empty vocabulary, read from `file`.
    pub fn new(file: &str) -> Vocabulary {
        Vocabulary { file: file.to_owned(), ..Vocabulary::default() }
    }

    /// Sets a token; a later call for the same id replaces the earlier one.
    pub fn set(&mut self, id: u32, bytes: impl Into<Box<[u8]>>, special: bool) -> Result<()> {
        let index = id as usize;
        if index >= IDS_MAX {
            return Err(Error::malformed(
                &self.file,
                format!("token id {id}, ids go up to {IDS_MAX}"),
                "is the file damaged?",
            ));
        }
        if index >= self.entries.len() {
            self.entries.resize(index + 1, None);
        }
        self.entries[index] = Some(Entry { bytes: bytes.into(), special });
        Ok(())
    }

    /// Sets an added token, which can then be found by its text.
    pub fn set_added(&mut self, id: u32, text: &str, special: bool) -> Result<()> {
        self.set(id, text.as_bytes(), special)?;
        self.added.insert(text.to_owned(), id);
        Ok(())
    }

    pub fn get(&self, id: u32) -> Option<&Entry> {
        self.entries.get(id as usize)?.as_ref()
    }

    pub fn added_id(&self, text: &str) -> Option<u32> {
        self.added.get(text).copied()
    }

    /// One more than the highest id.
    pub fn size(&self) -> usize {
        self.entries.len()
    }
}

/// The bytes of a token that is written in GPT-2's alphabet, in which each byte is one printable
/// character (Radford et al. 2019, `bytes_to_unicode`); a token with any other character in it
/// was added later and is its own text.
pub(crate) fn bytes_of_byte_level(token: &str) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = token.chars().map(byte_of_printable).collect();
    bytes.unwrap_or_else(|| token.as_bytes().to_vec())
}

/// The byte that a character stands for in GPT-2's alphabet. Printable Latin-1 stands for itself;
/// the other bytes, in order, are the characters from U+0100.
pub(crate) fn byte_of_printable(character: char) -> Option<u8> {
    match character {
        '!'..='~' | '¡'..='¬' | '®'..='ÿ' => Some(character as u32 as u8),
        '\u{100}'..='\u{120}' => Some((character as u32 - 0x100) as u8),
        '\u{121}'..='\u{142}' => Some((character as u32 - 0x121 + 0x7f) as u8),
        '\u{143}' => Some(0xad),
        _ => None,
    }
}

/// The token of these bytes in GPT-2's alphabet: the inverse of [`byte_of_printable`].
pub(crate) fn byte_level_of_bytes(bytes: &[u8]) -> String {
    let printable = |byte: &u8| match *byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(*byte),
        0xad => '\u{143}',
        byte @ 0..=0x20 => char::from_u32(0x100 + u32::from(byte)).expect("a letter"),
        byte => char::from_u32(0x121 + u32::from(byte) - 0x7f).expect("a letter"),
    };
    bytes.iter().map(printable).collect()
}

/// The bytes of a SentencePiece token: `<0x0A>` is a byte where `is_byte`, `▁` a space.
pub(crate) fn bytes_of_sentencepiece(token: &str, is_byte: bool) -> Vec<u8> {
    match byte_of_fallback(token).filter(|_| is_byte) {
        Some(byte) => vec![byte],
        None => token.replace(SPACE, " ").into_bytes(),
    }
}

/// The byte that `<0x00>` to `<0xFF>` name.
pub(crate) fn byte_of_fallback(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let plain = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if plain { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// Whether a byte can occur in UTF-8 text.
pub(crate) fn is_in_utf8(byte: u8) -> bool {
    !matches!(byte, 0xc0 | 0xc1 | 0xf5..=0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printable_alphabet_has_every_byte_once() {
        let mut bytes: Vec<u8> = ('\0'..='\u{200}').filter_map(byte_of_printable).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(bytes_of_byte_level("Ġä½ł"), " 你".as_bytes());
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes_of_byte_level(&byte_level_of_bytes(&all)), all);
        assert_eq!(bytes_of_byte_level("<｜end｜>"), "<｜end｜>".as_bytes());
    }

    #[test]
    fn byte_tokens_are_bytes_and_underlines_are_spaces() {
        assert_eq!(bytes_of_sentencepiece("<0xE4>", true), [0xe4]);
        assert_eq!(bytes_of_sentencepiece("<0xE4>", false), b"<0xE4>");
        assert_eq!(bytes_of_sentencepiece("▁a▁b", false), b" a b");
        assert_eq!(byte_of_fallback("<0x+1>"), None);
    }
}
