//! Who runs now: every sequence has tokens that are not computed yet and catches up.
//!
//! In each step those come first that wait for one token only; what is left of the budget goes to
//! the others in fair shares. Sequences begin in the order they came. Where pages run out, the
//! youngest pauses: it gives its own back, and later takes up what is still there of them.

use crate::chain::{Chain, Key};
use crate::guide::Guide;
use crate::memory::Memory;
use crate::pace::Pace;
use crate::request::{Event, EventKind, Refused, Request, RequestId};
use crate::sequence::Sequence;
use crate::shares::shares;
use crate::stats::Stats;
use crate::step::{Limits, Step, Work};
use baimo_model::{Lengths, Logits, Opening, PAGE_POSITIONS, Prefix};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Decides each step; holds every request until it ends.
#[derive(Debug)]
pub struct Scheduler {
    limits: Limits,
    prefix: Option<Prefix>,
    lengths: Lengths,
    next_id: u64,
    /// Hold pages and a slot each; oldest first.
    running: Vec<Sequence>,
    /// Hold none; oldest first, and all younger than those that run.
    waiting: VecDeque<Sequence>,
    /// Those that no running sequence holds.
    slots_free: Vec<usize>,
    pace: Pace,
    stats: Stats,
}

impl Scheduler {
    /// Nothing to do yet.
    pub fn new(limits: Limits) -> Scheduler {
        assert!(limits.tokens_per_step > 0 && limits.tokens_per_span > 0 && limits.sequences > 0);
        assert!(limits.tokens_beside > 0, "{limits:?}: a prompt would wait for all answers");
        let sequences = limits.sequences.min(limits.tokens_per_step);
        Scheduler {
            limits,
            prefix: None,
            lengths: Lengths::default(),
            next_id: 0,
            running: Vec::new(),
            waiting: VecDeque::new(),
            slots_free: (0..sequences).rev().collect(),
            pace: Pace::new(limits.tokens_beside, limits.time_beside),
            stats: Stats::default(),
        }
    }

    /// For a model that reads the beginning of a sequence in both directions.
    pub fn reading(self, prefix: Option<Prefix>) -> Scheduler {
        Scheduler { prefix, ..self }
    }

    /// For a model whose rows depend on the lengths of prompts.
    pub fn minding(self, lengths: Lengths) -> Scheduler {
        Scheduler { lengths, ..self }
    }

    /// Positions a sequence may have.
    pub fn context(&self) -> usize {
        self.limits.context
    }

    /// What was done; what memory says of itself is left at zero.
    pub fn stats(&self) -> Stats {
        Stats { running: self.running.len(), waiting: self.waiting.len(), ..self.stats }
    }

