//! The same answer under load: alone, in company, after a pause, with what was computed of others
//! used again and without, for every kind of state.

use baimo_blueprint::State;
use baimo_engine::{
    Engine, EventKind, KvElement, Limits, Options, PAGE_POSITIONS, Request, RequestId, Runner,
    Sampling, Spill, Stats, Usage,
};
use baimo_tests::model::{self, Outcome};
use baimo_weights::Target;
use std::collections::BTreeMap;

/// A case for each kind of state, and for each way in which a row depends on more than the tokens
/// before it: rotations by the length of the prompt, blocks that long prompts choose, beginnings
/// that are read in both directions, runs of tokens.
const CASES: [&str; 27] = [
    "qwen3",
    "qwen2_swa",
    "mimo_v2_flash",
    "step3p5",
    "deepseek_v2",
    "deepseek_v32",
    "glm_moe_dsa_shared",
    "qwen3_next",
    "qwen3_5",
    "kimi_linear",
    "ling_2_5",
    "minimax_text_01",
    "mamba2",
    "bamba",
    "baichuan_m1",
    "hunyuan_large",
    "minicpm4_sparse",
    "minicpm4_sparse_long",
    "minicpm3_long",
    "llama_dynamic",
    "internlm2_long",
    "qwen_long",
    "chatglm_6b",
    "glm_130b_mask",
    "cpm_ant",
    "longcat_flash_ngram",
    "baichuan2_7b_odd",
];

/// Cases that keep rows of each kind, which are tried in 8 bits too.
const IN_8_BITS: [&str; 4] = ["mimo_v2_flash", "deepseek_v2", "deepseek_v32", "minicpm4_sparse"];

/// Cases with how their rows are stored.
fn stored(cases: &[&'static str]) -> Vec<(&'static str, KvElement)> {
    let floats = cases.iter().map(|case| (*case, KvElement::F32));
    floats.chain(IN_8_BITS.map(|case| (case, KvElement::Q8))).collect()
}

/// Schedules of each case.
const SCHEDULES: u64 = 3;

/// Pages of the caches: fewer than all requests of a schedule fill.
const PAGES: usize = 14;

/// Numbers that look random (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % end as u64) as usize
    }

    fn tokens(&mut self, count: usize, vocab: usize) -> Vec<u32> {
        (0..count).map(|_| self.below(vocab) as u32).collect()
    }
}

fn load(case: &str, cache: KvElement) -> Runner {
    let positions = PAGES * PAGE_POSITIONS;
    model::load_with(case, &Options { positions, cache, ..model::options(Target::F32) })
}

/// Requests of which some begin alike, some are the same, and some go on where others end.
fn requests(dice: &mut Dice, vocab: usize) -> Vec<Request> {
    let bases = [dice.tokens(260, vocab), dice.tokens(260, vocab)];
    let mut requests: Vec<Request> = Vec::new();
    for _ in 0..9 {
        let (base, shared) = (&bases[dice.below(2)], 60 * dice.below(5));
        let (mut tokens, own) = (base[..shared].to_vec(), 1 + dice.below(30));
        tokens.extend(dice.tokens(own, vocab));
        if dice.below(4) == 0
            && let Some(other) = requests.last()
        {
            tokens = other.tokens.clone();
        }
        let sampling = Sampling { temperature: 1.0, seed: dice.0, ..Sampling::GREEDY };
        let at = |dice: &mut Dice| (0..3).map(|_| dice.below(300)).collect();
        requests.push(Request {
            sampling: if dice.below(2) == 0 { sampling } else { Sampling::GREEDY },
            max_tokens: dice.below(100),
            observed: if dice.below(4) == 0 { at(dice) } else { Vec::new() },
            marks: at(dice),
            tokens,
            ..Request::default()
        });
    }
    requests
}

