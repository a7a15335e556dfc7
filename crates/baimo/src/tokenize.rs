//! `baimo tokenize`: text to ids.

use crate::args::Tokenize;
use crate::source;
use anyhow::Result;
use baimo_text::EncodeOptions;
use serde_json::json;
use std::io::Write;

/// Prints the ids of a text, one a line with its bytes, or as JSON.
pub fn run(arguments: &Tokenize) -> Result<()> {
    let tokenizer = source::tokenizer(&arguments.model)?;
    let options = EncodeOptions { specials: !arguments.no_specials, bos: arguments.bos };
    let ids = tokenizer.encode(&arguments.text, options)?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let tokens: Vec<_> = ids.iter().map(|&id| tokenizer.token_text(id)).collect();
        writeln!(out, "{}", json!({ "ids": ids, "tokens": tokens, "count": ids.len() }))?;
        return Ok(());
    }
    for id in ids {
        writeln!(out, "{id}\t{:?}", tokenizer.token_text(id).unwrap_or_default())?;
    }
    Ok(())
}
