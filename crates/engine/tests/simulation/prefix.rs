//! Models that read the beginning of a sequence in both directions.

use crate::one_by_one;
use crate::remembering::VOCABULARY;
use baimo_engine::{
    Event, EventKind, Limits, Logits, Memory, PAGE_POSITIONS, Prefix, PrefixEnd, Refused, Request,
    Scheduler, Usage, Work,
};

fn limits() -> Limits {
    let (tokens_per_step, tokens_per_span) = (10, 3);
    Limits { tokens_per_step, tokens_per_span, sequences: 4, context: 40, ..Limits::default() }
}

/// The token that a prefix ends before.
const START: u32 = 9;

/// Four rows before the prompt, which is read in both directions up to [`START`].
fn scheduler() -> Scheduler {
    let end = PrefixEnd::Before(START);
    let prefix = Prefix { lead: 100..104, end, gaps: Vec::new(), segments: None };
    Scheduler::new(limits()).reading(Some(prefix))
}

fn request(tokens: Vec<u32>) -> Request {
    Request { tokens, max_tokens: 2, observed: vec![0, 22], ..Request::default() }
}

/// 20 tokens, the start, 4 tokens.
fn prompt() -> Vec<u32> {
    [vec![1; 20], vec![START], vec![2; 4]].concat()
}

/// All work for a prompt, and its events.
fn run(scheduler: &mut Scheduler, memory: &mut Memory) -> (Vec<Work>, Vec<Event>) {
    let (mut work, mut events) = (Vec::new(), Vec::new());
    while !scheduler.is_idle() {
        let step = scheduler.step(memory);
        let wanted: usize = step.work.iter().map(|work| work.wanted.len()).sum();
        let logits = Logits::new(VOCABULARY, vec![0.0; wanted * VOCABULARY]);
        events.extend(scheduler.finish(&step, &logits, memory, one_by_one));
        work.extend(step.work);
    }
    (work, events)
}

#[test]
fn a_prefix_is_computed_at_once_whatever_the_limits() {
    let (mut scheduler, mut memory) = (scheduler(), Memory::new(4, None));
    scheduler
        .accept(request(prompt()), None, memory.pages.capacity())
        .expect("a request that fits");
    let (work, _) = run(&mut scheduler, &mut memory);
    let lengths: Vec<usize> = work.iter().map(|work| work.tokens.len()).collect();
    assert_eq!(lengths, [24, 3, 2, 1], "the lead with the prefix, then spans of three, then one");
    assert_eq!(work[0].tokens[..5], [100, 101, 102, 103, 1]);
    assert!(work.iter().all(|work| work.opening.together == 24));
}

#[test]
fn a_prefix_goes_beyond_the_step_and_no_sequence_waits_for_a_step_of_its_own() {
    let (mut scheduler, mut memory) = (scheduler(), Memory::new(4, None));
    let id = scheduler
        .accept(request(prompt()), None, memory.pages.capacity())
        .expect("a request that fits");
    let younger =
        scheduler.accept(request(prompt()), None, memory.pages.capacity()).expect("one more");
    let step = scheduler.step(&mut memory);
    let run: Vec<_> = step.work.iter().map(|work| (work.request, work.tokens.len())).collect();
    assert_eq!(run, [(id, 24)], "the first goes beyond the step, the second waits");
    let logits = Logits::new(VOCABULARY, vec![0.0; VOCABULARY]);
    scheduler.finish(&step, &logits, &mut memory, one_by_one);
    let step = scheduler.step(&mut memory);
    let run: Vec<_> = step.work.iter().map(|work| (work.request, work.tokens.len())).collect();
    assert_eq!(run, [(id, 3), (younger, 24)], "beside one that is on its way");
}

#[test]
fn positions_and_counts_are_told_without_the_lead() {
    let (mut scheduler, mut memory) = (scheduler(), Memory::new(4, None));
    scheduler
        .accept(request(prompt()), None, memory.pages.capacity())
        .expect("a request that fits");
    let (work, events) = run(&mut scheduler, &mut memory);
    let observed: Vec<usize> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Logits { position, .. } => Some(*position),
            EventKind::Token { .. }
            | EventKind::Embedding(_)
            | EventKind::PromptLogprobs { .. }
            | EventKind::Finished { .. } => None,
        })
        .collect();
    assert_eq!(observed, [0, 22]);
    assert_eq!(work[0].wanted, [4], "where the first token lies in the sequence");
    let Some(EventKind::Finished { usage, .. }) = events.last().map(|event| &event.kind) else {
        panic!("{events:?}")
    };
    assert_eq!(*usage, Usage { prompt_tokens: 25, cached_tokens: 0, completion_tokens: 2 });
}

#[test]
fn the_lead_takes_its_part_of_the_context_and_of_the_cache() {
    let mut scheduler = scheduler();
    let refused = scheduler.accept(request(vec![1; 37]), None, 4 * PAGE_POSITIONS);
    assert_eq!(refused, Err(Refused::Context { tokens: 41, context: 40 }));
    let refused = scheduler.accept(request(vec![1; 30]), None, 32);
    assert_eq!(refused, Err(Refused::Cache { needed: 36, capacity: 32 }));
}
