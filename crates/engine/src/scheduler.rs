//! Who runs now: every sequence has tokens that are not computed yet and catches up.

use crate::guide::{Allowed, Guide};
use crate::pages::Pages;
use crate::request::{Event, EventKind, FinishReason, Refused, Request, RequestId, Usage};
use crate::sampler::{self, Logprobs};
use baimo_model::{LOOKBACK, Logits, Opening, Prefix};
use std::collections::VecDeque;

/// What bounds a step and a sequence.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Tokens computed in one step, all sequences together; a prefix that is read in both
    /// directions is never cut, so the last sequence of a step may go beyond with it.
    pub tokens_per_step: usize,
    /// Tokens of one sequence computed in one step, beside such a prefix.
    pub tokens_per_span: usize,
    /// Sequences that run at once.
    pub sequences: usize,
    /// Positions a sequence may have.
    pub context: usize,
}

/// A decision: who runs, which tokens, where they are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// One entry for each sequence that runs.
    pub work: Vec<Work>,
}

/// One sequence's part of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Whose.
    pub request: RequestId,
    /// The tokens to compute.
    pub tokens: Vec<u32>,
    /// The position of the first of them.
    pub position: usize,
    /// How many tokens the sequence was given before it grew by itself.
    pub prompt: usize,
    /// How its beginning is read.
    pub opening: Opening,
    /// The tokens before them, so many as spans tell.
    pub before: Vec<u32>,
    /// The sequence's pages, enough for all of them.
    pub pages: Vec<u32>,
    /// The sequence's slot, its alone while it runs.
    pub slot: usize,
    /// Positions whose logits are wanted, ascending.
    pub wanted: Vec<usize>,
    /// Whether the hidden state of the last token is wanted.
    pub embedded: bool,
}

/// A request on its way.
#[derive(Debug)]
struct Sequence {
    id: RequestId,
    request: Request,
    guide: Option<Box<dyn Guide>>,
    /// The model's lead, the prompt, then what was chosen.
    tokens: Vec<u32>,
    /// Of the lead and the prompt.
    prompt_tokens: usize,
    opening: Opening,
    /// Tokens whose cache rows are written.
    computed: usize,
    /// The next of `request.observed` (ascending) to be reported.
    observed: usize,
    pages: Vec<u32>,
    /// Held while it runs.
    slot: usize,
}

/// Decides each step; holds every request until it ends.
#[derive(Debug)]
pub struct Scheduler {
    limits: Limits,
    prefix: Option<Prefix>,
    next_id: u64,
    /// Hold pages and a slot each; oldest first.
    running: Vec<Sequence>,
    /// Hold none; oldest first.
    waiting: VecDeque<Sequence>,
    /// Those that no running sequence holds.
    slots_free: Vec<usize>,
}

impl Scheduler {
    /// Nothing to do yet.
    pub fn new(limits: Limits) -> Scheduler {
        assert!(limits.tokens_per_step > 0 && limits.tokens_per_span > 0 && limits.sequences > 0);
        let slots_free = (0..limits.sequences).rev().collect();
        let (running, waiting) = (Vec::new(), VecDeque::new());
        Scheduler { limits, prefix: None, next_id: 0, running, waiting, slots_free }
    }

    /// For a model that reads the beginning of a sequence in both directions.
    pub fn reading(self, prefix: Option<Prefix>) -> Scheduler {
        Scheduler { prefix, ..self }
    }

    /// Positions a sequence may have.
    pub fn context(&self) -> usize {
        self.limits.context
    }

