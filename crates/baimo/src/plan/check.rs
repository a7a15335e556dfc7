//! `baimo plan --check`: what was planned beside what is found.
//!
//! A machine that others use too is now quicker, now slower. So it is measured right before and
//! right after the model's runs, which take turns: the plan is the mean of what the two
//! measurements give, and where they differ by much, all of it is done again.

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
use std::time::{Duration, Instant};

/// Positions in the cache.
const DEPTHS: [usize; 2] = [0, 8192];
/// Tokens of an answer that are timed.
const ANSWER: usize = 32;
/// How often each test takes its turn.
const TURNS: usize = 5;
/// The same of tests deep in the cache, and of models whose turn takes longer than [`LONG`].
const TURNS_LONG: usize = 3;
const LONG: Duration = Duration::from_secs(4);
/// How far the two measurements may be apart, and how often all is done to get there.
const APART: f64 = 1.15;
const ATTEMPTS: usize = 3;

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
    let started = Instant::now();
    for test in tests() {
        test.rates(&mut runner, true, 1);
    }
    let turns = if started.elapsed() > LONG { TURNS_LONG } else { TURNS };
    let memory = memory(&question, &runner, anonymous()? - before);
    let mut attempts = 1;
    let mut speeds = speeds(&question, &mut runner, turns);
    while attempts < ATTEMPTS && speeds.iter().any(|speed| speed.apart() > APART) {
        attempts += 1;
        speeds = self::speeds(&question, &mut runner, turns);
    }
    Ok(json!({
        "architecture": question.blueprint.architecture,
        "parameters": question.blueprint.count().parameters,
        "weights": target.name(),
        "memory": memory,
        "speed": speeds.iter().map(Speed::report).collect::<Vec<_>>(),
        "attempts": attempts,
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
    /// Tokens a second by what was measured before the runs and after them.
    planned: [f64; 2],
    /// Seconds that kinds of operations are planned to take, likewise.
    kinds: [Value; 2],
    found: Rates,
}

/// Every test in turns, between two measurements of the machine.
fn speeds(question: &Question, runner: &mut Runner, turns: usize) -> Vec<Speed> {
    let scope = Scope {
        threads: question.threads,
        formats: formats(question),
        elements: vec![question.element],
    };
    let before = host::measured(&scope, &mut |_| ());
    let tests = tests();
    let mut rates = vec![Vec::new(); tests.len()];
    for turn in 0..turns {
        for (test, rates) in tests.iter().zip(&mut rates) {
            if test.depth == 0 || turn < TURNS_LONG {
                rates.push(test.rates(runner, true, 1).median());
            }
        }
    }
    let hosts = [before, host::measured(&scope, &mut |_| ())];
    let hosts = hosts.map(|machine| Host::Measured(Box::new(machine)));
    let of = |(test, rates): (Test, Vec<f64>)| {
        let rows = test.prompt.max(1);
        // The middle of an answer.
        let at = test.depth + test.generate / 2;
        let planned = |host: &Host| match test.prompt {
            0 => host.answer(question, at),
            _ => host.prompt(question, at),
        };
        let planned = [0, 1].map(|index| planned(&hosts[index]).unwrap_or(f64::NAN));
        let kinds = [0, 1].map(|index| json!(hosts[index].by_kind(question, rows, at)));
        Speed { test, planned, kinds, found: Rates::new(rates) }
    };
    tests.into_iter().zip(rates).map(of).collect()
}

impl Speed {
    /// How many times more one measurement foresees than the other.
    fn apart(&self) -> f64 {
        let [first, second] = self.planned;
        (first / second).max(second / first)
    }

    fn report(&self) -> Value {
        // Of seconds, the mean of the two.
        let [first, second] = self.planned;
        let (planned, found) = (2.0 / (1.0 / first + 1.0 / second), self.found.median());
        json!({
            "what": if self.test.generate == 0 { "prompt" } else { "answer" },
            "context": self.test.depth,
            "planned": planned,
            "found": found,
            "off": 100.0 * (planned / found - 1.0),
            "planned_before_and_after": self.planned,
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
