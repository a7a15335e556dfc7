//! The choice of experts against cases done by hand.

use baimo_blueprint::{GroupLimit, GroupScore, Linear, Router, Scores};
use baimo_model::ffn::router::choose;

/// Softmax scores, taken as they are, from all experts.
fn plain() -> Router {
    Router {
        inner: None,
        logits: Linear::new("router", 4, 1),
        deviation: None,
        scores: Scores::Softmax,
        bias: None,
        groups: None,
        spread: None,
        renormalize: None,
        scale: 1.0,
    }
}

fn near(found: &[(usize, f32)], expected: &[(usize, f64)]) {
    let experts = |list: &[(usize, f64)]| -> Vec<usize> { list.iter().map(|one| one.0).collect() };
    let found: Vec<(usize, f64)> =
        found.iter().map(|&(expert, weight)| (expert, f64::from(weight))).collect();
    assert_eq!(experts(&found), experts(expected), "{found:?}");
    for ((_, found), (_, expected)) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
    }
}

/// Logits whose exponentials are 1, 2, 3, 4 and so on, in another order.
fn logarithms(numbers: &[f32]) -> Vec<f32> {
    numbers.iter().map(|number| number.ln()).collect()
}

#[test]
fn softmax_scores_are_shares_of_all_experts() {
    let logits = logarithms(&[1.0, 4.0, 2.0, 3.0]);
    near(&choose(&plain(), &logits, None, 2), &[(1, 0.4), (3, 0.3)]);
}

#[test]
fn large_logits_do_not_overflow() {
    let logits: Vec<f32> = [1.0, 4.0, 2.0, 3.0].iter().map(|x: &f32| x.ln() + 1000.0).collect();
    let chosen = choose(&plain(), &logits, None, 1);
    assert_eq!(chosen[0].0, 1);
    assert!((chosen[0].1 - 0.4).abs() < 1e-4, "{chosen:?}");
}

#[test]
fn renormalized_weights_add_up_to_the_scale() {
    let logits = logarithms(&[1.0, 4.0, 2.0, 3.0]);
    let router = Router { renormalize: Some(1e-20), scale: 2.5, ..plain() };
    near(&choose(&router, &logits, None, 2), &[(1, 2.5 * 4.0 / 7.0), (3, 2.5 * 3.0 / 7.0)]);
    let router = Router { scale: 2.5, ..plain() };
    near(&choose(&router, &logits, None, 2), &[(1, 1.0), (3, 0.75)]);
}

#[test]
fn a_sum_below_its_floor_is_the_floor() {
    let logits = logarithms(&[1.0, 3.0]);
    let router = |floor| Router { renormalize: Some(floor), ..plain() };
    // Their scores add up to one.
    near(&choose(&router(0.5), &logits, None, 2), &[(1, 0.75), (0, 0.25)]);
    near(&choose(&router(2.0), &logits, None, 2), &[(1, 0.375), (0, 0.125)]);
}

#[test]
fn sigmoid_scores_stand_alone() {
    // sigmoid(ln x) = x / (1 + x).
    let logits = logarithms(&[1.0, 3.0, 0.25]);
    let router = Router { scores: Scores::Sigmoid, ..plain() };
    near(&choose(&router, &logits, None, 3), &[(1, 0.75), (0, 0.5), (2, 0.2)]);
}

#[test]
fn a_bias_selects_and_does_not_weigh() {
    let logits = logarithms(&[1.0, 3.0, 0.25]);
    let router = Router { scores: Scores::Sigmoid, ..plain() };
    // 0.5, 0.75 - 0.5, 0.2 + 0.4: the last is best, the middle one drops out.
    let bias = [0.0, -0.5, 0.4];
    near(&choose(&router, &logits, Some(&bias), 2), &[(2, 0.2), (0, 0.5)]);
    let router = Router { renormalize: Some(1e-20), ..router };
    near(&choose(&router, &logits, Some(&bias), 2), &[(2, 2.0 / 7.0), (0, 5.0 / 7.0)]);
}

#[test]
fn logits_are_brought_to_a_deviation_before_their_scores() {
    // As a sample's, the deviation of 1, 3 and 5 is 2.
    let router = Router { deviation: Some(3.0), ..plain() };
    let found = choose(&router, &[3.0, 1.0, 5.0], None, 3);
    let (exps, sum) = ([4.5f64.exp(), 7.5f64.exp()], 1.5f64.exp() + 4.5f64.exp() + 7.5f64.exp());
    near(&found, &[(2, exps[1] / sum), (0, exps[0] / sum), (1, 1.5f64.exp() / sum)]);
}

#[test]
fn of_equal_experts_the_first_is_chosen() {
    near(&choose(&plain(), &[0.0; 4], None, 2), &[(0, 0.25), (1, 0.25)]);
}

fn grouped(score: GroupScore) -> Router {
    let groups = Some(GroupLimit { groups: 3, kept: 1, score });
    Router { scores: Scores::Sigmoid, groups, ..plain() }
}

#[test]
fn groups_are_judged_by_their_best_or_by_their_best_two() {
    // Scores 0.9 0.1 | 0.8 0.75 | 0.5 0.5.
    let logits = logarithms(&[9.0, 1.0 / 9.0, 4.0, 3.0, 1.0, 1.0]);
    let by_best = choose(&grouped(GroupScore::Best), &logits, None, 2);
    near(&by_best, &[(0, 0.9), (1, 0.1)]);
    let by_best_two = choose(&grouped(GroupScore::BestTwo), &logits, None, 2);
    near(&by_best_two, &[(2, 0.8), (3, 0.75)]);
}

#[test]
fn the_bias_also_judges_groups() {
    let logits = logarithms(&[9.0, 1.0 / 9.0, 4.0, 3.0, 1.0, 1.0]);
    let bias = [0.0, 0.0, 0.0, 0.0, 0.6, 0.6];
    let chosen = choose(&grouped(GroupScore::BestTwo), &logits, Some(&bias), 1);
    near(&chosen, &[(4, 0.5)]);
}

#[test]
fn within_the_kept_groups_the_best_are_chosen() {
    let groups = Some(GroupLimit { groups: 3, kept: 2, score: GroupScore::BestTwo });
    let router = Router { groups, ..grouped(GroupScore::Best) };
    // Scores 0.9 0.1 | 0.8 0.75 | 0.5 0.6: the sums 1.0, 1.55 and 1.1 keep the last two groups.
    let logits = logarithms(&[9.0, 1.0 / 9.0, 4.0, 3.0, 1.0, 1.5]);
    near(&choose(&router, &logits, None, 3), &[(2, 0.8), (3, 0.75), (5, 0.6)]);
}

#[test]
fn a_spread_choice_takes_the_best_of_each_group_though_others_are_better() {
    // Scores 0.75 0.8 0.5 | 0.2 0.1 0.4.
    let logits = logarithms(&[3.0, 4.0, 1.0, 0.25, 1.0 / 9.0, 2.0 / 3.0]);
    let router = Router { scores: Scores::Sigmoid, spread: Some(2), ..plain() };
    near(&choose(&router, &logits, None, 2), &[(1, 0.8), (5, 0.4)]);
    let four = [(1, 0.8), (0, 0.75), (5, 0.4), (3, 0.2)];
    near(&choose(&router, &logits, None, 4), &four);
}
