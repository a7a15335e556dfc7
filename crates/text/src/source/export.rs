//! The tokenizer of a Hugging Face folder in the words of a GGUF file: what reading one undoes.

use super::huggingface::{File, byte_level_patterns, is_nfc, is_plain_bpe, merge_pairs, token_id};
use super::ranks::{self, Ranks};
use super::sentencepiece::{self, Kind, Pieces};
use super::{FolderConfig, GgufVocabulary, filling, find_ranks};
use crate::added::AddedToken;
use crate::error::{Error, Result, read};
use crate::patterns::{pre_tokenizer, pre_tokenizer_of};
use crate::pipeline::SpacePrefix;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::byte_level_of_bytes;
use std::collections::BTreeSet;
use std::path::Path;

const HINT: &str = "convert the model with llama.cpp's converter, then quantize that file";

/// Of what other readers do not know.
const BUT_BAIMO: &str = "(but baimo reads it in this one)";

/// A token's text and kind.
type Token = (String, Kind);

/// What a folder's tokenizer says in the words of a GGUF file.
#[derive(Debug)]
pub struct GgufExport {
    /// What there are keys for.
    pub vocabulary: GgufVocabulary,
    /// What there are none for, or none that other programs read, each as a clause: text that
    /// depends on it becomes other ids there.
    pub unsaid: Vec<String>,
}

