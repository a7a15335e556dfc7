//! tiktoken ranks: a line of base64 and a rank for every token, and nothing else.
//!
//! The pattern and the special tokens of such a vocabulary are in the Python class that comes with
//! it; `tokenizer_class` in `tokenizer_config.json` names the class, and `DIALECTS` knows it.

use super::config::FolderConfig;
use crate::added::{AddedToken, AddedTokens};
use crate::bpe::{Alphabet, Bpe, NO_TOKEN, pairs_by_rank};
use crate::error::{Error, Result};
use crate::patterns::{KIMI_K2, LLAMA3, QWEN2};
use crate::pipeline::{Model, Normalizer, Pipeline};
use crate::split::Splitter;
use crate::tokenizer::{Engine, Tokenizer};
use crate::vocabulary::{Vocabulary, is_in_utf8};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustc_hash::FxHashMap;
use std::path::Path;

/// What a Python tokenizer class adds to its ranks.
struct Dialect {
    class: &'static str,
    pattern: &'static str,
    nfc: bool,
    /// The first special tokens, in the order of their ids, which follow the ranks.
    specials: &'static [&'static str],
    /// How many `<|extra_0|>`... come after them.
    extras: u32,
    /// How many ids after the ranks are special; those without a name are `<|reserved_token_ID|>`.
    reserved: u32,
    /// What stands before a text.
    prefix: &'static [&'static str],
}

const DIALECTS: &[Dialect] = &[
    Dialect {
        class: "QWenTokenizer",
        pattern: QWEN2,
        nfc: true,
        specials: &["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        extras: 205,
        reserved: 0,
        prefix: &[],
    },
    Dialect {
        class: "HYTokenizer",
        pattern: QWEN2,
        nfc: true,
        specials: &["<|endoftext|>", "<|startoftext|>", "<|bos|>", "<|eos|>", "<|pad|>"],
        extras: 205,
        reserved: 0,
        prefix: &[],
    },
    Dialect {
        class: "TikTokenTokenizer",
        pattern: KIMI_K2,
        nfc: false,
        specials: &[],
        extras: 0,
        reserved: 256,
        prefix: &[],
    },
    Dialect {
        class: "ChatGLM4Tokenizer",
        pattern: LLAMA3,
        nfc: false,
        specials: &[],
        extras: 0,
        reserved: 0,
        prefix: &["[gMASK]", "<sop>"],
    },
];

/// Whether a file's first line is base64 and a number.
pub(crate) fn is_ranks(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    parse_line(line).is_some()
}

/// What ranks and their class say.
pub(crate) struct Ranks {
    file: String,
    /// The tokens by rank, which is their id.
    pub tokens: Vec<Vec<u8>>,
    /// The special tokens, whose ids are not ranks.
    pub added: Vec<AddedToken>,
    dialect: &'static Dialect,
}

/// Reads ranks with the dialect that `config` names.
pub(crate) fn load(path: &Path, bytes: &[u8], config: &FolderConfig) -> Result<Tokenizer> {
    Ranks::read(path, bytes, config)?.tokenizer()
}

fn parse_line(line: &[u8]) -> Option<(Vec<u8>, u32)> {
    let line = line.trim_ascii();
    let space = line.iter().position(|byte| *byte == b' ')?;
    let rank = std::str::from_utf8(&line[space + 1..]).ok()?.trim().parse().ok()?;
    Some((BASE64_STANDARD.decode(&line[..space]).ok()?, rank))
}

/// The tokens by rank, which is their id. A token that is there twice keeps its first rank, and
/// the ones after it move up, as the classes that have such files do it.
fn parse(file: &str, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut ranks: FxHashMap<Vec<u8>, u32> = FxHashMap::default();
    let mut tokens = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let wrong = |fault: String| {
            let fault = format!("line {}: {fault}", index + 1);
            Error::malformed(file, fault, "was the download cut short?")
        };
        let (token, rank) =
            parse_line(line).ok_or_else(|| wrong("wanted base64, a space and a rank".into()))?;
        if ranks.contains_key(&token) {
            continue;
        }
        let repeated = index - tokens.len();
        if rank as usize != tokens.len() && rank as usize != tokens.len() + repeated {
            return Err(wrong(format!("rank {rank}, wanted {}", tokens.len())));
        }
        ranks.insert(token.clone(), tokens.len() as u32);
        tokens.push(token);
    }
    Ok(tokens)
}

