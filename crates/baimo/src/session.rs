//! A loaded model and the engine that drives it.

use crate::args::Loading;
use crate::cache;
use crate::show::human;
use crate::source::Source;
use anyhow::{Context, Result};
use baimo_engine::{Engine, Kept, KvElement, Limits, Options, PAGE_POSITIONS, Progress, Runner};
use baimo_labs::Blueprint;
use baimo_weights::{Checkpoint, Error};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// The caches to be made.
#[derive(Clone, Copy, Debug)]
pub struct CacheSize {
    /// Positions of a sequence, without those that the model puts before it.
    pub positions: usize,
    /// Sequences that run at once.
    pub sequences: usize,
    /// Whether all sequences share the positions, or each has so many.
    pub shared: bool,
    /// How numbers are stored.
    pub element: KvElement,
}

/// What one sequence needs that has the model to itself.
#[derive(Clone, Copy, Debug)]
pub struct Alone {
    /// Positions of the sequence.
    pub positions: usize,
    /// How cached numbers are stored.
    pub element: KvElement,
    /// Tokens that are computed at once, at most.
    pub rows_at_once: usize,
}

/// An engine for one request after the other, each computed from its beginning.
///
/// # Errors
/// As [`load`].
pub fn alone(source: &Source, loading: &Loading, alone: Alone) -> Result<Engine<Runner>> {
    alone_by(source, loading, alone, Runner::load)
}

/// The same, and what the model's maps are multiplied with is summed up: see [`Runner::inputs`].
///
/// # Errors
/// As [`load`].
pub fn observed(source: &Source, loading: &Loading, alone: Alone) -> Result<Engine<Runner>> {
    alone_by(source, loading, alone, Runner::load_observing)
}

fn alone_by(
    source: &Source,
    loading: &Loading,
    Alone { positions, element, rows_at_once }: Alone,
    how: Load,
) -> Result<Engine<Runner>> {
    let limits = Limits {
        tokens_per_step: rows_at_once,
        tokens_per_span: rows_at_once,
        sequences: 1,
        reuse: false,
        ..Limits::default()
    };
    let size = CacheSize { positions, sequences: 1, shared: false, element };
    Ok(engine(load_by(source, loading, size, how)?, limits))
}

/// A way to load a model.
type Load = fn(&Blueprint, &Checkpoint, &Options, Progress) -> Result<Runner, Error>;

/// Loads a model, with a progress bar where stderr is a terminal.
///
/// # Errors
/// Names the tensor at fault.
pub fn load(source: &Source, loading: &Loading, size: CacheSize) -> Result<Runner> {
    load_by(source, loading, size, Runner::load)
}

fn load_by(source: &Source, loading: &Loading, size: CacheSize, how: Load) -> Result<Runner> {
    if source.target_is_named(loading.weights) {
        let weights = source.target(None).name();
        eprintln!("its lab keeps no files in {weights}: weights become that while loading");
    }
    let blueprint = source.blueprint();
    let bar = bar(blueprint.count().parameters as u64);
    let lead = blueprint.prefix.as_ref().map_or(0, |prefix| prefix.lead.len());
    // A page is one sequence's.
    let pages = size.positions.saturating_add(lead).div_ceil(PAGE_POSITIONS);
    let pages = if size.shared { pages } else { pages.saturating_mul(size.sequences) };
    let store = cache::packed_weights(loading.cache_limit)?;
    let folder = store.folder().display().to_string();
    let options = Options {
        weights: source.target(loading.weights),
        cache: size.element,
        positions: pages.saturating_mul(PAGE_POSITIONS),
        sequences: size.sequences,
        threads: loading.threads.map(usize::from),
        store: keeps(source, loading).then_some(store),
        memory: loading.memory,
    };
    let runner = how(blueprint, source.checkpoint()?, &options, &mut |loaded| {
        bar.inc(loaded as u64);
    });
    bar.finish_and_clear();
    let runner = runner.context("cannot load the weights")?;
    match runner.decoder().kept() {
        Kept::No | Kept::Found { .. } => {}
        Kept::Written { bytes, .. } => {
            let size = human(*bytes, 1024, "B");
            eprintln!("packed weights ({size}) are kept in {folder} for the next start");
        }
        Kept::Failed(error) => {
            eprintln!("warning: the next start packs the weights again: {error}");
        }
    }
    Ok(runner)
}

/// Below this many bytes, weights are packed sooner than a reader could tell, and not worth a file.
pub const KEPT_BYTES_MIN: usize = 64 << 20;

fn keeps(source: &Source, loading: &Loading) -> bool {
    let is_large = source.weight_bytes().is_some_and(|bytes| bytes >= KEPT_BYTES_MIN);
    !loading.no_cache && (is_large || loading.memory.is_some())
}

/// The threads that were asked for, else one for each processor.
pub fn threads(asked: Option<u16>) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    asked.map_or_else(processors, usize::from)
}

/// An engine over a loaded model.
pub fn engine(runner: Runner, limits: Limits) -> Engine<Runner> {
    let pages = runner.pages();
    Engine::new(runner, pages, limits)
}

fn bar(parameters: u64) -> ProgressBar {
    // Small models are there before a bar could be read.
    let bar = ProgressBar::with_draw_target(Some(parameters), ProgressDrawTarget::hidden());
    let style = ProgressStyle::with_template("loading {bar:30} {percent}% {elapsed} (ETA {eta})");
    bar.set_style(style.expect("the template is ours"));
    if parameters > 50_000_000 {
        bar.set_draw_target(ProgressDrawTarget::stderr());
        bar.enable_steady_tick(Duration::from_millis(200));
    }
    bar
}
