//! The tokenizer of a Hugging Face folder in the words of a GGUF file: what reading one undoes.

use super::huggingface::{File, byte_level_patterns, is_nfc, merge_pairs, token_id};
use super::ranks::{self, Ranks};
use super::sentencepiece::{self, Kind, Pieces};
use super::{FolderConfig, GgufVocabulary, filling, find_ranks};
use crate::added::AddedToken;
use crate::error::{Error, Result, read};
use crate::patterns::pre_tokenizer_of;
use crate::pipeline::SpacePrefix;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::byte_level_of_bytes;
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
        let (json, ranks) = (folder.join("tokenizer.json"), find_ranks(folder)?);
        let model = folder.join("tokenizer.model");
        let (mut tokenizer, (mut vocabulary, mut tokens)) = if json.exists() {
            let file = File::read(&json)?;
            let tokenizer = file.tokenizer(&config)?;
            match byte_level(&json, &file, &config)? {
                Some(exported) => (tokenizer, exported),
                None if model.exists() => (tokenizer, by_model(folder, &model, &config)?.1),
                None => return Err(no_words(folder)),
            }
        } else if let Some(ranks) = ranks {
            by_ranks(&ranks, &read(&ranks)?, &config)?
        } else if model.exists() {
            by_model(folder, &model, &config)?
        } else {
            // Says what is there, or that nothing is.
            Tokenizer::from_folder(folder)?;
            return Err(no_words(folder));
        };
        config.complete(&mut tokenizer);
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

/// A vocabulary without its tokens, and those, by id.
type Exported = (GgufVocabulary, Vec<Option<Token>>);

/// Byte-level BPE; `None` where the file is of another kind.
fn byte_level(path: &Path, file: &File, config: &FolderConfig) -> Result<Option<Exported>> {
    let (json, file, added) = (&file.json, &file.name, file.added(config)?);
    let model = &json["model"];
    let Some(patterns) = byte_level_patterns(json) else { return Ok(None) };
    if !matches!(model["type"].as_str(), Some("BPE") | None) {
        return Ok(None);
    }
    let whole = model["ignore_merges"].as_bool().unwrap_or(false);
    let pre = pre_tokenizer_named(path, &patterns, is_nfc(json), whole)?;
    let mut tokens = Vec::new();
    for (text, id) in model["vocab"].as_object().into_iter().flatten() {
        put(&mut tokens, token_id(file, text, id)?, text, Kind::Normal, &config.file)?;
    }
    put_added(&mut tokens, added.iter().map(|(token, _)| token), file)?;
    let merges = merge_pairs(file, &model["merges"])?
        .map(|pair| pair.map(|(left, right)| format!("{left} {right}")));
    let merges: Option<Vec<String>> = merges.collect();
    let no_pair = || Error::malformed(file, "model.merges has what is not two tokens", HINT);
    let vocabulary = GgufVocabulary {
        model: "gpt2".into(),
        pre: Some(pre.to_owned()),
        merges: Some(merges.ok_or_else(no_pair)?),
        ..GgufVocabulary::default()
    };
    Ok(Some((vocabulary, tokens)))
}

/// The name of a pre-tokenizer of GGUF files that cuts text by these patterns.
fn pre_tokenizer_named(
    path: &Path,
    patterns: &[String],
    nfc: bool,
    whole: bool,
) -> Result<&'static str> {
    pre_tokenizer_of(patterns, nfc, whole).ok_or_else(|| {
        let found = format!("the patterns {patterns:?}");
        unsupported(path, "pre_tokenizer", &found, "those of a known tokenizer.ggml.pre".into())
    })
}

fn put_added<'t>(
    tokens: &mut Vec<Option<Token>>,
    added: impl IntoIterator<Item = &'t AddedToken>,
    file: &str,
) -> Result<()> {
    for token in added {
        let kind = if token.special { Kind::Control } else { Kind::UserDefined };
        put(tokens, token.id, &token.content, kind, file)?;
    }
    Ok(())
}

/// What lies in `tokenizer.model`: SentencePiece's pieces, or ranks.
fn by_model(folder: &Path, path: &Path, config: &FolderConfig) -> Result<(Tokenizer, Exported)> {
    let bytes = read(path)?;
    if ranks::is_ranks(&bytes) {
        return by_ranks(path, &bytes, config);
    }
    if filling::is_class(config) {
        return Err(no_words(folder));
    }
    let (pieces, ends) = sentencepiece::pieces(path, &bytes, config)?;
    let Pieces { list, unigram, prefix, squeeze, map, .. } = &pieces;
    let vocabulary = GgufVocabulary {
        model: if *unigram { "t5" } else { "llama" }.into(),
        pre: Some("default".into()),
        scores: Some(list.iter().map(|(_, score, _)| *score).collect()),
        add_space_prefix: Some(*prefix != SpacePrefix::Never),
        remove_extra_whitespaces: unigram.then_some(*squeeze),
        precompiled_charsmap: map.clone().filter(|_| *unigram),
        ..GgufVocabulary::default()
    };
    let tokens = list.iter().map(|(text, _, kind)| Some((text.clone(), *kind)));
    let mut tokens: Vec<_> = tokens.collect();
    put_added(&mut tokens, &config.added, &config.file)?;
    Ok((sentencepiece::finish(pieces, ends, config)?, (vocabulary, tokens)))
}

/// tiktoken's ranks. Files of byte-level BPE list merges: all pairs that make a token, in the order
/// of the ranks of what they make, merge as ranks do.
fn by_ranks(path: &Path, bytes: &[u8], config: &FolderConfig) -> Result<(Tokenizer, Exported)> {
    let ranks = Ranks::read(path, bytes, config)?;
    let pre = pre_tokenizer_named(path, &[ranks.pattern().to_owned()], ranks.nfc(), false)?;
    let merges = ranks.merges().into_iter();
    let merges = merges.map(|pair| pair.map(byte_level_of_bytes).join(" "));
    let vocabulary = GgufVocabulary {
        model: "gpt2".into(),
        pre: Some(pre.to_owned()),
        merges: Some(merges.collect()),
        ..GgufVocabulary::default()
    };
    let normal = |token: &Vec<u8>| Some((byte_level_of_bytes(token), Kind::Normal));
    let mut tokens: Vec<_> = ranks.tokens.iter().map(normal).collect();
    put_added(&mut tokens, &ranks.added, &config.file)?;
    Ok((ranks.tokenizer()?, (vocabulary, tokens)))
}

fn no_words(folder: &Path) -> Error {
    let wanted = "tokenizer.json of byte-level BPE, tiktoken ranks, or SentencePiece's \
                  tokenizer.model";
    unsupported(folder, "tokenizer", "another kind", wanted.into())
}

fn unsupported(path: &Path, key: &str, found: &str, wanted: String) -> Error {
    let (file, key, found) = (path.display().to_string(), key.to_owned(), found.to_owned());
    Error::Unsupported { file, key, found, wanted, hint: HINT }
}
