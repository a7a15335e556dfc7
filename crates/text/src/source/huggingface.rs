//! `tokenizer.json`, the format of the `tokenizers` library.
//!
//! Byte-pair encoding as nearly every model uses it is taken apart and run by our own pipeline;
//! whatever else a file asks for is left to the library, which defines the format. A test holds
//! the two against each other.

use super::config::{FolderConfig, added_token};
use crate::added::{AddedToken, AddedTokens};
use crate::bpe::{Alphabet, Bpe, Merge, NO_TOKEN};
use crate::error::{Error, Result, read};
use crate::patterns::{DIGITS_ONE, DIGITS_RUN, GPT2};
use crate::pipeline::{Model, Normalizer, Pipeline, SpacePrefix};
use crate::split::Splitter;
use crate::tokenizer::{Engine, Tokenizer};
use crate::vocabulary::{
    Vocabulary, byte_of_fallback, byte_of_printable, bytes_of_byte_level, bytes_of_sentencepiece,
    is_in_utf8,
};
use rustc_hash::FxHashMap;
use serde_json::Value;
use std::path::Path;

const DAMAGED: &str = "take tokenizer.json from the model's own repository again";

/// A `tokenizer.json`.
pub(crate) struct File {
    /// Its name, for messages.
    pub name: String,
    bytes: Vec<u8>,
    /// All it says.
    pub json: Value,
}

impl File {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<File> {
        let (name, bytes) = (path.display().to_string(), read(path)?);
        let wrong = |cause: serde_json::Error| {
            Error::malformed(&name, format!("not JSON: {cause}"), "was the download cut short?")
        };
        let json = serde_json::from_slice(&bytes).map_err(wrong)?;
        Ok(File { name, bytes, json })
    }

    /// The tokenizer it describes.
    pub fn tokenizer(&self, config: &FolderConfig) -> Result<Tokenizer> {
        let File { name, bytes, json } = self;
        let spelling = Spelling::read(name, json)?;
        let added = self.added(config)?;
        let vocabulary = vocabulary(name, json, spelling, &added)?;
        let engine = match pipeline(name, json, &added)? {
            Some(pipeline) => Engine::Pipeline(Box::new(pipeline)),
            None => library(name, bytes)?,
        };
        let [prefix, ending] = around(&json["post_processor"]);
        Ok(Tokenizer { prefix, ending, ..Tokenizer::new(engine, vocabulary) })
    }

    /// The tokens beside the model's: its own, then those that only `config` has.
    pub fn added(&self, config: &FolderConfig) -> Result<Vec<Added>> {
        let mut added = Vec::new();
        for token in self.json["added_tokens"].as_array().into_iter().flatten() {
            let text = token["content"].as_str().unwrap_or_default();
            let normalized = token["normalized"].as_bool().unwrap_or(true);
            added.push((added_token(token_id(&self.name, text, &token["id"])?, token), normalized));
        }
        for token in &config.added {
            if added.iter().all(|(known, _): &Added| known.content != token.content) {
                added.push((token.clone(), false));
            }
        }
        Ok(added)
    }
}

fn library(file: &str, bytes: &[u8]) -> Result<Engine> {
    let wrong = |cause: tokenizers::Error| Error::malformed(file, cause.to_string(), DAMAGED);
    let reading_specials = Box::new(tokenizers::Tokenizer::from_bytes(bytes).map_err(wrong)?);
    let mut plain = reading_specials.clone();
    plain.set_encode_special_tokens(true);
    Ok(Engine::Library { reading_specials, plain })
}

/// How the vocabulary writes bytes, which the decoder of the file tells.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Spelling {
    ByteLevel,
    SentencePiece { bytes: bool, strips: bool },
}

impl Spelling {
    fn read(file: &str, json: &Value) -> Result<Spelling> {
        let decoder = &json["decoder"];
        let (mut bytes, mut strips, mut spaces) = (false, false, false);
        for step in steps(decoder, "decoders") {
            match kind(step) {
                "ByteLevel" => return Ok(Spelling::ByteLevel),
                "ByteFallback" => bytes = true,
                "Fuse" => {}
                "Replace" if step["pattern"]["String"] == "▁" && step["content"] == " " => {
                    spaces = true;
                }
                "Strip" if step["content"] == " " && step["start"] == 1 => strips = true,
                "Metaspace" => {
                    spaces = true;
                    strips |= step["prepend_scheme"] != "never"
                        && step["add_prefix_space"] != Value::Bool(false);
                }
                other => return Err(unknown_decoder(file, other)),
            }
        }
        if spaces {
            Ok(Spelling::SentencePiece { bytes, strips })
        } else {
            Err(unknown_decoder(file, kind(decoder)))
        }
    }

