//! Rotary position embedding (arXiv:2104.09864).

use crate::Along;
use std::f64::consts::TAU;

/// Rotates pairs of numbers of a head by `position * frequency`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// How many numbers of the head are rotated (the first ones, unless the block says otherwise).
    pub dim: usize,
    /// Which numbers make a pair.
    pub style: RopeStyle,
    /// The base: pair `i` turns by `theta^(-2i/dim)` a position.
    pub theta: f64,
    /// How frequencies are changed for contexts longer than the model was trained on.
    pub scaling: RopeScaling,
    /// What is multiplied by the frequencies, the position in most models.
    pub along: Along,
}

/// Which numbers of a head are rotated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeStyle {
    /// Number `i` with number `i + dim/2`.
    Half,
    /// Number `2i` with number `2i + 1`.
    Interleaved,
}

/// How frequencies are changed for long contexts.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Every frequency divided by `factor` (arXiv:2306.15595).
    Linear {
        /// How much longer the context is.
        factor: f64,
    },
    /// Each frequency divided by a number of its own: what a scaling became in a converted file.
    Divided {
        /// `[dim / 2]`.
        by: Vec<f32>,
    },
    /// Long wavelengths are stretched, short ones kept, those between blended (Llama 3.1).
    Llama3 {
        /// How much longer the context is.
        factor: f64,
        /// Wavelengths above `original / low` are stretched in full.
        low: f64,
        /// Wavelengths below `original / high` are kept.
        high: f64,
        /// The context of the first training.
        original: usize,
    },
    /// YaRN (arXiv:2309.00071): blended by the number of turns within the original context.
    Yarn {
        /// How much longer the context is.
        factor: f64,
        /// Turns above which a frequency is kept.
        beta_fast: f64,
        /// Turns below which it is divided by `factor`.
        beta_slow: f64,
        /// Whether the blend's ends are rounded outwards to whole pairs.
        truncate: bool,
        /// The context of the first training.
        original: usize,
        /// Multiplies sine and cosine.
        attention: f32,
    },
    /// The base grows to `theta * alpha^(dim / (dim - 2))`, at every position alike.
    Ntk {
        /// How strongly.
        alpha: f64,
    },
    /// LongRoPE (arXiv:2402.13753): each frequency divided by a number of its own, of one list in
    /// short sequences and of another in long ones.
    ///
    /// As in the reference a prompt is rotated by one list, the one for its whole length, and a
    /// token after the prompt by the list for the length reached with it: what is cached is not
    /// rotated again. So a row depends on its position and its prompt's length, and on no cut.
    Long {
        /// `[dim / 2]`, for lengths up to `original`.
        short: Vec<f32>,
        /// `[dim / 2]`, for lengths beyond.
        long: Vec<f32>,
        /// The context of the first training.
        original: usize,
        /// Multiplies sine and cosine.
        attention: f32,
    },
    /// Dynamic NTK in steps: the base of a prompt of more than `original` tokens is multiplied by
    /// the power `dim / (dim - 2)` of `2^(k + 1) - 1`, where `original * 2^k` is the first that
    /// holds the prompt. What follows the prompt keeps its base, as in the reference.
    Steps {
        /// Prompts up to this length change nothing.
        original: usize,
    },
    /// Dynamic NTK: the base of a prompt of more than `original` tokens grows with its length, that
    /// of a token after the prompt with the length reached with it. As in the reference what is
    /// cached is not rotated again, as in [`RopeScaling::Long`].
    Dynamic {
        /// How strongly the base grows.
        factor: f64,
        /// Positions up to which nothing changes.
        original: usize,
    },
}

impl Rope {
    /// A plain rotation.
    pub fn new(dim: usize, style: RopeStyle, theta: f64) -> Rope {
        Rope { dim, style, theta, scaling: RopeScaling::None, along: Along::Sequence }
    }

    /// What the frequency of each pair is divided by, `[dim / 2]`, where a list of numbers is all
    /// of the scaling: [`RopeScaling::Divided`], and what [`RopeScaling::Llama3`] comes to.
    pub fn divisors(&self) -> Option<Vec<f32>> {
        match &self.scaling {
            RopeScaling::Divided { by } => Some(by.clone()),
            &RopeScaling::Llama3 { factor, low, high, original } => {
                let divisor = |pair: usize| {
                    let plain = self.theta.powf(-2.0 * pair as f64 / self.dim as f64);
                    (plain / llama3_frequency(plain, factor, low, high, original)) as f32
                };
                Some((0..self.dim / 2).map(divisor).collect())
            }
            RopeScaling::None
            | RopeScaling::Linear { .. }
            | RopeScaling::Yarn { .. }
            | RopeScaling::Ntk { .. }
            | RopeScaling::Long { .. }
            | RopeScaling::Steps { .. }
            | RopeScaling::Dynamic { .. } => None,
        }
    }
}

/// What [`RopeScaling::Llama3`] makes of a frequency, by the turns it makes within the original
/// context.
pub fn llama3_frequency(plain: f64, factor: f64, low: f64, high: f64, original: usize) -> f64 {
    let turns = original as f64 * plain / TAU;
    if turns < low {
        plain / factor
    } else if turns > high {
        plain
    } else {
        let share = (turns - low) / (high - low);
        (1.0 - share) * plain / factor + share * plain
    }
}
