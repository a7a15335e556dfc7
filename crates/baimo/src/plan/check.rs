//! `baimo plan --check`: what was planned beside what is found.

use super::{question, stored};
use crate::args::{Loading, Plan};
use crate::bench::Test;
use crate::run::SPAN;
use crate::session::{self, CacheSize};
use crate::source::Source;
use anyhow::{Context, Result, bail};
use baimo_catalog::plan::{Host, Memory, Packing, Question};
use baimo_engine::{Kept, PAGE_POSITIONS};
use baimo_weights::Target;
use serde_json::{Value, json};
use std::io::Write;

/// Positions in the cache.
const DEPTHS: [usize; 2] = [0, 8192];
/// Tokens of an answer that are timed.
const ANSWER: usize = 32;
/// Times that each speed is measured.
const REPETITIONS: usize = 3;

/// Runs the model and prints a line of JSON for each kind of weights.
pub fn run(arguments: &Plan, source: &Source, host: Option<Host>) -> Result<()> {
    let Some(Host::Measured(machine)) = host else {
        bail!("--check runs here: {}", super::host::UNKNOWN);
    };
    let host = Host::Measured(machine);
    let targets = match arguments.weights {
        Some(target) => vec![target],
        None => vec![Target::Q8_0, Target::Q4K],
    };
    for target in targets {
        let report = check(arguments, source, &host, target)?;
        writeln!(std::io::stdout().lock(), "{report}")?;
    }
    Ok(())
}

fn check(arguments: &Plan, source: &Source, host: &Host, target: Target) -> Result<Value> {
    let packing = Packing { stored: stored(source)?, target };
    let mut question = question(arguments, source, &packing);
    question.context = DEPTHS[DEPTHS.len() - 1] + SPAN;
    let before = anonymous()?;
    let size = CacheSize {
        positions: question.context,
        sequences: 1,
        shared: false,
        element: question.element,
    };
    let loading = Loading {
        weights: Some(target),
        threads: arguments.threads,
        no_cache: !question.mapped,
        cache_limit: None,
        memory: None,
        yes: false,
    };
    let mut runner = session::load(source, &loading, size)?;
    let mut speeds = Vec::new();
    for depth in DEPTHS {
        for (prompt, generate) in [(SPAN, 0), (0, ANSWER)] {
            let test = Test { prompt, generate, depth, batch: 1 };
            let found = test.rates(&mut runner, true, REPETITIONS).median();
            let planned = match generate {
                0 => host.prompt(&question, depth),
                // The middle of the answer.
                _ => host.answer(&question, depth + ANSWER / 2),
            };
            let kind = if generate == 0 { "prompt" } else { "answer" };
            speeds.push(compared(kind, depth, planned.unwrap_or(f64::NAN), found));
        }
    }
    let memory = Memory::of(&question);
    let planned = (memory.own - Memory::PROGRAM) as f64;
    let own = compared("own", question.context, planned, (anonymous()? - before) as f64);
    let mapped = match runner.decoder().kept() {
        Kept::Found { bytes, .. } | Kept::Written { bytes, .. } => *bytes,
        Kept::No | Kept::Failed(_) => 0,
    };
    let mapped = compared("mapped", question.context, memory.weights_mapped as f64, mapped as f64);
    let found = own["found"].as_f64().unwrap_or(0.0) + mapped["found"].as_f64().unwrap_or(0.0);
    let planned = planned + memory.weights_mapped as f64;
    Ok(json!({
        "architecture": question.blueprint.architecture,
        "parameters": question.blueprint.count().parameters,
        "weights": target.name(),
        "memory": [compared("total", question.context, planned, found), own, mapped],
        "speed": speeds,
        "seconds": if arguments.json { spent(host, &question) } else { Value::Null },
    }))
}

/// What each kind of operation is planned to take, of a prompt's piece and of an answer's token.
fn spent(host: &Host, question: &Question) -> Value {
    let kinds = |rows: usize, depth: usize| {
        json!({
            "rows": rows, "depth": depth, "kinds": host.by_kind(question, rows, depth),
        })
    };
    let last = DEPTHS[DEPTHS.len() - 1];
    json!([kinds(SPAN, 0), kinds(SPAN, last), kinds(1, 0), kinds(1, last)])
}

fn compared(what: &str, context: usize, planned: f64, found: f64) -> Value {
    let off = 100.0 * (planned / found - 1.0);
    json!({ "what": what, "context": context, "planned": planned, "found": found, "off": off })
}

/// Bytes of memory that this process has for its own, in memory.
fn anonymous() -> Result<usize> {
    let bytes = baimo_weights::linux_bytes("/proc/self/status", "RssAnon");
    let bytes = bytes
        .context("--check asks the system for this process's memory, which Linux alone tells")?;
    Ok(bytes as usize)
}

/// Caches hold whole pages.
const _: () = assert!(SPAN.is_multiple_of(PAGE_POSITIONS));