    fn bytes(self, token: &str) -> Vec<u8> {
        match self {
            Spelling::ByteLevel => bytes_of_byte_level(token),
            Spelling::SentencePiece { bytes, .. } => bytes_of_sentencepiece(token, bytes),
        }
    }
}

fn unknown_decoder(file: &str, found: &str) -> Error {
    Error::Unsupported {
        file: file.to_owned(),
        key: "decoder".to_owned(),
        found: format!("{found:?}"),
        wanted: "ByteLevel, Metaspace, or the steps of SentencePiece".to_owned(),
        hint: "is this the tokenizer of a generating model?",
    }
}

fn kind(json: &Value) -> &str {
    json["type"].as_str().unwrap_or("missing")
}

/// A component, or the components of a sequence, which `key` lists. `null` is none.
fn steps<'j>(json: &'j Value, key: &str) -> Vec<&'j Value> {
    match (&json[key], json) {
        (_, Value::Null) => Vec::new(),
        (Value::Array(list), _) => list.iter().flat_map(|step| steps(step, key)).collect(),
        _ => vec![json],
    }
}

/// An added token, and whether it is looked for in the normalized text.
pub(crate) type Added = (AddedToken, bool);

fn vocabulary(file: &str, json: &Value, spelling: Spelling, added: &[Added]) -> Result<Vocabulary> {
    let mut vocabulary = Vocabulary::new(file);
    vocabulary.strips_first_space =
        matches!(spelling, Spelling::SentencePiece { strips: true, .. });
    let no_vocabulary = || Error::malformed(file, "model.vocab is missing", DAMAGED);
    match &json["model"]["vocab"] {
        Value::Object(tokens) => {
            for (token, id) in tokens {
                let id = token_id(file, token, id)?;
                vocabulary.set(id, spelling.bytes(token), false)?;
            }
        }
        Value::Array(tokens) => {
            for (id, token) in tokens.iter().enumerate() {
                let token = token[0].as_str().ok_or_else(no_vocabulary)?;
                vocabulary.set(id as u32, spelling.bytes(token), false)?;
            }
        }
        _ => return Err(no_vocabulary()),
    }
    for (token, _) in added {
        vocabulary.set_added(token.id, &token.content, token.special)?;
    }
    Ok(vocabulary)
}

/// The patterns of a byte-level file; `None` where it is of another kind.
pub(super) fn byte_level_patterns(json: &Value) -> Option<Vec<String>> {
    match normalizer(&json["normalizer"])? {
        Normalizer::SentencePiece { .. } => None,
        Normalizer::None | Normalizer::Nfc => patterns(&json["pre_tokenizer"], true),
    }
}

/// Whether text is normalized to NFC.
pub(super) fn is_nfc(json: &Value) -> bool {
    matches!(normalizer(&json["normalizer"]), Some(Normalizer::Nfc))
}

pub(super) fn token_id(file: &str, token: &str, id: &Value) -> Result<u32> {
    let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| Error::malformed(file, format!("the token {token:?} has no id"), DAMAGED))
}

/// The pipeline that does what the file says, or `None` where only the library can.
fn pipeline(file: &str, json: &Value, added: &[Added]) -> Result<Option<Pipeline>> {
    let model = &json["model"];
    let normalizer = normalizer(&json["normalizer"]).filter(|_| is_plain_bpe(model));
    let Some(normalizer) = normalizer else { return Ok(None) };
    let byte_level = !matches!(normalizer, Normalizer::SentencePiece { .. });
    let Some(patterns) = patterns(&json["pre_tokenizer"], byte_level) else {
        return Ok(None);
    };
    if !byte_level && added.iter().any(|(_, normalized)| *normalized) {
        return Ok(None);
    }
    let Some(bpe) = bpe(file, model, byte_level)? else {
        return Ok(None);
    };
    let wrong = |fault: String| Error::malformed(file, fault, DAMAGED);
    let (normalized, raw): (Vec<_>, Vec<_>) = added.iter().cloned().partition(|(_, n)| *n);
    let tokens = |list: Vec<Added>| {
        AddedTokens::new(list.into_iter().map(|(token, _)| token).collect()).map_err(wrong)
    };
    Ok(Some(Pipeline {
        raw: tokens(raw)?,
        normalizer,
        normalized: tokens(normalized)?,
        splitter: Splitter::new(&patterns).map_err(wrong)?,
        model: Model::Bpe(bpe),
    }))
}

