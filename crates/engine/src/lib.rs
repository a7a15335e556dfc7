//! Who runs now, in whose memory: one loop over decide, lay out, compute, choose.
//!
//! There is no prefill phase and no decode phase: every sequence has tokens that are not computed
//! yet and catches up within a budget of tokens a step. The engine knows no text and no tensor; the
//! model knows no request. What was computed of one sequence is kept for those that begin alike.
//! Reading order: [`request`], [`step`], [`scheduler`], [`chain`], [`memory`], [`pages`],
//! [`snapshots`], [`spill`], [`layout`], [`sampler`], [`guide`].

mod candidates;
pub mod chain;
pub mod guide;
pub mod layout;
pub mod memory;
mod pace;
pub mod pages;
pub mod request;
pub mod sampler;
pub mod scheduler;
mod sequence;
pub mod shares;
pub mod snapshots;
pub mod spill;
pub mod stats;
pub mod step;

pub use guide::{Allowed, Guide};
pub use memory::Memory;
pub use pages::Pages;
pub use request::{Event, EventKind, FinishReason, Refused, Request, RequestId, Usage};
pub use sampler::{Logprobs, Sampling};
pub use scheduler::Scheduler;
pub use sequence::{SNAPSHOT_EVERY, SNAPSHOTS_BESIDE};
pub use snapshots::Snapshots;
pub use spill::Spill;
pub use stats::Stats;
pub use step::{Limits, Place, Refill, Snapshot, Step, Work};

pub use baimo_model::{
    Batch, ExpertCounts, Inputs, Kept, Kernels, KvElement, LOOKBACK, Lengths, Logits, Opening,
    Options, PAGE_POSITIONS, Prefix, PrefixEnd, Progress, Runner, Span, limits,
};

use std::time::Instant;

/// What the engine drives: a model with its caches.
pub trait Forward {
    /// Computes every token of the batch, writes their cache rows, and returns the logits of the
    /// rows that are wanted.
    ///
    /// # Errors
    /// Where weights that are read while the model runs could not be.
    fn forward(&mut self, batch: &Batch) -> Result<Logits, Failure>;

    /// Entries of the vocabulary.
    fn vocab(&self) -> usize;

    /// The part of a sequence that it reads in both directions, so all of it at once.
    fn prefix(&self) -> Option<&Prefix> {
        None
    }

    /// Which lengths of prompts make a difference to its rows.
    fn lengths(&self) -> Lengths {
        Lengths::default()
    }

    /// Whether it keeps anything in slots.
    fn has_slots(&self) -> bool {
        false
    }

    /// Calls `work` once for each number below `pieces`, on as many threads as it has.
    fn share(&self, pieces: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..pieces).for_each(work);
    }

    /// What is in the caches at a place.
    fn read(&self, place: Place) -> Vec<u8>;

    /// Puts back what was read from such a place.
    fn write(&mut self, place: Place, bytes: &[u8]);
}

/// What went wrong in a model.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Forward for Runner {
    fn forward(&mut self, batch: &Batch) -> Result<Logits, Failure> {
        let logits = Runner::forward(self, batch);
        self.decoder().check()?;
        Ok(logits)
    }

    fn vocab(&self) -> usize {
        self.decoder().blueprint().vocab
    }

    fn prefix(&self) -> Option<&Prefix> {
        self.decoder().blueprint().prefix.as_ref()
    }

    fn lengths(&self) -> Lengths {
        Lengths::of(self.decoder().blueprint())
    }

    fn has_slots(&self) -> bool {
        self.caches().has_slots()
    }

    fn share(&self, pieces: usize, work: &(dyn Fn(usize) + Sync)) {
        self.kernels().pool.run(pieces, work);
    }

    fn read(&self, place: Place) -> Vec<u8> {
        match place {
            Place::Page(page) => self.caches().page(page),
            Place::Slot(slot) => self.caches().slot(slot),
        }
    }

    fn write(&mut self, place: Place, bytes: &[u8]) {
        match place {
            Place::Page(page) => self.caches_mut().set_page(page, bytes),
            Place::Slot(slot) => self.caches_mut().set_slot(slot, bytes),
        }
    }
}

/// A turn that gave nothing.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct StepFailed {
    /// Those that were in it.
    pub requests: Vec<RequestId>,
    /// What went wrong.
    pub cause: Failure,
}

/// Runs requests on a model, all that fit at once.
pub struct Engine<M> {
    model: M,
    scheduler: Scheduler,
    memory: Memory,
}

