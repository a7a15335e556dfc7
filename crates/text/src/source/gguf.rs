//! The vocabulary inside a GGUF file.

use super::huggingface::{byte_alphabet, merge_table};
use super::sentencepiece::{Kind, Pieces, build, has_space};
use crate::added::{AddedToken, AddedTokens};
use crate::bpe::{Alphabet, Bpe};
use crate::error::{Error, Result};
use crate::patterns::{PreTokenizer, pre_tokenizer, pre_tokenizer_names};
use crate::pipeline::{Model, Normalizer, Pipeline, SpacePrefix};
use crate::split::Splitter;
use crate::tokenizer::{Engine, Tokenizer};
use crate::vocabulary::{Vocabulary, bytes_of_byte_level};
use rustc_hash::FxHashMap;

/// The `tokenizer.*` metadata of a GGUF file, as plain data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GgufVocabulary {
    /// `tokenizer.ggml.model`: gpt2 (byte-level BPE), llama (SentencePiece BPE), t5 (Unigram).
    pub model: String,
    /// `tokenizer.ggml.pre`: how text is cut into words.
    pub pre: Option<String>,
    /// `tokenizer.ggml.tokens`, by id.
    pub tokens: Vec<String>,
    /// `tokenizer.ggml.scores`, by id.
    pub scores: Option<Vec<f32>>,
    /// `tokenizer.ggml.token_type`, by id: 1 normal, 2 unknown, 3 control, 4 user-defined,
    /// 5 unused, 6 byte.
    pub token_types: Option<Vec<i32>>,
    /// `tokenizer.ggml.merges`: two tokens and a space between them, earliest first.
    pub merges: Option<Vec<String>>,
    /// `tokenizer.ggml.bos_token_id`.
    pub bos: Option<u32>,
    /// `tokenizer.ggml.eos_token_id`.
    pub eos: Option<u32>,
    /// `tokenizer.ggml.eot_token_id`: ends a turn.
    pub eot: Option<u32>,
    /// `tokenizer.ggml.unknown_token_id`.
    pub unknown: Option<u32>,
    /// `tokenizer.ggml.padding_token_id`.
    pub padding: Option<u32>,
    /// `tokenizer.ggml.add_bos_token`.
    pub add_bos: Option<bool>,
    /// `tokenizer.ggml.add_eos_token`. Prompts are never ended: see [`Tokenizer::ending`].
    pub add_eos: Option<bool>,
    /// `baimo.tokenizer.prefix`: what stands before a text, where that is not BOS alone. Other
    /// programs have no key for it.
    pub prefix: Option<Vec<u32>>,
    /// `baimo.tokenizer.ending`: what stands behind a text that is read, where that is not EOS.
    pub ending: Option<Vec<u32>>,
    /// `tokenizer.ggml.add_space_prefix`.
    pub add_space_prefix: Option<bool>,
    /// `tokenizer.ggml.remove_extra_whitespaces`.
    pub remove_extra_whitespaces: Option<bool>,
    /// `tokenizer.ggml.precompiled_charsmap`.
    pub precompiled_charsmap: Option<Vec<u8>>,
    /// `tokenizer.chat_template`, for [`Template::from_gguf`](crate::Template::from_gguf).
    pub chat_template: Option<String>,
}

const FILE: &str = "GGUF metadata";
const CONVERT: &str = "convert the model to GGUF again with a current converter";

