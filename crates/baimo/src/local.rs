//! `baimo list --local`: the models of hubs that are here.

use crate::fetching;
use anyhow::Result;
use baimo_catalog::store::{Kept, human};
use serde_json::{Value, json};
use std::io::Write;

/// Prints a line for each repository of which something is here, or JSON.
pub(crate) fn list(as_json: bool) -> Result<()> {
    let kept = fetching::store().kept();
    let mut out = std::io::stdout().lock();
    if as_json {
        let all: Value = kept.iter().map(report).collect();
        return Ok(writeln!(out, "{all:#}")?);
    }
    if kept.is_empty() {
        eprintln!("no model of a hub is here\nhint: `baimo pull MODEL` fetches one");
    }
    for one in &kept {
        let (bytes, partial) = (human(one.bytes), one.partial_bytes);
        let state = match (one.models.is_empty(), partial) {
            (false, 0) => String::new(),
            (true, 0) => "  (not a whole model)".to_owned(),
            (_, partial) => format!("  ({} of a download that has not ended)", human(partial)),
        };
        writeln!(out, "{bytes:>8}  {}{state}", one.reference)?;
        let parts = one.models.iter().filter(|model| **model != one.reference);
        for part in parts {
            writeln!(out, "{:>8}  {part}", "")?;
        }
    }
    Ok(())
}

fn report(kept: &Kept) -> Value {
    json!({
        "repository": kept.reference.to_string(),
        "models": kept.models.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "revisions": kept.revisions,
        "bytes": kept.bytes,
        "partial_bytes": kept.partial_bytes,
        "path": kept.path,
    })
}
