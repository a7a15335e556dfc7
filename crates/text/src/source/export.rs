//! The tokenizer of a Hugging Face folder in the words of a GGUF file: what reading one undoes.

use super::huggingface::{byte_level_patterns, is_nfc, merge_pairs, token_id};
use super::sentencepiece::{self, Kind, Pieces};
use super::{FolderConfig, GgufVocabulary, ranks};
use crate::error::{Error, Result, read, read_json};
use crate::patterns::pre_tokenizer_of;
use crate::pipeline::SpacePrefix;
use crate::tokenizer::Tokenizer;
use serde_json::Value;
use std::path::Path;

const HINT: &str = "convert the model with llama.cpp's converter, then quantize that file";

/// A token's text and kind.
type Token = (String, Kind);

impl GgufVocabulary {
    /// The tokenizer of a folder, for a model whose embedding has `size` rows.
    ///
    /// # Errors
    /// No tokenizer, a damaged one, one with more tokens than rows, or one that GGUF files have no
    /// words for.
    pub fn from_folder(folder: &Path, size: usize) -> Result<GgufVocabulary> {
        let config = FolderConfig::read(folder)?;
        let tokenizer = Tokenizer::from_folder(folder)?;
        let json = folder.join("tokenizer.json");
        let from_json = match json.exists() {
            true => byte_level(&json, &config)?,
            false => None,
        };
        let (mut vocabulary, mut tokens) = match from_json {
            Some(found) => found,
            None => scored(folder, &config)?,
        };
        for added in &config.added {
            let kind = if added.special { Kind::Control } else { Kind::UserDefined };
            put(&mut tokens, added.id, &added.content, kind, &config.file)?;
        }
        if tokens.len() > size {
            let (found, wanted) = (tokens.len().to_string(), format!("at most {size}, the rows"));
            return Err(unsupported(folder, "tokens", &found, wanted));
        }
        tokens.resize(size, None);
        let id = |name: &str| tokenizer.special_id(config.tokens.get(name)?);
        vocabulary.bos = tokenizer.bos();
        vocabulary.eos = id("eos_token").or(tokenizer.eos().first().copied());
        vocabulary.eot = tokenizer.eos().iter().copied().find(|id| Some(*id) != vocabulary.eos);
        vocabulary.unknown = id("unk_token");
        vocabulary.padding = id("pad_token");
        vocabulary.add_bos = Some(tokenizer.bos().is_some_and(|bos| tokenizer.prefix == [bos]));
        // Rows without a token have a name that no text has.
        let named = |(id, token): (usize, Option<Token>)| {
            token.unwrap_or_else(|| (format!("[PAD{id}]"), Kind::Unused))
        };
        let (texts, kinds): (Vec<_>, Vec<_>) = tokens.into_iter().enumerate().map(named).unzip();
        vocabulary.tokens = texts;
        vocabulary.token_types = Some(kinds.into_iter().map(Kind::number).collect());
        if let Some(scores) = &mut vocabulary.scores {
            scores.resize(size, UNUSED_SCORE);
        }
        Ok(vocabulary)
    }
}

/// What rows without a piece score: less than any piece.
const UNUSED_SCORE: f32 = -10_000.0;

fn put(tokens: &mut Vec<Option<Token>>, id: u32, text: &str, kind: Kind, file: &str) -> Result<()> {
    let index = id as usize;
    if index >= crate::vocabulary::IDS_MAX {
        return Err(Error::malformed(file, format!("the token {text:?} has the id {id}"), HINT));
    }
    if tokens.len() <= index {
        tokens.resize(index + 1, None);
    }
    tokens[index] = Some((text.to_owned(), kind));
    Ok(())
}

/// Byte-level BPE; `None` where the file is of another kind.
fn byte_level(
    path: &Path,
    config: &FolderConfig,
) -> Result<Option<(GgufVocabulary, Vec<Option<Token>>)>> {
    let (json, file) = (read_json(path)?, path.display().to_string());
    let model = &json["model"];
    let Some(patterns) = byte_level_patterns(&json) else { return Ok(None) };
    if !matches!(model["type"].as_str(), Some("BPE") | None) {
        return Ok(None);
    }
    let whole = model["ignore_merges"].as_bool().unwrap_or(false);
    let pre = pre_tokenizer_of(&patterns, is_nfc(&json), whole).ok_or_else(|| {
        let found = format!("the patterns {patterns:?}");
        unsupported(path, "pre_tokenizer", &found, "those of a known tokenizer.ggml.pre".into())
    })?;
    let mut tokens = Vec::new();
    for (text, id) in model["vocab"].as_object().into_iter().flatten() {
        put(&mut tokens, token_id(&file, text, id)?, text, Kind::Normal, &config.file)?;
    }
    for added in json["added_tokens"].as_array().into_iter().flatten() {
        let text = added["content"].as_str().unwrap_or_default();
        let special = added["special"] == Value::Bool(true);
        let kind = if special { Kind::Control } else { Kind::UserDefined };
        put(&mut tokens, token_id(&file, text, &added["id"])?, text, kind, &file)?;
    }
    let merges = merge_pairs(&file, &model["merges"])?
        .map(|pair| pair.map(|(left, right)| format!("{left} {right}")));
    let merges: Option<Vec<String>> = merges.collect();
    let no_pair = || Error::malformed(&file, "model.merges has what is not two tokens", HINT);
    let vocabulary = GgufVocabulary {
        model: "gpt2".into(),
        pre: Some(pre.to_owned()),
        merges: Some(merges.ok_or_else(no_pair)?),
        ..GgufVocabulary::default()
    };
    Ok(Some((vocabulary, tokens)))
}

/// SentencePiece's BPE.
fn scored(folder: &Path, config: &FolderConfig) -> Result<(GgufVocabulary, Vec<Option<Token>>)> {
    let path = folder.join("tokenizer.model");
    let wanted = || "tokenizer.json of byte-level BPE, or SentencePiece's tokenizer.model".into();
    if !path.exists() {
        return Err(unsupported(folder, "tokenizer", "another kind", wanted()));
    }
    let bytes = read(&path)?;
    if ranks::is_ranks(&bytes) {
        return Err(unsupported(&path, "tokenizer", "tiktoken ranks", wanted()));
    }
    let (Pieces { list, unigram, prefix, .. }, _) = sentencepiece::pieces(&path, &bytes, config)?;
    if unigram {
        return Err(unsupported(&path, "model_type", "Unigram", "BPE".into()));
    }
    let scores = list.iter().map(|(_, score, _)| *score).collect();
    let tokens = list.into_iter().map(|(text, _, kind)| Some((text, kind))).collect();
    let vocabulary = GgufVocabulary {
        model: "llama".into(),
        pre: Some("default".into()),
        scores: Some(scores),
        add_space_prefix: Some(prefix != SpacePrefix::Never),
        ..GgufVocabulary::default()
    };
    Ok((vocabulary, tokens))
}

fn unsupported(path: &Path, key: &str, found: &str, wanted: String) -> Error {
    let (file, key, found) = (path.display().to_string(), key.to_owned(), found.to_owned());
    Error::Unsupported { file, key, found, wanted, hint: HINT }
}
