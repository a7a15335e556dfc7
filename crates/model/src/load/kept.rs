//! Loading by way of packed weights that are kept between starts.

use super::supply::{Place, Supply};
use super::{Loader, Progress};
use crate::decoder::Decoder;
use crate::rope::Rotations;
use crate::runner::Options;
use baimo_blueprint::Blueprint;
use baimo_kernels::Kernels;
use baimo_weights::store::{Keeping, Key, PackedFile};
use baimo_weights::{Checkpoint, Claims, Error, Store, Target};
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
        let load = Load { blueprint, checkpoint, target: options.weights, kernels };
        let Some(store) = &options.store else { return load.to_memory(progress) };
        let key = store.key(checkpoint, &format!("{} {blueprint:?}", options.weights.name()))?;
        if let Some(file) = store.open(&key)
            && let Ok(decoder) = load.of_file(&file)
        {
            let kept = Kept::Found { path: file.path().to_owned(), bytes: file.bytes() };
            return Ok(Decoder { kept, ..decoder });
        }
        match load.to_file(store, &key, progress) {
            Ok((file, keeping)) => {
                let kept = Kept::Written { bytes: file.bytes(), keeping };
                Ok(Decoder { kept, ..load.of_file(&file)? })
            }
            Err(Failure::Checkpoint(error)) => Err(error),
            Err(Failure::Store(error)) => {
                Ok(Decoder { kept: Kept::Failed(error), ..load.to_memory(progress)? })
            }
        }
    }
}

/// What is loaded.
struct Load<'a> {
    blueprint: &'a Blueprint,
    checkpoint: &'a Checkpoint,
    target: Target,
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
        let mut writer = store.begin(key).map_err(Failure::Store)?;
        // This decoder has no rows; the one that runs comes from the file.
        match self.run(self.made(Place::File(&mut writer)), progress) {
            Ok(_) => writer.finish().map_err(Failure::Store),
            Err(error) if writer.is_broken() => Err(Failure::Store(error)),
            Err(error) => Err(Failure::Checkpoint(error)),
        }
    }

    fn of_file(&self, file: &PackedFile) -> Result<Decoder, Error> {
        self.run(Supply::Kept(file.reader()), &mut |_| ())
    }

    fn made<'s>(&'s self, place: Place<'s>) -> Supply<'s> {
        Supply::Made { claims: Claims::new(self.checkpoint), target: self.target, place }
    }

    fn run(&self, supply: Supply, progress: Progress) -> Result<Decoder, Error> {
        let loader = Loader {
            kernels: self.kernels,
            supply,
            progress,
            rotations: Rotations::of(self.blueprint),
            biases: Vec::new(),
            state: 0,
            bytes: 0,
        };
        loader.decoder(self.blueprint)
    }
}
