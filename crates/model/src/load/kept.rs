//! Loading by way of packed weights that are kept between starts.

use super::supply::{ExpertsSeen, Place, Supply};
use super::{Loader, Progress};
use crate::PAGE_POSITIONS;
use crate::caches::Caches;
use crate::decoder::Decoder;
use crate::ffn::expert_cache::ExpertCache;
use crate::rope::Rotations;
use crate::runner::Options;
use baimo_blueprint::Blueprint;
use baimo_kernels::Kernels;
use baimo_weights::store::{Keeping, Key, Origin, PackedFile};
use baimo_weights::{Checkpoint, Claims, Error, Report, Store};
use std::ops::Range;
use std::path::PathBuf;

/// What became of packed weights.
#[derive(Debug)]
pub enum Kept {
    /// They are in this process's own memory.
    No,
    /// They are where an earlier load put them.
    Found {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
    /// They lie in a file that later loads will find.
    Written {
        /// Its length.
        bytes: usize,
        /// While it is on its way to the disk.
        keeping: Keeping,
    },
    /// They should have been kept and could not be; so they are in this process's own memory.
    Failed(Error),
}

/// Why weights were not packed into a file.
enum Failure {
    /// The file's fault.
    Store(Error),
    /// The checkpoint's: there is no model.
    Checkpoint(Error),
}

impl Decoder {
    /// Loads every tensor that `blueprint` names from `checkpoint`, weights converted to
    /// `options.weights`; or what the store has of an earlier load.
    ///
    /// # Errors
    /// Names the tensor that is missing, of the wrong shape or type, or that nobody asked for.
    ///
    /// # Panics
    /// As [`Blueprint::check`].
    pub fn load(
        blueprint: &Blueprint,
        checkpoint: &Checkpoint,
        options: &Options,
        kernels: &Kernels,
        progress: Progress,
    ) -> Result<Decoder, Error> {
        blueprint.check();
        let load = Load { blueprint, checkpoint, options, kernels };
        let Some(store) = &options.store else {
            return match options.memory {
                None => load.to_memory(progress),
                Some(_) => Err(budget_needs_a_file(checkpoint)),
            };
        };
        let key = store.key(checkpoint, &format!("{} {blueprint:?}", options.weights.name()))?;
        if let Some(file) = store.open(&key)
            && let Ok(decoder) = load.of_file(&file)
        {
            let kept = Kept::Found { path: file.path().to_owned(), bytes: file.bytes() };
            hold_to_budget(&decoder, &file, options)?;
            return Ok(Decoder { kept, ..decoder });
        }
        match load.to_file(store, &key, progress) {
            Ok((file, keeping)) => {
                let kept = Kept::Written { bytes: file.bytes(), keeping };
                let decoder = load.of_file(&file)?;
                hold_to_budget(&decoder, &file, options)?;
                Ok(Decoder { kept, ..decoder })
            }
            Err(Failure::Checkpoint(error)) => Err(error),
            Err(Failure::Store(error)) if options.memory.is_some() => Err(error),
            Err(Failure::Store(error)) => {
                Ok(Decoder { kept: Kept::Failed(error), ..load.to_memory(progress)? })
            }
        }
    }
}

fn budget_needs_a_file(checkpoint: &Checkpoint) -> Error {
    let found = "no file of packed weights";
    let wanted = "one that experts can be read from";
    Report::new(checkpoint.path(), "memory budget", found, wanted).mismatch()
}

/// Lets the decoder have of its experts what the budget leaves beside all else that is in memory:
/// the other weights and the caches.
fn hold_to_budget(decoder: &Decoder, file: &PackedFile, options: &Options) -> Result<(), Error> {
    let Some(budget) = options.memory else { return Ok(()) };
    let parts = &decoder.experts.parts;
    let experts: usize = parts.iter().flatten().flatten().map(Range::len).sum();
    let blueprint = &decoder.blueprint;
    let pages = options.positions.div_ceil(PAGE_POSITIONS);
    let caches = pages.saturating_mul(Caches::bytes_per_page(blueprint, options.cache));
    let slots = options.sequences.saturating_mul(Caches::bytes_per_slot(blueprint));
    let beside = (file.bytes() - experts).saturating_add(caches).saturating_add(slots);
    if beside.saturating_add(experts) <= budget {
        return Ok(());
    }
    let least = beside.saturating_add(ExpertCache::budget_min(parts));
    let pages = Box::new(file.pages());
    let cache = match experts {
        0 => None,
        _ => ExpertCache::new(pages, parts.clone(), budget.saturating_sub(beside)),
    };
    let Some(cache) = cache else {
        let wanted = format!("at least {least}: weights beside experts, caches and two experts");
        let report = Report::new(file.path(), "memory budget", format!("{budget} bytes"), wanted);
        return Err(report.hint("a shorter --context takes less").mismatch());
    };
    let set = decoder.experts.cache.set(cache);
    assert!(set.is_ok(), "a decoder is held to its budget once");
    Ok(())
}

/// What is loaded.
struct Load<'a> {
    blueprint: &'a Blueprint,
    checkpoint: &'a Checkpoint,
    options: &'a Options,
    kernels: &'a Kernels,
}

impl<'a> Load<'a> {
    fn to_memory(&self, progress: Progress) -> Result<Decoder, Error> {
        self.run(self.made(Place::Memory), progress)
    }

    /// Packs all weights into a file: memory never holds more than a few chunks.
    fn to_file(
        &self,
        store: &Store,
        key: &Key,
        progress: Progress,
    ) -> Result<(PackedFile, Keeping), Failure> {
        // As they are stored: what `weights` makes of them is seldom larger.
        let bytes = self.checkpoint.tensors().map(|tensor| tensor.range.len()).sum();
        let path = self.checkpoint.path();
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let model = path.to_string_lossy().into_owned();
        let origin = Origin { model, weights: self.options.weights.name().to_owned() };
        let mut writer = store.begin(key, &origin, bytes).map_err(Failure::Store)?;
        // This decoder has no rows; the one that runs comes from the file.
        match self.run(self.made(Place::File(&mut writer)), progress) {
            Ok(_) => writer.finish().map_err(Failure::Store),
            Err(error) if writer.is_broken() => Err(Failure::Store(error)),
            Err(error) => Err(Failure::Checkpoint(error)),
        }
    }

    fn of_file(&self, file: &PackedFile) -> Result<Decoder, Error> {
        // Before the first is read, and more around it.
        match self.options.memory {
            // Experts may have to leave memory, one by one.
            Some(_) => file.use_small_pages(),
            None => file.use_large_pages(),
        }
        self.run(Supply::Kept(file.reader()), &mut |_| ())
    }

    fn made<'s>(&'s self, place: Place<'s>) -> Supply<'s> {
        Supply::Made { claims: Claims::new(self.checkpoint), target: self.options.weights, place }
    }

    fn run(&self, supply: Supply, progress: Progress) -> Result<Decoder, Error> {
        let loader = Loader {
            kernels: self.kernels,
            supply,
            progress,
            rotations: Rotations::of(self.blueprint),
            biases: Vec::new(),
            experts: ExpertsSeen::default(),
            observed: Vec::new(),
            state: 0,
            bytes: 0,
        };
        loader.decoder(self.blueprint)
    }
}
