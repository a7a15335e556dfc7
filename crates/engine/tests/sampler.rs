//! The choice of the next token against its definition, in f64 and the plainest way.

use baimo_engine::Sampling;
use baimo_engine::sampler::choose;
use proptest::prelude::*;
use std::collections::BTreeMap;

const DRAWN: Sampling = Sampling { temperature: 1.0, ..Sampling::GREEDY };

/// The probability of every token that may be chosen; the filters one after another.
fn probabilities(logits: &[f32], sampling: &Sampling) -> BTreeMap<u32, f64> {
    let temperature = f64::from(sampling.temperature);
    let mut kept: Vec<(u32, f64)> = (0..)
        .zip(logits)
        .map(|(token, logit)| (token, (f64::from(*logit) / temperature).exp()))
        .collect();
    // Likeliest first; a stable sort leaves equals in their order.
    kept.sort_by(|a, b| b.1.total_cmp(&a.1));
    if sampling.top_k > 0 {
        kept.truncate(sampling.top_k);
    }
    let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
    let mut before = 0.0;
    kept.retain(|(_, weight)| {
        let enough = before >= f64::from(sampling.top_p);
        before += weight / total;
        !enough
    });
    let likeliest = kept[0].1;
    kept.retain(|(_, weight)| weight / likeliest >= f64::from(sampling.min_p));
    let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
    kept.into_iter().map(|(token, weight)| (token, weight / total)).collect()
}

/// How often each token is chosen with the seeds `0..draws`.
fn frequencies(logits: &[f32], sampling: &Sampling, draws: u64) -> BTreeMap<u32, f64> {
    let mut counts = BTreeMap::new();
    for seed in 0..draws {
        let token = choose(logits, &Sampling { seed, ..*sampling }, &[], &[]);
        *counts.entry(token).or_insert(0.0) += 1.0 / draws as f64;
    }
    counts
}

#[test]
fn greedy_takes_the_first_of_equals_and_never_nan() {
    let greedy = |logits: &[f32]| choose(logits, &Sampling::GREEDY, &[], &[]);
    assert_eq!(greedy(&[1.0, 3.0, 3.0, 2.0]), 1);
    assert_eq!(greedy(&[f32::NAN, -1.0, f32::NAN, -0.5]), 3);
    assert_eq!(greedy(&[f32::NEG_INFINITY, f32::INFINITY, f32::MAX]), 1);
    assert_eq!(greedy(&[f32::NAN, f32::NAN]), 0);
}

#[test]
fn temperature_zero_is_greedy_whatever_the_other_settings() {
    let sampling = Sampling { top_k: 2, top_p: 0.1, min_p: 0.9, seed: 3, ..Sampling::GREEDY };
    assert_eq!(choose(&[0.5, 2.0, 1.9], &sampling, &[], &[]), 1);
}

#[test]
fn numbers_that_are_none_still_give_a_token() {
    for logits in [[f32::NAN; 3], [f32::NEG_INFINITY; 3], [f32::INFINITY; 3]] {
        assert_eq!(choose(&logits, &DRAWN, &[], &[]), 0);
    }
    for seed in 0..50 {
        let logits = [f32::NAN, 1.0, f32::NEG_INFINITY];
        assert_eq!(choose(&logits, &Sampling { seed, ..DRAWN }, &[], &[]), 1);
    }
}

#[test]
fn the_same_seed_and_place_give_the_same_token() {
    let logits: Vec<f32> = (0..50).map(|at| (at % 7) as f32 * 0.1).collect();
    let draw = |seed, chosen: &[u32]| choose(&logits, &Sampling { seed, ..DRAWN }, &[1], chosen);
    let row = |seed| -> Vec<u32> { (0..40).map(|at| draw(seed, &vec![0; at])).collect() };
    assert_eq!(row(9), row(9));
    assert_ne!(row(9), row(10));
    let first = row(9)[0];
    assert!(row(9).iter().any(|token| *token != first), "each place has a number of its own");
}

