//! What a layer is expected to choose, and how much such guesses are worth.
//!
//! A guess is brought where guesses of its layer and rank were right more often than not. That is
//! a running mean of all guesses at experts that were absent, whether they were brought or not: it
//! tells of routers, not of what a disk had time for, and guesses that were given up as too poor
//! are taken up again when they have become better.

use super::Key;
use std::collections::{HashMap, VecDeque};

/// Guesses that the running mean is of: of fewer, those that are right by luck pass for good.
const GUESSES_MAX: f32 = 64.0;
/// Guesses, half of them right, that it begins with.
const GUESSES_FIRST: f32 = 8.0;
/// Guesses that were right so often, and not more often, are not worth their reading.
const WORTHLESS: f32 = 0.5;

/// An expert that a layer may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guess {
    /// Its number in the layer.
    pub expert: usize,
    /// Which choice of a token it would be: zero is the best.
    pub rank: usize,
}

/// What became of experts since the model was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Experts that steps asked for.
    pub asked: u64,
    /// Of these, those that were here already.
    pub here: u64,
    /// Absent experts that a layer was expected to choose.
    pub guessed: u64,
    /// Of these, those that it chose.
    pub right: u64,
    /// Experts that began to be brought by a guess.
    pub ahead: u64,
    /// Of these, those that a step asked for before they left.
    pub used: u64,
    /// Experts brought, those by a guess among them.
    pub brought: u64,
    /// Bytes read for experts, those of guesses that were given up among them.
    pub bytes: u64,
}

/// What one layer is expected to choose.
#[derive(Default)]
pub(super) struct Ahead {
    layer: usize,
    /// Each guess, and whether its expert was absent.
    guesses: Vec<(Guess, bool)>,
    /// Those to be brought, best first.
    waiting: VecDeque<Key>,
    /// That which the thread brings now, unless it has been given up.
    pub bringing: Option<Key>,
    /// By layer and rank, how often guesses were right.
    right: HashMap<(usize, usize), Mean>,
}

/// How often guesses were right.
struct Mean {
    value: f32,
    /// Guesses that it is of.
    guesses: f32,
}

impl Default for Mean {
    fn default() -> Mean {
        Mean { value: WORTHLESS, guesses: GUESSES_FIRST }
    }
}

impl Ahead {
    /// Expects `layer` to choose `guesses`, best first, in place of what was expected before.
    pub fn expect(&mut self, layer: usize, guesses: &[Guess], is_absent: impl Fn(Key) -> bool) {
        self.layer = layer;
        self.guesses.clear();
        self.waiting.clear();
        for guess in guesses {
            let key = (layer, guess.expert);
            let absent = is_absent(key);
            self.guesses.push((*guess, absent));
            let right = self.right.get(&(layer, guess.rank));
            if absent && right.is_some_and(|mean| mean.value > WORTHLESS) {
                self.waiting.push_back(key);
            }
        }
    }

    /// Judges what was expected of a layer by what it chose. Nothing is expected any more.
    pub fn judge(&mut self, layer: usize, chosen: &[usize], counts: &mut Counts) {
        if self.layer != layer {
            return;
        }
        self.waiting.clear();
        for (guess, _) in self.guesses.drain(..).filter(|(_, absent)| *absent) {
            let is_right = chosen.contains(&guess.expert);
            counts.guessed += 1;
            counts.right += u64::from(is_right);
            let mean = self.right.entry((layer, guess.rank)).or_default();
            mean.guesses = (mean.guesses + 1.0).min(GUESSES_MAX);
            mean.value += (f32::from(u8::from(is_right)) - mean.value) / mean.guesses;
        }
    }

    /// Whether a layer to come is expected to choose an expert.
    pub fn expects(&self, key: Key) -> bool {
        let is_it = |(guess, _): &(Guess, bool)| (self.layer, guess.expert) == key;
        self.guesses.iter().any(is_it)
    }

    /// The best guess that waits; it still does.
    pub fn best(&self) -> Option<Key> {
        self.waiting.front().copied()
    }

    /// Drops the best guess that waits.
    pub fn drop_best(&mut self) {
        self.waiting.pop_front();
    }
}
