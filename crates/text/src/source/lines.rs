//! `vocab.txt`: a token a line, by longest match.
//!
//! Of the two vocabularies of this kind one was made for words: text was cut by a dictionary first.
//! What the dictionary does to other than Chinese text, a pattern does here; Chinese stretches are
//! not cut, which changes about one token of a hundred.

use crate::added::{AddedToken, AddedTokens};
use crate::error::{Error, Result};
use crate::longest::Longest;
use crate::pipeline::{Model, Normalizer, Pipeline};
use crate::split::Splitter;
use crate::tokenizer::{Engine, Tokenizer};
use crate::vocabulary::Vocabulary;
use rustc_hash::FxHashMap;
use std::path::Path;

/// The words of a text: Latin letters and digits, Chinese, anything else one by one.
const WORDS: &str = r"[a-zA-Z0-9]+|[\x{4e00}-\x{9fd5}]+|[\s\S]";

/// The tokens of the space and of the line break, which have names as a line holds neither well.
const WHITE: [(&str, &str); 2] = [("</_>", " "), ("</n>", "\n")];

/// Where a vocabulary has this token, its prompts are dictionaries, and its texts are not cut into
/// words.
const ROOT: &str = "<root>";

const DAMAGED: &str = "take vocab.txt from the model's own repository again";

/// Reads a `vocab.txt`.
pub(crate) fn load(path: &Path, bytes: &[u8]) -> Result<Tokenizer> {
    let file = path.display().to_string();
    let wrong = |fault: String| Error::malformed(&file, fault, DAMAGED);
    let text = std::str::from_utf8(bytes).map_err(|cause| wrong(format!("not UTF-8: {cause}")))?;
    let whole = text.lines().any(|line| line == ROOT);
    // Of the two programs, that for dictionaries passes empty lines over.
    let lines = text.lines().filter(|line| !(whole && line.is_empty()));
    let mut ids: FxHashMap<&str, u32> = FxHashMap::default();
    let mut vocabulary = Vocabulary::new(&file);
    let (mut specials, mut tokens) = (Vec::new(), Vec::new());
    for (id, line) in (0..).zip(lines) {
        if let Some(first) = ids.insert(line, id) {
            return Err(wrong(format!("{line:?} is token {first} and token {id}")));
        }
        let white = WHITE.iter().find(|(name, _)| *name == line);
        if white.is_none() && is_special(line) {
            vocabulary.set_added(id, line, true)?;
            let content = line.to_owned();
            specials.push(AddedToken { content, id, special: true, ..AddedToken::default() });
            continue;
        }
        let text = white.map_or(line, |(_, text)| text);
        vocabulary.set(id, text.as_bytes(), false)?;
        if !text.is_empty() {
            tokens.push((text.to_owned(), id));
        }
    }
    let id = |token: &str| {
        ids.get(token).copied().ok_or_else(|| wrong(format!("there is no token {token:?}")))
    };
    for (name, _) in WHITE {
        id(name)?;
    }
    let longest = Longest::new(&tokens, id("<unk>")?, whole).map_err(wrong)?;
    let patterns: &[&str] = if whole { &[] } else { &[WORDS] };
    let pipeline = Pipeline {
        raw: AddedTokens::new(specials).map_err(wrong)?,
        normalizer: Normalizer::None,
        normalized: AddedTokens::new(Vec::new()).map_err(wrong)?,
        splitter: Splitter::new(patterns).expect("our own pattern compiles"),
        model: Model::Longest(longest),
    };
    let engine = Engine::Pipeline(Box::new(pipeline));
    let mut tokenizer = Tokenizer::new(engine, vocabulary);
    tokenizer.bos = Some(id("<s>")?);
    tokenizer.prefix.extend(tokenizer.bos);
    tokenizer.eos.push(id("</s>")?);
    Ok(tokenizer)
}

/// A name in angle brackets.
fn is_special(token: &str) -> bool {
    let name = token.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    name.is_some_and(|name| !name.is_empty() && !name.contains(['<', '>']))
}
