//! `baimo bench`: tokens a second of the model alone, without tokenizer and sampler.

use crate::args::Bench;
use crate::fetching;
use crate::limits;
use crate::session::{self, CacheSize};
use crate::show::human;
use crate::source::{self, Source};
use anyhow::Result;
use baimo_engine::{Batch, ExpertCounts, LOOKBACK, Opening, PAGE_POSITIONS, Runner, Span};
use baimo_weights::Target;
use serde_json::{Value, json};
use std::io::Write;
use std::ops::Range;
use std::time::Instant;

/// Rows of a prompt computed at once, where it may be cut; those of all sequences together.
const CHUNK: usize = 512;
/// Tokens of an answer that warm up.
const WARM: usize = 8;

/// One test: what is timed, at which depth, in how many sequences at once.
pub struct Test {
    /// Tokens of a prompt, if it is one that is timed.
    pub prompt: usize,
    /// Tokens of an answer, if not.
    pub generate: usize,
    /// Tokens in the cache before.
    pub depth: usize,
    /// Sequences.
    pub batch: usize,
}

/// Runs every combination of the flags and prints a table or JSON.
pub fn run(arguments: &Bench) -> Result<()> {
    if arguments.limits {
        return limits::run(arguments);
    }
    let model = arguments.model.clone().unwrap_or_else(source::default_model);
    fetching::ensure(&model, arguments.loading.yes)?;
    let source = Source::open(&model)?;
    let tests = tests(arguments);
    let longest = tests.iter().map(|test| test.depth + test.prompt + test.generate).max();
    let size = CacheSize {
        positions: longest.unwrap_or(1),
        sequences: tests.iter().map(|test| test.batch).max().unwrap_or(1),
        shared: false,
        element: arguments.kv,
    };
    let mut runner = session::load(&source, &arguments.loading, size)?;
    let target = source.target(arguments.loading.weights);
    let mut out = std::io::stdout().lock();
    let mut reports = Vec::new();
    for test in &tests {
        let rates = test.rates(&mut runner, arguments.fill, arguments.repetitions);
        runner.decoder().check()?;
        if !arguments.json {
            writeln!(
                out,
                "{:>8} at depth {:<6} {:>10.2} tokens/s (min {:.2}, max {:.2})",
                test.name(),
                test.depth,
                rates.median(),
                rates.slowest(),
                rates.quickest(),
            )?;
        }
        reports.push(test.report(&rates, &runner, target, arguments));
    }
    if arguments.json {
        writeln!(out, "{:#}", Value::Array(reports))?;
    } else if let Some(counts) = runner.decoder().experts_read() {
        writeln!(out, "{}", told(&counts))?;
    }
    Ok(())
}

fn tests(arguments: &Bench) -> Vec<Test> {
    let mut tests = Vec::new();
    for &batch in &arguments.batch {
        for &depth in &arguments.depth {
            let prompts = arguments.prompt.iter().filter(|&&prompt| prompt > 0);
            tests.extend(prompts.map(|&prompt| Test { prompt, generate: 0, depth, batch }));
            let generates = arguments.generate.iter().filter(|&&generate| generate > 0);
            tests.extend(generates.map(|&generate| Test { prompt: 0, generate, depth, batch }));
        }
    }
    tests
}

/// What became of experts that are read as they are chosen.
fn told(counts: &ExpertCounts) -> String {
    let ExpertCounts { asked, here, guessed, right, ahead, used, brought, bytes } = counts;
    format!(
        "experts: {here} of {asked} were in memory when chosen, {brought} read ({}); ahead of the \
         choice {ahead}, of which {used} were chosen; {right} of {guessed} guesses right",
        human(*bytes as usize, 1024, "B"),
    )
}

impl Test {
    fn name(&self) -> String {
        let name = match self.prompt {
            0 => format!("tg{}", self.generate),
            prompt => format!("pp{prompt}"),
        };
        if self.batch == 1 { name } else { format!("{}x{name}", self.batch) }
    }

    /// Tokens a second of each repetition; a part of one before them warms up. `fill`: what is in
    /// the cache before is made up.
    pub fn rates(&self, runner: &mut Runner, fill: bool, repetitions: usize) -> Rates {
        let opening = self.opening(runner);
        let depth = opening.lead + self.depth;
        // What the model puts before a prompt is computed with it.
        let start = if self.depth == 0 && self.prompt > 0 { 0 } else { depth };
        let warm = self.prompt.min(CHUNK.max(opening.together));
        let pages_each = (depth + self.prompt + self.generate).div_ceil(PAGE_POSITIONS);
        let mut sequences = Sequences { runner, opening, count: self.batch, pages_each };
        if fill {
            sequences.make_up(start);
        } else {
            sequences.prefill(0..start);
        }
        let mut once = |prompt: usize, generate: usize| {
            sequences.prefill(start..depth + prompt);
            (depth..depth + generate).for_each(|at| sequences.forward(at..at + 1, true));
        };
        once(warm, self.generate.min(WARM));
        let tokens = self.batch * (self.prompt + self.generate);
        let rate = |_| {
            let start = Instant::now();
            once(self.prompt, self.generate);
            tokens as f64 / start.elapsed().as_secs_f64()
        };
        Rates::new((0..repetitions).map(rate).collect())
    }

