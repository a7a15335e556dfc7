//! The angles of rotary embeddings (arXiv:2104.09864) with their long-context scalings.

use crate::batch::Place;
use baimo_blueprint::{Along, Blueprint, Rope, RopeScaling, llama3_frequency};
use std::f64::consts::TAU;

/// Cosine and sine of every row: `[rows, dim / 2]` each.
#[derive(Debug, Default)]
pub struct Angles {
    pub cos: Vec<f32>,
    pub sin: Vec<f32>,
}

/// The different rotations of a model; mixers name theirs by number.
#[derive(Debug)]
pub struct Rotations {
    ropes: Vec<Rope>,
}

impl Rotations {
    /// Every rotation of the model once.
    pub fn of(blueprint: &Blueprint) -> Rotations {
        let mut ropes: Vec<Rope> = Vec::new();
        for mixer in blueprint.layers.iter().flat_map(|layer| layer.mixers()) {
            for rope in mixer.ropes() {
                if !ropes.contains(rope) {
                    ropes.push(rope.clone());
                }
            }
        }
        Rotations { ropes }
    }

    /// The number of a rotation.
    pub fn index(&self, rope: &Rope) -> usize {
        let found = self.ropes.iter().position(|other| other == rope);
        found.expect("every rotation of the model is listed")
    }

    /// The angles of each rotation at these places.
    pub fn angles(&self, places: &[Place]) -> Vec<Angles> {
        self.ropes.iter().map(|rope| angles(rope, places)).collect()
    }
}

/// As the references do: position and frequency are multiplied in f32.
fn angles(rope: &Rope, places: &[Place]) -> Angles {
    let (attention, fixed_up_to) = match rope.scaling {
        RopeScaling::Yarn { attention, .. } => (f64::from(attention), usize::MAX),
        RopeScaling::Long { attention, original, .. } => (f64::from(attention), original),
        RopeScaling::Dynamic { original, .. } | RopeScaling::Steps { original } => (1.0, original),
        RopeScaling::None
        | RopeScaling::Linear { .. }
        | RopeScaling::Divided { .. }
        | RopeScaling::Ntk { .. }
        | RopeScaling::Llama3 { .. } => (1.0, usize::MAX),
    };
    let fixed = frequencies(rope, &Place::default());
    let mut angles = Angles::default();
    for place in places {
        let moved = (place.reached() > fixed_up_to).then(|| frequencies(rope, place));
        for &frequency in moved.as_ref().unwrap_or(&fixed) {
            let count = match rope.along {
                Along::Sequence => place.standing,
                Along::Written => place.written,
            };
            let angle = f64::from(count as f32 * frequency);
            angles.cos.push((angle.cos() * attention) as f32);
            angles.sin.push((angle.sin() * attention) as f32);
        }
    }
    angles
}

/// The `dim / 2` frequencies at a place (which matters to dynamic scaling and to LongRoPE only).
fn frequencies(rope: &Rope, place: &Place) -> Vec<f32> {
    let dim = rope.dim as f64;
    let plain = |theta: f64, pair: usize| theta.powf(-2.0 * pair as f64 / dim);
    let frequency = |pair: usize| -> f64 {
        let kept = plain(rope.theta, pair);
        match rope.scaling {
            RopeScaling::None => kept,
            RopeScaling::Linear { factor } => kept / factor,
            RopeScaling::Divided { ref by } => kept / f64::from(by[pair]),
            RopeScaling::Ntk { alpha } => plain(stretched(rope, alpha), pair),
            RopeScaling::Steps { original } => {
                plain(stretched(rope, step(place.prompt, original)), pair)
            }
            RopeScaling::Llama3 { factor, low, high, original } => {
                llama3_frequency(kept, factor, low, high, original)
            }
            RopeScaling::Yarn { factor, beta_fast, beta_slow, truncate, original, .. } => {
                let turns = |turns: f64| {
                    dim * (original as f64 / (turns * TAU)).ln() / (2.0 * rope.theta.ln())
                };
                let (mut low, mut high) = (turns(beta_fast), turns(beta_slow));
                if truncate {
                    (low, high) = (low.floor(), high.ceil());
                }
                let share = ramp(low.max(0.0), high.min(dim - 1.0), pair as f64);
                kept * (1.0 - share) + kept / factor * share
            }
            RopeScaling::Long { ref short, ref long, original, .. } => {
                let factors = if place.reached() > original { long } else { short };
                kept / f64::from(factors[pair])
            }
            RopeScaling::Dynamic { factor, original } => {
                let reached = place.reached().max(original) as f64 / original as f64;
                let growth = (factor * reached - (factor - 1.0)).powf(dim / (dim - 2.0));
                plain(rope.theta * growth, pair)
            }
        }
    };
    (0..rope.dim / 2).map(|pair| frequency(pair) as f32).collect()
}

/// The base of NTK scaling.
fn stretched(rope: &Rope, alpha: f64) -> f64 {
    let dim = rope.dim as f64;
    rope.theta * alpha.powf(dim / (dim - 2.0))
}

/// One less than twice the power of two that holds `prompt` when it multiplies `original`.
fn step(prompt: usize, original: usize) -> f64 {
    (2 * prompt.div_ceil(original).max(1).next_power_of_two() - 1) as f64
}

/// Zero up to `low`, one from `high` on.
fn ramp(low: f64, high: f64, at: f64) -> f64 {
    let high = if low == high { high + 0.001 } else { high };
    ((at - low) / (high - low)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests;
