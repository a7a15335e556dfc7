//! The engine on a model whose next token is a hash of its whole history, read back through the
//! pages: any mistake of paging, layout, preemption or scheduling changes what is said.

mod endings;
mod guided;
mod order;
mod prefix;
mod remembering;
mod reuse;

use baimo_engine::{
    Engine, EventKind, Limits, PAGE_POSITIONS, Request, RequestId, Sampling, Spill, Usage,
};
use proptest::prelude::*;
use remembering::{Remembering, VOCABULARY, alone};
use std::collections::BTreeMap;

/// A request, the turn it comes in, and the turn it is cancelled in.
#[derive(Clone, Debug)]
struct Visit {
    request: Request,
    arrives: usize,
    leaves: Option<usize>,
}

#[derive(Clone, Debug)]
struct Schedule {
    visits: Vec<Visit>,
    limits: Limits,
    pages: usize,
    slots: bool,
    /// Bytes of files, where there are any.
    spill: Option<u64>,
}

fn samplings() -> impl Strategy<Value = Sampling> {
    let drawn = (any::<u64>(), 0.2..2.0f32, 0..6usize, 0.5..1.2f32, 0.0..0.2f32);
    prop_oneof![
        Just(Sampling::GREEDY),
        drawn.prop_map(|(seed, temperature, top_k, top_p, penalty)| Sampling {
            temperature,
            top_k,
            top_p,
            presence_penalty: penalty,
            frequency_penalty: penalty,
            repetition_penalty: 1.0 + penalty,
            seed,
            ..Sampling::GREEDY
        }),
    ]
}

fn visits() -> impl Strategy<Value = Visit> {
    let token = 0..VOCABULARY as u32;
    let request = (
        prompts(),
        samplings(),
        prop_oneof![0..3usize, 0..3 * PAGE_POSITIONS],
        prop::collection::vec(token, 0..2),
        prop_oneof![Just(Vec::new()), prop::collection::vec(0..5 * PAGE_POSITIONS, 0..6)],
        prop::collection::vec(0..5 * PAGE_POSITIONS, 0..6),
    );
    let request =
        request.prop_map(|(tokens, sampling, max_tokens, stop_tokens, observed, marks)| Request {
            tokens,
            sampling,
            max_tokens,
            stop_tokens,
            observed,
            marks,
            ..Request::default()
        });
    let leaves = prop::option::weighted(0.2, 0..60usize);
    (request, 0..30usize, leaves).prop_map(|(request, arrives, leaves)| Visit {
        request,
        arrives,
        leaves,
    })
}

/// Prompts of which many begin alike.
fn prompts() -> impl Strategy<Value = Vec<u32>> {
    let beginning = (0..3u32, 0..4 * PAGE_POSITIONS).prop_map(|(kind, length)| {
        (0..length as u32).map(|at| (at * (kind + 1) + kind) % VOCABULARY as u32).collect()
    });
    let end = prop::collection::vec(0..VOCABULARY as u32, 1..40);
    (prop_oneof![Just(Vec::new()), beginning], end)
        .prop_map(|(beginning, end)| [beginning, end].concat())
}

/// Chooses for one sequence after the other.
fn one_by_one(pieces: usize, work: &(dyn Fn(usize) + Sync)) {
    (0..pieces).for_each(work);
}

fn limits() -> impl Strategy<Value = Limits> {
    let tokens = (1..80usize, 1..80usize, 1..80usize);
    let kept = (any::<bool>(), prop_oneof![Just(0), 0..5000usize, Just(1 << 20)]);
    (tokens, 1..7usize, 8..8 * PAGE_POSITIONS, kept).prop_map(
        |((tokens_per_step, tokens_per_span, tokens_beside), sequences, context, kept)| Limits {
            tokens_per_step,
            tokens_per_span,
            tokens_beside,
            sequences,
            context,
            reuse: kept.0,
            snapshot_bytes: kept.1,
            ..Limits::default()
        },
    )
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let spill = prop::option::weighted(0.2, prop_oneof![0..20_000u64, Just(1 << 24)]);
    (prop::collection::vec(visits(), 1..10), limits(), 4..14usize, any::<bool>(), spill).prop_map(
        |(visits, limits, pages, slots, spill)| Schedule { visits, limits, pages, slots, spill },
    )
}

/// A visit under way.
struct Guest<'a> {
    visit: &'a Visit,
    events: Vec<EventKind>,
    cancelled: bool,
}

