//! Who runs now, in whose memory: one loop over decide, lay out, compute, choose.
//!
//! There is no prefill phase and no decode phase: every sequence has tokens that are not computed
//! yet and catches up within a budget of tokens a step. The engine knows no text and no tensor; the
//! model knows no request. Reading order: [`request`], [`scheduler`], [`pages`], [`layout`],
//! [`sampler`], [`guide`].

mod candidates;
pub mod guide;
pub mod layout;
pub mod pages;
pub mod request;
pub mod sampler;
pub mod scheduler;

pub use guide::{Allowed, Guide};
pub use pages::Pages;
pub use request::{Event, EventKind, FinishReason, Refused, Request, RequestId, Usage};
pub use sampler::{Logprobs, Sampling};
pub use scheduler::{Limits, Scheduler, Step, Work};

pub use baimo_model::{
    Batch, Kept, Kernels, KvElement, LOOKBACK, Logits, Opening, Options, PAGE_POSITIONS, Prefix,
    PrefixEnd, Runner, Span, limits,
};

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
    pages: Pages,
}

impl<M: Forward> Engine<M> {
    /// An engine over a model whose caches have `pages` pages.
    pub fn new(model: M, pages: usize, limits: Limits) -> Engine<M> {
        let scheduler = Scheduler::new(limits).reading(model.prefix().cloned());
        Engine { model, scheduler, pages: Pages::new(pages) }
    }

    /// Takes a request; its first event comes from a later [`Engine::step`].
    ///
    /// # Errors
    /// Where the request could never run: it is empty, has a token that the model does not, or is
    /// longer than the context or the cache.
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
            None => self.scheduler.accept(request, guide, self.pages.capacity()),
        }
    }

    /// Ends a request without further events and frees what it held. Unknown ids are ignored: the
    /// request may just have finished.
    pub fn cancel(&mut self, id: RequestId) {
        self.scheduler.cancel(id, &mut self.pages);
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
        let step = self.scheduler.step(&mut self.pages);
        if step.work.is_empty() {
            return Ok(Vec::new());
        }
        let batch = layout::lay_out(&step);
        match self.model.forward(&batch) {
            Ok(logits) => Ok(self.scheduler.finish(&step, &logits, &mut self.pages)),
            Err(cause) => {
                let requests: Vec<_> = step.work.iter().map(|work| work.request).collect();
                requests.iter().for_each(|&id| self.cancel(id));
                Err(StepFailed { requests, cause })
            }
        }
    }

    /// Positions that a sequence can have at most.
    pub fn capacity(&self) -> usize {
        self.pages.capacity().min(self.scheduler.context())
    }

    /// Pages that nobody holds.
    pub fn pages_free(&self) -> usize {
        self.pages.free()
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
