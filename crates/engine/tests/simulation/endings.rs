//! How requests end, and which never begin.

use crate::remembering::{Remembering, VOCABULARY, alone};
use baimo_engine::{
    Engine, EventKind, FinishReason, Limits, Logprobs, PAGE_POSITIONS, Refused, Request, Usage,
};

fn limits() -> Limits {
    Limits {
        tokens_per_step: 32,
        tokens_per_span: 32,
        sequences: 4,
        waiting: 2,
        context: 40,
        ..Limits::default()
    }
}

fn engine(pages: usize) -> Engine<Remembering> {
    Engine::new(Remembering::new(pages, limits()), pages, limits())
}

fn request(tokens: usize, max_tokens: usize) -> Request {
    Request { tokens: vec![5; tokens], max_tokens, ..Request::default() }
}

/// The tokens of a request, why it ended, and what it took.
fn answer(request: Request) -> (Vec<u32>, FinishReason, Usage) {
    let mut engine = engine(8);
    engine.submit(request).expect("a request that fits");
    let mut tokens = Vec::new();
    loop {
        for event in engine.step().unwrap() {
            match event.kind {
                EventKind::Token { token, .. } => tokens.push(token),
                EventKind::Logits { .. }
                | EventKind::Embedding(_)
                | EventKind::PromptLogprobs { .. } => panic!("nothing is observed"),
                EventKind::Finished { reason, usage } => {
                    assert!(engine.is_idle());
                    return (tokens, reason, usage);
                }
            }
        }
    }
}

#[test]
fn without_tokens_to_add_the_prompt_is_only_observed() {
    let mut engine = engine(8);
    let mut request = request(35, 0);
    request.observed = vec![34, 2];
    let expected = alone(&request, limits().context);
    engine.submit(request).unwrap();
    let turns = [engine.step().unwrap(), engine.step().unwrap()];
    let events: Vec<EventKind> = turns.concat().into_iter().map(|event| event.kind).collect();
    assert_eq!(events, expected);
    assert!(matches!(events[..], [EventKind::Logits { position: 2, .. }, _, _]), "{events:?}");
    assert!(engine.is_idle());
}

#[test]
fn prompt_logprobs_are_those_of_the_logits_before() {
    let tokens: Vec<u32> = (0..35).map(|index| index * 7 % VOCABULARY as u32).collect();
    let observed = Request { tokens, observed: (0..34).collect(), ..request(0, 0) };
    let expected = alone(&observed, limits().context).into_iter().filter_map(|event| match event {
        EventKind::Logits { position, logits } => {
            let logprobs = Logprobs::of(&logits, observed.tokens[position + 1], 2);
            Some(EventKind::PromptLogprobs { position: position + 1, logprobs })
        }
        EventKind::Token { .. }
        | EventKind::Embedding(_)
        | EventKind::PromptLogprobs { .. }
        | EventKind::Finished { .. } => None,
    });
    let expected: Vec<EventKind> = expected.collect();
    let mut engine = engine(8);
    engine
        .submit(Request { prompt_logprobs: Some(2), max_tokens: 1, ..observed.clone() })
        .expect("a request that fits");
    let turns = [engine.step().unwrap(), engine.step().unwrap()];
    let events: Vec<EventKind> = turns.concat().into_iter().map(|event| event.kind).collect();
    assert_eq!(events[..34], expected);
    assert!(matches!(events[34..], [EventKind::Token { .. }, EventKind::Finished { .. }]));
}

#[test]
fn one_token_is_one_token() {
    let (tokens, reason, usage) = answer(request(3, 1));
    assert_eq!((tokens.len(), reason), (1, FinishReason::Length));
    assert_eq!(usage, Usage { prompt_tokens: 3, cached_tokens: 0, completion_tokens: 1 });
}