#[test]
fn draws_follow_the_softmax() {
    let logits: Vec<f32> = (0..12).map(|at| (at * 5 % 12) as f32 * 0.3 - 1.0).collect();
    for temperature in [0.5, 1.0, 2.0] {
        let sampling = Sampling { temperature, ..DRAWN };
        let found = frequencies(&logits, &sampling, 20_000);
        let square: f64 = probabilities(&logits, &sampling)
            .into_iter()
            .map(|(token, expected)| {
                let off = found.get(&token).copied().unwrap_or(0.0) - expected;
                20_000.0 * off * off / expected
            })
            .sum();
        // Eleven degrees of freedom: one sampler in a thousand that is right exceeds 31.3, and the
        // seeds are fixed.
        assert!(square < 31.3, "chi-square {square} at temperature {temperature}");
    }
}

#[test]
fn a_token_seen_loses_by_the_repetition_penalty() {
    let sampling = Sampling { repetition_penalty: 2.0, ..Sampling::GREEDY };
    let greedy =
        |logits: &[f32], prompt: &[u32], chosen: &[u32]| choose(logits, &sampling, prompt, chosen);
    // 4 / 2 = 2 meets 2.1 and 1.9; it counts once, however often the token was seen.
    assert_eq!(greedy(&[4.0, 2.1], &[0], &[]), 1);
    assert_eq!(greedy(&[4.0, 1.9], &[0, 0], &[0, 0]), 0);
    // -1 · 2 = -2 meets -1.9 and -2.1.
    assert_eq!(greedy(&[-1.0, -1.9], &[], &[0]), 1);
    assert_eq!(greedy(&[-1.0, -2.1], &[], &[0]), 0);
}

#[test]
fn presence_and_frequency_count_the_answer_and_not_the_prompt() {
    let presence = Sampling { presence_penalty: 1.0, ..Sampling::GREEDY };
    let frequency = Sampling { frequency_penalty: 1.0, ..Sampling::GREEDY };
    let logits = [3.0, 1.5];
    assert_eq!(choose(&logits, &presence, &[0; 9], &[]), 0);
    assert_eq!(choose(&logits, &frequency, &[0; 9], &[]), 0);
    assert_eq!(choose(&logits, &presence, &[], &[0; 9]), 0);
    assert_eq!(choose(&logits, &frequency, &[], &[0]), 0);
    assert_eq!(choose(&logits, &frequency, &[], &[0, 0]), 1);
    let both = Sampling { presence_penalty: 1.0, ..frequency };
    assert_eq!(choose(&logits, &both, &[], &[0]), 1);
}

#[test]
fn a_token_outside_the_vocabulary_is_penalized_in_vain() {
    let sampling = Sampling { repetition_penalty: 2.0, ..Sampling::GREEDY };
    assert_eq!(choose(&[1.0, 0.9], &sampling, &[77], &[u32::MAX]), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_filters_keep_what_their_definition_keeps(
        logits in prop::collection::vec(-3.0..3.0f32, 1..9),
        temperature in 0.3..2.0f32,
        top_k in 0..10usize,
        top_p in prop_oneof![Just(1.0f32), 0.05..1.0f32],
        min_p in prop_oneof![Just(0.0f32), 0.0..0.9f32],
    ) {
        let sampling = Sampling { temperature, top_k, top_p, min_p, ..DRAWN };
        let expected = probabilities(&logits, &sampling);
        let found = frequencies(&logits, &sampling, 2_000);
        for token in found.keys() {
            prop_assert!(expected.contains_key(token), "{token} of {expected:?}");
        }
        for (token, probability) in expected {
            let found = found.get(&token).copied().unwrap_or(0.0);
            // Six standard deviations and a half of a frequency in 2000 draws, at most.
            let bound = 6.5 * (probability * (1.0 - probability) / 2_000.0).sqrt() + 0.005;
            prop_assert!((found - probability).abs() <= bound, "{token}: {found}, {probability}");
        }
    }
}