impl Ranks {
    /// Reads a file of the dialect that `config` names.
    pub fn read(path: &Path, bytes: &[u8], config: &FolderConfig) -> Result<Ranks> {
        let file = path.display().to_string();
        let class = config.class.as_deref().unwrap_or("missing");
        let dialect = DIALECTS.iter().find(|dialect| dialect.class == class);
        let dialect = dialect.ok_or_else(|| Error::Unsupported {
            file: config.file.clone(),
            key: "tokenizer_class".to_owned(),
            found: class.to_owned(),
            wanted: DIALECTS.iter().map(|dialect| dialect.class).collect::<Vec<_>>().join(", "),
            hint: "a tokenizer.json, if the model has one, needs no class",
        })?;
        let tokens = parse(&file, bytes)?;
        let added = specials(tokens.len() as u32, dialect, config);
        Ok(Ranks { file, tokens, added, dialect })
    }

    /// How it cuts text into words.
    pub fn pattern(&self) -> &'static str {
        self.dialect.pattern
    }

    /// Whether it normalizes text to NFC first.
    pub fn nfc(&self) -> bool {
        self.dialect.nfc
    }

    /// Every pair of tokens that together are a token, the one that is merged first in front.
    pub fn merges(&self) -> Vec<[&[u8]; 2]> {
        let ids: FxHashMap<&[u8], usize> =
            self.tokens.iter().enumerate().map(|(id, token)| (token.as_slice(), id)).collect();
        let mut merges = Vec::new();
        for token in &self.tokens {
            let halves = (1..token.len()).map(|cut| token.split_at(cut));
            let ranked = halves
                .filter_map(|(left, right)| Some((ids.get(left)?, ids.get(right)?, left, right)));
            let mut ranked: Vec<_> = ranked.collect();
            ranked.sort_unstable();
            merges.extend(ranked.into_iter().map(|(.., left, right)| [left, right]));
        }
        merges
    }

    /// The tokenizer.
    pub fn tokenizer(self) -> Result<Tokenizer> {
        let Ranks { file, tokens, added, dialect } = self;
        let ranked = tokens.iter().enumerate().map(|(id, t)| (id as u32, t.as_slice(), id as u32));
        let mut alphabet = Box::new([NO_TOKEN; 256]);
        for (id, token, _) in ranked.clone() {
            if let [byte] = token {
                alphabet[*byte as usize] = id;
            }
        }
        let missing = |byte: &u8| is_in_utf8(*byte) && alphabet[*byte as usize] == NO_TOKEN;
        if let Some(byte) = (0..=255u8).find(missing) {
            let fault = format!("no token for the byte 0x{byte:02x}");
            return Err(Error::malformed(&file, fault, "was the download cut short?"));
        }
        let pairs = pairs_by_rank(ranked.clone(), |_, _| true);
        let whole = ranked.clone().map(|(id, token, _)| (token.into(), id)).collect();
        let mut vocabulary = Vocabulary::new(&file);
        for (id, token, _) in ranked {
            vocabulary.set(id, token, false)?;
        }
        for token in &added {
            vocabulary.set_added(token.id, &token.content, token.special)?;
        }
        let wrong = |fault: String| Error::malformed(&file, fault, "check added_tokens_decoder");
        let bpe = Bpe { alphabet: Alphabet::Bytes(alphabet), pairs, whole: Some(whole) };
        let pipeline = Pipeline {
            raw: AddedTokens::new(added).map_err(wrong)?,
            normalizer: if dialect.nfc { Normalizer::Nfc } else { Normalizer::None },
            normalized: AddedTokens::new(Vec::new()).map_err(wrong)?,
            splitter: Splitter::new(&[dialect.pattern]).expect("our own patterns compile"),
            model: Model::Bpe(bpe),
        };
        let engine = Engine::Pipeline(Box::new(pipeline));
        let prefix = dialect.prefix.iter().filter_map(|name| vocabulary.added_id(name)).collect();
        Ok(Tokenizer { prefix, ..Tokenizer::new(engine, vocabulary) })
    }
}

/// The special tokens: the class's own, then those that `tokenizer_config.json` names.
fn specials(ranks: u32, dialect: &Dialect, config: &FolderConfig) -> Vec<AddedToken> {
    let special = |id, content| AddedToken { content, id, special: true, ..Default::default() };
    let own = dialect.specials.iter().map(|name| (*name).to_owned());
    let extras = (0..dialect.extras).map(|extra| format!("<|extra_{extra}|>"));
    let mut tokens: Vec<_> =
        (ranks..).zip(own.chain(extras)).map(|(id, content)| special(id, content)).collect();
    tokens.extend(config.added.iter().filter(|token| token.id >= ranks).cloned());
    for id in ranks..ranks + dialect.reserved {
        if tokens.iter().all(|token| token.id != id) {
            tokens.push(special(id, format!("<|reserved_token_{id}|>")));
        }
    }
    tokens
}
