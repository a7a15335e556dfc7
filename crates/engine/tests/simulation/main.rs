//! The engine on a model whose next token is a hash of its whole history, read back through the
//! pages: any mistake of paging, layout, preemption or scheduling changes what is said.

mod endings;
mod guided;
mod order;
mod prefix;
mod remembering;

use baimo_engine::{Engine, EventKind, Limits, PAGE_POSITIONS, Request, RequestId, Sampling};
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
        prop::collection::vec(token.clone(), 1..4 * PAGE_POSITIONS),
        samplings(),
        prop_oneof![0..3usize, 0..3 * PAGE_POSITIONS],
        prop::collection::vec(token, 0..2),
        prop::collection::vec(0..5 * PAGE_POSITIONS, 0..6),
    );
    let request = request.prop_map(|(tokens, sampling, max_tokens, stop_tokens, observed)| {
        Request { tokens, sampling, max_tokens, stop_tokens, observed, ..Request::default() }
    });
    let leaves = prop::option::weighted(0.2, 0..60usize);
    (request, 0..30usize, leaves).prop_map(|(request, arrives, leaves)| Visit {
        request,
        arrives,
        leaves,
    })
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let limits = (1..80usize, 1..80usize, 1..7usize, 8..8 * PAGE_POSITIONS);
    let limits = limits.prop_map(|(tokens_per_step, tokens_per_span, sequences, context)| Limits {
        tokens_per_step,
        tokens_per_span,
        sequences,
        context,
    });
    (prop::collection::vec(visits(), 1..10), limits, 4..14usize)
        .prop_map(|(visits, limits, pages)| Schedule { visits, limits, pages })
}

/// A visit under way.
struct Guest<'a> {
    visit: &'a Visit,
    events: Vec<EventKind>,
    cancelled: bool,
}

/// Runs a schedule to its end, checking the engine on the way.
fn run(schedule: &Schedule) -> Engine<Remembering> {
    let Schedule { visits, limits, pages } = schedule;
    let mut engine = Engine::new(Remembering::new(*pages, *limits), *pages, *limits);
    let mut guests: BTreeMap<RequestId, Guest> = BTreeMap::new();
    let last = visits.iter().map(|visit| visit.arrives).max().unwrap_or(0);
    // The oldest request catches up by a token a turn or more.
    let work = |visit: &Visit| visit.request.tokens.len() + visit.request.max_tokens;
    let turns_max = last + visits.iter().map(work).sum::<usize>() + 1;
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
            guest.events.push(event.kind);
        }
        assert_eq!(engine.model().batches, batches + usize::from(!idle), "every turn computes");
        if turn >= last && engine.is_idle() {
            break;
        }
    }
    assert_eq!(engine.pages_free(), *pages, "no page leaks");
    for Guest { visit, events, cancelled } in guests.values() {
        let expected = alone(&visit.request, limits.context);
        match cancelled {
            true => assert!(expected.starts_with(events), "{events:?} of {expected:?}"),
            false => assert_eq!(*events, expected),
        }
    }
    engine
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
    let limits = Limits { tokens_per_step: 16, tokens_per_span: 6, sequences: 3, context: 1000 };
    let pages = (20 + 2 * PAGE_POSITIONS).div_ceil(PAGE_POSITIONS);
    let engine = run(&Schedule { visits: vec![visit(1), visit(2), visit(3)], limits, pages });
    // Without preemption every token but a request's last is computed once.
    assert!(engine.model().rows > 3 * (20 + 2 * PAGE_POSITIONS - 1), "nobody was preempted");
}