    /// Takes a request in, given the positions the whole cache holds.
    ///
    /// # Errors
    /// Where it could never run, or too many wait already.
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
        let waiting = self.waiting.len();
        if waiting >= self.limits.waiting.saturating_add(self.slots_free.len()) {
            return Err(Refused::Full { waiting });
        }
        if request.prompt_logprobs.is_some() {
            request.observed = (0..tokens - opening.lead - 1).collect();
        }
        request.observed.sort_unstable();
        request.observed.dedup();
        request.observed.retain(|&position| position < tokens - opening.lead);
        request.observed.iter_mut().for_each(|position| *position += opening.lead);
        let seed = || Key::seed(&self.lengths, &opening, &given);
        let chain = self.limits.reuse.then(|| Chain::new(seed()));
        let id = RequestId(self.next_id);
        self.next_id += 1;
        self.waiting.push_back(Sequence {
            id,
            tokens: given,
            prompt_tokens: tokens,
            opening,
            chain,
            request,
            guide,
            computed: 0,
            observed: 0,
            pages: Vec::new(),
            named: 0,
            slot: 0,
            stops: Vec::new(),
            grown: None,
            cached: None,
            served: 0,
        });
        Ok(id)
    }

    /// Forgets a request and frees its pages.
    pub fn cancel(&mut self, id: RequestId, memory: &mut Memory) {
        self.waiting.retain(|sequence| sequence.id != id);
        if let Some(index) = self.running.iter().position(|sequence| sequence.id == id) {
            self.end(index, memory);
        }
    }

    fn end(&mut self, index: usize, memory: &mut Memory) {
        let mut sequence = self.leave(index, memory);
        memory.ended(sequence.keys());
    }

    /// Takes a sequence out of the running, its pages and its slot back.
    fn leave(&mut self, index: usize, memory: &mut Memory) -> Sequence {
        let mut sequence = self.running.remove(index);
        memory.pages.release(&mut sequence.pages);
        self.slots_free.push(sequence.slot);
        sequence
    }

    /// Whether no request is left.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// Decides the next step.
    pub fn step(&mut self, memory: &mut Memory) -> Step {
        let mut step = Step::default();
        let preemptions = self.stats.preemptions;
        let decode: Vec<RequestId> = self.ids(Sequence::decodes);
        for &id in &decode {
            self.serve(id, 1, &mut step, memory);
        }
        let mut budget = self.limits.tokens_per_step - step.work.len();
        if !step.work.is_empty() {
            budget = budget.min(self.pace.tokens());
        }
        // Whoever was paused for others to go on would only come back to be paused again.
        while self.stats.preemptions == preemptions && self.admit(&mut step, memory) {}
        for (id, share) in self.readers(&decode, budget) {
            if budget == 0 {
                break;
            }
            budget = budget.saturating_sub(self.serve(id, share, &mut step, memory));
        }
        self.stats.steps += u64::from(!step.work.is_empty());
        step
    }

    fn ids(&self, wanted: impl Fn(&Sequence) -> bool) -> Vec<RequestId> {
        self.running.iter().filter(|sequence| wanted(sequence)).map(|found| found.id).collect()
    }

    /// Who still reads, with the share of each; last those that read beyond any share.
    fn readers(&self, decode: &[RequestId], budget: usize) -> Vec<(RequestId, usize)> {
        let mut readers: Vec<&Sequence> =
            self.running.iter().filter(|sequence| !decode.contains(&sequence.id)).collect();
        readers.sort_by_key(|sequence| (sequence.served, sequence.id));
        let need = |reader: &&Sequence| reader.left().min(self.limits.tokens_per_span);
        let shares = shares(&readers.iter().map(need).collect::<Vec<_>>(), budget);
        let mut readers: Vec<_> = readers.into_iter().zip(shares).collect();
        readers.sort_by_key(|(reader, share)| reader.at_once() > *share);
        let has_share = |(reader, share): &(&Sequence, usize)| *share > 0 || reader.at_once() > 0;
        readers.retain(has_share);
        readers.into_iter().map(|(reader, share)| (reader.id, share)).collect()
    }

    /// Gives a sequence up to `most` tokens of the step, where it still runs; says how many.
    fn serve(&mut self, id: RequestId, most: usize, step: &mut Step, memory: &mut Memory) -> usize {
        while let Some(index) = self.running.iter().position(|sequence| sequence.id == id) {
            let sequence = &mut self.running[index];
            let count = sequence.count(most);
            let end = sequence.computed + count;
            if memory.pages.grow(&mut sequence.pages, end) {
                let mut work = sequence.work(count);
                if let Some(snapshots) = &memory.snapshots {
                    work.snapshot = sequence.snapshot(end);
                    work.snapshot = work.snapshot.filter(|kept| !snapshots.has(&kept.key));
                }
                step.work.push(work);
                sequence.served = self.stats.steps + 1;
                return count;
            }
            self.preempt(step, memory);
        }
        0
    }

    /// Lets the oldest waiting sequence run, where there is one and room for it.
    fn admit(&mut self, step: &mut Step, memory: &mut Memory) -> bool {
        let slot = self.slots_free.last().copied();
        let (Some(slot), Some(oldest)) = (slot, self.waiting.front_mut()) else { return false };
        let most = oldest.reusable() / PAGE_POSITIONS;
        let keys = oldest.chain.as_mut().map(|chain| chain.of(&oldest.tokens)).unwrap_or_default();
        let keys = &keys[..most.min(keys.len())];
        let missing =
            |sequence: &Sequence| sequence.pages_wanted().saturating_sub(sequence.pages.len());
        let promised: usize = self.running.iter().map(missing).sum();
        let wanted = (oldest.tokens.len() + 1).div_ceil(PAGE_POSITIONS) - memory.held(keys);
        if !self.running.is_empty() && promised + wanted > memory.pages.free() {
            return false;
        }
        let mut found = memory.take(keys, slot);
        if found.positions() < oldest.opening.together {
            memory.pages.release(&mut found.pages);
        }
        step.refills.append(&mut found.refills);
        let Some(mut sequence) = self.waiting.pop_front() else { return false };
        self.slots_free.pop();
        sequence.slot = slot;
        self.begin(sequence, found.pages, memory.snapshots.is_some());
        true
    }

    fn begin(&mut self, mut sequence: Sequence, pages: Vec<u32>, slots: bool) {
        sequence.computed = pages.len() * PAGE_POSITIONS;
        sequence.named = pages.len();
        sequence.pages = pages;
        if slots && sequence.chain.is_some() {
            sequence.plan_stops();
        }
        if sequence.cached.is_none() {
            sequence.cached = Some(sequence.computed);
            self.stats.prefix_queried += sequence.prompt_tokens as u64;
            self.stats.prefix_hit += sequence.computed as u64;
        }
        self.running.push(sequence);
    }

    /// Pauses the youngest sequence, and takes back what the step has of it.
    fn preempt(&mut self, step: &mut Step, memory: &mut Memory) {
        let mut sequence = self.leave(self.running.len() - 1, memory);
        step.work.retain(|work| work.request != sequence.id);
        sequence.computed = 0;
        sequence.named = 0;
        self.stats.preemptions += 1;
        self.waiting.push_front(sequence);
    }

    /// Learns how long a step took.
    pub fn took(&mut self, step: &Step, time: Duration) {
        let prompts: u64 = step.work.iter().map(prompt_tokens).sum();
        if step.work.iter().any(|work| work.position >= work.prompt) {
            self.pace.took(prompts as usize, time);
        }
    }

    /// Takes the logits of a step in, in the order its work wants them: chooses tokens, reports,
    /// and ends what is finished. `share` calls its second argument once for each number below the
    /// first, on any threads: a choice from a large vocabulary takes a while.
    pub fn finish(
        &mut self,
        step: &Step,
        logits: &Logits,
        memory: &mut Memory,
        share: impl Fn(usize, &(dyn Fn(usize) + Sync)),
    ) -> Vec<Event> {
        let (mut rows, mut embeddings) = (logits.rows(), logits.embeddings());
        let mut running: Vec<Option<&mut Sequence>> = self.running.iter_mut().map(Some).collect();
        let mut choices = Vec::with_capacity(step.work.len());
        for work in &step.work {
            let wanted: Vec<&[f32]> = rows.by_ref().take(work.wanted.len()).collect();
            let is_its = |sequence: &mut &mut Sequence| sequence.id == work.request;
            let sequence = running.iter_mut().find_map(|place| place.take_if(is_its));
            let sequence = sequence.expect("a sequence runs until its step is finished");
            sequence.computed += work.tokens.len();
            sequence.name_pages(memory);
            let embedding = work.embedded.then(|| embeddings.next()).flatten();
            let told =
                embedding.map(|row| EventKind::Embedding(row.to_vec())).into_iter().collect();
            choices.push(Mutex::new(Choice { work, sequence, wanted, told, ends: false }));
        }
        let limits = &self.limits;
        share(choices.len(), &|index| lock(&choices[index]).make(limits));
        let (mut events, mut ended) = (Vec::new(), Vec::new());
        for choice in choices {
            let choice = choice.into_inner().unwrap_or_else(PoisonError::into_inner);
            let request = choice.work.request;
            let is_token = |kind: &&EventKind| matches!(kind, EventKind::Token { .. });
            self.stats.generated += choice.told.iter().filter(is_token).count() as u64;
            self.stats.prompt_computed += prompt_tokens(choice.work);
            events.extend(choice.told.into_iter().map(|kind| Event { request, kind }));
            ended.extend(choice.ends.then_some(request));
        }
        for id in ended {
            let index = self.running.iter().position(|sequence| sequence.id == id);
            index.into_iter().for_each(|index| self.end(index, memory));
        }
        events
    }
}

/// One sequence's part in the end of a step.
struct Choice<'a> {
    work: &'a Work,
    sequence: &'a mut Sequence,
    wanted: Vec<&'a [f32]>,
    told: Vec<EventKind>,
    ends: bool,
}

impl Choice<'_> {
    fn make(&mut self, limits: &Limits) {
        let Choice { work, sequence, wanted, told, ends } = self;
        *ends = sequence.take_in(work, wanted, limits, &mut |kind| told.push(kind));
    }
}

/// Each is locked once, so none is ever waited for.
fn lock<'a, 'b>(choice: &'a Mutex<Choice<'b>>) -> MutexGuard<'a, Choice<'b>> {
    choice.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tokens of the prompt among those computed.
fn prompt_tokens(work: &Work) -> u64 {
    work.tokens.len().min(work.prompt.saturating_sub(work.position)) as u64
}
