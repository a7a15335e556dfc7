//! The one tokenizer type, whatever files it came from.

use crate::error::{Error, Result};
use crate::pipeline::Pipeline;
use crate::stream::Assembler;
use crate::vocabulary::Vocabulary;

/// Text to token ids and back, exactly as the model was trained with.
///
/// Made by [`Tokenizer::from_folder`] or [`Tokenizer::from_gguf`]; immutable, and safe to share.
#[derive(Debug)]
pub struct Tokenizer {
    pub(crate) engine: Engine,
    pub(crate) vocabulary: Vocabulary,
    /// What the model's own tokenizer puts before a text: BOS, or several control tokens.
    pub(crate) prefix: Vec<u32>,
    /// What it puts behind a text that is read and not continued.
    pub(crate) ending: Vec<u32>,
    /// What it puts behind a text, where the text is asked to be filled in.
    pub(crate) question: Option<Question>,
    pub(crate) bos: Option<u32>,
    /// Ids that end an answer, most usual first.
    pub(crate) eos: Vec<u32>,
}

/// How a model that fills gaps is asked.
#[derive(Debug)]
pub(crate) struct Question {
    /// Tokens that stand for text to be written. A text without any ends with the first of them.
    pub gaps: Vec<u32>,
    /// Ends a text that goes on behind its gap.
    pub end: u32,
    /// Begins what is written.
    pub start: u32,
}

/// Who does the work.
#[derive(Debug)]
pub(crate) enum Engine {
    /// Byte-pair encoding and SentencePiece, by this crate: several times faster than the library.
    Pipeline(Box<Pipeline>),
    /// Any other `tokenizer.json`, by the library that defines the format: once as it is, once
    /// with special tokens read as plain text.
    Library { reading_specials: Box<tokenizers::Tokenizer>, plain: Box<tokenizers::Tokenizer> },
}

/// How text is to be read by [`Tokenizer::encode`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EncodeOptions {
    /// Special tokens written in the text are those tokens. Set for rendered templates; never set
    /// for text from a user, who could else forge the end of a turn.
    pub specials: bool,
    /// Put around the text what the model's own tokenizer puts there, usually BOS before it or
    /// nothing. Templates write theirs themselves.
    pub bos: bool,
}

impl EncodeOptions {
    /// For a rendered chat template: special tokens are read, nothing is added.
    pub const TEMPLATE: EncodeOptions = EncodeOptions { specials: true, bos: false };
    /// For a raw prompt: what the model's own tokenizer would do.
    pub const PROMPT: EncodeOptions = EncodeOptions { specials: true, bos: true };
}

impl Question {
    fn ask(&self, ids: &mut Vec<u32>) {
        let is_gap = |id: &u32| self.gaps.contains(id);
        if !ids.iter().any(is_gap) {
            ids.extend(self.gaps.first());
        } else if !ids.last().is_some_and(is_gap) {
            ids.push(self.end);
        }
        ids.push(self.start);
    }
}

impl Tokenizer {
    /// Without anything around a text.
    pub(crate) fn new(engine: Engine, vocabulary: Vocabulary) -> Tokenizer {
        let (prefix, ending, eos) = (Vec::new(), Vec::new(), Vec::new());
        Tokenizer { engine, vocabulary, prefix, ending, question: None, bos: None, eos }
    }

    /// The ids of `text`.
    ///
    /// # Errors
    /// Only where a pattern of the tokenizer's file runs out of its limits: on a million spaces in
    /// a row, say.
    pub fn encode(&self, text: &str, options: EncodeOptions) -> Result<Vec<u32>> {
        let mut ids = if options.bos { self.prefix.clone() } else { Vec::new() };
        match &self.engine {
            Engine::Pipeline(pipeline) => pipeline.encode(text, options.specials, &mut ids)?,
            Engine::Library { reading_specials, plain } => {
                let library = if options.specials { reading_specials } else { plain };
                let encoding = library
                    .encode_fast(text, false)
                    .map_err(|cause| Error::Encode { cause: cause.to_string() })?;
                ids.extend_from_slice(encoding.get_ids());
            }
        }
        if let Some(question) = self.question.as_ref().filter(|_| options.bos) {
            question.ask(&mut ids);
        }
        Ok(ids)
    }

    /// The text of `ids`, less special tokens where `skip_special`. Bytes that are not UTF-8
    /// become U+FFFD, as in [`String::from_utf8_lossy`].
    ///
    /// # Errors
    /// An id that the vocabulary does not have.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        let mut assembler = Assembler::new(self.vocabulary.strips_first_space);
        let mut text = String::new();
        for id in ids {
            text += &assembler.push(self.shown_bytes(*id, skip_special)?);
        }
        Ok(text + &assembler.finish())
    }

    /// What `id` adds to a text: its bytes, or none if it is special and those are skipped.
    pub(crate) fn shown_bytes(&self, id: u32, skip_special: bool) -> Result<&[u8]> {
        let unknown = Error::UnknownId { id, vocab_size: self.vocab_size() };
        let entry = self.vocabulary.get(id).ok_or(unknown)?;
        Ok(if entry.special && skip_special { &[] } else { &entry.bytes })
    }

    /// The raw bytes of a token: not always whole characters. `None` for an id that is not there.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        Some(&self.vocabulary.get(id)?.bytes)
    }

    /// A token as text, with U+FFFD for what is not a whole character.
    pub fn token_text(&self, id: u32) -> Option<String> {
        Some(String::from_utf8_lossy(self.token_bytes(id)?).into_owned())
    }

    /// One more than the highest token id. The model's own vocabulary may be padded beyond it.
    pub fn vocab_size(&self) -> usize {
        self.vocabulary.size()
    }

    /// The id of an added token such as `<|im_end|>`, by its exact text.
    pub fn special_id(&self, text: &str) -> Option<u32> {
        self.vocabulary.added_id(text)
    }

    /// Whether `id` is a control token, which is no part of an answer's text.
    pub fn is_special(&self, id: u32) -> bool {
        self.vocabulary.get(id).is_some_and(|entry| entry.special)
    }

    /// The token that begins a text, if the model has one; see [`EncodeOptions::bos`] for whether
    /// it is used.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// What the model's own tokenizer puts behind a text, as those of models that embed do: they
    /// read the meaning of a text off its end. [`Tokenizer::encode`] leaves it out.
    pub fn ending(&self) -> &[u32] {
        &self.ending
    }

    /// The tokens that end an answer, from `generation_config.json`, `tokenizer_config.json` or
    /// GGUF metadata.
    pub fn eos(&self) -> &[u32] {
        &self.eos
    }
}
