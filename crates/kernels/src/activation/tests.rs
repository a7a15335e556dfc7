use super::*;
use crate::Isa;

fn everywhere() -> Vec<Kernels> {
    Isa::available().into_iter().map(|isa| Kernels::on(isa, 2)).collect()
}

/// The error function by its Taylor series, exact enough for `|x| < 5`.
fn erf(x: f64) -> f64 {
    let (mut sum, mut term) = (0.0, x);
    for n in 0..200 {
        sum += term / f64::from(2 * n + 1);
        term *= -x * x / f64::from(n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

fn exactly(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Identity => x,
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::GeluErf => x * (1.0 + erf(x / 2f64.sqrt())) / 2.0,
        Activation::GeluTanh => {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            x * (1.0 + u.tanh()) / 2.0
        }
        Activation::Relu => x.max(0.0),
        Activation::ReluSquared => x.max(0.0).powi(2),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
    }
}

#[test]
fn every_activation_is_its_formula_and_the_same_bits_everywhere() {
    let x: Vec<f32> = (-6000..6001).map(|i| i as f32 / 1000.0).collect();
    for activation in Activation::ALL {
        let mut all: Vec<Vec<u32>> = Vec::new();
        for kernels in everywhere() {
            let mut out = x.clone();
            activate(&kernels, activation, &mut out);
            for (&x, &out) in x.iter().zip(&out) {
                let exact = exactly(activation, f64::from(x));
                let error = (f64::from(out) - exact).abs();
                assert!(
                    error <= 4e-7 * exact.abs().max(1.0),
                    "{activation:?}({x}) = {out}, {exact}"
                );
            }
            all.push(out.iter().map(|x| x.to_bits()).collect());
        }
        assert!(all.iter().all(|bits| *bits == all[0]), "{activation:?}");
    }
}

#[test]
fn a_gate_multiplies_what_the_activation_lets_through() {
    let gate: Vec<f32> = (0..20_013).map(|i| (i % 71) as f32 / 9.0 - 4.0).collect();
    let up: Vec<f32> = (0..20_013).map(|i| (i % 53) as f32 / 7.0 - 3.0).collect();
    for kernels in everywhere() {
        for activation in Activation::ALL {
            let (mut out, mut expected) = (vec![0.0; gate.len()], gate.clone());
            gated(&kernels, activation, &gate, &up, &mut out);
            activate(&kernels, activation, &mut expected);
            expected.iter_mut().zip(&up).for_each(|(x, up)| *x *= up);
            assert_eq!(out, expected, "{activation:?} {}", kernels.isa.name());
        }
    }
}

#[test]
fn extremes_saturate_and_nan_stays_nan() {
    let x = [-1e30, 1e30, f32::NAN];
    for kernels in everywhere() {
        for activation in Activation::ALL {
            let mut out = x;
            activate(&kernels, activation, &mut out);
            assert!(out[2].is_nan(), "{activation:?} {}", kernels.isa.name());
            let expected = match activation {
                Activation::Identity => [-1e30, 1e30],
                Activation::ReluSquared => [0.0, f32::INFINITY],
                Activation::Sigmoid => [0.0, 1.0],
                Activation::Silu
                | Activation::GeluErf
                | Activation::GeluTanh
                | Activation::Relu => [0.0, 1e30],
            };
            assert_eq!(out[..2], expected, "{activation:?} {}", kernels.isa.name());
        }
    }
}

#[test]
fn adding_scaling_and_multiplying_go_number_by_number() {
    let x: Vec<f32> = (0..40_000).map(|i| i as f32 / 3.0).collect();
    let y: Vec<f32> = (0..40_000).map(|i| (i % 17) as f32).collect();
    for kernels in everywhere() {
        let mut out = x.clone();
        add(&kernels, &mut out, &y);
        add_scaled(&kernels, &mut out, &y, 0.3);
        scale(&kernels, &mut out, 1.7);
        multiply(&kernels, &mut out, &y);
        for (index, &out) in out.iter().enumerate() {
            let (x, y) = (x[index], y[index]);
            assert_eq!(out, ((x + y) + y * 0.3) * 1.7 * y, "{} {index}", kernels.isa.name());
        }
    }
}
