use super::*;
use crate::Isa;
use proptest::prelude::*;

fn everywhere() -> Vec<Kernels> {
    Isa::available().into_iter().map(|isa| Kernels::on(isa, 2)).collect()
}

/// Numbers with many ties and a few NaNs.
fn numbers() -> impl Strategy<Value = Vec<f32>> {
    let number = prop_oneof![
        8 => (-20i32..20).prop_map(|i| i as f32),
        1 => Just(f32::NAN),
        1 => Just(f32::NEG_INFINITY),
    ];
    proptest::collection::vec(number, 0..200)
}

proptest! {
    #[test]
    fn softmax_is_the_formula_and_the_same_bits_everywhere(
        row in proptest::collection::vec(-30f32..30.0, 1..100),
    ) {
        let total: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
        let mut all: Vec<Vec<u32>> = Vec::new();
        for kernels in everywhere() {
            let mut out = [row.clone(), row.clone()].concat();
            softmax(&kernels, &mut out, row.len());
            prop_assert_eq!(&out[..row.len()], &out[row.len()..]);
            for (&x, &out) in row.iter().zip(&out) {
                let exact = f64::from(x).exp() / total;
                prop_assert!((f64::from(out) - exact).abs() <= 4e-6 * exact, "{} {}", out, exact);
            }
            all.push(out.iter().map(|x| x.to_bits()).collect());
        }
        prop_assert!(all.iter().all(|bits| *bits == all[0]));
    }

    #[test]
    fn argmax_is_the_first_of_the_largest_and_never_nan(x in numbers()) {
        let mut expected = None;
        for (index, &value) in x.iter().enumerate() {
            if !value.is_nan() && expected.is_none_or(|best: usize| value > x[best]) {
                expected = Some(index);
            }
        }
        for kernels in everywhere() {
            prop_assert_eq!(argmax(&kernels, &x), expected);
        }
    }

    #[test]
    fn top_k_is_the_head_of_a_stable_sort(x in numbers(), k in 0usize..40) {
        let mut sorted: Vec<(usize, f32)> =
            x.iter().copied().enumerate().filter(|(_, x)| !x.is_nan()).collect();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
        sorted.truncate(k);
        prop_assert_eq!(top_k(&x, k), sorted);
    }
}