    /// Takes a request in, given the positions the whole cache holds.
    ///
    /// # Errors
    /// Where it could never run.
    pub fn accept(
        &mut self,
        mut request: Request,
        guide: Option<Box<dyn Guide>>,
        capacity: usize,
    ) -> Result<RequestId, Refused> {
        if request.tokens.is_empty() {
            return Err(Refused::Empty);
        }
        let given = std::mem::take(&mut request.tokens);
        let opening = self.prefix.as_ref().map(|prefix| Opening::of(prefix, &given)).transpose();
        let opening = opening.map_err(Refused::Segments)?.unwrap_or_default();
        let lead = self.prefix.iter().flat_map(|prefix| prefix.lead.clone());
        let given: Vec<u32> = lead.chain(given).collect();
        let (tokens, context) = (given.len(), self.limits.context);
        if tokens > context {
            return Err(Refused::Context { tokens, context });
        }
        let needed = tokens.saturating_add(request.max_tokens).min(context);
        if needed > capacity {
            return Err(Refused::Cache { needed, capacity });
        }
        request.observed.sort_unstable();
        request.observed.dedup();
        request.observed.retain(|&position| position < tokens - opening.lead);
        request.observed.iter_mut().for_each(|position| *position += opening.lead);
        let id = RequestId(self.next_id);
        self.next_id += 1;
        self.waiting.push_back(Sequence {
            id,
            tokens: given,
            prompt_tokens: tokens,
            opening,
            request,
            guide,
            computed: 0,
            observed: 0,
            pages: Vec::new(),
            slot: 0,
        });
        Ok(id)
    }

    /// Forgets a request and frees its pages.
    pub fn cancel(&mut self, id: RequestId, pages: &mut Pages) {
        self.waiting.retain(|sequence| sequence.id != id);
        if let Some(index) = self.running.iter().position(|sequence| sequence.id == id) {
            self.leave(index, pages);
        }
    }

    /// Takes a sequence out of the running, its pages and its slot back.
    fn leave(&mut self, index: usize, pages: &mut Pages) -> Sequence {
        let mut sequence = self.running.remove(index);
        pages.release(&mut sequence.pages);
        self.slots_free.push(sequence.slot);
        sequence
    }

    /// Whether no request is left.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// Decides the next step. Older sequences come first; where pages run out, the youngest gives
    /// its own back and computes them again later.
    pub fn step(&mut self, pages: &mut Pages) -> Step {
        let mut step = Step::default();
        let mut budget = self.limits.tokens_per_step;
        let mut index = 0;
        while budget > 0 && (index < self.running.len() || self.admit()) {
            let sequence = &mut self.running[index];
            let count = sequence.count(budget.min(self.limits.tokens_per_span));
            if pages.grow(&mut sequence.pages, sequence.computed + count) {
                step.work.push(sequence.work(count));
                budget = budget.saturating_sub(count);
                index += 1;
            } else if !self.preempt_after(index, pages) {
                self.preempt(index, pages);
                break;
            }
        }
        step
    }

    /// Lets the oldest waiting sequence run, where there is one and room for it.
    fn admit(&mut self) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        let Some(slot) = self.slots_free.pop() else { return false };
        self.running.extend(self.waiting.pop_front().map(|oldest| Sequence { slot, ..oldest }));
        true
    }

    /// Preempts the youngest sequence behind `index`; false where there is none.
    fn preempt_after(&mut self, index: usize, pages: &mut Pages) -> bool {
        let youngest = self.running.len() - 1;
        let found = youngest > index;
        if found {
            self.preempt(youngest, pages);
        }
        found
    }

    fn preempt(&mut self, index: usize, pages: &mut Pages) {
        let mut sequence = self.leave(index, pages);
        sequence.computed = 0;
        self.waiting.push_front(sequence);
    }

    /// Takes the logits of a step in, in the order its work wants them: chooses tokens, reports,
    /// and ends what is finished.
    pub fn finish(&mut self, step: &Step, logits: &Logits, pages: &mut Pages) -> Vec<Event> {
        let mut events = Vec::new();
        let (mut rows, mut embeddings) = (logits.rows(), logits.embeddings());
        for work in &step.work {
            let index = self.running.iter().position(|sequence| sequence.id == work.request);
            let index = index.expect("a sequence runs until its step is finished");
            let wanted: Vec<&[f32]> = rows.by_ref().take(work.wanted.len()).collect();
            let sequence = &mut self.running[index];
            sequence.computed += work.tokens.len();
            if let Some(embedding) = work.embedded.then(|| embeddings.next()).flatten() {
                let kind = EventKind::Embedding(embedding.to_vec());
                events.push(Event { request: work.request, kind });
            }
            if sequence.take_in(work, &wanted, &self.limits, &mut events) {
                self.leave(index, pages);
            }
        }
        events
    }
}

