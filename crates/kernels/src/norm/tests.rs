use super::*;
use crate::Isa;
use proptest::prelude::*;

fn everywhere() -> Vec<Kernels> {
    Isa::available().into_iter().map(|isa| Kernels::on(isa, 2)).collect()
}

fn row(cols: usize, seed: usize) -> Vec<f32> {
    (0..cols).map(|i| (((i * 37 + seed * 101) % 97) as f32 - 41.0) / 13.0).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

proptest! {
    #[test]
    fn rms_norm_is_the_formula_and_the_same_bits_everywhere(
        cols in 1usize..70,
        seed in 0usize..99,
    ) {
        let (x, weight) = (row(cols, seed), row(cols, seed + 1));
        let mean = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / cols as f64;
        let mut all = Vec::new();
        for kernels in everywhere() {
            let mut out = vec![0.0; cols];
            rms_norm(&kernels, &x, cols, Some(&weight), 1e-6, &mut out);
            for (column, &out) in out.iter().enumerate() {
                let exact = f64::from(x[column]) / (mean + 1e-6).sqrt() * f64::from(weight[column]);
                prop_assert!((f64::from(out) - exact).abs() <= 1e-6 * exact.abs());
            }
            all.push(bits(&out));
        }
        prop_assert!(all.iter().all(|bits| *bits == all[0]));
    }

    #[test]
    fn layer_norm_is_the_formula_and_the_same_bits_everywhere(
        cols in 1usize..70,
        seed in 0usize..99,
    ) {
        let (x, weight, bias) = (row(cols, seed), row(cols, seed + 1), row(cols, seed + 2));
        let n = cols as f64;
        let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
        let mut all = Vec::new();
        for kernels in everywhere() {
            let mut out = vec![0.0; cols];
            layer_norm(&kernels, &x, cols, Some(&weight), Some(&bias), 1e-5, &mut out);
            for (column, &out) in out.iter().enumerate() {
                let unit = (f64::from(x[column]) - mean) / (variance + 1e-5).sqrt();
                let exact = unit * f64::from(weight[column]) + f64::from(bias[column]);
                prop_assert!((f64::from(out) - exact).abs() <= 2e-5, "{out} {exact}");
            }
            all.push(bits(&out));
        }
        prop_assert!(all.iter().all(|bits| *bits == all[0]));
    }
}

#[test]
fn a_row_does_not_depend_on_its_neighbours() {
    let cols = 1030;
    let x: Vec<f32> = (0..40).flat_map(|seed| row(cols, seed)).collect();
    for kernels in everywhere() {
        let (mut together, mut alone) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        rms_norm(&kernels, &x, cols, None, 1e-6, &mut together);
        for (x, out) in x.chunks(cols).zip(alone.chunks_mut(cols)) {
            rms_norm(&kernels, x, cols, None, 1e-6, out);
        }
        assert_eq!(bits(&together), bits(&alone), "{}", kernels.isa.name());
    }
}

#[test]
fn heads_inside_a_wider_row_are_normalised_in_place_and_nothing_else() {
    let layout = HeadLayout { row_stride: 50, start: 3, heads: 3, head_stride: 12, width: 10 };
    let x: Vec<f32> = (0..4).flat_map(|seed| row(50, seed)).collect();
    let weight = row(10, 7);
    for kernels in everywhere() {
        let mut inside = x.clone();
        rms_norm_heads(&kernels, &mut inside, layout, Some(&weight), 1e-6);
        let mut expected = x.clone();
        for row in 0..4 {
            for head in 0..3 {
                let at = row * 50 + 3 + head * 12;
                let source = &x[at..at + 10];
                rms_norm(&kernels, source, 10, Some(&weight), 1e-6, &mut expected[at..at + 10]);
            }
        }
        assert_eq!(bits(&inside), bits(&expected), "{}", kernels.isa.name());
    }
}
