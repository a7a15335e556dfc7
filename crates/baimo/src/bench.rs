//! `baimo bench`: tokens a second of the model alone, without tokenizer and sampler.

use crate::args::Bench;
use crate::session::{self, CacheSize};
use crate::source::{self, Source};
use anyhow::Result;
use baimo_engine::{Batch, LOOKBACK, Opening, PAGE_POSITIONS, Runner, Span};
use serde_json::{Value, json};
use std::io::Write;
use std::time::Instant;

/// Rows of a prompt computed at once.
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
        prefill(runner, 0, self.depth);
        self.once(runner);
        let mut rates: Vec<f64> = (0..repetitions)
            .map(|_| {
                let start = Instant::now();
                self.once(runner);
                (self.prompt + self.generate) as f64 / start.elapsed().as_secs_f64()
            })
            .collect();
        rates.sort_by(f64::total_cmp);
        rates
    }

    fn once(&self, runner: &mut Runner) {
        prefill(runner, self.depth, self.prompt);
        for step in 0..self.generate {
            forward(runner, self.depth + step, 1, true);
        }
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

/// Computes `count` positions from `first` on, with the logits of the last.
fn prefill(runner: &mut Runner, first: usize, count: usize) {
    let mut done = 0;
    while done < count {
        let rows = CHUNK.min(count - done);
        done += rows;
        forward(runner, first + done - rows, rows, done == count);
    }
}

fn forward(runner: &mut Runner, position: usize, rows: usize, last: bool) {
    let vocab = runner.decoder().blueprint().vocab;
    let pages = (position + rows).div_ceil(PAGE_POSITIONS) as u32;
    // Different tokens, so that experts are chosen as in real text: not all the same.
    let token = |at: usize| (at * 7919 % vocab) as u32;
    let batch = Batch {
        tokens: (position..position + rows).map(token).collect(),
        spans: vec![Span {
            first_row: 0,
            rows,
            position,
            prompt: position + rows,
            opening: Opening::default(),
            before: (position.saturating_sub(LOOKBACK)..position).map(token).collect(),
            pages: (0..pages).collect(),
            slot: 0,
        }],
        wanted: if last { vec![rows as u32 - 1] } else { Vec::new() },
    };
    runner.forward(&batch);
}
