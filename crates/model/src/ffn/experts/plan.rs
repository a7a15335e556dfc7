//! Which tokens meet which experts, token by token and expert by expert.

use super::Experts;
use crate::ffn::router::choose;
use baimo_kernels::Kernels;
use std::ops::Range;
use std::sync::Mutex;

/// Rows that a thread routes at once: a row takes a microsecond or two.
const ROWS: usize = 16;

/// What a token meets, with which weight.
#[derive(Clone, Copy)]
pub(super) struct Choice {
    pub met: Met,
    pub weight: f32,
}

/// What a token meets.
#[derive(Clone, Copy)]
pub(super) enum Met {
    /// An expert: the token's place in the grouped order, and before that is known the expert.
    Expert(u32),
    /// A choice beyond the experts gives the token back.
    Itself,
    /// There are fewer experts with a score than a token may meet.
    Nobody,
}

/// The choices of all tokens of a batch.
pub(super) struct Plan {
    /// `[rows, active]`, best first.
    choices: Vec<Choice>,
    active: usize,
    /// Expert after expert, which tokens it meets.
    rows: Vec<u32>,
    /// All of `0..rows.len()`.
    places: Vec<u32>,
    /// Of each expert that meets any token, its run of `rows`.
    runs: Vec<(usize, Range<usize>)>,
}

/// The tokens of one expert.
#[derive(Clone, Copy)]
pub(super) struct Group<'a> {
    pub expert: usize,
    pub rows: &'a [u32],
    /// Where they stand in the grouped order: a run.
    pub places: &'a [u32],
}

impl Plan {
    /// By the router's `logits` of all rows.
    pub fn new(kernels: &Kernels, experts: &Experts, logits: &[f32]) -> Plan {
        let (count, active) = (experts.gate.len(), experts.active);
        let mut choices = routed(kernels, experts, logits);
        let mut ends = vec![0; count];
        for choice in &choices {
            if let Met::Expert(expert) = choice.met {
                ends[expert as usize] += 1;
            }
        }
        let (mut runs, mut next) = (Vec::new(), 0);
        for (expert, end) in ends.iter_mut().enumerate() {
            let run = next..next + *end;
            *end = next;
            next = run.end;
            if !run.is_empty() {
                runs.push((expert, run));
            }
        }
        let mut rows = vec![0; next];
        for (row, choices) in choices.chunks_exact_mut(active).enumerate() {
            for choice in choices {
                if let Met::Expert(expert) = &mut choice.met {
                    let end = &mut ends[*expert as usize];
                    rows[*end] = row as u32;
                    *expert = *end as u32;
                    *end += 1;
                }
            }
        }
        Plan { choices, active, places: (0..next as u32).collect(), rows, runs }
    }

    /// Of the experts that meet any token, those at `which`, without what the tokens chose.
    pub fn part(&self, which: Range<usize>) -> Plan {
        let runs = &self.runs[which];
        let (start, end) = match runs {
            [] => (0, 0),
            [(_, first), ..] => (first.start, runs[runs.len() - 1].1.end),
        };
        let rows = &self.rows[start..end];
        let runs = runs.iter().map(|(expert, run)| (*expert, run.start - start..run.end - start));
        let places = (0..rows.len() as u32).collect();
        Plan { choices: Vec::new(), active: 0, rows: rows.to_vec(), places, runs: runs.collect() }
    }

    /// Whether it is not a part of another.
    pub fn is_whole(&self) -> bool {
        self.active > 0
    }

    /// The experts that meet any token.
    pub fn experts(&self) -> impl Iterator<Item = usize> {
        self.runs.iter().map(|(expert, _)| *expert)
    }

    /// [`Plan::places`] if no choice gives the token back: what is lent for so many serves any
    /// batch of as many rows.
    pub fn places_max(&self) -> usize {
        self.choices.len().max(self.places())
    }

    /// How many times a token meets an expert.
    pub fn places(&self) -> usize {
        self.places.len()
    }

    /// What a row meets.
    pub fn of(&self, row: usize) -> &[Choice] {
        &self.choices[row * self.active..][..self.active]
    }

    /// Every expert's tokens, with their part of `output`, `[places, width]`.
    pub fn groups<'a>(
        &'a self,
        width: usize,
        output: &'a mut [f32],
    ) -> impl Iterator<Item = (Group<'a>, &'a mut [f32])> {
        let mut rest = output;
        self.runs.iter().map(move |(expert, run)| {
            let (part, others) = std::mem::take(&mut rest).split_at_mut(run.len() * width);
            rest = others;
            let (rows, places) = (&self.rows[run.clone()], &self.places[run.clone()]);
            (Group { expert: *expert, rows, places }, part)
        })
    }
}

/// `[rows, active]`: every row's choices, with experts in the place of places.
fn routed(kernels: &Kernels, experts: &Experts, logits: &[f32]) -> Vec<Choice> {
    let (count, active) = (experts.logits.weight.rows(), experts.active);
    let rows = logits.len() / count;
    let mut choices = vec![Choice { met: Met::Nobody, weight: 0.0 }; rows * active];
    // Each part is locked once, by the one thread that gets it: a proof for the compiler.
    let parts: Vec<_> = logits
        .chunks(ROWS * count)
        .zip(choices.chunks_mut(ROWS * active))
        .map(Mutex::new)
        .collect();
    kernels.pool.run(parts.len(), &|part| {
        let mut part = parts[part].lock().expect("no part panics");
        let (logits, choices) = &mut *part;
        for (logits, choices) in logits.chunks_exact(count).zip(choices.chunks_exact_mut(active)) {
            let bias = experts.bias.as_deref();
            let found = choose(&experts.router, logits, bias, active);
            for (choice, (expert, weight)) in choices.iter_mut().zip(found) {
                let factor = experts.factors.as_ref().map(|factors| factors[expert]);
                choice.weight = factor.map_or(weight, |factor| weight * factor);
                choice.met = match expert < experts.gate.len() {
                    true => Met::Expert(expert as u32),
                    false => Met::Itself,
                };
            }
        }
    });
    drop(parts);
    choices
}