#[test]
fn a_stop_token_is_the_last_event_and_counts() {
    let (free, _, _) = answer(request(3, 10));
    let stop = free[4];
    let first = free.iter().position(|token| *token == stop).unwrap();
    let (tokens, reason, usage) = answer(Request { stop_tokens: vec![stop], ..request(3, 10) });
    assert_eq!((&tokens[..], reason), (&free[..=first], FinishReason::Stop));
    assert_eq!(usage.completion_tokens, first + 1);
}

#[test]
fn a_stop_token_in_the_last_place_is_still_a_stop() {
    let (free, _, _) = answer(request(3, 1));
    let (_, reason, _) = answer(Request { stop_tokens: free, ..request(3, 1) });
    assert_eq!(reason, FinishReason::Stop);
}

#[test]
fn the_context_ends_an_answer() {
    let (tokens, reason, usage) = answer(request(30, 100));
    assert_eq!((tokens.len(), reason), (10, FinishReason::Length));
    assert_eq!(usage, Usage { prompt_tokens: 30, cached_tokens: 0, completion_tokens: 10 });
}

#[test]
fn an_endless_answer_is_no_overflow() {
    assert_eq!(answer(request(30, usize::MAX)).0.len(), 10);
}

#[test]
fn a_prompt_that_fills_the_context_has_one_token_after_it() {
    assert_eq!(answer(request(40, 5)).0.len(), 1);
}

#[test]
fn an_empty_prompt_is_refused() {
    assert_eq!(engine(8).submit(request(0, 1)), Err(Refused::Empty));
}

#[test]
fn a_prompt_beyond_the_context_is_refused() {
    let refused = Refused::Context { tokens: 41, context: 40 };
    assert_eq!(engine(8).submit(request(41, 0)), Err(refused));
}

#[test]
fn a_request_beyond_the_cache_is_refused() {
    let limits = Limits { context: 1000, ..limits() };
    let mut engine = Engine::new(Remembering::new(1, limits), 1, limits);
    let capacity = PAGE_POSITIONS;
    let refused = Refused::Cache { needed: capacity + 1, capacity };
    assert_eq!(engine.submit(request(1, capacity)), Err(refused));
    assert!(engine.submit(request(1, capacity - 1)).is_ok());
}

#[test]
fn cancelling_frees_the_pages_and_is_no_matter_afterwards() {
    let mut engine = engine(8);
    let id = engine.submit(request(30, 10)).unwrap();
    engine.step().unwrap();
    assert!(engine.pages_free() < 8);
    engine.cancel(id);
    engine.cancel(id);
    assert!(engine.is_idle());
    assert_eq!(engine.pages_free(), 8);
    assert_eq!(engine.step().unwrap(), Vec::new());
}

#[test]
fn the_waiting_room_is_bounded_and_opens_again() {
    let mut engine = engine(8);
    let ids: Vec<_> = (0..6).map(|_| engine.submit(request(3, 5)).unwrap()).collect();
    assert_eq!(engine.submit(request(3, 5)), Err(Refused::Full { waiting: 6 }));
    engine.step().unwrap();
    let stats = engine.stats();
    assert_eq!((stats.running, stats.waiting), (4, 2));
    assert_eq!(engine.submit(request(3, 5)), Err(Refused::Full { waiting: 2 }));
    engine.cancel(ids[0]);
    assert!(engine.submit(request(3, 5)).is_ok(), "one more may run");
    assert!(engine.submit(request(3, 5)).is_err());
}

#[test]
fn what_was_done_is_counted() {
    let mut engine = engine(8);
    engine.submit(request(30, 5)).unwrap();
    while !engine.is_idle() {
        engine.step().unwrap();
    }
    let stats = engine.stats();
    assert_eq!((stats.steps, stats.prompt_computed, stats.generated), (5, 30, 5));
    assert_eq!((stats.prefix_queried, stats.prefix_hit, stats.preemptions), (30, 0, 0));
    assert_eq!((stats.pages, stats.pages_free, stats.pages_kept), (8, 8, 0));
}