impl Tokenizer {
    /// Makes the tokenizer that a GGUF file describes.
    ///
    /// # Errors
    /// A missing or inconsistent key, or a model or pre-tokenizer nobody here knows: a guess would
    /// give other ids than the model was trained with.
    pub fn from_gguf(vocabulary: &GgufVocabulary) -> Result<Tokenizer> {
        let mut kinds = kinds(vocabulary)?;
        name_unknown(vocabulary, &mut kinds);
        let mut adds_bos = false;
        let mut tokenizer = match vocabulary.model.as_str() {
            "gpt2" => {
                let pre = known_pre(vocabulary)?;
                adds_bos = pre.adds_bos;
                byte_level(vocabulary, &kinds, pre)?
            }
            "llama" => {
                adds_bos = true;
                scored(vocabulary, kinds, false)?
            }
            "t5" => scored(vocabulary, kinds, true)?,
            other => {
                let wanted = "gpt2, llama, t5".to_owned();
                return Err(unsupported("tokenizer.ggml.model", other, wanted, CONVERT));
            }
        };
        tokenizer.bos = vocabulary.bos.filter(|id| tokenizer.vocabulary.get(*id).is_some());
        let bos = tokenizer.bos.filter(|_| vocabulary.add_bos.unwrap_or(adds_bos));
        tokenizer.prefix = around(vocabulary.prefix.as_deref(), bos, "prefix", &tokenizer)?;
        let eos = vocabulary.eos.filter(|_| vocabulary.add_eos == Some(true));
        tokenizer.ending = around(vocabulary.ending.as_deref(), eos, "ending", &tokenizer)?;
        for id in [vocabulary.eos, vocabulary.eot].into_iter().flatten() {
            if !tokenizer.eos.contains(&id) {
                tokenizer.eos.push(id);
            }
        }
        Ok(tokenizer)
    }
}

/// What the key of ours says, else the one token that the usual keys can say.
fn around(
    ids: Option<&[u32]>,
    usual: Option<u32>,
    key: &str,
    tokenizer: &Tokenizer,
) -> Result<Vec<u32>> {
    let Some(ids) = ids else { return Ok(usual.into_iter().collect()) };
    match ids.iter().find(|id| tokenizer.vocabulary.get(**id).is_none()) {
        None => Ok(ids.to_vec()),
        Some(id) => {
            let fault = format!("baimo.tokenizer.{key} has {id}, which is no token");
            Err(Error::malformed(FILE, fault, "make the file again with baimo quantize"))
        }
    }
}

/// Converters call the unknown piece a control token where the folder's configuration names it
/// among the special ones: which it is, another key says.
fn name_unknown(vocabulary: &GgufVocabulary, kinds: &mut [Kind]) {
    if kinds.contains(&Kind::Unknown) {
        return;
    }
    let named = vocabulary.unknown.and_then(|id| kinds.get_mut(id as usize));
    if let Some(kind) = named.filter(|kind| **kind == Kind::Control) {
        *kind = Kind::Unknown;
    }
}

fn unsupported(key: &str, found: &str, wanted: String, hint: &'static str) -> Error {
    let (file, key, found) = (FILE.to_owned(), key.to_owned(), found.to_owned());
    Error::Unsupported { file, key, found, wanted, hint }
}

fn known_pre(vocabulary: &GgufVocabulary) -> Result<&'static PreTokenizer> {
    let name = vocabulary.pre.as_deref().unwrap_or("missing");
    pre_tokenizer(name).ok_or_else(|| {
        let hint = "use the model's Hugging Face folder, or set the key to the name of a \
                    pre-tokenizer that cuts text alike";
        unsupported("tokenizer.ggml.pre", name, pre_tokenizer_names(), hint)
    })
}

/// The kind of every token; all are normal where the file does not say.
fn kinds(vocabulary: &GgufVocabulary) -> Result<Vec<Kind>> {
    let count = vocabulary.tokens.len();
    let Some(types) = &vocabulary.token_types else {
        return Ok(vec![Kind::Normal; count]);
    };
    let wrong = |fault: String| Error::malformed(FILE, fault, CONVERT);
    if types.len() != count {
        let found = types.len();
        return Err(wrong(format!("tokenizer.ggml.token_type has {found} of {count} entries")));
    }
    let kind = |(id, number): (usize, &i32)| {
        let fault = || wrong(format!("tokenizer.ggml.token_type[{id}] is {number}"));
        Kind::from_number(*number).ok_or_else(fault)
    };
    types.iter().enumerate().map(kind).collect()
}

