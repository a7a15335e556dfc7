//! Loads a golden case through the whole normal path.

use crate::{checkpoint, golden};
use baimo_engine::{
    Engine, EventKind, KvElement, Limits, Options, Request, RequestId, Runner, Sampling,
};
use baimo_labs::{Blueprint, GgufHeader, GgufTensors};
use baimo_weights::{Checkpoint, Target};
use std::collections::BTreeMap;

/// Positions of the caches in tests.
pub const POSITIONS: usize = 512;

/// What a request came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// After the prompt token at each observed position.
    pub logits: BTreeMap<usize, Vec<f32>>,
    /// In order.
    pub tokens: Vec<u32>,
}

/// Loads a case: from a safetensors folder written for it, or from its `model.gguf`.
pub fn load(case: &str, weights: Target) -> Runner {
    let gguf = golden::folder(case).join("model.gguf");
    let folder = tempfile::tempdir().expect("a folder for the checkpoint");
    let (blueprint, checkpoint) = if gguf.exists() {
        let checkpoint = Checkpoint::open(&gguf).expect("a GGUF file");
        (blueprint_of(&checkpoint), checkpoint)
    } else {
        checkpoint::write(case, folder.path());
        let config = golden::json(case, "config.json");
        let checkpoint = Checkpoint::open(folder.path()).expect("a checkpoint");
        (baimo_labs::blueprint(&config).expect("a page"), checkpoint)
    };
    let options =
        Options { weights, cache: KvElement::F32, positions: POSITIONS, threads: Some(2) };
    Runner::load(blueprint, &checkpoint, &options, &mut |_| ())
        .unwrap_or_else(|error| panic!("{case}: {error}"))
}

struct Tensors<'a>(&'a Checkpoint);

impl GgufTensors for Tensors<'_> {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.tensors().find(|tensor| tensor.name == name).map(|tensor| tensor.shape.clone())
    }

    fn floats(&self, name: &str) -> Option<Vec<f32>> {
        self.0.tensor(name).ok().flatten().map(|tensor| tensor.to_f32())
    }
}

/// The Blueprint of a GGUF file.
pub fn blueprint_of(checkpoint: &Checkpoint) -> Blueprint {
    let metadata = checkpoint.metadata().expect("a GGUF file").to_json(1000);
    let metadata = metadata.as_object().expect("an object");
    let tensors = Tensors(checkpoint);
    let header = GgufHeader::new(metadata, &tensors).expect("an architecture");
    header.blueprint().unwrap_or_else(|error| panic!("{}: {error}", checkpoint.path().display()))
}

/// An engine over a loaded case, which computes at most `span` tokens of a sequence at once.
pub fn engine(runner: Runner, span: usize) -> Engine<Runner> {
    let limits =
        Limits { tokens_per_step: 64, tokens_per_span: span, sequences: 16, context: POSITIONS };
    let pages = runner.pages();
    Engine::new(runner, pages, limits)
}

/// A greedy request that observes the logits after each of `at` first tokens.
pub fn greedy(tokens: &[u32], at: &[usize], max_tokens: usize) -> Request {
    Request {
        tokens: tokens.to_vec(),
        sampling: Sampling::GREEDY,
        max_tokens,
        stop_tokens: Vec::new(),
        observed: at.iter().map(|at| at - 1).collect(),
    }
}

/// Runs until nothing is left to do.
pub fn finish(engine: &mut Engine<Runner>) -> BTreeMap<RequestId, Outcome> {
    let mut outcomes: BTreeMap<RequestId, Outcome> = BTreeMap::new();
    while !engine.is_idle() {
        for event in engine.step() {
            let outcome = outcomes.entry(event.request).or_default();
            match event.kind {
                EventKind::Token(token) => outcome.tokens.push(token),
                EventKind::Logits { position, logits } => {
                    outcome.logits.insert(position, logits);
                }
                EventKind::Finished { .. } => (),
            }
        }
    }
    outcomes
}
