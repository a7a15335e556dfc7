//! `baimo plan --check`: what was planned beside what is found.
//!
//! A machine that others use too is now quicker, now slower. So the model's runs and measurements
//! of the machine take turns: what is planned for a turn is the mean of what the measurements right
//! before and right after it give, and of all turns the median counts, of plans as of runs.

use super::{host, question, stored};
use crate::args::{Loading, Plan};
use crate::bench::{Rates, Test};
use crate::run::SPAN;
use crate::session::{self, CacheSize};
use crate::source::Source;
use anyhow::{Context, Result};
use baimo_catalog::plan::probe::Scope;
use baimo_catalog::plan::{Host, Memory, Packing, Question, formats};
use baimo_engine::{Kept, PAGE_POSITIONS, Runner};
use baimo_weights::Target;
use serde_json::{Value, json};
use std::io::Write;

/// Positions in the cache.
const DEPTHS: [usize; 2] = [0, 8192];
/// Tokens of an answer that are timed.
const ANSWER: usize = 32;
/// How often each test takes its turn.
const TURNS: usize = 3;

/// Runs the model and prints a line of JSON for each kind of weights.
pub fn run(arguments: &Plan, source: &Source) -> Result<()> {
    let targets = match arguments.weights {
        Some(target) => vec![target],
        None => vec![Target::Q8_0, Target::Q4K],
    };
    for target in targets {
        let report = check(arguments, source, target)?;
        writeln!(std::io::stdout().lock(), "{report}")?;
    }
    Ok(())
}

fn check(arguments: &Plan, source: &Source, target: Target) -> Result<Value> {
    let packing = Packing { stored: stored(source)?, target };
    let mut question = question(arguments, source, &packing);
    question.context = DEPTHS[DEPTHS.len() - 1] + SPAN;
    // Nobody keeps what begins a sequence here.
    question.copies = None;
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
    for test in tests() {
        test.rates(&mut runner, true, 1);
    }
    let memory = memory(&question, &runner, anonymous()? - before);
    let speeds = speeds(&question, &mut runner);
    Ok(json!({
        "architecture": question.blueprint.architecture,
        "parameters": question.blueprint.count().parameters,
        "weights": target.name(),
        "memory": memory,
        "speed": speeds.iter().map(Speed::report).collect::<Vec<_>>(),
    }))
}

/// What is timed: at each depth a prompt's piece, and an answer.
fn tests() -> Vec<Test> {
    let of = |depth: usize| {
        [(SPAN, 0), (0, ANSWER)].map(|(prompt, generate)| Test {
            prompt,
            generate,
            depth,
            batch: 1,
        })
    };
    DEPTHS.into_iter().flat_map(of).collect()
}

/// Planned and found memory: all of it, this process's own, and what is mapped.
fn memory(question: &Question, runner: &Runner, found: usize) -> [Value; 3] {
    let memory = Memory::of(question);
    let mapped = match runner.decoder().kept() {
        Kept::Found { bytes, .. } | Kept::Written { bytes, .. } => *bytes,
        Kept::No | Kept::Failed(_) => 0,
    };
    let own = memory.own - Memory::PROGRAM;
    let compared = |what: &str, planned: usize, found: usize| {
        let off = 100.0 * (planned as f64 / found as f64 - 1.0);
        let context = question.context;
        json!({ "what": what, "context": context, "planned": planned, "found": found, "off": off })
    };
    [
        compared("total", own + memory.weights_mapped, found + mapped),
        compared("own", own, found),
        compared("mapped", memory.weights_mapped, mapped),
    ]
}

/// One test, planned and found.
struct Speed {
    test: Test,
    /// Tokens a second that each measurement of the machine foresees.
    planned: Vec<f64>,
    /// Seconds of kinds of operations, likewise.
    kinds: Vec<Value>,
    found: Rates,
}

/// Every test in turns, between measurements of the machine.
fn speeds(question: &Question, runner: &mut Runner) -> Vec<Speed> {
    let scope = Scope {
        threads: question.threads,
        formats: formats(question),
        elements: vec![question.element],
    };
    let measure = || Host::Measured(Box::new(host::measured(&scope, &mut |_| ())));
    let tests = tests();
    let (mut hosts, mut rates) = (vec![measure()], vec![Vec::new(); tests.len()]);
    for _ in 0..TURNS {
        for (test, rates) in tests.iter().zip(&mut rates) {
            rates.push(test.rates(runner, true, 1).median());
        }
        hosts.push(measure());
    }
    let of = |(test, rates): (Test, Vec<f64>)| {
        let rows = test.prompt.max(1);
        // The middle of an answer.
        let at = test.depth + test.generate / 2;
        let rate = |host: &Host| match test.prompt {
            0 => host.answer(question, at),
            _ => host.prompt(question, at),
        };
        let planned = hosts.iter().map(|host| rate(host).unwrap_or(f64::NAN)).collect();
        let kinds = hosts.iter().map(|host| json!(host.by_kind(question, rows, at))).collect();
        Speed { test, planned, kinds, found: Rates::new(rates) }
    };
    tests.into_iter().zip(rates).map(of).collect()
}

impl Speed {
    /// Tokens a second that are planned for each turn.
    fn planned(&self) -> Rates {
        // Of seconds, the mean of those before a turn and after it.
        let mean = |pair: &[f64]| 2.0 / (1.0 / pair[0] + 1.0 / pair[1]);
        Rates::new(self.planned.windows(2).map(mean).collect())
    }

    fn report(&self) -> Value {
        let (planned, found) = (self.planned(), self.found.median());
        json!({
            "what": if self.test.generate == 0 { "prompt" } else { "answer" },
            "context": self.test.depth,
            "planned": planned.median(),
            "found": found,
            "off": 100.0 * (planned.median() / found - 1.0),
            "planned_each": planned.report(),
            "found_each": self.found.report(),
            "seconds": self.kinds,
        })
    }
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
