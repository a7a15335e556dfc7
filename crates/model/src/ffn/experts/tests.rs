use super::*;
use crate::ffn::router::choose;
use crate::norm::{Norm, NormKind};
use baimo_blueprint as blueprint;
use baimo_blueprint::{Activation, GroupLimit, GroupScore, Scores};
use baimo_kernels::Format;
use baimo_kernels::format::quantize;

const HIDDEN: usize = 64;
const WIDTH: usize = 32;
const COUNT: usize = 8;

/// Numbers in `[-1, 1)`: splitmix64.
fn random(seed: u64, count: usize) -> Vec<f32> {
    let number = |index: u64| {
        let mut z = (seed << 32 | (index + 1)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count as u64).map(number).collect()
}

fn matrix(seed: u64, format: Format, rows: usize, columns: usize) -> Matrix {
    let mut builder = Matrix::builder(format, rows, columns);
    let mut bytes = vec![0; rows * format.row_bytes(columns).expect("whole blocks")];
    quantize(format, &random(seed, rows * columns), &mut bytes);
    builder.push_rows(&bytes);
    builder.finish()
}

fn linear(seed: u64, format: Format, rows: usize, columns: usize) -> Linear {
    Linear { weight: matrix(seed, format, rows, columns), bias: None }
}

/// Eight experts of which three meet a token, from two of four groups, and a gated shared FFN.
fn experts(format: Format) -> Experts {
    let stack = |seed: u64, rows, columns| -> Vec<Matrix> {
        (0..COUNT as u64).map(|expert| matrix(seed + expert, format, rows, columns)).collect()
    };
    Experts {
        active: 3,
        gating: Gating { activation: Activation::Silu, clamp: None },
        router: Router {
            inner: None,
            logits: blueprint::Linear::new("router", COUNT, HIDDEN),
            deviation: None,
            scores: Scores::Sigmoid,
            bias: None,
            groups: Some(GroupLimit { groups: 4, kept: 2, score: GroupScore::BestTwo }),
            spread: None,
            renormalize: Some(1e-20),
            scale: 2.5,
        },
        inner: None,
        logits: linear(1, Format::F32, COUNT, HIDDEN),
        bias: Some(random(2, COUNT)),
        factors: None,
        gate: stack(100, WIDTH, HIDDEN),
        up: stack(200, WIDTH, HIDDEN),
        down: stack(300, HIDDEN, WIDTH),
        shared: Some(Shared {
            dense: Dense {
                gating: Gating { activation: Activation::Silu, clamp: None },
                gate: linear(3, format, WIDTH, HIDDEN),
                up: linear(4, format, WIDTH, HIDDEN),
                down: linear(5, format, HIDDEN, WIDTH),
            },
            gate: Some(linear(6, Format::F32, 1, HIDDEN)),
        }),
        within: Within::default(),
    }
}

/// `matrix · x` in f64.
fn times(matrix: &Matrix, x: &[f64]) -> Vec<f64> {
    let mut row = vec![0.0; matrix.columns()];
    let dot = |row: &[f32]| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum();
    (0..matrix.rows())
        .map(|index| {
            matrix.dequantize_row(index, &mut row);
            dot(&row)
        })
        .collect()
}

fn gated_ffn(gate: &Matrix, up: &Matrix, down: &Matrix, x: &[f64]) -> Vec<f64> {
    let silu = |x: f64| x / (1.0 + (-x).exp());
    let inner: Vec<f64> =
        times(gate, x).iter().zip(times(up, x)).map(|(gate, up)| silu(*gate) * up).collect();
    times(down, &inner)
}

/// One token meets its experts one by one.
fn one_by_one(experts: &Experts, x: &[f32]) -> Vec<f64> {
    let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
    let logits: Vec<f32> =
        times(&experts.logits.weight, &x).iter().map(|logit| *logit as f32).collect();
    let shared = experts.shared.as_ref().expect("a shared FFN");
    let dense = &shared.dense;
    let gate = times(&shared.gate.as_ref().expect("a gate").weight, &x)[0];
    let (gates, ups, downs) = (&dense.gate.weight, &dense.up.weight, &dense.down.weight);
    let mut out = gated_ffn(gates, ups, downs, &x);
    out.iter_mut().for_each(|out| *out /= 1.0 + (-gate).exp());
    for (expert, weight) in choose(&experts.router, &logits, experts.bias.as_deref(), 3) {
        let given = match experts.gate.get(expert) {
            Some(gate) => gated_ffn(gate, &experts.up[expert], &experts.down[expert], &x),
            None => x.clone(),
        };
        for (out, y) in out.iter_mut().zip(given) {
            *out += f64::from(weight) * y;
        }
    }
    out
}

#[test]
fn grouped_experts_give_what_they_give_one_by_one() {
    for identities in [0, 3] {
        let mut experts = experts(Format::F32);
        experts.gate.truncate(COUNT - identities);
        check_one_by_one(&experts);
    }
}

fn check_one_by_one(experts: &Experts) {
    let (x, kernels) = (random(7, 19 * HIDDEN), Kernels::new(2));
    let found = experts.forward(&kernels, &x, None);
    let mut met = vec![false; COUNT];
    for (x, found) in x.chunks_exact(HIDDEN).zip(found.chunks_exact(HIDDEN)) {
        let expected = one_by_one(experts, x);
        let largest = expected.iter().fold(0.0, |largest: f64, y| largest.max(y.abs()));
        for (found, expected) in found.iter().zip(&expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-5 * largest);
        }
        let logits = experts.logits.apply(&kernels, x);
        let chosen = choose(&experts.router, &logits, experts.bias.as_deref(), 3);
        chosen.iter().for_each(|(expert, _)| met[*expert] = true);
    }
    assert!(met.iter().filter(|met| **met).count() > 3, "tokens meet different experts: {met:?}");
}