impl<M: Forward> Engine<M> {
    /// An engine over a model whose caches have `pages` pages.
    pub fn new(model: M, pages: usize, limits: Limits) -> Engine<M> {
        let scheduler = Scheduler::new(limits).reading(model.prefix().cloned());
        let scheduler = scheduler.minding(model.lengths());
        let snapshots = model.has_slots().then(|| Snapshots::new(limits.snapshot_bytes));
        Engine { model, scheduler, memory: Memory::new(pages, snapshots) }
    }

    /// With files that keep what was computed beyond the caches and beyond this process.
    #[must_use]
    pub fn with_spill(mut self, spill: Spill) -> Engine<M> {
        self.memory.spill = Some(spill);
        self
    }

    /// Writes to files what was computed of requests that ended, and waits until all is written:
    /// to be called before the engine goes.
    pub fn flush(&mut self) {
        self.memory.write_out(true, |place| self.model.read(place));
    }

    /// Takes a request; its first event comes from a later [`Engine::step`].
    ///
    /// # Errors
    /// Where the request could never run: it is empty, has a token that the model does not, or is
    /// longer than the context or the cache; or where too many wait already.
    pub fn submit(&mut self, request: Request) -> Result<RequestId, Refused> {
        self.accept(request, None)
    }

    /// As [`Engine::submit`]; `guide` has a say in every token.
    ///
    /// # Errors
    /// As there.
    pub fn submit_guided(
        &mut self,
        request: Request,
        guide: Box<dyn Guide>,
    ) -> Result<RequestId, Refused> {
        self.accept(request, Some(guide))
    }

    fn accept(
        &mut self,
        request: Request,
        guide: Option<Box<dyn Guide>>,
    ) -> Result<RequestId, Refused> {
        let vocab = self.model.vocab();
        match request.tokens.iter().find(|&&token| token as usize >= vocab) {
            Some(&token) => Err(Refused::Token { token, vocab }),
            None => self.scheduler.accept(request, guide, self.memory.pages.capacity()),
        }
    }

    /// Ends a request without further events and frees what it held. Unknown ids are ignored: the
    /// request may just have finished.
    pub fn cancel(&mut self, id: RequestId) {
        self.scheduler.cancel(id, &mut self.memory);
    }

    /// Whether nothing is left to do.
    pub fn is_idle(&self) -> bool {
        self.scheduler.is_idle()
    }

    /// Decides who runs, computes it, and chooses tokens: one turn of the loop.
    ///
    /// # Errors
    /// Where the model failed: all requests that were in the turn are at an end, without further
    /// events.
    pub fn step(&mut self) -> Result<Vec<Event>, StepFailed> {
        let step = self.scheduler.step(&mut self.memory);
        for Refill { place, bytes } in &step.refills {
            self.model.write(*place, bytes);
        }
        if step.work.is_empty() {
            return Ok(Vec::new());
        }
        let begun = Instant::now();
        let batch = layout::lay_out(&step);
        match self.model.forward(&batch) {
            Ok(logits) => {
                self.take_snapshots(&step);
                let Engine { model, scheduler, memory } = self;
                let share = |pieces, work: &(dyn Fn(usize) + Sync)| model.share(pieces, work);
                let events = scheduler.finish(&step, &logits, memory, share);
                self.scheduler.took(&step, begun.elapsed());
                self.memory.write_out(false, |place| self.model.read(place));
                Ok(events)
            }
            Err(cause) => {
                let requests: Vec<_> = step.work.iter().map(|work| work.request).collect();
                requests.iter().for_each(|&id| self.cancel(id));
                Err(StepFailed { requests, cause })
            }
        }
    }

    fn take_snapshots(&mut self, step: &Step) {
        let Some(snapshots) = &mut self.memory.snapshots else { return };
        for work in &step.work {
            let Some(Snapshot { key, instead_of }) = &work.snapshot else { continue };
            instead_of.iter().for_each(|key| snapshots.forget(key));
            snapshots.keep(*key, self.model.read(Place::Slot(work.slot)).into());
        }
    }

    /// What was done and how things stand.
    pub fn stats(&self) -> Stats {
        let Memory { pages, snapshots, spill, .. } = &self.memory;
        Stats {
            pages: pages.total(),
            pages_free: pages.free(),
            pages_kept: pages.kept(),
            snapshot_bytes: snapshots.as_ref().map_or(0, Snapshots::bytes),
            spill_bytes: spill.as_ref().map_or(0, Spill::bytes),
            ..self.scheduler.stats()
        }
    }

    /// Positions that a sequence can have at most.
    pub fn capacity(&self) -> usize {
        self.memory.pages.capacity().min(self.scheduler.context())
    }

    /// Pages that nobody holds.
    pub fn pages_free(&self) -> usize {
        self.memory.pages.free()
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// Gives the model back.
    pub fn into_model(self) -> M {
        self.model
    }
}
