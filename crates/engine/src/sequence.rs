//! A request on its way.

use crate::chain::{Chain, Key};
use crate::guide::{Allowed, Guide};
use crate::memory::Memory;
use crate::request::{EventKind, FinishReason, Request, RequestId, Usage};
use crate::sampler::{self, Logprobs};
use crate::step::{Limits, Snapshot, Work};
use baimo_model::{LOOKBACK, Opening, PAGE_POSITIONS};

/// Slots of long prompts are copied every so many positions.
pub const SNAPSHOT_EVERY: usize = 1024;
/// Of the positions that a request marks, the first and so many of the last count.
const LAST_MARKS: usize = 3;
/// Copies of a slot that a sequence leaves at most beside those: at marks, at the end of its prompt
/// and at its own.
pub const SNAPSHOTS_BESIDE: usize = 1 + LAST_MARKS + 2;

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub id: RequestId,
    pub request: Request,
    pub guide: Option<Box<dyn Guide>>,
    /// The model's lead, the prompt, then what was chosen.
    pub tokens: Vec<u32>,
    /// Of the lead and the prompt.
    pub prompt_tokens: usize,
    pub opening: Opening,
    /// The names of its pages, where they are to be found again.
    pub chain: Option<Chain>,
    /// Tokens whose cache rows are written.
    pub computed: usize,
    /// The next of `request.observed` (ascending) to be reported.
    pub observed: usize,
    pub pages: Vec<u32>,
    /// How many of its pages have their names.
    pub named: usize,
    /// Held while it runs.
    pub slot: usize,
    /// Positions at which its slot is copied, ascending: whole pages.
    pub stops: Vec<usize>,
    /// The last copy of its slot while it grew.
    pub grown: Option<Key>,
    /// Of the prompt, found in the caches when it ran first.
    pub cached: Option<usize>,
    /// The step it last had a part in.
    pub served: u64,
}

impl Sequence {
    /// Tokens that are not computed yet.
    pub fn left(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// Whether it waits for the next token of its answer only.
    pub fn decodes(&self) -> bool {
        self.tokens.len() > self.prompt_tokens && self.left() == 1
    }

    /// Tokens that are read in both directions and still to be computed, so all at once.
    pub fn at_once(&self) -> usize {
        if self.computed == 0 { self.opening.together } else { 0 }
    }

    /// Pages that it holds once all its tokens and one more are computed.
    pub fn pages_wanted(&self) -> usize {
        (self.tokens.len() + 1).div_ceil(PAGE_POSITIONS)
    }

    /// How many of its first tokens need not be computed where the caches have their rows: logits
    /// of those behind them are still wanted.
    pub fn reusable(&self) -> usize {
        let observed = self.request.observed.get(self.observed);
        observed.copied().unwrap_or(usize::MAX).min(self.tokens.len() - 1)
    }

    /// The positions at which its slot is to be copied, of all tokens it has now.
    pub fn plan_stops(&mut self) {
        let marks = &self.request.marks;
        let last = marks.len().saturating_sub(LAST_MARKS).max(1).min(marks.len());
        let marks = marks.iter().take(1).chain(&marks[last..]);
        let marks = marks.map(|mark| mark.saturating_add(self.opening.lead));
        let mut stops: Vec<usize> = (0..self.tokens.len())
            .step_by(SNAPSHOT_EVERY)
            .chain(marks)
            .chain([self.tokens.len() - 1])
            .map(|position| position / PAGE_POSITIONS * PAGE_POSITIONS)
            .filter(|&stop| stop > 0 && stop >= self.opening.together && stop < self.tokens.len())
            .collect();
        stops.sort_unstable();
        stops.dedup();
        self.stops = stops;
    }

    /// How many tokens it computes next, `most` of them but for what is read at once, and no
    /// farther than its slot is to be copied.
    pub fn count(&self, most: usize) -> usize {
        let stop = self.stops.iter().find(|&&stop| stop > self.computed);
        let most = stop.map_or(most, |stop| most.min(stop - self.computed));
        self.left().min(most).max(self.at_once())
    }

    /// The next `count` tokens, with the positions whose logits are wanted.
    pub fn work(&self, count: usize) -> Work {
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
            // Once: a sequence that was paused behind its prompt has grown.
            embedded: self.request.embedding
                && end >= self.prompt_tokens
                && self.tokens.len() == self.prompt_tokens,
            snapshot: None,
        }
    }

    /// Which copy of its slot is to be kept when so many tokens are computed.
    pub fn snapshot(&mut self, end: usize) -> Option<Snapshot> {
        let grows = end >= self.prompt_tokens && end.is_multiple_of(PAGE_POSITIONS);
        let planned = self.stops.binary_search(&end).is_ok();
        if !grows && !planned {
            return None;
        }
        let key = *self.chain.as_mut()?.of(&self.tokens[..end]).last()?;
        let instead_of = if planned { None } else { self.grown.replace(key) };
        Some(Snapshot { key, instead_of })
    }

    /// The names of its pages whose last row is computed, where they are to be found again.
    pub fn keys(&mut self) -> &[Key] {
        let chain = self.chain.as_mut();
        chain.map(|chain| chain.of(&self.tokens[..self.computed])).unwrap_or_default()
    }

    /// Gives these pages their names.
    pub fn name_pages(&mut self, memory: &mut Memory) {
        let Some(chain) = &mut self.chain else { return };
        let keys = chain.of(&self.tokens[..self.computed]);
        for (page, key) in self.pages.iter_mut().zip(keys).skip(self.named) {
            memory.pages.name(page, *key);
        }
        self.named = keys.len();
    }

    pub fn may_grow(&self) -> bool {
        self.tokens.len() - self.prompt_tokens < self.request.max_tokens
    }

    /// Reports observed logits and chooses the next token where all are computed. True where the
    /// sequence ends here.
    pub fn take_in(
        &mut self,
        work: &Work,
        wanted: &[&[f32]],
        limits: &Limits,
        report: &mut impl FnMut(EventKind),
    ) -> bool {
        for (&position, logits) in work.wanted.iter().zip(wanted) {
            if self.request.observed.get(self.observed) == Some(&position) {
                self.observed += 1;
                report(self.observation(position, logits));
            }
        }
        if self.computed < self.tokens.len() {
            return false;
        }
        let reason = match self.may_grow() {
            false => Some(FinishReason::Length),
            true => {
                let logits = wanted.last().expect("the last position is wanted to choose by");
                self.grow(logits, limits.context, report)
            }
        };
        let Some(reason) = reason else { return false };
        let lead = self.opening.lead;
        let usage = Usage {
            prompt_tokens: self.prompt_tokens - lead,
            cached_tokens: self.cached.unwrap_or(0).saturating_sub(lead),
            completion_tokens: self.tokens.len() - self.prompt_tokens,
        };
        report(EventKind::Finished { reason, usage });
        true
    }

    /// What is told of the logits after the token at `position`.
    fn observation(&self, position: usize, logits: &[f32]) -> EventKind {
        let told = position - self.opening.lead;
        match self.request.prompt_logprobs {
            None => EventKind::Logits { position: told, logits: logits.to_vec() },
            Some(count) => EventKind::PromptLogprobs {
                position: told + 1,
                logprobs: Logprobs::of(logits, self.tokens[position + 1], count),
            },
        }
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
