//! Models of hubs: found here, or fetched after saying how much that is.

use crate::source;
use anyhow::{Context, Result, bail};
use baimo_catalog::store::{
    Event, Named, Outline, Plan, Pulled, Reference, Settings, Store, human,
};
use baimo_weights::Target;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::HashMap;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tempfile::TempDir;

/// The store that the environment describes.
pub fn store() -> Store {
    Store::new(Settings::from_environment())
}

/// Where a model of a hub lies here; `None` where `model` names no such model.
///
/// # Errors
/// Where it is one and is not here.
pub fn located(model: &str) -> Result<Option<PathBuf>> {
    let Some(named) = Named::read(model)? else { return Ok(None) };
    match found(&store(), &named) {
        Some((_, path)) => Ok(Some(path)),
        None => bail!("{model}: not here, or not whole\nhint: `baimo pull {model}` fetches it"),
    }
}

/// Where a model lies here and by which of its names: that of the hub it is named after first.
pub fn found(store: &Store, named: &Named) -> Option<(Reference, PathBuf)> {
    if let Some(path) = store.find(&named.reference) {
        return Some((named.reference.clone(), path));
    }
    let others = named.others().into_iter();
    others.map(|other| (store.find(&other), other)).find_map(|(path, other)| Some((other, path?)))
}

/// What a name asks weights to become while loading; `None` where it says nothing of that.
///
/// # Errors
/// Where it names a model of a hub badly.
pub fn target(model: &str) -> Result<Option<Target>> {
    if source::is_place(model) {
        return Ok(None);
    }
    Ok(Named::read(model)?.and_then(|named| named.target))
}

/// A model of a hub as far as the hub tells without its weights.
pub struct Outlined {
    /// Where that lies.
    pub outline: Outline,
    /// The place goes when nobody needs it any more.
    _folder: TempDir,
}

/// Asks the hub what a model is that is not here, without fetching its weights; `None` where it is
/// here or `model` names none of a hub.
///
/// # Errors
/// Where the hub cannot be asked or has no such model.
pub fn outlined(model: &str) -> Result<Option<Outlined>> {
    if source::is_place(model) {
        return Ok(None);
    }
    let (Some(named), store) = (Named::read(model)?, store()) else { return Ok(None) };
    if found(&store, &named).is_some() {
        return Ok(None);
    }
    let folder = tempfile::tempdir().context("no folder for the files of a moment")?;
    let outline = Bars::new().watch(|watch| {
        let remote = store.remote(&named.reference, &named.others(), watch)?;
        remote.outline(folder.path())
    })?;
    let bytes = human(outline.weight_bytes);
    eprintln!("{model}: not here; its hub has {bytes} of weights, of which none is fetched");
    Ok(Some(Outlined { outline, _folder: folder }))
}

/// Fetches a model of a hub that is not here, after saying how much that is; `yes` does not ask.
/// Whatever lies on this machine under that name is left alone.
///
/// # Errors
/// Where it cannot be had, or the answer is no.
pub fn ensure(model: &str, yes: bool) -> Result<()> {
    if source::is_place(model) {
        return Ok(());
    }
    let Some(named) = Named::read(model)? else { return Ok(()) };
    let (store, bars) = (store(), Bars::new());
    if found(&store, &named).is_some() {
        return Ok(());
    }
    let plan = bars.watch(|watch| store.plan(&named.reference, &named.others(), watch))?;
    eprintln!("{plan}");
    let asks = !yes && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if asks && !agreed("fetch it?")? {
        bail!("{model}: not fetched\nhint: `baimo list --local` tells what is here");
    }
    pull(&store, &plan, &bars).map(|_| ())
}

/// Fetches what a plan says, and tells how it went.
///
/// # Errors
/// As [`Store::pull`].
pub fn pull(store: &Store, plan: &Plan, bars: &Bars) -> Result<Pulled> {
    let start = Instant::now();
    let pulled = bars.watch(|watch| store.pull(plan, watch))?;
    if pulled.fetched > 0 {
        let seconds = start.elapsed().as_secs_f64();
        let rate = (pulled.fetched as f64 / seconds.max(1e-3)) as u64;
        eprintln!(
            "{}: fetched {} in {seconds:.1} s, {}/s",
            plan.reference(),
            human(pulled.fetched),
            human(rate)
        );
    }
    Ok(pulled)
}

/// Asks a question on the terminal; Enter means yes.
///
/// # Errors
/// Where the terminal cannot be read.
pub fn agreed(question: &str) -> Result<bool> {
    eprint!("{question} [Y/n] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    let answer = answer.trim().to_lowercase();
    Ok(read > 0 && ["", "y", "yes"].contains(&answer.as_str()))
}

/// A bar for each file that is being fetched; without a terminal only what is worth a line.
pub struct Bars {
    all: MultiProgress,
    by_file: Mutex<HashMap<String, ProgressBar>>,
    is_terminal: bool,
}

impl Bars {
    /// Bars on stderr.
    pub fn new() -> Bars {
        let is_terminal = std::io::stderr().is_terminal();
        let target = match is_terminal {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let all = MultiProgress::with_draw_target(target);
        Bars { all, by_file: Mutex::default(), is_terminal }
    }

    /// Shows what `work` tells while it goes on.
    pub fn watch<T>(&self, work: impl FnOnce(&(dyn Fn(Event<'_>) + Sync)) -> T) -> T {
        let result = work(&|event| self.show(event));
        let mut bars = self.by_file.lock().unwrap_or_else(PoisonError::into_inner);
        bars.drain().for_each(|(_, bar)| bar.finish_and_clear());
        result
    }

    fn show(&self, event: Event<'_>) {
        let mut bars = self.by_file.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            // A line of its own above the bars, or in a log.
            Event::Note(text) if self.is_terminal => _ = self.all.println(text),
            Event::Note(text) => eprintln!("{text}"),
            Event::Begin { file, size, done } => {
                let bar = bars.entry(file.to_owned()).or_insert_with(|| {
                    let bar = self.all.add(ProgressBar::new(size));
                    bar.set_style(style());
                    bar.set_message(short(file));
                    bar
                });
                bar.set_position(done);
                bar.reset_eta();
            }
            Event::Advance { file, bytes } => {
                if let Some(bar) = bars.get(file) {
                    bar.inc(bytes);
                }
            }
            Event::Check { file } => {
                if let Some(bar) = bars.get(file) {
                    bar.set_message(format!("checking {}", short(file)));
                }
            }
            Event::End { file } => {
                if let Some(bar) = bars.remove(file) {
                    bar.finish_and_clear();
                }
            }
        }
    }
}

fn style() -> ProgressStyle {
    let template = "{msg:40!} {bar:24} {bytes:>10}/{total_bytes:10} {bytes_per_sec:>12} {eta:>4}";
    ProgressStyle::with_template(template).expect("a template that was tried")
}

/// The end of a long name, which tells files apart.
fn short(file: &str) -> String {
    let letters: Vec<char> = file.chars().collect();
    match letters.len() > 30 {
        true => format!("…{}", letters[letters.len() - 29..].iter().collect::<String>()),
        false => file.to_owned(),
    }
}
