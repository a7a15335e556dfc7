//! The tokens there are to choose from, without sorting a vocabulary: three passes over it, of
//! which the first two are vectors' work.

use crate::Sampling;

/// Independent running values, so that a pass is not one long chain of dependent operations.
const LANES: usize = 16;

/// The largest number; NaN never is. Minus infinity where there is none.
pub(crate) fn largest(logits: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = logits.chunks_exact(LANES);
    let rest = chunks.remainder();
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    for chunk in chunks {
        for (lane, &logit) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, logit);
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger)
}

/// Tokens that may be chosen, in the order of their ids, with their weights: probabilities divided
/// by that of the likeliest. Empty where logits are no numbers.
///
/// The definition, in words: of the tokens sorted by weight, equals by id, the first `top_k`; of
/// these the shortest beginning that has the share `top_p` of their weight; of these all that weigh
/// `min_p` or more.
pub(crate) fn candidates(logits: &[f32], sampling: &Sampling) -> Vec<(u32, f32)> {
    let weights = weights(logits, sampling.temperature);
    let mut bound = Bound::NONE;
    let limits_count = sampling.top_k > 0 && sampling.top_k < logits.len();
    if limits_count || sampling.top_p < 1.0 {
        let ranks = Ranks::of(&weights);
        let mut total = ranks.total;
        if limits_count {
            (bound, total) = ranks.reach(&weights, Bound::NONE, |count, _| count >= sampling.top_k);
        }
        if sampling.top_p < 1.0 {
            let wanted = f64::from(sampling.top_p) * total;
            bound = ranks.reach(&weights, bound, |_, weight| weight >= wanted).0;
        }
    }
    let kept = |token: u32, weight: f32| weight >= sampling.min_p && bound.has(token, weight);
    (0..).zip(weights).filter(|&(token, weight)| weight > 0.0 && kept(token, weight)).collect()
}

/// `e^((logit - largest) / temperature)`; zero for what is no number or out of reach.
fn weights(logits: &[f32], temperature: f32) -> Vec<f32> {
    let (largest, inverse) = (largest(logits), temperature.recip());
    logits.iter().map(|&logit| exp((logit - largest) * inverse)).collect()
}

/// e^x for x up to zero, to 2 units in the last place; zero below -87 and for NaN. Written so that
/// a loop over it becomes vectors: 2^n e^r, n the nearest whole number, r by Taylor's series.
fn exp(x: f32) -> f32 {
    /// Adding and subtracting it rounds to a whole number, which its last bits hold.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let reached = x >= -87.0;
    let x = if reached { x } else { 0.0 };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let series = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let e_r = series[1..].iter().fold(series[0], |sum, coefficient| sum * r + coefficient);
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    if reached { e_r * f32::from_bits(exponent) } else { 0.0 }
}

/// The last that is kept, in the order of weights and, of equals, ids.
#[derive(Clone, Copy)]
struct Bound {
    weight: f32,
    token: u32,
}

impl Bound {
    const NONE: Bound = Bound { weight: 0.0, token: u32::MAX };

    fn has(&self, token: u32, weight: f32) -> bool {
        weight > self.weight || (weight == self.weight && token <= self.token)
    }
}

/// Bits of a float below those that name its bucket: sixteen buckets for each power of two.
const BUCKET_SHIFT: u32 = 19;
/// Buckets up to that of 1.0, the largest weight.
const BUCKETS: usize = (1.0f32.to_bits() >> BUCKET_SHIFT) as usize + 1;

/// How many weights, and how much together, lie in each bucket.
struct Ranks {
    counts: Vec<u32>,
    sums: Vec<f64>,
    total: f64,
}

impl Ranks {
    fn of(weights: &[f32]) -> Ranks {
        let (mut counts, mut sums) = (vec![0; BUCKETS], vec![0.0; BUCKETS]);
        for &weight in weights {
            let bucket = bucket(weight);
            counts[bucket] += 1;
            sums[bucket] += f64::from(weight);
        }
        let total = sums.iter().sum();
        Ranks { counts, sums, total }
    }

    /// The first place, from the heaviest down, at which the count and weight so far are `enough`,
    /// and the weight so far; `within` that another bound has kept.
    fn reach(
        &self,
        weights: &[f32],
        within: Bound,
        enough: impl Fn(usize, f64) -> bool,
    ) -> (Bound, f64) {
        let (mut count, mut sum) = (0, 0.0);
        let last = bucket(within.weight);
        for index in (last..BUCKETS).rev() {
            let after = (count + self.counts[index] as usize, sum + self.sums[index]);
            if index > last && !enough(after.0, after.1) {
                (count, sum) = after;
                continue;
            }
            let mut members: Vec<(u32, f32)> = (0..)
                .zip(weights.iter().copied())
                .filter(|&(token, weight)| bucket(weight) == index && within.has(token, weight))
                .collect();
            members.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            for (token, weight) in members {
                (count, sum) = (count + 1, sum + f64::from(weight));
                if enough(count, sum) {
                    return (Bound { weight, token }, sum);
                }
            }
        }
        (within, sum)
    }
}

/// Weights are from zero to one; rounding may put one a little above.
fn bucket(weight: f32) -> usize {
    ((weight.to_bits() >> BUCKET_SHIFT) as usize).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_right_to_two_units_in_the_last_place() {
        for step in 0..870_000 {
            let x = step as f32 * -1e-4;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / expected - 1.0).abs() < 2.4e-7, "{x}: {found}, {expected}");
        }
        assert_eq!(
            (exp(0.0), exp(-87.5), exp(f32::NEG_INFINITY), exp(f32::NAN)),
            (1.0, 0.0, 0.0, 0.0)
        );
    }

    #[test]
    fn a_large_vocabulary_keeps_what_sorting_it_keeps() {
        let logits: Vec<f32> = (0..5000u32).map(|at| (at * 7919 % 641) as f32 * 0.02).collect();
        for (top_k, top_p) in [(0, 0.9), (37, 1.0), (700, 0.5), (1, 1.0), (0, 0.0), (4999, 0.999)] {
            let sampling = Sampling { temperature: 0.8, top_k, top_p, ..Sampling::GREEDY };
            let mut sorted: Vec<(u32, f32)> = (0..).zip(weights(&logits, 0.8)).collect();
            sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
            sorted.truncate(if top_k == 0 { sorted.len() } else { top_k });
            let total: f64 = sorted.iter().map(|(_, weight)| f64::from(*weight)).sum();
            let mut before = 0.0;
            sorted.retain(|(_, weight)| {
                let keeps = before == 0.0 || before < f64::from(top_p) * total;
                before += f64::from(*weight);
                keeps
            });
            sorted.sort_by_key(|(token, _)| *token);
            let found = candidates(&logits, &sampling);
            // Sums in another order may differ in the last bit, at one token in thousands.
            assert!(found.len().abs_diff(sorted.len()) <= 1, "{} {}", found.len(), sorted.len());
            assert!(found.iter().filter(|one| !sorted.contains(one)).count() <= 1);
        }
    }
}