/// Runs a schedule to its end, checking the engine on the way.
fn run(schedule: &Schedule) -> Engine<Remembering> {
    let Schedule { visits, limits, pages, slots, spill } = schedule;
    let model = Remembering::new(*pages, *limits);
    let model = if *slots { model } else { model.without_slots() };
    let mut engine = Engine::new(model, *pages, *limits);
    let folder = tempfile::tempdir().expect("a folder");
    if let Some(bytes) = spill {
        let spill = Spill::open(folder.path(), "remembering".to_owned(), *bytes);
        engine = engine.with_spill(spill.expect("a folder for files"));
    }
    let mut guests: BTreeMap<RequestId, Guest> = BTreeMap::new();
    let last = visits.iter().map(|visit| visit.arrives).max().unwrap_or(0);
    // Each that runs catches up by a token or more whenever its turn comes, and the oldest of all
    // is never paused.
    let work = |visit: &Visit| visit.request.tokens.len() + visit.request.max_tokens;
    let turns_max = last + limits.sequences * visits.iter().map(work).sum::<usize>() + 1;
    for turn in 0.. {
        assert!(turn <= turns_max, "no end after {turn} turns");
        for visit in visits.iter().filter(|visit| visit.arrives == turn) {
            if let Ok(id) = engine.submit(visit.request.clone()) {
                guests.insert(id, Guest { visit, events: Vec::new(), cancelled: false });
            }
        }
        for (id, guest) in &mut guests {
            if guest.visit.leaves.is_some_and(|leaves| leaves <= turn) && !guest.cancelled {
                guest.cancelled = true;
                engine.cancel(*id);
            }
        }
        let (idle, batches) = (engine.is_idle(), engine.model().batches);
        for event in engine.step().unwrap() {
            let guest = guests.get_mut(&event.request).expect("an event of a known request");
            assert!(!guest.cancelled, "an event after the cancellation");
            guest.events.push(without_hits(event.kind, &guest.visit.request));
        }
        assert_eq!(engine.model().batches, batches + usize::from(!idle), "every turn computes");
        if turn >= last && engine.is_idle() {
            break;
        }
    }
    assert_eq!(engine.pages_free(), *pages, "no page leaks");
    let stats = engine.stats();
    assert!(
        stats.snapshot_bytes <= limits.snapshot_bytes && (limits.reuse || stats.pages_kept == 0)
    );
    for Guest { visit, events, cancelled } in guests.values() {
        let expected = alone(&visit.request, limits.context);
        match cancelled {
            true => assert!(expected.starts_with(events), "{events:?} of {expected:?}"),
            false => assert_eq!(*events, expected),
        }
    }
    engine
}

/// The event as it is where nothing is reused.
fn without_hits(kind: EventKind, request: &Request) -> EventKind {
    match kind {
        EventKind::Finished { reason, usage } => {
            assert!(usage.cached_tokens < request.tokens.len(), "the last token is computed");
            EventKind::Finished { reason, usage: Usage { cached_tokens: 0, ..usage } }
        }
        EventKind::Token { .. }
        | EventKind::Logits { .. }
        | EventKind::PromptLogprobs { .. }
        | EventKind::Embedding(_) => kind,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_schedule_says_what_each_request_says_alone(schedule in schedules()) {
        run(&schedule);
    }
}

#[test]
fn a_preempted_request_computes_again_and_says_the_same() {
    let visit = |first: u32| Visit {
        request: Request {
            tokens: (first..).step_by(5).map(|at| at % VOCABULARY as u32).take(20).collect(),
            sampling: Sampling { temperature: 1.0, seed: 7, ..Sampling::GREEDY },
            max_tokens: 2 * PAGE_POSITIONS,
            observed: vec![19, 0, 3, 3, 500],
            ..Request::default()
        },
        arrives: 0,
        leaves: None,
    };
    let pages = (20 + 2 * PAGE_POSITIONS).div_ceil(PAGE_POSITIONS);
    for reuse in [false, true] {
        let (tokens_per_step, tokens_per_span) = (16, 6);
        let limits =
            Limits { tokens_per_step, tokens_per_span, sequences: 3, reuse, ..Limits::default() };
        let visits = vec![visit(1), visit(2), visit(3)];
        let engine = run(&Schedule { visits, limits, pages, slots: false, spill: None });
        let again = engine.model().rows - 3 * (20 + 2 * PAGE_POSITIONS - 1);
        assert!(again > 0 && engine.stats().preemptions > 0, "nobody was preempted");
    }
}