/// Byte-pair encoding in which tokens are spelled alike wherever in a word they stand.
pub(super) fn is_plain_bpe(model: &Value) -> bool {
    let absent = |key: &str| matches!(model[key].as_str(), None | Some(""));
    let is_bpe = matches!(model["type"].as_str(), Some("BPE") | None);
    let plain = absent("continuing_subword_prefix") && absent("end_of_word_suffix");
    is_bpe && plain && model["dropout"].as_f64().is_none_or(|dropout| dropout <= 0.0)
}

fn normalizer(json: &Value) -> Option<Normalizer> {
    let steps = steps(json, "normalizers");
    let kinds: Vec<_> = steps.iter().map(|step| kind(step)).collect();
    let spaces = |step: &Value| step["pattern"]["String"] == " " && step["content"] == "▁";
    let sentencepiece =
        |prefix| Normalizer::SentencePiece { white_space: None, map: None, squeeze: false, prefix };
    match kinds.as_slice() {
        [] => Some(Normalizer::None),
        ["NFC"] => Some(Normalizer::Nfc),
        ["Prepend", "Replace"] if steps[0]["prepend"] == "▁" && spaces(steps[1]) => {
            Some(sentencepiece(SpacePrefix::Every))
        }
        ["Replace"] if spaces(steps[0]) => Some(sentencepiece(SpacePrefix::Never)),
        _ => None,
    }
}

/// The patterns that a pre-tokenizer cuts by; byte-level ones must say that they are.
fn patterns(json: &Value, byte_level: bool) -> Option<Vec<String>> {
    let steps = steps(json, "pretokenizers");
    if !byte_level {
        return steps.is_empty().then(Vec::new);
    }
    let (last, cuts) = steps.split_last()?;
    if kind(last) != "ByteLevel" || last["add_prefix_space"] != Value::Bool(false) {
        return None;
    }
    let mut patterns = Vec::new();
    for step in cuts {
        match kind(step) {
            "Split" if step["behavior"] == "Isolated" && step["invert"] != Value::Bool(true) => {
                patterns.push(step["pattern"]["Regex"].as_str()?.to_owned());
            }
            "Digits" if step["individual_digits"] == Value::Bool(true) => {
                patterns.push(DIGITS_ONE.to_owned());
            }
            "Digits" => patterns.push(DIGITS_RUN.to_owned()),
            _ => return None,
        }
    }
    if last["use_regex"] != Value::Bool(false) {
        patterns.push(GPT2.to_owned());
    }
    Some(patterns)
}

fn bpe(file: &str, model: &Value, byte_level: bool) -> Result<Option<Bpe>> {
    let mut ids: FxHashMap<&str, u32> = FxHashMap::default();
    for (token, id) in model["vocab"].as_object().into_iter().flatten() {
        ids.insert(token, token_id(file, token, id)?);
    }
    let alphabet = if byte_level { whole_byte_alphabet(&ids) } else { characters(model, &ids) };
    let Some(alphabet) = alphabet else {
        return Ok(None);
    };
    let pairs = merge_table(file, "model.merges", merge_pairs(file, &model["merges"])?, &ids)?;
    let ignores_merges = model["ignore_merges"].as_bool().unwrap_or(false);
    let whole = |(token, id): (&&str, &u32)| {
        let bytes = if byte_level { bytes_of_byte_level(token) } else { token.as_bytes().into() };
        (bytes.into_boxed_slice(), *id)
    };
    let whole = ignores_merges.then(|| ids.iter().map(whole).collect());
    Ok(Some(Bpe { alphabet, pairs, whole }))
}

