use super::*;
use crate::Isa;
use proptest::prelude::*;

fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| (((i * 37 + seed * 101) % 97) as f32 - 41.0) / 13.0).collect()
}

/// The rows of two sequences, one after the other, cut in pieces of `cut` rows.
fn run(kernels: &Kernels, how: &Convolution, x: &[f32], cut: usize) -> Vec<f32> {
    let rows = x.len() / how.channels / 2;
    let mut store = SlotStore::new(2 + how.kept(), 5);
    store.numbers.fill(7.0);
    [1, 4].into_iter().for_each(|slot| store.clear(slot));
    let mut out = vec![0.0; x.len()];
    for first in (0..rows).step_by(cut) {
        let count = cut.min(rows - first);
        let span =
            |sequence, slot| SlotSpan { first_row: sequence * rows + first, rows: count, slot };
        convolve(kernels, how, x, &mut store, 2, &[span(0, 4), span(1, 1)], &mut out);
    }
    let untouched =
        |slot: usize| store.numbers[slot * store.each..][..store.each] == vec![7.0; store.each];
    assert!([0, 2, 3].into_iter().all(untouched), "only the spans' slots change");
    out
}

proptest! {
    #[test]
    fn it_is_the_formula_and_the_same_bits_everywhere_however_cut(
        taps in 1usize..6,
        channels in prop_oneof![1usize..20, 250usize..270, 510usize..520],
        rows in 1usize..9,
        biased in any::<bool>(),
    ) {
        let weight = numbers(taps * channels, 3);
        let bias = numbers(channels, 5);
        let bias = biased.then_some(bias.as_slice());
        let how = Convolution { taps, channels, weight: &weight, bias };
        let x = numbers(2 * rows * channels, 1);
        let isas = Isa::available().into_iter();
        let mut all = isas.flat_map(|isa| [1, 2, 3, rows].map(|cut| (isa, cut))).map(|(isa, cut)| {
            run(&Kernels::on(isa, 2), &how, &x, cut)
        });
        let first = all.next().expect("scalar is always there");
        for (index, &found) in first.iter().enumerate() {
            let (row, channel) = (index / channels, index % channels);
            let within = row % rows;
            let start = bias.map_or(0.0, |bias| f64::from(bias[channel]));
            let exact = (0..taps).filter(|tap| within + tap + 1 >= taps).fold(start, |sum, tap| {
                let x = x[(row + tap + 1 - taps) * channels + channel];
                sum + f64::from(weight[tap * channels + channel]) * f64::from(x)
            });
            prop_assert!((f64::from(found) - exact).abs() < 1e-4, "{found} for {exact}");
        }
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        prop_assert!(all.all(|other| bits(&other) == bits(&first)));
    }
}

#[test]
#[should_panic(expected = "a slot of its own")]
fn two_spans_in_one_slot_are_our_mistake() {
    let how = Convolution { taps: 2, channels: 1, weight: &[1.0, 1.0], bias: None };
    let span = |first_row| SlotSpan { first_row, rows: 1, slot: 0 };
    let mut store = SlotStore::new(1, 2);
    let kernels = Kernels::new(1);
    convolve(&kernels, &how, &[1.0; 2], &mut store, 0, &[span(0), span(1)], &mut [0.0; 2]);
}
