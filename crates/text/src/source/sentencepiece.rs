//! SentencePiece's `tokenizer.model`, and GGUF vocabularies made from one.

use super::config::FolderConfig;
use crate::added::{AddedToken, AddedTokens};
use crate::bpe::{Alphabet, Bpe, NO_TOKEN, pairs_by_rank};
use crate::error::{Error, Result};
use crate::pipeline::{Model, Normalizer, Pipeline, SPACE, SpacePrefix};
use crate::split::Splitter;
use crate::tokenizer::{Engine, Tokenizer};
use crate::vocabulary::{Vocabulary, byte_of_fallback, bytes_of_sentencepiece};
use crate::whitespace::WhiteSpace;
use prost::Message;
use rustc_hash::FxHashMap;
use std::path::Path;
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::Precompiled;

/// The parts of `sentencepiece_model.proto` that matter for encoding.
#[derive(Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<PieceProto>,
    #[prost(message, optional, tag = "2")]
    trainer: Option<TrainerProto>,
    #[prost(message, optional, tag = "3")]
    normalizer: Option<NormalizerProto>,
}

#[derive(Message)]
struct PieceProto {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
}

#[derive(Message)]
struct TrainerProto {
    /// 1 Unigram, 2 BPE, 3 words, 4 characters.
    #[prost(int32, optional, tag = "3")]
    model_type: Option<i32>,
    #[prost(int32, optional, tag = "41")]
    bos_id: Option<i32>,
    #[prost(int32, optional, tag = "42")]
    eos_id: Option<i32>,
}

#[derive(Message)]
struct NormalizerProto {
    #[prost(bytes, optional, tag = "2")]
    precompiled_charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "3")]
    add_dummy_prefix: Option<bool>,
    #[prost(bool, optional, tag = "4")]
    remove_extra_whitespaces: Option<bool>,
}

/// What a piece is for; the numbers are those of both file formats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl Kind {
    pub fn from_number(number: i32) -> Option<Kind> {
        match number {
            1 => Some(Kind::Normal),
            2 => Some(Kind::Unknown),
            3 => Some(Kind::Control),
            4 => Some(Kind::UserDefined),
            5 => Some(Kind::Unused),
            6 => Some(Kind::Byte),
            _ => None,
        }
    }

    pub fn number(self) -> i32 {
        match self {
            Kind::Normal => 1,
            Kind::Unknown => 2,
            Kind::Control => 3,
            Kind::UserDefined => 4,
            Kind::Unused => 5,
            Kind::Byte => 6,
        }
    }
}

/// A vocabulary of scored pieces, wherever it was read.
pub(crate) struct Pieces {
    pub file: String,
    /// Text, score and kind, by id.
    pub list: Vec<(String, f32, Kind)>,
    pub unigram: bool,
    /// White space that has pieces of its own.
    pub white_space: Option<WhiteSpace>,
    pub map: Option<Vec<u8>>,
    pub squeeze: bool,
    pub prefix: SpacePrefix,
    /// Added outside the pieces.
    pub added: Vec<AddedToken>,
}

const DAMAGED: &str = "take tokenizer.model from the model's own repository again";

/// Reads a `tokenizer.model`.
pub(crate) fn load(path: &Path, bytes: &[u8], config: &FolderConfig) -> Result<Tokenizer> {
    let (pieces, ends) = pieces(path, bytes, config)?;
    finish(pieces, ends, config)
}

/// The ids that begin and end a text, if they are in the vocabulary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    bos: Option<u32>,
    eos: Option<u32>,
}

/// Makes the tokenizer of a file's pieces.
pub(crate) fn finish(pieces: Pieces, ends: Ends, config: &FolderConfig) -> Result<Tokenizer> {
    let mut tokenizer = build(pieces)?;
    tokenizer.bos = ends.bos.filter(|id| tokenizer.is_special(*id));
    if !config.tokens.contains_key("eos_token") {
        tokenizer.eos.extend(ends.eos.filter(|id| tokenizer.is_special(*id)));
    }
    Ok(tokenizer)
}

/// What a `tokenizer.model` holds.
pub(crate) fn pieces(path: &Path, bytes: &[u8], config: &FolderConfig) -> Result<(Pieces, Ends)> {
    let file = path.display().to_string();
    let wrong = |fault: String| Error::malformed(&file, fault, DAMAGED);
    let proto = ModelProto::decode(bytes)
        .map_err(|cause| wrong(format!("neither SentencePiece nor ranks: {cause}")))?;
    let trainer = proto.trainer.unwrap_or_default();
    let normalizer = proto.normalizer.unwrap_or_default();
    let unigram = match trainer.model_type.unwrap_or(1) {
        1 => true,
        2 => false,
        other => return Err(wrong(format!("model_type {other}, wanted 1 (Unigram) or 2 (BPE)"))),
    };
    let mut list = Vec::with_capacity(proto.pieces.len());
    for (id, piece) in proto.pieces.into_iter().enumerate() {
        let number = piece.kind.unwrap_or(1);
        let kind = Kind::from_number(number)
            .ok_or_else(|| wrong(format!("piece {id} has the type {number}")))?;
        list.push((piece.piece.unwrap_or_default(), piece.score.unwrap_or(0.0), kind));
    }
    let prefix = match (normalizer.add_dummy_prefix, config.legacy) {
        (Some(false), _) => SpacePrefix::Never,
        (_, Some(false)) => SpacePrefix::First,
        _ => SpacePrefix::Every,
    };
    let id = |id: Option<i32>, default: u32| match id {
        None => Some(default),
        Some(id) => u32::try_from(id).ok(),
    };
    let ends = Ends { bos: id(trainer.bos_id, 1), eos: id(trainer.eos_id, 2) };
    let pieces = Pieces {
        file,
        list,
        unigram,
        white_space: None,
        map: normalizer.precompiled_charsmap.filter(|map| !map.is_empty()),
        squeeze: normalizer.remove_extra_whitespaces.unwrap_or(true),
        prefix,
        added: config.added.clone(),
    };
    Ok((pieces, ends))
}

