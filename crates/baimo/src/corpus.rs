//! A text that a model reads for its numbers, in chunks.

use crate::source::Source;
use anyhow::{Context, Result, bail, ensure};
use baimo_text::{EncodeOptions, Tokenizer};
use std::path::Path;

/// What is read.
pub struct Corpus<'a> {
    /// A text in UTF-8.
    pub text: Option<&'a Path>,
    /// Token ids in its place.
    pub ids: Option<&'a Path>,
    /// Tokens of a chunk.
    pub context: usize,
    /// No more than so many.
    pub chunks_max: Option<usize>,
}

impl Corpus<'_> {
    /// The text's tokens in chunks of the context, each with what the tokenizer puts before a
    /// text; the last tokens, which fill no chunk, are left out.
    ///
    /// # Errors
    /// If the text cannot be read or is too short, has tokens that the first model does not, or is
    /// other tokens to the other model.
    pub fn chunks(&self, first: &Source, other: Option<&Source>) -> Result<Vec<Vec<u32>>> {
        let (mut tokens, lead) = match (self.ids, self.text) {
            (Some(path), _) => {
                let text = std::fs::read_to_string(path).context(path.display().to_string())?;
                (parse_ids(&text).with_context(|| path.display().to_string())?, Vec::new())
            }
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path).context(path.display().to_string())?;
                encode(&text, first, other)?
            }
            (None, None) => bail!("nothing to read\nhint: give --text FILE or --ids FILE"),
        };
        first.check_tokens(&tokens)?;
        let context = self.context;
        ensure!(context >= 4, "--context {context}: wanted at least 4");
        tokens.truncate(self.chunks_max.unwrap_or(usize::MAX).saturating_mul(context));
        ensure!(
            tokens.len() >= context,
            "found {} tokens, wanted at least --context {context}\nhint: give more text, or a \
             smaller context",
            tokens.len(),
        );
        let mut chunks: Vec<Vec<u32>> = tokens.chunks_exact(context).map(<[u32]>::to_vec).collect();
        for chunk in &mut chunks {
            chunk.iter_mut().zip(&lead).for_each(|(token, lead)| *token = *lead);
        }
        Ok(chunks)
    }
}

/// The text's tokens, and those that the tokenizer puts before any text.
fn encode(text: &str, first: &Source, other: Option<&Source>) -> Result<(Vec<u32>, Vec<u32>)> {
    const PLAIN: EncodeOptions = EncodeOptions { specials: false, bos: true };
    let tokens = |tokenizer: &Tokenizer| -> Result<(Vec<u32>, Vec<u32>)> {
        Ok((tokenizer.encode(text, PLAIN)?, tokenizer.encode("", PLAIN)?))
    };
    let (first, second) = match (first.tokenizer(), other.map(Source::tokenizer)) {
        (Ok(first), Some(Ok(second))) => (tokens(&first)?, tokens(&second)?.0),
        // Where one has none, the other's is taken: their vocabularies are as large.
        (Ok(one), None | Some(Err(_))) | (Err(_), Some(Ok(one))) => return tokens(&one),
        (Err(error), None | Some(Err(_))) => {
            return Err(error.context("no tokenizer; --ids FILE needs none"));
        }
    };
    let differ = first.0.iter().zip(&second).position(|(a, b)| a != b);
    match differ {
        None if first.0.len() == second.len() => Ok(first),
        _ => bail!(
            "the tokenizers read the text differently from token {} on, wanted the same tokens\n\
             hint: compare models that share a tokenizer",
            differ.unwrap_or(first.0.len().min(second.len())),
        ),
    }
}

/// Numbers with anything between them.
fn parse_ids(text: &str) -> Result<Vec<u32>> {
    let words = text.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
    words.map(|word| word.parse().with_context(|| format!("`{word}` is no token id"))).collect()
}
