//! `baimo fidelity`: what a change of weights or cache costs, over a text.

mod score;

use crate::args::{Fidelity, Loading};
use crate::corpus::Corpus;
use crate::fetching;
use crate::session::{self, Alone};
use crate::show::human;
use crate::source::Source;
use anyhow::{Context, Result, ensure};
use baimo_engine::{Engine, EventKind, KvElement, Request, Runner};
use indicatif::{ProgressBar, ProgressStyle};
use score::{Position, Report};
use serde_json::json;
use std::collections::VecDeque;
use std::io::Write;

/// Runs both models over the text and prints how far they are apart.
pub fn run(arguments: &Fidelity) -> Result<()> {
    let names = [&arguments.model, arguments.other.as_ref().unwrap_or(&arguments.model)];
    for model in std::iter::once(&arguments.model).chain(&arguments.other) {
        fetching::ensure(model, arguments.loading.yes)?;
    }
    let first = Source::open(&arguments.model)?;
    let other = arguments.other.as_deref().map(Source::open).transpose()?;
    let sources = [&first, other.as_ref().unwrap_or(&first)];
    let vocab = sources.map(|source| source.blueprint().vocab);
    ensure!(
        vocab[0] == vocab[1],
        "{} and {}: found vocabularies of {} and {} tokens, wanted the same\nhint: compare models \
         that share a tokenizer",
        names[0],
        names[1],
        vocab[0],
        vocab[1],
    );
    let corpus = Corpus {
        text: arguments.text.as_deref(),
        ids: arguments.ids.as_deref(),
        context: arguments.context,
        chunks_max: arguments.chunks,
    };
    let chunks = corpus.chunks(&first, other.as_ref())?;
    let mut loading = [arguments.loading.clone(), arguments.loading.clone()];
    loading[1].weights = arguments.b_weights.or(loading[0].weights);
    let settings = [0, 1].map(|side| sources[side].target(loading[side].weights).name());
    let kv = [arguments.kv, arguments.b_kv.unwrap_or(arguments.kv)];
    let mut models = Vec::new();
    for ((source, loading), kv) in sources.into_iter().zip(&loading).zip(kv) {
        models.push(Model::load(source, loading, kv, arguments.context)?);
    }
    let [first, second] = &mut models[..] else { unreachable!("two were loaded") };
    let bar = ProgressBar::new(chunks.len() as u64);
    let style = "comparing {bar:30} {pos}/{len} chunks {elapsed} (ETA {eta})";
    bar.set_style(ProgressStyle::with_template(style).expect("the template is ours"));
    let mut scored = Vec::with_capacity(chunks.len());
    for chunk in &chunks {
        scored.push(compare([first, second], chunk)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let weights = [first, second].map(|model| model.weight_bytes);
    let told = Told { names, settings, kv, weights, positions: scored[0].len() };
    told.print(arguments, chunks.len(), &Report::new(&scored))
}

/// A model, loaded, with what came of it and was not looked at yet.
struct Model {
    engine: Engine<Runner>,
    weight_bytes: usize,
    rows: VecDeque<Vec<f32>>,
}

impl Model {
    fn load(source: &Source, loading: &Loading, kv: KvElement, context: usize) -> Result<Model> {
        /// Logits that a step may give, all rows together.
        const LOGITS_AT_ONCE: usize = 1 << 24;
        let rows = (LOGITS_AT_ONCE / source.blueprint().vocab.max(1)).clamp(16, 512);
        let alone = Alone { positions: context, element: kv, rows_at_once: rows };
        let engine = session::alone(source, loading, alone)?;
        let weight_bytes = engine.model().decoder().weight_bytes();
        Ok(Model { engine, weight_bytes, rows: VecDeque::new() })
    }

    fn begin(&mut self, tokens: &[u32], observed: Vec<usize>) -> Result<()> {
        let tokens = tokens.to_vec();
        self.engine.submit(Request { tokens, observed, ..Request::default() })?;
        Ok(())
    }

    /// Computes on until there are logits, in the order of positions.
    fn advance(&mut self) -> Result<()> {
        while self.rows.is_empty() && !self.engine.is_idle() {
            for event in self.engine.step()? {
                if let EventKind::Logits { logits, .. } = event.kind {
                    self.rows.push_back(logits);
                }
            }
        }
        Ok(())
    }
}

/// Both models side by side over a chunk, of which the second half is scored: there each token has
/// at least half a context before it.
fn compare(mut models: [&mut Model; 2], chunk: &[u32]) -> Result<Vec<Position>> {
    let first = chunk.len() / 2;
    for model in &mut models {
        model.begin(chunk, (first..chunk.len() - 1).collect())?;
    }
    let mut scored = Vec::with_capacity(chunk.len() - 1 - first);
    for next in &chunk[first + 1..] {
        let mut rows = Vec::with_capacity(models.len());
        for model in &mut models {
            model.advance()?;
            rows.push(model.rows.pop_front().context("the model gave no logits")?);
        }
        scored.push(Position::new([&rows[0], &rows[1]], *next));
    }
    // What is left is the end of the request.
    for model in &mut models {
        model.advance()?;
    }
    Ok(scored)
}

/// What is said of the two models beside the figures.
struct Told<'a> {
    names: [&'a String; 2],
    settings: [&'static str; 2],
    kv: [KvElement; 2],
    weights: [usize; 2],
    positions: usize,
}

impl Told<'_> {
    fn print(&self, arguments: &Fidelity, chunks: usize, report: &Report) -> Result<()> {
        let mut out = std::io::stdout().lock();
        let kv = self.kv.map(KvElement::name);
        let scored = chunks * self.positions;
        if arguments.json {
            let mut report = report.json();
            let model = |side: usize| {
                json!({
                    "model": self.names[side],
                    "weights": self.settings[side],
                    "kv": kv[side],
                    "weight_bytes": self.weights[side],
                })
            };
            report["models"] = json!([model(0), model(1)]);
            report["context"] = arguments.context.into();
            report["chunks"] = chunks.into();
            report["scored_positions"] = scored.into();
            writeln!(out, "{report:#}")?;
            return Ok(());
        }
        let context = arguments.context;
        writeln!(out, "{chunks} chunks of {context} tokens, the second half of each scored:")?;
        writeln!(out, "{scored} positions. ± is a 95 % interval, from the chunks' means.\n")?;
        for (side, letter) in ["A", "B"].into_iter().enumerate() {
            let (name, bytes) = (self.names[side], human(self.weights[side], 1024, "B"));
            writeln!(out, "{letter}  {name}")?;
            writeln!(
                out,
                "   weights {}, {bytes} in memory; cache {}",
                self.settings[side], kv[side]
            )?;
            writeln!(out, "   perplexity {}", report.perplexity[side].text(4))?;
        }
        writeln!(out, "\nln of perplexity B / A   {}", report.ratio.text(6))?;
        writeln!(out, "KL divergence of B from A")?;
        writeln!(out, "   mean                  {}", report.divergence.text(6))?;
        for (part, divergence) in &report.divergence_at {
            let name = match part {
                500 => "median".to_owned(),
                1000 => "largest".to_owned(),
                part => format!("{} %", *part as f64 / 10.0),
            };
            writeln!(out, "   {name:22}{divergence:.6}")?;
        }
        writeln!(out, "same likeliest token     {} %", report.same.text(2))?;
        Ok(())
    }
}