#[test]
fn a_token_alone_gives_the_same_bits_as_in_company() {
    let kernels = Kernels::new(2);
    for format in [Format::F32, Format::Bf16, Format::Q8_0, Format::Q4_0] {
        let experts = experts(format);
        let x = random(8, 21 * HIDDEN);
        let together = experts.forward(&kernels, &x, None);
        for (x, together) in x.chunks_exact(HIDDEN).zip(together.chunks_exact(HIDDEN)) {
            assert_eq!(*experts.forward(&kernels, x, None), *together, "{}", format.name());
        }
    }
}

#[test]
fn what_is_guessed_of_a_stream_that_does_not_change_is_what_is_chosen() {
    let kernels = Kernels::new(2);
    let experts = experts(Format::F32);
    let norm = Norm { width: HIDDEN, kind: NormKind::Rms, weight: None, eps: 0.0 };
    let stream = random(9, 3 * HIDDEN);
    for norm in [None, Some(&norm)] {
        let ahead = Following { norm, experts: &experts }.seeing(&kernels, &stream);
        let guesses = ahead.guesses(&kernels);
        let x = norm.map_or(stream.clone(), |norm| norm.apply(&kernels, &stream).to_vec());
        let logits = experts.logits.apply(&kernels, &x);
        let chosen: Vec<_> = logits
            .chunks_exact(COUNT)
            .map(|logits| choose(&experts.router, logits, experts.bias.as_deref(), 3))
            .collect();
        for (expert, rank) in guesses.iter().map(|guess| (guess.expert, guess.rank)) {
            assert!(chosen.iter().any(|row| row[rank].0 == expert));
        }
        let met = |expert: usize| chosen.iter().flatten().any(|(chosen, _)| *chosen == expert);
        assert_eq!(guesses.len(), (0..COUNT).filter(|expert| met(*expert)).count());
        assert!(guesses.is_sorted_by_key(|guess| guess.rank));
    }
}
