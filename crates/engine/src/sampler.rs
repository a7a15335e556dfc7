//! Which token comes next.

use crate::candidates::{candidates, largest};
use crate::guide::Allowed;
use std::borrow::Cow;
use std::collections::HashMap;

/// How the next token is chosen. Biases and what is allowed come first, then penalties, then the
/// temperature, then `top_k`, `top_p` and `min_p` narrow the choice, in this order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Zero chooses the likeliest token; otherwise logits are divided by it.
    pub temperature: f32,
    /// Only the likeliest so many; zero is all.
    pub top_k: usize,
    /// Only the likeliest tokens that together reach this probability.
    pub top_p: f32,
    /// Only tokens at least this probable relative to the likeliest.
    pub min_p: f32,
    /// Divides positive and multiplies negative logits of every token seen (arXiv:1909.05858).
    pub repetition_penalty: f32,
    /// Subtracted once from the logits of tokens in the answer so far.
    pub presence_penalty: f32,
    /// Subtracted from a token's logits for each time it is in the answer so far.
    pub frequency_penalty: f32,
    /// Same seed, same prompt, same answer.
    pub seed: u64,
}

impl Sampling {
    /// Always the likeliest token.
    pub const GREEDY: Sampling = Sampling {
        temperature: 0.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        repetition_penalty: 1.0,
        presence_penalty: 0.0,
        frequency_penalty: 0.0,
        seed: 0,
    };
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling::GREEDY
    }
}

/// How likely a token was, as the model's logits say before anything changes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Logprobs {
    /// ln p of the token.
    pub token: f32,
    /// Its place among all tokens, 1 for the likeliest.
    pub rank: usize,
    /// The likeliest tokens and their ln p, likeliest first.
    pub top: Vec<(u32, f32)>,
}

impl Logprobs {
    /// Of `token`, with those of the `count` likeliest.
    pub fn of(logits: &[f32], token: u32, count: usize) -> Logprobs {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|&logit| f64::from(logit - max).exp()).sum();
        let logprob = |logit: f32| (f64::from(logit - max) - sum.ln()) as f32;
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        let likelier =
            |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
        let count = count.min(order.len());
        if count > 0 {
            order.select_nth_unstable_by(count - 1, likelier);
        }
        order.truncate(count);
        order.sort_unstable_by(likelier);
        let top = order.iter().map(|&token| (token, logprob(logits[token as usize]))).collect();
        let chosen = logits[token as usize];
        let rank = 1 + logits.iter().filter(|&&logit| logit > chosen).count();
        Logprobs { token: logprob(chosen), rank, top }
    }
}

/// Logits with each `bias` added, and minus infinity for what is not allowed.
pub(crate) fn biased<'a>(
    logits: &'a [f32],
    bias: &[(u32, f32)],
    allowed: Allowed,
) -> Cow<'a, [f32]> {
    let mut logits = Cow::Borrowed(logits);
    for &(token, bias) in bias {
        if let Some(logit) = logits.to_mut().get_mut(token as usize) {
            *logit += bias;
        }
    }
    if allowed != Allowed::Any {
        for (token, logit) in (0..).zip(logits.to_mut()) {
            if !allowed.has(token) {
                *logit = f32::NEG_INFINITY;
            }
        }
    }
    logits
}

/// The token after `prompt` and `chosen`.
///
/// The random number depends on the seed and the number of tokens chosen, never on other requests,
/// so a preempted sequence chooses the same again.
pub fn choose(logits: &[f32], sampling: &Sampling, prompt: &[u32], chosen: &[u32]) -> u32 {
    let penalized = penalize(logits, sampling, prompt, chosen);
    let logits = penalized.as_deref().unwrap_or(logits);
    if sampling.temperature <= 0.0 {
        return likeliest(logits);
    }
    let candidates = candidates(logits, sampling);
    let total: f64 = candidates.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let mut left = uniform(sampling.seed, chosen.len() as u64) * total;
    for &(token, weight) in &candidates {
        left -= f64::from(weight);
        if left < 0.0 {
            return token;
        }
    }
    // Rounding may leave a rest, and NaN logits leave nothing to choose from.
    candidates.last().map_or_else(|| likeliest(logits), |&(token, _)| token)
}

/// The first of the largest; NaN never wins.
fn likeliest(logits: &[f32]) -> u32 {
    let largest = largest(logits);
    logits.iter().position(|&logit| logit == largest).unwrap_or(0) as u32
}

/// Logits after the penalties; `None` where there are none to apply.
fn penalize(
    logits: &[f32],
    sampling: &Sampling,
    prompt: &[u32],
    chosen: &[u32],
) -> Option<Vec<f32>> {
    let (presence, frequency) = (sampling.presence_penalty, sampling.frequency_penalty);
    if sampling.repetition_penalty == 1.0 && presence == 0.0 && frequency == 0.0 {
        return None;
    }
    let mut counts: HashMap<u32, u32> = prompt.iter().map(|&token| (token, 0)).collect();
    chosen.iter().for_each(|&token| *counts.entry(token).or_default() += 1);
    let mut logits = logits.to_vec();
    for (token, count) in counts {
        let Some(logit) = logits.get_mut(token as usize) else { continue };
        match *logit > 0.0 {
            true => *logit /= sampling.repetition_penalty,
            false => *logit *= sampling.repetition_penalty,
        }
        if count > 0 {
            *logit -= presence + frequency * count as f32;
        }
    }
    Some(logits)
}

/// The `index`-th number of a seed, uniform in `[0, 1)`: splitmix64 (Steele et al., 2014).
fn uniform(seed: u64, index: u64) -> f64 {
    let mut z = seed.wrapping_add((index.wrapping_add(1)).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}