fn limits(dice: &mut Dice, reuse: bool) -> Limits {
    Limits {
        tokens_per_step: [4, 30, 200][dice.below(3)],
        tokens_per_span: [3, 20, 200][dice.below(3)],
        tokens_beside: [1, 16, 100][dice.below(3)],
        sequences: 1 + dice.below(model::SEQUENCES),
        context: PAGES * PAGE_POSITIONS,
        reuse,
        snapshot_bytes: [200_000, 1 << 30][dice.below(2)],
        ..Limits::default()
    }
}

/// What each request comes to by itself, with nothing kept; `None` where it is refused.
fn alone(runner: Runner, requests: &[Request]) -> (Runner, Vec<Option<Outcome>>) {
    let mut engine = model::engine(runner, 64);
    let outcome = |request: &Request| {
        let id = engine.submit(request.clone()).ok()?;
        Some(model::finish(&mut engine).remove(&id).unwrap_or_default())
    };
    let outcomes = requests.iter().map(outcome).collect();
    (engine.into_model(), outcomes)
}

/// A request in company.
struct Guest {
    index: usize,
    outcome: Outcome,
    leaves: usize,
}

/// Runs all requests, which come and go at random; gives what was counted.
fn in_company(
    runner: Runner,
    requests: &[Request],
    expected: &[Option<Outcome>],
    (dice, reuse): (&mut Dice, bool),
    what: &str,
) -> (Runner, Stats) {
    let mut engine = Engine::new(runner, PAGES, limits(dice, reuse));
    let mut arrivals: Vec<usize> = requests.iter().map(|_| dice.below(60)).collect();
    arrivals[0] = 0;
    let mut guests: BTreeMap<RequestId, Guest> = BTreeMap::new();
    for turn in 0.. {
        for (index, request) in requests.iter().enumerate().filter(|(at, _)| arrivals[*at] == turn)
        {
            let leaves = if dice.below(5) == 0 { turn + dice.below(60) } else { usize::MAX };
            if let Ok(id) = engine.submit(request.clone()) {
                guests.insert(id, Guest { index, outcome: Outcome::default(), leaves });
            }
        }
        for (id, guest) in guests.iter_mut().filter(|(_, guest)| guest.leaves == turn) {
            engine.cancel(*id);
            guest.leaves = 0;
        }
        for event in engine.step().expect("a model in memory") {
            let guest = guests.get_mut(&event.request).expect("one of these");
            match event.kind {
                EventKind::Token { token, .. } => guest.outcome.tokens.push(token),
                EventKind::Logits { position, logits } => {
                    guest.outcome.logits.insert(position, logits);
                }
                EventKind::Embedding(_) | EventKind::PromptLogprobs { .. } => {
                    panic!("nobody asked for it")
                }
                EventKind::Finished { .. } => guest.leaves = usize::MAX,
            }
        }
        if turn > 60 && engine.is_idle() {
            break;
        }
    }
    assert_eq!(engine.pages_free(), PAGES, "{what}: no page leaks");
    for Guest { index, outcome, leaves } in guests.values() {
        let expected = expected[*index].as_ref().expect("taken alone as well");
        match leaves {
            0 => assert!(expected.tokens.starts_with(&outcome.tokens), "{what}, request {index}"),
            _ => assert_eq!(outcome, expected, "{what}, request {index}"),
        }
    }
    let stats = engine.stats();
    (engine.into_model(), stats)
}

