//! Which experts a token meets, with which weights: scalar code, since it is a few hundred numbers.

use baimo_blueprint::{GroupLimit, GroupScore, Router, Scores};
use baimo_kernels::softmax::top_k;

/// The experts of one token with their weights, best first, or group after group.
///
/// `logits` and `bias` have one number for each expert.
pub fn choose(
    router: &Router,
    logits: &[f32],
    bias: Option<&[f32]>,
    active: usize,
) -> Vec<(usize, f32)> {
    let normed = router.deviation.map(|target| of_deviation(logits, target));
    let logits = normed.as_deref().unwrap_or(logits);
    let scores = match router.scores {
        Scores::Softmax => softmax(logits),
        Scores::Sigmoid => logits.iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect(),
    };
    let mut selection = scores.clone();
    if let Some(bias) = bias {
        selection.iter_mut().zip(bias).for_each(|(score, bias)| *score += bias);
    }
    if let Some(limit) = &router.groups {
        keep_best_groups(&mut selection, limit);
    }
    let best = match router.spread {
        None => top_k(&selection, active),
        Some(groups) => best_of_each(&selection, groups, active / groups),
    };
    let mut chosen: Vec<(usize, f32)> =
        best.into_iter().map(|(expert, _)| (expert, scores[expert])).collect();
    let sum: f32 = chosen.iter().map(|(_, score)| score).sum();
    let divisor = router.renormalize.map_or(1.0, |least| sum.max(least));
    for (_, weight) in &mut chosen {
        *weight = *weight / divisor * router.scale;
    }
    chosen
}

/// Divided by their deviation, as that of a sample, and multiplied by `target`.
fn of_deviation(logits: &[f32], target: f32) -> Vec<f32> {
    let mean = logits.iter().sum::<f32>() / logits.len() as f32;
    let squares: f32 = logits.iter().map(|logit| (logit - mean).powi(2)).sum();
    let deviation = (squares / (logits.len() as f32 - 1.0)).sqrt();
    logits.iter().map(|logit| logit / (deviation / target)).collect()
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps: Vec<f32> = logits.iter().map(|logit| (logit - max).exp()).collect();
    let sum: f32 = exps.iter().sum();
    exps.into_iter().map(|exp| exp / sum).collect()
}

/// So many of each group, the groups in order.
fn best_of_each(selection: &[f32], groups: usize, count: usize) -> Vec<(usize, f32)> {
    let size = selection.len() / groups;
    let group = |(index, group)| {
        let best = top_k(group, count).into_iter();
        best.map(move |(expert, score)| (index * size + expert, score))
    };
    selection.chunks_exact(size).enumerate().flat_map(group).collect()
}

/// Takes every expert outside the best groups out of the selection.
fn keep_best_groups(selection: &mut [f32], limit: &GroupLimit) {
    let size = selection.len() / limit.groups;
    let judged: Vec<f32> = selection
        .chunks_exact(size)
        .map(|group| {
            let best = top_k(group, 2);
            match limit.score {
                GroupScore::Best => best.first().map_or(f32::NEG_INFINITY, |(_, score)| *score),
                GroupScore::BestTwo => best.iter().map(|(_, score)| score).sum(),
            }
        })
        .collect();
    let kept = top_k(&judged, limit.kept);
    for (index, group) in selection.chunks_exact_mut(size).enumerate() {
        if !kept.iter().any(|(kept, _)| *kept == index) {
            group.fill(f32::NEG_INFINITY);
        }
    }
}
