//! A loaded model with its caches, ready to be driven.

use crate::load::{Observed, Progress};
use crate::{Batch, Caches, Decoder, Logits, PAGE_POSITIONS};
use baimo_blueprint::{Blueprint, Tensor};
use baimo_kernels::Kernels;
use baimo_kernels::attention::KvElement;
use baimo_kernels::matmul::Seen;
use baimo_weights::{Checkpoint, Error, Store, Target};

/// How a model is loaded.
#[derive(Clone, Debug)]
pub struct Options {
    /// What weights become.
    pub weights: Target,
    /// How cached keys and values are stored.
    pub cache: KvElement,
    /// Positions that the caches hold, all sequences together.
    pub positions: usize,
    /// Sequences that run at once: so many slots have the caches.
    pub sequences: usize,
    /// Threads that compute; one for each processor where absent.
    pub threads: Option<usize>,
    /// Where packed weights are kept between starts; they are packed at each start where absent.
    pub store: Option<Store>,
    /// Bytes that weights and caches may have in memory; experts beyond that are read as they are
    /// chosen, which needs a store. All of a model is in memory where absent.
    pub memory: Option<usize>,
}

/// A decoder, the caches it writes and the threads it runs on.
pub struct Runner {
    decoder: Decoder,
    caches: Caches,
    kernels: Kernels,
    pages: usize,
}

/// What a map was multiplied with.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The tensor it was made of.
    pub tensor: &'a Tensor,
    /// Which expert or head of it.
    pub part: Option<usize>,
    /// Of each column, the sum of the squares.
    pub squares: Vec<f64>,
    /// Input rows.
    pub rows: usize,
}

fn kernels(options: &Options) -> Kernels {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    Kernels::new(options.threads.unwrap_or_else(processors))
}

impl Runner {
    /// Loads a model.
    ///
    /// # Errors
    /// As [`Decoder::load`].
    pub fn load(
        blueprint: &Blueprint,
        checkpoint: &Checkpoint,
        options: &Options,
        progress: Progress,
    ) -> Result<Runner, Error> {
        Runner::load_on(kernels(options), blueprint, checkpoint, options, progress)
    }

    /// Loads a model that sums up what its maps are multiplied with: see [`Runner::inputs`].
    ///
    /// # Errors
    /// As [`Decoder::load`].
    pub fn load_observing(
        blueprint: &Blueprint,
        checkpoint: &Checkpoint,
        options: &Options,
        progress: Progress,
    ) -> Result<Runner, Error> {
        Runner::load_on(kernels(options).observing(), blueprint, checkpoint, options, progress)
    }

    fn load_on(
        kernels: Kernels,
        blueprint: &Blueprint,
        checkpoint: &Checkpoint,
        options: &Options,
        progress: Progress,
    ) -> Result<Runner, Error> {
        let decoder = Decoder::load(blueprint, checkpoint, options, &kernels, progress)?;
        let pages = options.positions.div_ceil(PAGE_POSITIONS);
        let caches = Caches::new(decoder.blueprint(), pages, options.sequences, options.cache);
        Ok(Runner { decoder, caches, kernels, pages })
    }

    /// Computes a batch; see [`Decoder::forward`].
    pub fn forward(&mut self, batch: &Batch) -> Logits {
        self.decoder.forward(&self.kernels, batch, &mut self.caches)
    }

    /// Makes up what a sequence would have cached; see [`Caches::make_up`].
    pub fn make_up(&mut self, pages: &[u32], positions: usize) {
        self.caches.make_up(&self.kernels, pages, positions);
    }

    /// What decides the bytes of pages and slots, beside the weights and the tokens: whoever keeps
    /// them beyond this process finds them by this, too.
    pub fn layout(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let (element, isa) = (self.caches.element(), self.kernels.isa.name());
        let blueprint = self.decoder.blueprint();
        let bytes = Caches::bytes_per_page(blueprint, element);
        format!("{version} {element:?} {bytes} {isa} {blueprint:?}")
    }

    /// What every map was multiplied with so far, of those that met any row; nothing unless the
    /// model was loaded by [`Runner::load_observing`]. Experts that are read as they are chosen are
    /// not among them.
    pub fn inputs(&self) -> impl Iterator<Item = Inputs<'_>> {
        self.decoder.observed.iter().filter_map(|Observed { tensor, part, matrix }| {
            let Seen { squares, rows } = self.kernels.observer()?.of(*matrix)?;
            Some(Inputs { tensor, part: *part, squares, rows })
        })
    }

    /// The caches.
    pub fn caches(&self) -> &Caches {
        &self.caches
    }

    /// The caches, to put back what was in them.
    pub fn caches_mut(&mut self) -> &mut Caches {
        &mut self.caches
    }

    /// Pages of the caches.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// The decoder.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The threads and the instruction set.
    pub fn kernels(&self) -> &Kernels {
        &self.kernels
    }
}
