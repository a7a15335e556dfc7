//! From text to token ids: added tokens, normalization, words, merges.

use crate::added::{AddedTokens, Piece};
use crate::bpe::Bpe;
use crate::error::{Error, Result};
use crate::longest::Longest;
use crate::split::Splitter;
use crate::whitespace::WhiteSpace;
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::ops::Range;
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::Precompiled;
use tokenizers::{Model as _, NormalizedString, Normalizer as _};
// The library's own tables: a newer Unicode moves marks that the models never saw moved.
use unicode_normalization_alignments::{UnicodeNormalization, is_nfc};

/// The space of SentencePiece vocabularies, U+2581.
pub(crate) const SPACE: char = '▁';

/// A tokenizer taken apart into the steps all of them share.
#[derive(Debug)]
pub(crate) struct Pipeline {
    /// Found in the text as it was written.
    pub raw: AddedTokens,
    pub normalizer: Normalizer,
    /// Found in the normalized text.
    pub normalized: AddedTokens,
    pub splitter: Splitter,
    pub model: Model,
}

/// How a word becomes tokens.
#[derive(Debug)]
pub(crate) enum Model {
    Bpe(Bpe),
    Longest(Longest),
    Unigram {
        model: Box<Unigram>,
        unknown: u32,
        /// The tokens of bytes, which stand for what is unknown.
        bytes: Option<Box<[u32; 256]>>,
    },
}

/// Where SentencePiece puts the space that words begin with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SpacePrefix {
    Never,
    /// Before the text, if it begins with text.
    First,
    /// Before every stretch of text between added tokens.
    Every,
}

/// What is done to text before words are looked for.
pub(crate) enum Normalizer {
    None,
    Nfc,
    SentencePiece {
        /// White space that has tokens of its own.
        white_space: Option<WhiteSpace>,
        /// The character map of the file, if it has one.
        map: Option<Box<Precompiled>>,
        /// Spaces at the ends go, several become one.
        squeeze: bool,
        prefix: SpacePrefix,
    },
}

impl std::fmt::Debug for Normalizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Normalizer::None => write!(f, "None"),
            Normalizer::Nfc => write!(f, "Nfc"),
            Normalizer::SentencePiece { white_space, map, squeeze, prefix } => f
                .debug_struct("SentencePiece")
                .field("white_space", white_space)
                .field("map", &map.is_some())
                .field("squeeze", squeeze)
                .field("prefix", prefix)
                .finish(),
        }
    }
}

impl Pipeline {
    /// Appends the tokens of `text` to `out`; `specials` says whether special tokens are read.
    pub fn encode(&self, text: &str, specials: bool, out: &mut Vec<u32>) -> Result<()> {
        for (index, piece) in self.raw.cut(text, specials).into_iter().enumerate() {
            match piece {
                Piece::Token(id) => out.push(id),
                Piece::Text(text) => {
                    let text = self.normalizer.apply(text, index == 0)?;
                    for piece in self.normalized.cut(&text, specials) {
                        match piece {
                            Piece::Token(id) => out.push(id),
                            Piece::Text(text) => self.encode_text(text, out)?,
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn encode_text(&self, text: &str, out: &mut Vec<u32>) -> Result<()> {
        match &self.model {
            Model::Bpe(bpe) => {
                // Text repeats its words; what a word became is still in `out`.
                let mut seen: FxHashMap<&str, Range<usize>> = FxHashMap::default();
                self.splitter.split(text, &mut |word| match seen.get(word) {
                    Some(tokens) => out.extend_from_within(tokens.clone()),
                    None => {
                        let start = out.len();
                        bpe.encode(word, out);
                        seen.insert(word, start..out.len());
                    }
                })
            }
            Model::Longest(longest) => {
                self.splitter.split(text, &mut |word| longest.encode(word, out))
            }
            Model::Unigram { model, unknown, bytes } => {
                let tokens = model
                    .tokenize(text)
                    .map_err(|cause| Error::Encode { cause: cause.to_string() })?;
                for token in tokens {
                    match bytes {
                        Some(bytes) if token.id == *unknown => {
                            out.extend(token.value.bytes().map(|byte| bytes[byte as usize]));
                        }
                        _ => out.push(token.id),
                    }
                }
                Ok(())
            }
        }
    }
}

impl Normalizer {
    fn apply<'t>(&self, text: &'t str, first: bool) -> Result<Cow<'t, str>> {
        match self {
            Normalizer::None => Ok(Cow::Borrowed(text)),
            Normalizer::Nfc if is_nfc(text) => Ok(Cow::Borrowed(text)),
            Normalizer::Nfc => Ok(Cow::Owned(text.nfc().map(|(character, _)| character).collect())),
            Normalizer::SentencePiece { white_space, map, squeeze, prefix } => {
                let mut text = Cow::Borrowed(text);
                if let Some(white_space) = white_space {
                    text = Cow::Owned(white_space.spell(&text));
                }
                if let Some(map) = map {
                    let mut mapped = NormalizedString::from(text.as_ref());
                    map.normalize(&mut mapped)
                        .map_err(|cause| Error::Encode { cause: cause.to_string() })?;
                    text = Cow::Owned(mapped.get().to_owned());
                }
                if *squeeze {
                    let words: Vec<_> = text.split(' ').filter(|word| !word.is_empty()).collect();
                    // SentencePiece strips the end after it has written spaces as `▁`.
                    text = Cow::Owned(words.join(" ").trim_end_matches([' ', SPACE]).to_owned());
                }
                let prefixed = match prefix {
                    SpacePrefix::Never => false,
                    SpacePrefix::First => first,
                    SpacePrefix::Every => true,
                };
                let start = if prefixed && !text.is_empty() { Some(SPACE) } else { None };
                let space = |character| if character == ' ' { SPACE } else { character };
                Ok(Cow::Owned(start.into_iter().chain(text.chars().map(space)).collect()))
            }
        }
    }
}