    /// The prompt is what is in the cache, or else what is timed: all of it text without any mark,
    /// so that a model with a prefix reads it in both directions.
    fn opening(&self, runner: &Runner) -> Opening {
        let Some(prefix) = &runner.decoder().blueprint().prefix else { return Opening::default() };
        let opening = Opening::of(prefix, &[]).expect("nothing has no segments");
        let prompt = if self.depth > 0 { self.depth } else { self.prompt };
        Opening { together: opening.lead + prompt, ..opening }
    }

    fn report(&self, rates: &Rates, runner: &Runner, target: Target, arguments: &Bench) -> Value {
        json!({
            "test": self.name(),
            "prompt": self.prompt,
            "generate": self.generate,
            "depth": self.depth,
            "batch": self.batch,
            "filled": arguments.fill,
            "tokens_per_second": rates.report(),
            "repetitions": rates.ascending.len(),
            "threads": runner.kernels().pool.threads(),
            "instructions": runner.kernels().isa.name(),
            "weights": target.name(),
            "weight_bytes": runner.decoder().weight_bytes(),
            "experts": runner.decoder().experts_read().map(|counts| json!({
                "asked": counts.asked,
                "here": counts.here,
                "guessed": counts.guessed,
                "right": counts.right,
                "ahead": counts.ahead,
                "used": counts.used,
                "brought": counts.brought,
                "bytes": counts.bytes,
            })),
        })
    }
}

/// Rates of repetitions.
pub struct Rates {
    ascending: Vec<f64>,
    in_order: Vec<f64>,
}

impl Rates {
    /// At least one, in the order they were measured.
    pub fn new(in_order: Vec<f64>) -> Rates {
        let mut ascending = in_order.clone();
        ascending.sort_by(f64::total_cmp);
        Rates { ascending, in_order }
    }

    /// The one in the middle, or the mean of two.
    pub fn median(&self) -> f64 {
        let middle = self.ascending.len() / 2;
        match self.ascending.len() % 2 {
            0 => (self.ascending[middle - 1] + self.ascending[middle]) / 2.0,
            _ => self.ascending[middle],
        }
    }

    /// The smallest.
    pub fn slowest(&self) -> f64 {
        self.ascending[0]
    }

    /// The largest.
    pub fn quickest(&self) -> f64 {
        self.ascending[self.ascending.len() - 1]
    }

    /// What JSON says of them.
    pub fn report(&self) -> Value {
        json!({
            "median": self.median(),
            "min": self.slowest(),
            "max": self.quickest(),
            "all": self.in_order,
        })
    }
}

/// Sequences of made-up tokens that advance together.
struct Sequences<'a> {
    runner: &'a mut Runner,
    opening: Opening,
    count: usize,
    pages_each: usize,
}

impl Sequences<'_> {
    /// Computes these positions of all, with the logits of the last.
    fn prefill(&mut self, positions: Range<usize>) {
        let chunk = (CHUNK / self.count).max(1);
        let mut first = positions.start;
        while first < positions.end {
            let at_once = if first == 0 { chunk.max(self.opening.together) } else { chunk };
            let end = positions.end.min(first + at_once);
            self.forward(first..end, end == positions.end);
            first = end;
        }
    }

    /// Lets the caches look as if so many positions had been computed.
    fn make_up(&mut self, positions: usize) {
        for sequence in 0..self.count {
            self.runner.make_up(&self.pages(sequence, positions), positions);
        }
    }

    fn forward(&mut self, positions: Range<usize>, last: bool) {
        let (position, rows) = (positions.start, positions.len());
        let sequences = 0..self.count;
        let span = |sequence: usize| Span {
            first_row: sequence * rows,
            rows,
            position,
            prompt: positions.end,
            opening: self.opening.clone(),
            before: (position.saturating_sub(LOOKBACK)..position)
                .map(|at| self.token(sequence, at))
                .collect(),
            pages: self.pages(sequence, positions.end),
            slot: sequence,
        };
        let tokens = |sequence| positions.clone().map(move |at| (sequence, at));
        let batch = Batch {
            tokens: sequences
                .clone()
                .flat_map(tokens)
                .map(|(sequence, at)| self.token(sequence, at))
                .collect(),
            spans: sequences.clone().map(span).collect(),
            wanted: match last {
                true => sequences.map(|sequence| ((sequence + 1) * rows - 1) as u32).collect(),
                false => Vec::new(),
            },
            embedded: Vec::new(),
        };
        self.runner.forward(&batch);
    }

    /// The pages that hold the first so many positions of a sequence.
    fn pages(&self, sequence: usize, positions: usize) -> Vec<u32> {
        let first = sequence * self.pages_each;
        (first as u32..(first + positions.div_ceil(PAGE_POSITIONS)) as u32).collect()
    }

    /// Different tokens, so that experts are chosen as in real text: not all the same.
    fn token(&self, sequence: usize, at: usize) -> u32 {
        let blueprint = self.runner.decoder().blueprint();
        let lead = blueprint.prefix.as_ref().and_then(|prefix| prefix.lead.clone().nth(at));
        lead.unwrap_or(((at + 104_729 * sequence) * 7919 % blueprint.vocab) as u32)
    }
}