impl Sequence {
    /// How many tokens it computes next, `most` of them but for what is read at once.
    fn count(&self, most: usize) -> usize {
        let left = self.tokens.len() - self.computed;
        let at_once = if self.computed == 0 { self.opening.together } else { 0 };
        left.min(most).max(at_once)
    }

    /// The next `count` tokens, with the positions whose logits are wanted.
    fn work(&self, count: usize) -> Work {
        let (position, end) = (self.computed, self.computed + count);
        let mut wanted: Vec<usize> = self.request.observed[self.observed..]
            .iter()
            .copied()
            .filter(|observed| (position..end).contains(observed))
            .collect();
        let chooses = end == self.tokens.len() && self.may_grow();
        if chooses && wanted.last() != Some(&(end - 1)) {
            wanted.push(end - 1);
        }
        Work {
            request: self.id,
            tokens: self.tokens[position..end].to_vec(),
            position,
            prompt: self.prompt_tokens,
            opening: self.opening.clone(),
            before: self.tokens[position.saturating_sub(LOOKBACK)..position].to_vec(),
            pages: self.pages.clone(),
            slot: self.slot,
            wanted,
            embedded: self.request.embedding && end == self.prompt_tokens,
        }
    }

    fn may_grow(&self) -> bool {
        self.tokens.len() - self.prompt_tokens < self.request.max_tokens
    }

    /// Reports observed logits and chooses the next token where all are computed. True where the
    /// sequence ends here.
    fn take_in(
        &mut self,
        work: &Work,
        wanted: &[&[f32]],
        limits: &Limits,
        events: &mut Vec<Event>,
    ) -> bool {
        let mut report = |kind| events.push(Event { request: work.request, kind });
        for (&position, logits) in work.wanted.iter().zip(wanted) {
            if self.request.observed.get(self.observed) == Some(&position) {
                self.observed += 1;
                let position = position - self.opening.lead;
                report(EventKind::Logits { position, logits: logits.to_vec() });
            }
        }
        if self.computed < self.tokens.len() {
            return false;
        }
        let reason = match self.may_grow() {
            false => Some(FinishReason::Length),
            true => {
                let logits = wanted.last().expect("the last position is wanted to choose by");
                self.grow(logits, limits.context, &mut report)
            }
        };
        let Some(reason) = reason else { return false };
        let usage = Usage {
            prompt_tokens: self.prompt_tokens - self.opening.lead,
            cached_tokens: 0,
            completion_tokens: self.tokens.len() - self.prompt_tokens,
        };
        report(EventKind::Finished { reason, usage });
        true
    }

    /// Chooses the next token and reports it; says why, where the sequence ends.
    fn grow(
        &mut self,
        logits: &[f32],
        context: usize,
        report: &mut impl FnMut(EventKind),
    ) -> Option<FinishReason> {
        let request = &self.request;
        let allowed = self.guide.as_mut().map_or(Allowed::Any, |guide| guide.allowed());
        if allowed.is_empty() {
            return Some(FinishReason::Stop);
        }
        let (prompt, chosen) = self.tokens.split_at(self.prompt_tokens);
        let token = match allowed {
            Allowed::Forced(token) => token,
            Allowed::Any | Allowed::Only(_) | Allowed::End => {
                let logits = sampler::biased(logits, &request.bias, allowed);
                sampler::choose(&logits, &request.sampling, prompt, chosen)
            }
        };
        let logprobs = request.logprobs.map(|count| Logprobs::of(logits, token, count));
        self.tokens.push(token);
        report(EventKind::Token { token, logprobs });
        if let Some(guide) = &mut self.guide {
            guide.took(token);
        }
        if self.request.stop_tokens.contains(&token)
            || self.guide.as_mut().is_some_and(|guide| guide.allowed() == Allowed::End)
        {
            return Some(FinishReason::Stop);
        }
        let ends = !self.may_grow() || self.tokens.len() >= context;
        ends.then_some(FinishReason::Length)
    }
}
