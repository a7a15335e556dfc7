//! What the planner says of memory against what the allocator hands out, for every golden case.

use baimo_catalog::plan::{Memory, Packing, Question, Stored};
use baimo_engine::{Batch, KvElement, LOOKBACK, Opening, Options, PAGE_POSITIONS, Runner, Span};
use baimo_tests::{golden, model};
use baimo_weights::{Checkpoint, Target};
use cap::Cap;
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Rows of the prompt, and positions in all.
const CHUNK: usize = 96;
const CONTEXT: usize = 2 * CHUNK + 1;

/// Bytes that a model of any size may have beside its numbers, more or less: its Blueprint and the
/// names of its weights; what is freed at once and was counted at its peak.
const CONSTANT: f64 = 48e3;

/// Runs a prompt in two pieces and one token of an answer.
fn run(runner: &mut Runner) {
    let vocab = runner.decoder().blueprint().vocab;
    let prefix = runner.decoder().blueprint().prefix.clone();
    let opening = prefix.map_or(Opening::default(), |prefix| {
        Opening::of(&prefix, &[]).expect("nothing has no segments")
    });
    let token = |at: usize| (at * 7919 % vocab) as u32;
    for positions in [0..CHUNK, CHUNK..2 * CHUNK, 2 * CHUNK..CONTEXT] {
        let first = positions.start;
        let span = Span {
            first_row: 0,
            rows: positions.len(),
            position: first,
            prompt: 2 * CHUNK,
            opening: opening.clone(),
            before: (first.saturating_sub(LOOKBACK)..first).map(token).collect(),
            pages: (0..positions.end.div_ceil(PAGE_POSITIONS) as u32).collect(),
            slot: 0,
        };
        runner.forward(&Batch {
            wanted: vec![positions.len() as u32 - 1],
            tokens: positions.map(token).collect(),
            spans: vec![span],
            embedded: Vec::new(),
        });
    }
}

/// Bytes that a case takes, and what is planned for it.
fn found_and_planned(case: &str, target: Target) -> [f64; 2] {
    let options = Options {
        positions: CONTEXT,
        sequences: 1,
        threads: Some(1),
        cache: KvElement::F16,
        ..model::options(target)
    };
    let before = ALLOCATOR.allocated();
    let mut runner = model::load_with(case, &options);
    run(&mut runner);
    let found = ALLOCATOR.allocated() - before;
    let folder = tempfile::tempdir().unwrap();
    baimo_tests::checkpoint::write(case, folder.path());
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let memory = Memory::of(&Question {
        blueprint: runner.decoder().blueprint(),
        packing: &Packing { stored: Stored::Files(&checkpoint), target },
        element: KvElement::F16,
        context: CONTEXT,
        users: 1,
        threads: 1,
        chunk: CHUNK,
        mapped: false,
        copies: None,
    });
    let planned = memory.own - Memory::PROGRAM;
    [found as f64, planned as f64]
}

#[test]
fn planned_memory_is_what_the_allocator_hands_out() {
    for (index, case) in golden::cases().into_iter().enumerate() {
        let target = [Target::Native, Target::Q8_0][index % 2];
        // What threads keep for attention goes with them.
        let name = case.clone();
        let thread = std::thread::spawn(move || found_and_planned(&name, target));
        let [found, planned] = thread.join().unwrap();
        let off = (found - planned).abs();
        let most = 0.03 * found + CONSTANT;
        assert!(off <= most, "{case}, {target:?}: {planned} planned, {found} found");
    }
}
