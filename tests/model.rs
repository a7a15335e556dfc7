//! Loads a golden case through the whole normal path.

use crate::{checkpoint, golden};
use baimo::source::Source;
use baimo_engine::{Engine, EventKind, KvElement, Limits, Options, Request, RequestId, Runner};
use baimo_weights::Target;
use std::collections::BTreeMap;

/// Positions of the caches in tests.
pub const POSITIONS: usize = 512;

/// Sequences at once in tests.
pub const SEQUENCES: usize = 16;

/// What a request came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// After the prompt token at each observed position.
    pub logits: BTreeMap<usize, Vec<f32>>,
    /// In order.
    pub tokens: Vec<u32>,
}

/// Loads a case: from its `model.gguf`, or from a GGUF file or safetensors folder written for it.
pub fn load(case: &str, weights: Target) -> Runner {
    load_with(case, &options(weights))
}

/// Caches and threads of tests.
pub fn options(weights: Target) -> Options {
    Options {
        weights,
        cache: KvElement::F32,
        positions: POSITIONS,
        sequences: SEQUENCES,
        threads: Some(2),
        store: None,
        memory: None,
    }
}

/// Loads a case likewise, as `options` say.
pub fn load_with(case: &str, options: &Options) -> Runner {
    try_load(case, options).unwrap_or_else(|error| panic!("{case}: {error}"))
}

/// Loads a case likewise, which may be refused.
///
/// # Errors
/// As [`Runner::load`].
pub fn try_load(case: &str, options: &Options) -> Result<Runner, baimo_weights::Error> {
    let gguf = golden::folder(case).join("model.gguf");
    let folder = tempfile::tempdir().expect("a folder for the checkpoint");
    let path = if gguf.exists() {
        gguf
    } else if golden::folder(case).join("header.json").exists() {
        let path = folder.path().join("model.gguf");
        checkpoint::write_gguf(case, &path);
        path
    } else {
        checkpoint::write(case, folder.path());
        folder.path().to_owned()
    };
    let source = Source::open(path.to_str().expect("a path in UTF-8"))
        .unwrap_or_else(|error| panic!("{case}: {error:#}"));
    let checkpoint = source.checkpoint().expect("weights");
    Runner::load(source.blueprint(), checkpoint, options, &mut |_| ())
}

/// An engine over a loaded case, which computes at most `span` tokens of a sequence at once, and
/// all of them.
pub fn engine(runner: Runner, span: usize) -> Engine<Runner> {
    let limits = Limits {
        tokens_per_step: 64,
        tokens_per_span: span,
        sequences: SEQUENCES,
        context: POSITIONS,
        reuse: false,
        ..Limits::default()
    };
    let pages = runner.pages();
    Engine::new(runner, pages, limits)
}

/// A greedy request that observes the logits after each of `at` first tokens.
pub fn greedy(tokens: &[u32], at: &[usize], max_tokens: usize) -> Request {
    Request {
        tokens: tokens.to_vec(),
        max_tokens,
        observed: at.iter().map(|at| at - 1).collect(),
        ..Request::default()
    }
}

/// Runs until nothing is left to do.
pub fn finish(engine: &mut Engine<Runner>) -> BTreeMap<RequestId, Outcome> {
    let mut outcomes: BTreeMap<RequestId, Outcome> = BTreeMap::new();
    while !engine.is_idle() {
        for event in engine.step().expect("a model in memory") {
            let outcome = outcomes.entry(event.request).or_default();
            match event.kind {
                EventKind::Token { token, .. } => outcome.tokens.push(token),
                EventKind::Logits { position, logits } => {
                    outcome.logits.insert(position, logits);
                }
                EventKind::Embedding(_)
                | EventKind::PromptLogprobs { .. }
                | EventKind::Finished { .. } => (),
            }
        }
    }
    outcomes
}
