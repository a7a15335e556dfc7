//! What was computed of one request serves those that begin alike.

use crate::remembering::{Remembering, VOCABULARY};
use baimo_engine::{Engine, EventKind, Limits, PAGE_POSITIONS, Request, Spill, Usage};

fn limits() -> Limits {
    Limits { tokens_per_step: 100, tokens_per_span: 100, sequences: 4, ..Limits::default() }
}

fn engine(slots: bool, limits: Limits) -> Engine<Remembering> {
    let model = Remembering::new(40, limits);
    Engine::new(if slots { model } else { model.without_slots() }, 40, limits)
}

/// A text of its own for each `kind`.
fn text(kind: u32, length: usize) -> Vec<u32> {
    (0..length as u32).map(|at| (at * (kind + 1) + at / 7 + kind) % VOCABULARY as u32).collect()
}

/// Runs a prompt to its end; the answer, and what it took.
fn ask(engine: &mut Engine<Remembering>, tokens: &[u32], max_tokens: usize) -> (Vec<u32>, Usage) {
    run(engine, Request { tokens: tokens.to_vec(), max_tokens, ..Request::default() })
}

fn run(engine: &mut Engine<Remembering>, request: Request) -> (Vec<u32>, Usage) {
    let id = engine.submit(request).expect("a request that fits");
    let mut answer = Vec::new();
    loop {
        for event in engine.step().unwrap() {
            assert_eq!(event.request, id);
            match event.kind {
                EventKind::Token { token, .. } => answer.push(token),
                EventKind::Finished { usage, .. } => return (answer, usage),
                EventKind::Logits { .. }
                | EventKind::PromptLogprobs { .. }
                | EventKind::Embedding(_) => (),
            }
        }
    }
}

#[test]
fn a_second_turn_computes_what_is_new() {
    for slots in [false, true] {
        let mut engine = engine(slots, limits());
        let first = text(1, 10 * PAGE_POSITIONS + 20);
        let (answer, usage) = ask(&mut engine, &first, 2 * PAGE_POSITIONS);
        assert_eq!(usage.cached_tokens, 0);
        let rows = engine.model().rows;
        let second = [first, answer, text(2, 30)].concat();
        let (_, usage) = ask(&mut engine, &second, 1);
        assert_eq!(usage.cached_tokens, 12 * PAGE_POSITIONS, "slots: {slots}");
        assert_eq!(engine.model().rows - rows, second.len() - usage.cached_tokens);
        assert_eq!(engine.stats().prefix_hit, usage.cached_tokens as u64);
    }
}

#[test]
fn the_same_prompt_again_computes_its_end_only() {
    for (slots, length) in [(false, 3), (true, 3), (false, 0), (true, 0)] {
        let mut engine = engine(slots, limits());
        let prompt = text(1, 4 * PAGE_POSITIONS + length);
        let (first, _) = ask(&mut engine, &prompt, 5);
        let (again, usage) = ask(&mut engine, &prompt, 5);
        let pages = if length == 0 { 3 } else { 4 };
        assert_eq!((again, usage.cached_tokens), (first, pages * PAGE_POSITIONS));
    }
}

#[test]
fn a_state_is_taken_up_where_messages_end_and_in_long_prompts_now_and_then() {
    let mut engine = engine(true, limits());
    let shared = text(1, 5 * PAGE_POSITIONS + 9);
    let request = |kind, marks: &[usize]| Request {
        tokens: [shared.clone(), text(kind, 3 * PAGE_POSITIONS)].concat(),
        max_tokens: 1,
        marks: marks.to_vec(),
        ..Request::default()
    };
    run(&mut engine, request(2, &[]));
    let (_, usage) = run(&mut engine, request(3, &[shared.len()]));
    assert_eq!(usage.cached_tokens, 0, "no copy was made where they part");
    let (_, usage) = run(&mut engine, request(4, &[]));
    assert_eq!(usage.cached_tokens, 5 * PAGE_POSITIONS);
    let long = text(5, 20 * PAGE_POSITIONS);
    ask(&mut engine, &long, 1);
    let other = [long[..18 * PAGE_POSITIONS].to_vec(), text(6, 9)].concat();
    assert_eq!(ask(&mut engine, &other, 1).1.cached_tokens, 1024);
}

#[test]
fn requests_at_once_share_what_is_computed_already() {
    let mut engine = engine(false, limits());
    let shared = text(1, 6 * PAGE_POSITIONS);
    let request = |kind| Request {
        tokens: [shared.clone(), text(kind, 5)].concat(),
        max_tokens: 300,
        ..Request::default()
    };
    engine.submit(request(2)).unwrap();
    for _ in 0..10 {
        engine.step().unwrap();
    }
    let held = engine.stats().pages_free;
    engine.submit(request(3)).unwrap();
    engine.step().unwrap();
    assert_eq!(held - engine.stats().pages_free, 1, "the end of its own");
    assert_eq!(engine.stats().prefix_hit, shared.len() as u64);
}