#[test]
fn the_same_answer_alone_in_company_after_a_pause_and_with_reuse() {
    let first: u64 = std::env::var("BAIMO_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let (mut hits, mut preemptions) = (BTreeMap::new(), 0);
    for (case, element) in stored(&CASES) {
        let mut runner = load(case, element);
        let case = format!("{case} in {element:?}");
        let vocab = runner.decoder().blueprint().vocab.min(128);
        // Without a mark in it, all of a prompt is read at once, so nothing of another serves it.
        let must_hit = runner.decoder().blueprint().prefix.is_none();
        for seed in first..first + SCHEDULES {
            let mut dice = Dice(seed * 1000);
            let requests = requests(&mut dice, vocab);
            let (back, expected) = alone(runner, &requests);
            runner = back;
            for reuse in [true, false] {
                let what = format!("{case}, BAIMO_SEED={seed}, reuse: {reuse}");
                let how = (&mut dice, reuse);
                let (back, stats) = in_company(runner, &requests, &expected, how, &what);
                runner = back;
                preemptions += stats.preemptions;
                assert!(reuse || stats.prefix_hit == 0, "{what}");
                *hits.entry(case.clone()).or_insert(0) += stats.prefix_hit;
            }
        }
        assert!(!must_hit || hits[&case] > 0, "{case}: nothing was used again");
    }
    println!("{preemptions} pauses; tokens not computed: {hits:?}");
    assert!(preemptions > 100, "{preemptions} pauses");
}

#[test]
fn the_cases_have_every_kind_of_state() {
    let mut kinds = [false; 6];
    for case in CASES {
        let runner = load(case, KvElement::F32);
        let blueprint = runner.decoder().blueprint();
        for state in blueprint.states().into_iter().flatten() {
            let kind = match state {
                State::Rows { window: None, .. } => 0,
                State::Rows { window: Some(_), .. } => 1,
                State::LatentRows { .. } => 2,
                State::Fixed { .. } => 3,
                State::Keys { .. } => 4,
                State::Pooled { .. } => 5,
            };
            kinds[kind] = true;
        }
    }
    assert_eq!(kinds, [true; 6]);
}

/// Runs one prompt to its end.
fn ask(engine: &mut Engine<Runner>, tokens: &[u32], max_tokens: usize) -> (Vec<u32>, Usage) {
    let request = Request { tokens: tokens.to_vec(), max_tokens, ..Request::default() };
    engine.submit(request).expect("a prompt that fits");
    let mut answer = Vec::new();
    loop {
        for event in engine.step().expect("a model in memory") {
            match event.kind {
                EventKind::Token { token, .. } => answer.push(token),
                EventKind::Finished { usage, .. } => return (answer, usage),
                EventKind::Embedding(_)
                | EventKind::Logits { .. }
                | EventKind::PromptLogprobs { .. } => (),
            }
        }
    }
}

/// A case for each kind of state.
const KINDS: [&str; 10] = [
    "qwen3",
    "mimo_v2_flash",
    "deepseek_v2",
    "deepseek_v32",
    "minicpm4_sparse",
    "qwen3_next",
    "kimi_linear",
    "minimax_text_01",
    "mamba2",
    "baichuan_m1",
];

fn engine(runner: Runner) -> Engine<Runner> {
    let context = PAGES * PAGE_POSITIONS;
    Engine::new(runner, PAGES, Limits { context, ..Limits::default() })
}

#[test]
fn a_second_turn_computes_what_is_new_also_after_a_restart() {
    for (case, element) in stored(&KINDS) {
        let folder = tempfile::tempdir().expect("a folder");
        let start = || {
            let runner = load(case, element);
            let spill = Spill::open(folder.path(), runner.layout(), 1 << 30).expect("a folder");
            engine(runner).with_spill(spill)
        };
        let mut dice = Dice(7);
        let first = dice.tokens(5 * PAGE_POSITIONS + 10, 100);
        let mut before = start();
        let (answer, usage) = ask(&mut before, &first, 80);
        assert_eq!(usage.cached_tokens, 0, "{case}");
        before.flush();
        let second = [first, answer, dice.tokens(30, 100)].concat();
        let whole = (5 * PAGE_POSITIONS + 10 + 80) / PAGE_POSITIONS * PAGE_POSITIONS;
        let (expected, _) = ask(&mut engine(load(case, element)), &second, 20);
        for (mut engine, when) in [(before, "in memory"), (start(), "after a restart")] {
            let (answer, usage) = ask(&mut engine, &second, 20);
            assert_eq!(
                (&answer, usage.cached_tokens),
                (&expected, whole),
                "{case} in {element:?} {when}"
            );
        }
    }
}