/// Makes a tokenizer of pieces.
pub(crate) fn build(pieces: Pieces) -> Result<Tokenizer> {
    let wrong = |fault: String| Error::malformed(&pieces.file, fault, DAMAGED);
    let mut vocabulary = Vocabulary::new(&pieces.file);
    vocabulary.strips_first_space = pieces.prefix != SpacePrefix::Never;
    let (mut raw, mut normalized) = (pieces.added.clone(), Vec::new());
    for (id, (text, _, kind)) in pieces.list.iter().enumerate() {
        let id = id as u32;
        let token = AddedToken { content: text.clone(), id, ..AddedToken::default() };
        match kind {
            Kind::Normal => vocabulary.set(id, bytes_of_sentencepiece(text, false), false)?,
            Kind::Byte => vocabulary.set(id, bytes_of_sentencepiece(text, true), false)?,
            Kind::Unused => vocabulary.set(id, [], false)?,
            Kind::Control | Kind::Unknown => {
                vocabulary.set_added(id, text, true)?;
                raw.push(AddedToken { special: true, ..token });
            }
            Kind::UserDefined => {
                vocabulary.set_added(id, text, false)?;
                vocabulary.set(id, bytes_of_sentencepiece(text, false), false)?;
                normalized.push(token);
            }
        }
    }
    for token in &pieces.added {
        vocabulary.set_added(token.id, &token.content, token.special)?;
    }
    let map = pieces.map.as_deref().map(Precompiled::from).transpose();
    let map = map.map_err(|cause| wrong(format!("the character map is damaged: {cause}")))?;
    let pipeline = Pipeline {
        raw: AddedTokens::new(raw).map_err(wrong)?,
        normalizer: Normalizer::SentencePiece {
            white_space: pieces.white_space,
            map: map.map(Box::new),
            squeeze: pieces.squeeze,
            prefix: pieces.prefix,
        },
        normalized: AddedTokens::new(normalized).map_err(wrong)?,
        splitter: Splitter::default(),
        model: if pieces.unigram { unigram(&pieces)? } else { Model::Bpe(bpe(&pieces)) },
    };
    let engine = Engine::Pipeline(Box::new(pipeline));
    Ok(Tokenizer::new(engine, vocabulary))
}

fn unigram(pieces: &Pieces) -> Result<Model> {
    let wrong = |fault: String| Error::malformed(&pieces.file, fault, DAMAGED);
    let unknown = unknown(pieces).ok_or_else(|| wrong("there is no unknown piece".to_owned()))?;
    // Only normal pieces are part of text; the others keep their id and can never be chosen.
    let entry = |(text, score, kind): &(String, f32, Kind)| match kind {
        Kind::Normal | Kind::UserDefined => (text.clone(), f64::from(*score)),
        Kind::Unknown | Kind::Control | Kind::Unused | Kind::Byte => (String::new(), 0.0),
    };
    let list: Vec<_> = pieces.list.iter().map(entry).collect();
    let model = Unigram::from(list, Some(unknown as usize), false)
        .map_err(|cause| wrong(cause.to_string()))?;
    Ok(Model::Unigram { model: Box::new(model), unknown, bytes: byte_pieces(pieces) })
}

fn unknown(pieces: &Pieces) -> Option<u32> {
    let position = pieces.list.iter().position(|(_, _, kind)| *kind == Kind::Unknown)?;
    Some(position as u32)
}

/// The pieces of single bytes, if the vocabulary has them all.
fn byte_pieces(pieces: &Pieces) -> Option<Box<[u32; 256]>> {
    let mut bytes = Box::new([NO_TOKEN; 256]);
    for (id, (text, _, kind)) in pieces.list.iter().enumerate() {
        if let Some(byte) = byte_of_fallback(text).filter(|_| *kind == Kind::Byte) {
            bytes[byte as usize] = id as u32;
        }
    }
    (!bytes.contains(&NO_TOKEN)).then_some(bytes)
}

fn bpe(pieces: &Pieces) -> Bpe {
    let mut scores: Vec<f32> = pieces.list.iter().map(|(_, score, _)| *score).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    scores.dedup();
    let rank = |score: f32| {
        scores.partition_point(|other| other.total_cmp(&score) == std::cmp::Ordering::Greater)
    };
    let normal = pieces.list.iter().enumerate().filter(|(_, piece)| piece.2 == Kind::Normal);
    let ranked =
        normal.clone().map(|(id, (t, score, _))| (id as u32, t.as_bytes(), rank(*score) as u32));
    let is_boundary = |bytes: &[u8], cut: usize| bytes[cut] & 0xc0 != 0x80;
    let pairs = pairs_by_rank(ranked, is_boundary);
    let single = |(id, (text, ..)): (usize, &(String, f32, Kind))| {
        let mut characters = text.chars();
        characters.next().filter(|_| characters.next().is_none()).map(|c| (c, id as u32))
    };
    let ids: FxHashMap<char, u32> = normal.filter_map(single).collect();
    let (bytes, unknown) = (byte_pieces(pieces), unknown(pieces));
    let alphabet = Alphabet::Characters { ids, bytes, unknown, fuse_unknown: true };
    Bpe { alphabet, pairs, whole: None }
}

/// Whether a user-defined piece has spaces in it, which only normalized text spells as it does.
pub(crate) fn has_space(text: &str) -> bool {
    text.contains(SPACE) || text.contains(' ')
}
