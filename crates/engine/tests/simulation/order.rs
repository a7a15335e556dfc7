//! Who runs first.

use crate::one_by_one;
use crate::remembering::{Remembering, VOCABULARY};
use baimo_engine::layout::lay_out;
use baimo_engine::{
    EventKind, Forward, Limits, Memory, PAGE_POSITIONS, Request, RequestId, Scheduler,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A scheduler with its memory and its model.
struct House {
    scheduler: Scheduler,
    memory: Memory,
    model: Remembering,
}

impl House {
    fn new(limits: Limits, pages: usize) -> House {
        House {
            scheduler: Scheduler::new(limits),
            memory: Memory::new(pages, None),
            model: Remembering::new(pages, limits).without_slots(),
        }
    }

    fn accept(&mut self, kind: u32, tokens: usize, max_tokens: usize) -> RequestId {
        let token = |at| (at * (kind + 1) + at / 5 + kind) % VOCABULARY as u32;
        let tokens = (0..tokens as u32).map(token).collect();
        let request = Request { tokens, max_tokens, ..Request::default() };
        let capacity = self.memory.pages.capacity();
        self.scheduler.accept(request, None, capacity).expect("a request that fits")
    }

    /// Tokens of each that runs; then who was given a token and goes on, and who ended.
    fn step(&mut self) -> (Vec<(RequestId, usize)>, BTreeSet<RequestId>, BTreeSet<RequestId>) {
        let step = self.scheduler.step(&mut self.memory);
        let run = step.work.iter().map(|work| (work.request, work.tokens.len())).collect();
        let logits = self.model.forward(&lay_out(&step)).unwrap();
        let (mut given, mut ended) = (BTreeSet::new(), BTreeSet::new());
        for event in self.scheduler.finish(&step, &logits, &mut self.memory, one_by_one) {
            match event.kind {
                EventKind::Finished { .. } => drop(ended.insert(event.request)),
                _ => drop(given.insert(event.request)),
            }
        }
        given.retain(|id| !ended.contains(id));
        (run, given, ended)
    }
}

#[test]
fn the_oldest_always_runs_also_where_pages_are_short() {
    let limits =
        Limits { tokens_per_step: 50, tokens_per_span: 20, sequences: 4, ..Limits::default() };
    // Any two of the requests in full are more than the cache.
    let mut house = House::new(limits, 4);
    let mut left: BTreeSet<RequestId> =
        (0..6).map(|kind| house.accept(kind, PAGE_POSITIONS, 2 * PAGE_POSITIONS)).collect();
    while let Some(oldest) = left.first().copied() {
        let (run, _, ended) = house.step();
        assert!(run.iter().any(|(id, _)| *id == oldest), "{run:?}");
        left.retain(|id| !ended.contains(id));
    }
    let preemptions = house.scheduler.stats().preemptions;
    // Not more than pages that an older one takes.
    assert!((1..12).contains(&preemptions), "{preemptions} preemptions");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn nobody_waits_for_a_token_behind_a_prompt_and_prompts_share_what_is_left(
        requests in prop::collection::vec((0..20usize, 1..600usize, 0..20usize), 1..12),
        tokens_per_step in 8..100usize,
        tokens_per_span in 1..100usize,
        tokens_beside in 1..100usize,
    ) {
        let limits = Limits {
            tokens_per_step,
            tokens_per_span,
            tokens_beside,
            sequences: 8,
            ..Limits::default()
        };
        let mut house = House::new(limits, 200);
        let mut left: BTreeMap<RequestId, usize> = BTreeMap::new();
        let mut waits_for_token = BTreeSet::new();
        let mut served: BTreeMap<RequestId, usize> = BTreeMap::new();
        for turn in 0.. {
            let arrived = requests.iter().enumerate().filter(|(_, (arrives, ..))| *arrives == turn);
            for (kind, (_, tokens, max_tokens)) in arrived {
                left.insert(house.accept(kind as u32, *tokens, *max_tokens), *tokens);
            }
            if house.scheduler.is_idle() {
                if turn > 20 {
                    break;
                }
                continue;
            }
            let (run, given, ended) = house.step();
            let readers: Vec<&(RequestId, usize)> =
                run.iter().filter(|(id, _)| !waits_for_token.contains(id)).collect();
            let decoded = run.len() - readers.len();
            prop_assert_eq!(decoded, waits_for_token.len(), "all that wait for a token run");
            let read: usize = readers.iter().map(|(_, count)| count).sum();
            let most = if waits_for_token.is_empty() { tokens_per_step } else { tokens_beside };
            prop_assert!(read <= most, "{read} tokens of prompts, {decoded} of answers");
            let largest = readers.iter().map(|(_, count)| *count).max().unwrap_or(0);
            for (id, count) in readers {
                let tokens = left.get_mut(id).expect("not read yet");
                *tokens -= count;
                let whole = *tokens == 0 || *count == tokens_per_span;
                prop_assert!(whole || count + 1 >= largest, "{run:?}");
                served.insert(*id, turn);
            }
            for (id, _) in left.iter().filter(|(_, tokens)| **tokens > 0) {
                let last = served.get(id).copied().unwrap_or(turn);
                prop_assert!(turn - last <= limits.sequences, "{id:?} waits since turn {last}");
            }
            waits_for_token = given;
            left.retain(|id, _| !ended.contains(id));
            prop_assert!(turn < 20 + limits.sequences * 12 * 620, "no end");
        }
    }
}
