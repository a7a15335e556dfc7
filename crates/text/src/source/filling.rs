//! SentencePiece vocabularies of models that fill gaps, and of those that came of them.
//!
//! Their Python classes add tokens to the file's pieces: gaps, the start and the end of what is
//! written in one, roles. The oldest file, `ice_text.model`, has tokens of white space too, and its
//! ids may begin behind those of images.

use super::config::FolderConfig;
use super::sentencepiece::{self, Kind, Pieces};
use crate::added::AddedToken;
use crate::error::{Error, Result};
use crate::tokenizer::{Question, Tokenizer};
use crate::whitespace::WhiteSpace;
use rustc_hash::FxHashMap;
use std::path::Path;

/// The class whose tokens follow the pieces of a `tokenizer.model`.
const CLASS: &str = "ChatGLMTokenizer";

/// Its tokens, in the order of their ids.
const NAMED: &[&str] = &[
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "sop",
    "eop",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
];

/// What follows the pieces of text in `ice_text.model`, or is to follow them.
const CONTROL: &[&str] =
    &["[MASK]", "[gMASK]", "[sMASK]", "<unused_0>", "<sop>", "<eop>", "<ENC>", "<dBLOCK>"];

/// Tokens of white space in `ice_text.model`.
const WHITE_SPACE: WhiteSpace = WhiteSpace { longest: 80 };

/// How many ids are of images where no file says it.
const IMAGE_TOKENS: u32 = 20_000;

const DAMAGED: &str = "take ice_text.model from the model's own repository again";

/// Whether the class adds tokens to `tokenizer.model`.
pub(crate) fn is_class(config: &FolderConfig) -> bool {
    config.class.as_deref() == Some(CLASS)
}

/// Reads a `tokenizer.model` of the class.
pub(crate) fn load_named(path: &Path, bytes: &[u8], config: &FolderConfig) -> Result<Tokenizer> {
    let (mut pieces, ends) = sentencepiece::pieces(path, bytes, config)?;
    let ids: Vec<(u32, &str)> = (pieces.list.len() as u32..).zip(NAMED.iter().copied()).collect();
    for (id, name) in &ids {
        if pieces.added.iter().all(|token| token.id != *id && token.content != *name) {
            // Two of the names are letters only, and may be a part of words.
            let single_word = name.chars().all(char::is_alphabetic);
            let token = AddedToken { content: (*name).to_owned(), id: *id, ..Default::default() };
            pieces.added.push(AddedToken { special: true, single_word, ..token });
        }
    }
    // `tokenizer_config.json` lists some of them, as if they were text.
    for token in &mut pieces.added {
        token.special |= NAMED.contains(&token.content.as_str());
    }
    let mut tokenizer = sentencepiece::finish(pieces, ends, config)?;
    let starts = ids.iter().filter(|(_, name)| ["[gMASK]", "sop"].contains(name));
    tokenizer.prefix.extend(starts.map(|(id, _)| id));
    Ok(tokenizer)
}

/// Reads an `ice_text.model`.
pub(crate) fn load(path: &Path, bytes: &[u8], config: &FolderConfig) -> Result<Tokenizer> {
    if let Some(key) = config.changes {
        return Err(Error::Unsupported {
            file: config.file.clone(),
            key: key.to_owned(),
            found: "true".to_owned(),
            wanted: "false".to_owned(),
            hint: "the released models leave text as it is",
        });
    }
    let (mut pieces, _) = sentencepiece::pieces(path, bytes, config)?;
    pieces.white_space = Some(WHITE_SPACE);
    complete(&mut pieces.list);
    let images = config.image_tokens.unwrap_or(IMAGE_TOKENS) as usize;
    let image = (String::new(), 0.0, Kind::Unused);
    pieces.list.splice(0..0, std::iter::repeat_n(image, images));
    let ids = ids(&pieces);
    let id = |name: &str| {
        let missing = || Error::malformed(&pieces.file, format!("no piece {name:?}"), DAMAGED);
        ids.get(name).copied().ok_or_else(missing)
    };
    let mut white = Vec::new();
    for (name, text) in WHITE_SPACE.tokens() {
        white.push((id(&name)?, text));
    }
    let (end, start) = (id("</s>")?, id("<sop>")?);
    let gaps = vec![id("[gMASK]")?, id("[MASK]")?, id("[sMASK]")?];
    let eos = vec![id("<eop>")?, end];
    let mut tokenizer = sentencepiece::build(pieces)?;
    for (id, text) in white {
        tokenizer.vocabulary.set(id, text.into_bytes(), false)?;
    }
    tokenizer.bos = Some(start);
    tokenizer.eos = eos;
    tokenizer.question = Some(Question { gaps, end, start });
    Ok(tokenizer)
}

fn ids(pieces: &Pieces) -> FxHashMap<String, u32> {
    let pieces = (0..).zip(&pieces.list);
    pieces.map(|(id, (text, ..))| (text.clone(), id)).collect()
}

/// The first file has the pieces of text alone; its class adds the others: control tokens, white
/// space, bytes. Later files have them all.
fn complete(list: &mut Vec<(String, f32, Kind)>) {
    for (text, _, kind) in list.iter_mut() {
        if CONTROL.contains(&text.as_str()) {
            *kind = Kind::Control;
        }
    }
    if list.iter().any(|(text, ..)| text == CONTROL[0]) {
        return;
    }
    let control = CONTROL.iter().map(|name| ((*name).to_owned(), Kind::Control));
    // The line break is a piece of text.
    let white = WHITE_SPACE.tokens().skip(1).map(|(name, _)| (name, Kind::UserDefined));
    let bytes = (0..=255).map(|byte| (format!("<0x{byte:02X}>"), Kind::Byte));
    list.extend(control.chain(white).chain(bytes).map(|(text, kind)| (text, 0.0, kind)));
}
