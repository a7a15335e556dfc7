//! `baimo bench`: tokens a second of the model alone, without tokenizer and sampler.

use crate::args::Bench;
use crate::session::{self, CacheSize};
use crate::source::{self, Source};
use anyhow::Result;
use baimo_engine::{Batch, LOOKBACK, Opening, PAGE_POSITIONS, Runner, Span};
use serde_json::{Value, json};
use std::io::Write;
use std::ops::Range;
use std::time::Instant;

/// Rows of a prompt computed at once, where it may be cut.
const CHUNK: usize = 512;

/// One test: what is timed and at which depth.
struct Test {
    prompt: usize,
    generate: usize,
    depth: usize,
}

/// Runs every combination of the flags and prints a table or JSON.
pub fn run(arguments: &Bench) -> Result<()> {
    let model = arguments.model.clone().unwrap_or_else(source::default_model);
    let source = Source::open(&model)?;
    let mut tests = Vec::new();
    for &depth in &arguments.depth {
        let prompts = arguments.prompt.iter().filter(|&&prompt| prompt > 0);
        tests.extend(prompts.map(|&prompt| Test { prompt, generate: 0, depth }));
        let generates = arguments.generate.iter().filter(|&&generate| generate > 0);
        tests.extend(generates.map(|&generate| Test { prompt: 0, generate, depth }));
    }
    let longest = tests.iter().map(|test| test.depth + test.prompt + test.generate).max();
    let size = CacheSize { positions: longest.unwrap_or(1), element: arguments.kv };
    let mut runner = session::load(&source, &arguments.loading, size)?;
    let mut out = std::io::stdout().lock();
    let mut reports = Vec::new();
    for test in &tests {
        let rates = test.rates(&mut runner, arguments.repetitions);
        let report = test.report(&rates, &runner, arguments);
        if !arguments.json {
            let rate = &report["tokens_per_second"];
            writeln!(
                out,
                "{:>8} at depth {:<6} {:>10.2} tokens/s (min {:.2}, max {:.2})",
                test.name(),
                test.depth,
                rate["median"].as_f64().unwrap_or_default(),
                rate["min"].as_f64().unwrap_or_default(),
                rate["max"].as_f64().unwrap_or_default(),
            )?;
        }
        reports.push(report);
    }
    if arguments.json {
        writeln!(out, "{:#}", Value::Array(reports))?;
    }
    Ok(())
}

impl Test {
    fn name(&self) -> String {
        match self.prompt {
            0 => format!("tg{}", self.generate),
            prompt => format!("pp{prompt}"),
        }
    }

    /// Tokens a second of each repetition, slowest first; one more run before them warms up.
    fn rates(&self, runner: &mut Runner, repetitions: usize) -> Vec<f64> {
        let opening = self.opening(runner);
        let depth = opening.lead + self.depth;
        // What the model puts before a prompt is computed with it.
        let start = if self.depth == 0 && self.prompt > 0 { 0 } else { depth };
        let mut sequence = Sequence { runner, opening };
        sequence.prefill(0..start);
        let mut once = || {
            sequence.prefill(start..depth + self.prompt);
            (depth..depth + self.generate).for_each(|at| sequence.forward(at..at + 1, true));
        };
        once();
        let mut rates: Vec<f64> = (0..repetitions)
            .map(|_| {
                let start = Instant::now();
                once();
                (self.prompt + self.generate) as f64 / start.elapsed().as_secs_f64()
            })
            .collect();
        rates.sort_by(f64::total_cmp);
        rates
    }

    /// The prompt is what is in the cache, or else what is timed: all of it text without any mark,
    /// so that a model with a prefix reads it in both directions.
    fn opening(&self, runner: &Runner) -> Opening {
        let Some(prefix) = &runner.decoder().blueprint().prefix else { return Opening::default() };
        let opening = Opening::of(prefix, &[]).expect("nothing has no segments");
        let prompt = if self.depth > 0 { self.depth } else { self.prompt };
        Opening { together: opening.lead + prompt, ..opening }
    }

    fn report(&self, rates: &[f64], runner: &Runner, arguments: &Bench) -> Value {
        let middle = rates.len() / 2;
        let median = match rates.len() % 2 {
            0 => (rates[middle - 1] + rates[middle]) / 2.0,
            _ => rates[middle],
        };
        json!({
            "test": self.name(),
            "depth": self.depth,
            "tokens_per_second": {
                "median": median,
                "min": rates[0],
                "max": rates[rates.len() - 1],
            },
            "repetitions": rates.len(),
            "threads": runner.kernels().pool.threads(),
            "instructions": runner.kernels().isa.name(),
            "weights": arguments.loading.weights.name(),
            "weight_bytes": runner.decoder().weight_bytes(),
        })
    }
}

/// A sequence of made-up tokens.
struct Sequence<'a> {
    runner: &'a mut Runner,
    opening: Opening,
}

impl Sequence<'_> {
    /// Computes these positions, with the logits of the last.
    fn prefill(&mut self, positions: Range<usize>) {
        let mut first = positions.start;
        while first < positions.end {
            let at_once = if first == 0 { CHUNK.max(self.opening.together) } else { CHUNK };
            let end = positions.end.min(first + at_once);
            self.forward(first..end, end == positions.end);
            first = end;
        }
    }

    fn forward(&mut self, positions: Range<usize>, last: bool) {
        let (position, rows) = (positions.start, positions.len());
        let batch = Batch {
            tokens: positions.clone().map(|at| self.token(at)).collect(),
            spans: vec![Span {
                first_row: 0,
                rows,
                position,
                prompt: positions.end,
                opening: self.opening.clone(),
                before: (position.saturating_sub(LOOKBACK)..position)
                    .map(|at| self.token(at))
                    .collect(),
                pages: (0..positions.end.div_ceil(PAGE_POSITIONS) as u32).collect(),
                slot: 0,
            }],
            wanted: if last { vec![rows as u32 - 1] } else { Vec::new() },
        };
        self.runner.forward(&batch);
    }

    /// Different tokens, so that experts are chosen as in real text: not all the same.
    fn token(&self, at: usize) -> u32 {
        let blueprint = self.runner.decoder().blueprint();
        let lead = blueprint.prefix.as_ref().and_then(|prefix| prefix.lead.clone().nth(at));
        lead.unwrap_or((at * 7919 % blueprint.vocab) as u32)
    }
}