/// The tokens of single bytes. Vocabularies trained without a whole alphabet lack some.
pub(crate) fn byte_alphabet(ids: &FxHashMap<&str, u32>) -> Box<[u32; 256]> {
    let mut alphabet = Box::new([NO_TOKEN; 256]);
    for character in '\0'..='\u{143}' {
        let mut buffer = [0; 4];
        let id = ids.get(&*character.encode_utf8(&mut buffer));
        if let (Some(byte), Some(id)) = (byte_of_printable(character), id) {
            alphabet[byte as usize] = *id;
        }
    }
    alphabet
}

/// The same, if every byte of UTF-8 has a token: what to do without one is the library's affair.
fn whole_byte_alphabet(ids: &FxHashMap<&str, u32>) -> Option<Alphabet> {
    let alphabet = byte_alphabet(ids);
    let whole = (0..=255u8).all(|b| !is_in_utf8(b) || alphabet[b as usize] != NO_TOKEN);
    whole.then_some(Alphabet::Bytes(alphabet))
}

fn characters(model: &Value, ids: &FxHashMap<&str, u32>) -> Option<Alphabet> {
    let unknown = model["unk_token"].as_str().and_then(|token| ids.get(token).copied());
    let mut bytes = None;
    if model["byte_fallback"].as_bool().unwrap_or(false) {
        let mut table = Box::new([NO_TOKEN; 256]);
        for (token, id) in ids {
            if let Some(byte) = byte_of_fallback(token) {
                table[byte as usize] = *id;
            }
        }
        if table.contains(&NO_TOKEN) {
            return None;
        }
        bytes = Some(table);
    }
    let fuse_unknown = model["fuse_unk"].as_bool().unwrap_or(false);
    let single = |(token, id): (&&str, &u32)| {
        let mut characters = token.chars();
        characters.next().filter(|_| characters.next().is_none()).map(|c| (c, *id))
    };
    let ids = ids.iter().filter_map(single).collect();
    Some(Alphabet::Characters { ids, bytes, unknown, fuse_unknown })
}

/// The merges of a file, however it writes them; `None` for what is not two tokens.
pub(super) fn merge_pairs<'j>(
    file: &str,
    json: &'j Value,
) -> Result<impl Iterator<Item = Option<(&'j str, &'j str)>>> {
    let list = json.as_array().ok_or_else(|| {
        Error::malformed(file, "model.merges is missing", "is this file of the right model?")
    })?;
    Ok(list.iter().map(|merge| match merge {
        Value::String(merge) => merge.split_once(' '),
        _ => merge[0].as_str().zip(merge[1].as_str()),
    }))
}

/// The table of a merge list, in which the order is the rank.
pub(crate) fn merge_table<'m>(
    file: &str,
    key: &str,
    merges: impl Iterator<Item = Option<(&'m str, &'m str)>>,
    ids: &FxHashMap<&str, u32>,
) -> Result<FxHashMap<(u32, u32), Merge>> {
    let mut pairs = FxHashMap::default();
    let mut joined = String::new();
    for (rank, merge) in merges.enumerate() {
        let wrong =
            |fault: String| Error::malformed(file, format!("{key}[{rank}] {fault}"), DAMAGED);
        let (left, right) = merge.ok_or_else(|| wrong("is not two tokens".to_owned()))?;
        joined.clear();
        joined += left;
        joined += right;
        let id = |token: &str| {
            ids.get(token).copied().ok_or_else(|| wrong(format!("needs the token {token:?}")))
        };
        let merge = Merge { rank: rank as u32, id: id(&joined)? };
        pairs.entry((id(left)?, id(right)?)).or_insert(merge);
    }
    Ok(pairs)
}

/// What the post-processor puts before a single text, and behind it.
fn around(json: &Value) -> [Vec<u32>; 2] {
    let mut around = [Vec::new(), Vec::new()];
    for step in steps(json, "processors") {
        let mut side = 0;
        for item in step["single"].as_array().into_iter().flatten() {
            let Some(name) = item["SpecialToken"]["id"].as_str() else {
                side = 1;
                continue;
            };
            let ids = step["special_tokens"][name]["ids"].as_array().into_iter().flatten();
            let ids = ids.filter_map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok()));
            around[side].extend(ids);
        }
    }
    around
}
