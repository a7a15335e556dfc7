//! `baimo logits`: raw ids in, numbers out, to compare engines.

use crate::args::Logits;
use crate::fetching;
use crate::session::{self, Alone};
use crate::source::Source;
use anyhow::{Result, bail};
use baimo_engine::{EventKind, Request};
use serde_json::{Map, Value, json};
use std::io::Write;

/// Prints `{"logits": {"1": [...], ...}, "greedy": [...]}`.
pub fn run(arguments: &Logits) -> Result<()> {
    let count = arguments.ids.len();
    let at = if arguments.at.is_empty() { vec![count] } else { arguments.at.clone() };
    if let Some(wrong) = at.iter().find(|&&at| at == 0 || at > count) {
        bail!("--at {wrong}: found {count} ids, wanted a number from 1 to {count}");
    }
    fetching::ensure(&arguments.model, arguments.loading.yes)?;
    let source = Source::open(&arguments.model)?;
    source.check_tokens(&arguments.ids)?;
    let alone = Alone {
        positions: count + arguments.greedy,
        element: arguments.kv,
        rows_at_once: arguments.chunk,
    };
    let mut engine = session::alone(&source, &arguments.loading, alone)?;
    engine.submit(Request {
        tokens: arguments.ids.clone(),
        max_tokens: arguments.greedy,
        observed: at.iter().map(|at| at - 1).collect(),
        ..Request::default()
    })?;
    let (mut logits, mut greedy) = (Map::new(), Vec::new());
    while !engine.is_idle() {
        for event in engine.step()? {
            match event.kind {
                EventKind::Logits { position, logits: row } => {
                    logits.insert((position + 1).to_string(), row.into());
                }
                EventKind::Token { token, .. } => greedy.push(token),
                EventKind::Embedding(_)
                | EventKind::PromptLogprobs { .. }
                | EventKind::Finished { .. } => (),
            }
        }
    }
    let report: Value = json!({ "logits": logits, "greedy": greedy });
    writeln!(std::io::stdout().lock(), "{report}")?;
    Ok(())
}