fn byte_level(
    source: &GgufVocabulary,
    kinds: &[Kind],
    pre: &'static PreTokenizer,
) -> Result<Tokenizer> {
    let wrong = |fault: String| Error::malformed(FILE, fault, CONVERT);
    let mut vocabulary = Vocabulary::new(FILE);
    let mut added = Vec::new();
    let mut ids: FxHashMap<&str, u32> = FxHashMap::default();
    for (id, (token, kind)) in source.tokens.iter().zip(kinds).enumerate() {
        let id = id as u32;
        match kind {
            Kind::Control | Kind::Unknown | Kind::UserDefined => {
                let special = *kind != Kind::UserDefined;
                vocabulary.set_added(id, token, special)?;
                added.push(AddedToken {
                    content: token.clone(),
                    id,
                    special,
                    ..Default::default()
                });
            }
            Kind::Unused => vocabulary.set(id, [], false)?,
            Kind::Normal | Kind::Byte => {
                vocabulary.set(id, bytes_of_byte_level(token), false)?;
            }
        }
        ids.entry(token).or_insert(id);
    }
    let merges = source.merges.as_ref();
    let merges = merges.ok_or_else(|| wrong("tokenizer.ggml.merges is missing".to_owned()))?;
    let split = |merge: &'_ String| -> Option<(usize, usize)> {
        // The first token of a pair may itself be a space in files of odd vocabularies.
        let space = merge.char_indices().skip(1).find(|(_, character)| *character == ' ')?.0;
        Some((space, space + 1))
    };
    let pairs = merges.iter().map(|m| split(m).map(|(end, start)| (&m[..end], &m[start..])));
    let pairs = merge_table(FILE, "tokenizer.ggml.merges", pairs, &ids)?;
    let alphabet = Alphabet::Bytes(byte_alphabet(&ids));
    let whole = |(token, id): (&&str, &u32)| (bytes_of_byte_level(token).into_boxed_slice(), *id);
    let whole = pre.whole_words.then(|| ids.iter().map(whole).collect());
    let pipeline = Pipeline {
        raw: AddedTokens::new(added).map_err(wrong)?,
        normalizer: if pre.nfc { Normalizer::Nfc } else { Normalizer::None },
        normalized: AddedTokens::new(Vec::new()).map_err(wrong)?,
        splitter: Splitter::new(pre.patterns).expect("our own patterns compile"),
        model: Model::Bpe(Bpe { alphabet, pairs, whole }),
    };
    let engine = Engine::Pipeline(Box::new(pipeline));
    Ok(Tokenizer::new(engine, vocabulary))
}

fn scored(source: &GgufVocabulary, mut kinds: Vec<Kind>, unigram: bool) -> Result<Tokenizer> {
    let wrong = |fault: String| Error::malformed(FILE, fault, CONVERT);
    let scores = source.scores.as_ref();
    let scores = scores.ok_or_else(|| wrong("tokenizer.ggml.scores is missing".to_owned()))?;
    let count = source.tokens.len();
    if scores.len() != count {
        let found = scores.len();
        return Err(wrong(format!("tokenizer.ggml.scores has {found} of {count} entries")));
    }
    // Converters write what the folder added as user-defined pieces; those are found in the text
    // as it was written. Pieces of spaces are from SentencePiece's own list, and are not.
    let mut added = Vec::new();
    for (id, (token, kind)) in source.tokens.iter().zip(&mut kinds).enumerate() {
        if *kind == Kind::UserDefined && !has_space(token) {
            added.push(AddedToken { content: token.clone(), id: id as u32, ..Default::default() });
            *kind = Kind::Unused;
        }
    }
    let list = source.tokens.iter().zip(scores).zip(kinds);
    let prefixed = source.add_space_prefix.unwrap_or(true);
    build(Pieces {
        file: FILE.to_owned(),
        list: list.map(|((token, score), kind)| (token.clone(), *score, kind)).collect(),
        unigram,
        white_space: None,
        map: source.precompiled_charsmap.clone().filter(|map| unigram && !map.is_empty()),
        squeeze: unigram && source.remove_extra_whitespaces.unwrap_or(false),
        prefix: if prefixed { SpacePrefix::Every } else { SpacePrefix::Never },
        added,
    })
}