#[test]
fn what_is_observed_is_computed() {
    for slots in [false, true] {
        let mut engine = engine(slots, limits());
        let prompt = text(1, 4 * PAGE_POSITIONS);
        ask(&mut engine, &prompt, 1);
        for (observed, pages) in [(vec![3 * PAGE_POSITIONS + 1], 3), (vec![2], 0)] {
            let pages = if slots && pages == 3 { 3 } else { pages };
            let tokens = prompt.clone();
            let request = Request { tokens, observed, max_tokens: 1, ..Request::default() };
            assert_eq!(run(&mut engine, request).1.cached_tokens, pages * PAGE_POSITIONS);
        }
        let request = Request { tokens: prompt.clone(), embedding: true, ..Request::default() };
        assert_eq!(run(&mut engine, request).1.cached_tokens, 3 * PAGE_POSITIONS);
    }
}

#[test]
fn where_reuse_is_off_all_is_computed() {
    let mut engine = engine(true, Limits { reuse: false, ..limits() });
    let prompt = text(1, 300);
    ask(&mut engine, &prompt, 1);
    assert_eq!(ask(&mut engine, &prompt, 1).1.cached_tokens, 0);
    let stats = engine.stats();
    assert_eq!((stats.pages_kept, stats.snapshot_bytes), (0, 0));
}

#[test]
fn without_room_for_copies_a_model_with_slots_computes_all() {
    let mut engine = engine(true, Limits { snapshot_bytes: 0, ..limits() });
    let prompt = text(1, 300);
    ask(&mut engine, &prompt, 1);
    assert_eq!(ask(&mut engine, &prompt, 1).1.cached_tokens, 0);
}

#[test]
fn files_serve_what_memory_has_no_more_also_after_a_restart() {
    for slots in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let start = || {
            let spill = Spill::open(folder.path(), "a model".to_owned(), 1 << 24).unwrap();
            engine(slots, limits()).with_spill(spill)
        };
        let mut engine = start();
        let first = text(1, 10 * PAGE_POSITIONS + 20);
        let (answer, _) = ask(&mut engine, &first, PAGE_POSITIONS);
        // More than all pages.
        (2..8).for_each(|kind| drop(ask(&mut engine, &text(kind, 9 * PAGE_POSITIONS), 1)));
        engine.flush();
        let second = [first, answer, text(9, 30)].concat();
        let (expected, usage) = ask(&mut engine, &second, 5);
        assert_eq!(usage.cached_tokens, 11 * PAGE_POSITIONS, "slots: {slots}");
        engine.flush();
        assert!(engine.stats().spill_bytes > 0);
        drop(engine);
        let mut again = start();
        let (answer, usage) = ask(&mut again, &second, 5);
        assert_eq!((answer, usage.cached_tokens), (expected, 11 * PAGE_POSITIONS));
        assert_eq!(again.model().rows, second.len() + 4 - 11 * PAGE_POSITIONS);
    }
}

#[test]
fn files_that_are_damaged_or_gone_cost_time_only() {
    let prompt = text(1, 6 * PAGE_POSITIONS + 20);
    for slots in [false, true] {
        for damaged in 0..7 {
            let folder = tempfile::tempdir().unwrap();
            let start = || {
                let spill = Spill::open(folder.path(), "a model".to_owned(), 1 << 24).unwrap();
                engine(slots, limits()).with_spill(spill)
            };
            let mut engine = start();
            let (expected, _) = ask(&mut engine, &prompt, 5);
            engine.flush();
            drop(engine);
            let mut files: Vec<_> =
                folder.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
            files.sort();
            let file = &files[damaged % files.len()];
            match damaged % 3 {
                0 => std::fs::remove_file(file).unwrap(),
                1 => std::fs::write(file, b"nonsense").unwrap(),
                _ => {
                    let mut bytes = std::fs::read(file).unwrap();
                    *bytes.last_mut().unwrap() ^= 1;
                    std::fs::write(file, bytes).unwrap();
                }
            }
            let mut again = start();
            let (answer, usage) = ask(&mut again, &prompt, 5);
            assert_eq!(answer, expected);
            assert!(usage.cached_tokens < prompt.len());
            let (answer, usage) = ask(&mut again, &prompt, 5);
            assert_eq!((answer, usage.cached_tokens), (expected, 6 * PAGE_POSITIONS));
        }
    }
}
