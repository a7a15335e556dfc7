//! What quantization costs: the Kullback-Leibler divergence of a model's next-token distribution,
//! weights quantized, from that of its own weights in f32, over a real text.
//!
//!     cargo run --release -p baimo-tests --example fidelity -- MODEL TEXT_FILE [TYPE...]

use anyhow::{Context, Result};
use baimo::source::Source;
use baimo_engine::{Batch, KvElement, Logits, Opening, Options, PAGE_POSITIONS, Runner, Span};
use baimo_weights::Target;

/// Tokens of a window: each is computed from its own beginning.
const WINDOW: usize = 512;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().context("MODEL is missing")?;
    let file = arguments.next().context("TEXT_FILE is missing")?;
    let mut targets: Vec<Target> =
        arguments.map(|name| name.parse().map_err(anyhow::Error::msg)).collect::<Result<_>>()?;
    if targets.is_empty() {
        targets = vec![Target::Native, Target::Q8_0, Target::Q6K, Target::Q4K, Target::Q4_0];
    }
    let source = Source::open(&model)?;
    let text = std::fs::read_to_string(&file).context(file)?;
    let tokens = source.tokenizer()?.encode(&text, baimo_text::EncodeOptions::PROMPT)?;
    let windows: Vec<&[u32]> = tokens.chunks_exact(WINDOW).collect();
    let mut reference = load(&source, Target::F32)?;
    println!("{} windows of {WINDOW} tokens", windows.len());
    println!("weights   MiB      perplexity   mean KL     max KL    same best token");
    let mut runners = Vec::new();
    for target in targets {
        runners.push((target, load(&source, target)?, Tally::default()));
    }
    let mut own = Tally::default();
    for window in windows {
        let expected = forward(&mut reference, window);
        own.take(window, &expected, &expected);
        for (_, runner, tally) in &mut runners {
            tally.take(window, &expected, &forward(runner, window));
        }
    }
    own.print("f32", &reference);
    for (target, runner, tally) in &runners {
        tally.print(target.name(), runner);
    }
    Ok(())
}

fn load(source: &Source, weights: Target) -> Result<Runner> {
    let options = Options {
        weights,
        cache: KvElement::F32,
        positions: WINDOW,
        sequences: 1,
        threads: None,
        store: None,
        memory: None,
    };
    let blueprint = source.blueprint();
    Ok(Runner::load(blueprint, source.checkpoint()?, &options, &mut |_| ())?)
}

/// The logits after every token of the window.
fn forward(runner: &mut Runner, window: &[u32]) -> Logits {
    let pages = (WINDOW.div_ceil(PAGE_POSITIONS)) as u32;
    runner.forward(&Batch {
        tokens: window.to_vec(),
        spans: vec![Span {
            first_row: 0,
            rows: window.len(),
            position: 0,
            prompt: window.len(),
            opening: Opening::default(),
            before: Vec::new(),
            pages: (0..pages).collect(),
            slot: 0,
        }],
        wanted: (0..window.len() as u32).collect(),
        embedded: Vec::new(),
    })
}

/// Sums over positions.
#[derive(Default)]
struct Tally {
    positions: f64,
    divergence: f64,
    divergence_max: f64,
    same: f64,
    scored: f64,
    surprise: f64,
}

impl Tally {
    fn take(&mut self, window: &[u32], expected: &Logits, found: &Logits) {
        for (index, (p, q)) in expected.rows().zip(found.rows()).enumerate() {
            let (p, q) = (log_softmax(p), log_softmax(q));
            let divergence: f64 = p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum();
            self.positions += 1.0;
            self.divergence += divergence;
            self.divergence_max = self.divergence_max.max(divergence);
            self.same += f64::from(best(&p) == best(&q));
            if let Some(&next) = window.get(index + 1) {
                self.scored += 1.0;
                self.surprise -= q[next as usize];
            }
        }
    }

    fn print(&self, name: &str, runner: &Runner) {
        println!(
            "{name:8} {:7.1} {:12.4} {:11.6} {:10.4} {:14.2} %",
            runner.decoder().weight_bytes() as f64 / f64::from(1 << 20),
            (self.surprise / self.scored).exp(),
            self.divergence / self.positions,
            self.divergence_max,
            100.0 * self.same / self.positions,
        );
    }
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - max).exp()).sum();
    logits.iter().map(|&logit| f64::from(logit) - max - sum.ln()).collect()
}

fn best(log_probabilities: &[f64]) -> usize {
    let pairs = log_probabilities.iter().enumerate();
    pairs.max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(index, _)| index)
}