impl GgufExport {
    /// The tokenizer of a folder, for a model whose embedding has `size` rows.
    ///
    /// # Errors
    /// No tokenizer, a damaged one, one with more tokens than rows, or one that GGUF files have no
    /// words for.
    pub fn from_folder(folder: &Path, size: usize) -> Result<GgufExport> {
        let config = FolderConfig::read(folder)?;
        let (json, ranks) = (folder.join("tokenizer.json"), find_ranks(folder)?);
        let model = folder.join("tokenizer.model");
        let (mut tokenizer, exported) = if json.exists() {
            let file = File::read(&json)?;
            let tokenizer = file.tokenizer(&config)?;
            match byte_level(&json, &file, &config)? {
                Some(exported) => (tokenizer, exported),
                None if model.exists() => {
                    let mut exported = by_model(folder, &model, &config)?.1;
                    let added = file.added(&config)?;
                    exported.put_added(added.iter().map(|(token, _)| token), &file.name)?;
                    (tokenizer, exported)
                }
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
        let Exported { mut vocabulary, mut tokens, mut unsaid, choosy } = exported;
        if let Some(first) = choosy.first() {
            let more = match choosy.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            unsaid.push(format!("which spaces or letters may stand beside {first}{more}"));
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
        let unknown = |token: &Option<Token>| matches!(token, Some((_, Kind::Unknown)));
        let unknown = tokens.iter().position(unknown).map(|id| id as u32);
        vocabulary.unknown = unknown.or(id("unk_token"));
        vocabulary.padding = id("pad_token");
        put_around(&mut vocabulary, &tokenizer, &mut unsaid);
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
        Ok(GgufExport { vocabulary, unsaid })
    }
}

/// What stands around a text: files have keys for BOS and EOS, and of anything else ours.
fn put_around(vocabulary: &mut GgufVocabulary, tokenizer: &Tokenizer, unsaid: &mut Vec<String>) {
    let mut split = |ids: &[u32], usual: Option<u32>, place: &str| {
        let usual = usual.is_some_and(|usual| ids == [usual]);
        if usual || ids.is_empty() {
            return (usual, None);
        }
        let names = ids.iter().filter_map(|id| tokenizer.token_text(*id));
        let names = names.collect::<Vec<_>>().join(" ");
        unsaid.push(format!("that {names} stands {place} a text {BUT_BAIMO}"));
        (false, Some(ids.to_vec()))
    };
    let (add_bos, prefix) = split(&tokenizer.prefix, tokenizer.bos(), "before");
    let (add_eos, ending) = split(&tokenizer.ending, vocabulary.eos, "behind");
    (vocabulary.add_bos, vocabulary.prefix) = (Some(add_bos), prefix);
    // Readers of Unigram's files end every text where nothing is said.
    (vocabulary.add_eos, vocabulary.ending) = (Some(add_eos), ending);
}

/// What rows without a piece score: less than any piece.
const UNUSED_SCORE: f32 = -10_000.0;

/// A vocabulary on its way to a file.
#[derive(Default)]
struct Exported {
    /// Without its tokens.
    vocabulary: GgufVocabulary,
    /// By id.
    tokens: Vec<Option<Token>>,
    unsaid: Vec<String>,
    /// Added tokens that take the spaces beside them, or stand beside no letters.
    choosy: BTreeSet<String>,
}

impl Exported {
    fn put(&mut self, id: u32, text: &str, kind: Kind, file: &str) -> Result<()> {
        let index = id as usize;
        if index >= crate::vocabulary::IDS_MAX {
            return Err(Error::malformed(
                file,
                format!("the token {text:?} has the id {id}"),
                HINT,
            ));
        }
        if self.tokens.len() <= index {
            self.tokens.resize(index + 1, None);
        }
        self.tokens[index] = Some((text.to_owned(), kind));
        Ok(())
    }

    fn put_added<'t>(
        &mut self,
        added: impl IntoIterator<Item = &'t AddedToken>,
        file: &str,
    ) -> Result<()> {
        for token in added {
            let known = self.tokens.get(token.id as usize).and_then(Option::as_ref);
            // That a piece stands for what has none is more than that it is special.
            if known.is_some_and(|(text, kind)| *kind == Kind::Unknown && *text == token.content) {
                continue;
            }
            let kind = if token.special { Kind::Control } else { Kind::UserDefined };
            self.put(token.id, &token.content, kind, file)?;
            if token.left_strip || token.right_strip || token.single_word {
                self.choosy.insert(token.content.clone());
            }
        }
        Ok(())
    }

    /// The name of a pre-tokenizer of GGUF files that cuts text by these patterns.
    fn pre_tokenizer(
        &mut self,
        path: &Path,
        patterns: &[String],
        nfc: bool,
        whole: bool,
    ) -> Result<&'static str> {
        let Some(pre) = pre_tokenizer_of(patterns, nfc, whole) else {
            let found = format!("the patterns {patterns:?}");
            let wanted = "those of a known tokenizer.ggml.pre".to_owned();
            return Err(unsupported(path, "pre_tokenizer", &found, wanted));
        };
        match (nfc, pre_tokenizer(pre).is_some_and(|known| known.nfc)) {
            (true, false) => self.unsaid.push("that text is brought to NFC first".into()),
            (false, true) => self.unsaid.push("that text is left as it is".into()),
            (true, true) | (false, false) => {}
        }
        Ok(pre)
    }
}

/// Byte-level BPE; `None` where the file is of another kind.
fn byte_level(path: &Path, file: &File, config: &FolderConfig) -> Result<Option<Exported>> {
    let (json, file, added) = (&file.json, &file.name, file.added(config)?);
    let model = &json["model"];
    let Some(patterns) = byte_level_patterns(json) else { return Ok(None) };
    if !is_plain_bpe(model) {
        return Ok(None);
    }
    let whole = model["ignore_merges"].as_bool().unwrap_or(false);
    let mut exported = Exported::default();
    let pre = exported.pre_tokenizer(path, &patterns, is_nfc(json), whole)?;
    for (text, id) in model["vocab"].as_object().into_iter().flatten() {
        exported.put(token_id(file, text, id)?, text, Kind::Normal, file)?;
    }
    exported.put_added(added.iter().map(|(token, _)| token), file)?;
    let merges = merge_pairs(file, &model["merges"])?
        .map(|pair| pair.map(|(left, right)| format!("{left} {right}")));
    let merges: Option<Vec<String>> = merges.collect();
    let no_pair = || Error::malformed(file, "model.merges has what is not two tokens", HINT);
    exported.vocabulary = by_merges(pre, merges.ok_or_else(no_pair)?);
    Ok(Some(exported))
}

fn by_merges(pre: &str, merges: Vec<String>) -> GgufVocabulary {
    let (model, pre) = ("gpt2".into(), Some(pre.to_owned()));
    GgufVocabulary { model, pre, merges: Some(merges), ..GgufVocabulary::default() }
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
    let tokens = list.iter().map(|(text, _, kind)| Some((text.clone(), *kind))).collect();
    let mut exported = Exported { vocabulary, tokens, ..Exported::default() };
    exported.put_added(&config.added, &config.file)?;
    let mut unsaid = |is: bool, what: &str| exported.unsaid.extend(is.then(|| what.to_owned()));
    unsaid(!unigram && map.is_some(), "which characters are others before text is cut");
    unsaid(!unigram && *squeeze, "that several spaces are one, and none at the ends");
    let bytes = *unigram && list.iter().any(|(_, _, kind)| *kind == Kind::Byte);
    unsaid(bytes, &format!("that characters without a piece become bytes {BUT_BAIMO}"));
    let first = *prefix == SpacePrefix::First;
    unsaid(first, "that no space is put before what follows a special token");
    Ok((sentencepiece::finish(pieces, ends, config)?, exported))
}

/// tiktoken's ranks. Files of byte-level BPE list merges: all pairs that make a token, in the order
/// of the ranks of what they make, merge as ranks do.
fn by_ranks(path: &Path, bytes: &[u8], config: &FolderConfig) -> Result<(Tokenizer, Exported)> {
    let ranks = Ranks::read(path, bytes, config)?;
    let mut exported = Exported::default();
    let pre = exported.pre_tokenizer(path, &[ranks.pattern().to_owned()], ranks.nfc(), false)?;
    let merges = ranks.merges().into_iter();
    let merges = merges.map(|pair| pair.map(byte_level_of_bytes).join(" "));
    exported.vocabulary = by_merges(pre, merges.collect());
    let normal = |token: &Vec<u8>| Some((byte_level_of_bytes(token), Kind::Normal));
    exported.tokens = ranks.tokens.iter().map(normal).collect();
    exported.put_added(&ranks.added, &config.file)?;
    Ok((ranks.tokenizer()?, exported))
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
