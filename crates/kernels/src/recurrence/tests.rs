use super::*;
use crate::Isa;
use proptest::prelude::*;

fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| (((i * 37 + seed * 101) % 97) as f32 - 41.0) / 60.0).collect()
}

/// Factors in `(0, 1)`.
fn factors(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| (((i * 29 + seed * 17) % 89) as f32 + 1.0) / 91.0).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// The definition in f64: one sequence, one head after another.
fn reference(how: &Recurrence, fed: &Fed, rows: std::ops::Range<usize>) -> Vec<f64> {
    let Recurrence { heads, key_heads, k_dim, v_dim, .. } = *how;
    let mut out = vec![0.0; rows.len() * heads * v_dim];
    for (head, column) in (0..heads).flat_map(|head| (0..v_dim).map(move |column| (head, column))) {
        let mut state = vec![0.0; k_dim];
        for row in rows.clone() {
            let key = |x: &[f32], channel| {
                let of = match how.sharing {
                    Sharing::Neighbours => head / (heads / key_heads),
                    Sharing::Turns => head % key_heads,
                };
                f64::from(x[(row * key_heads + of) * k_dim + channel])
            };
            let at = row * heads + head;
            let v = f64::from(fed.v[at * v_dim + column]);
            for (channel, state) in state.iter_mut().enumerate() {
                *state *= f64::from(match fed.decays {
                    Decays::Fixed(decays) => decays[head],
                    Decays::PerHead(decays) => decays[at],
                    Decays::PerChannel(decays) => decays[at * k_dim + channel],
                });
            }
            let dot = |state: &[f64], x| -> f64 {
                state.iter().enumerate().map(|(channel, state)| state * key(x, channel)).sum()
            };
            let known = match how.write {
                Write::Value => 0.0,
                Write::Difference => dot(&state, fed.k),
            };
            let written = (v - known) * fed.rates.map_or(1.0, |rates| f64::from(rates[at]));
            for (channel, state) in state.iter_mut().enumerate() {
                *state += key(fed.k, channel) * written;
            }
            let skip = how.skip.map_or(0.0, |skip| f64::from(skip[head]));
            out[((row - rows.start) * heads + head) * v_dim + column] =
                f64::from(how.scale) * dot(&state, fed.q) + skip * v;
        }
    }
    out
}

/// Two sequences of `rows` rows each, cut in pieces of `cut`.
fn run(kernels: &Kernels, how: &Recurrence, fed: &Fed, rows: usize, cut: usize) -> Vec<f32> {
    let mut store = SlotStore::new(3 + kept(how.heads, how.k_dim, how.v_dim), 4);
    store.numbers.fill(7.0);
    [0, 2].into_iter().for_each(|slot| store.clear(slot));
    let mut out = vec![0.0; fed.v.len()];
    for first in (0..rows).step_by(cut) {
        let count = cut.min(rows - first);
        let span =
            |sequence, slot| SlotSpan { first_row: sequence * rows + first, rows: count, slot };
        recur(kernels, how, fed, &mut store, 3, &[span(0, 2), span(1, 0)], &mut out);
    }
    for slot in [1, 3] {
        let part = &store.numbers[slot * store.each..][..store.each];
        assert!(part.iter().all(|&x| x == 7.0), "only the spans' slots change");
    }
    out
}

proptest! {
    #[test]
    fn it_is_the_formula_and_the_same_bits_everywhere_however_cut(
        (key_heads, group) in (1usize..4, 1usize..4),
        (k_dim, v_dim) in (1usize..40, 1usize..70),
        rows in 1usize..7,
        kind in 0usize..3,
        write in prop::sample::select(vec![Write::Value, Write::Difference]),
        sharing in prop::sample::select(vec![Sharing::Neighbours, Sharing::Turns]),
        (rated, skipped) in (any::<bool>(), any::<bool>()),
    ) {
        let heads = key_heads * group;
        let keys = 2 * rows * key_heads * k_dim;
        let (q, k) = (numbers(keys, 1), numbers(keys, 2));
        let v = numbers(2 * rows * heads * v_dim, 3);
        let (rates, skip) = (factors(2 * rows * heads, 5), numbers(heads, 6));
        let all = factors(2 * rows * heads * k_dim, 4);
        let decays = match kind {
            0 => Decays::Fixed(&all[..heads]),
            1 => Decays::PerHead(&all[..2 * rows * heads]),
            _ => Decays::PerChannel(&all),
        };
        let rates = rated.then_some(rates.as_slice());
        let fed = Fed { q: &q, k: &k, v: &v, decays, rates };
        let skip = skipped.then_some(skip.as_slice());
        let how = Recurrence { heads, key_heads, sharing, k_dim, v_dim, scale: 0.7, write, skip };
        let isas = Isa::available().into_iter();
        let mut all = isas.flat_map(|isa| [1, 2, rows].map(|cut| (isa, cut))).map(|(isa, cut)| {
            run(&Kernels::on(isa, 2), &how, &fed, rows, cut)
        });
        let first = all.next().expect("scalar is always there");
        let exact = [0..rows, rows..2 * rows].map(|rows| reference(&how, &fed, rows)).concat();
        let largest = exact.iter().fold(1.0, |largest: f64, x| largest.max(x.abs()));
        for (&found, exact) in first.iter().zip(exact) {
            prop_assert!((f64::from(found) - exact).abs() < 1e-5 * largest, "{found} for {exact}");
        }
        prop_assert!(all.all(|other| bits(&other) == bits(&first)));
    }

    #[test]
    fn forgetting_is_the_formula_and_the_same_bits_everywhere(
        columns in 1usize..20,
        spread in 0.1f32..40.0,
    ) {
        let x: Vec<f32> = numbers(3 * columns, 1).iter().map(|x| x * spread).collect();
        let (bias, rates) = (numbers(columns, 2), factors(columns, 3));
        let exactly = |index: usize| {
            let column = index % columns;
            let with_bias = f64::from(x[index] + bias[column]);
            let rate = f64::from(rates[column]);
            let step = with_bias.exp().ln_1p().clamp(0.001, 9.0);
            let bounded = -5.0 / (1.0 + (-rate * with_bias).exp());
            [step, (-rate * step).exp(), bounded.exp()]
        };
        let mut all = Vec::new();
        for isa in Isa::available() {
            let kernels = Kernels::on(isa, 2);
            let (mut stepped, mut bounded) = (x.clone(), x.clone());
            steps(&kernels, &mut stepped, &bias, &(0.001..=9.0));
            let mut decayed = stepped.clone();
            decays(&kernels, &mut decayed, &rates);
            bounded_decays(&kernels, &mut bounded, &bias, &rates, -5.0);
            for index in 0..x.len() {
                let found = [stepped[index], decayed[index], bounded[index]];
                for (found, exact) in found.into_iter().zip(exactly(index)) {
                    let off = (f64::from(found) - exact).abs();
                    prop_assert!(off <= 4e-6 * exact.abs(), "{found} for {exact}");
                }
            }
            all.push([stepped, decayed, bounded].map(|x| bits(&x)));
        }
        prop_assert!(all.iter().all(|bits| *bits == all[0]));
    }
}
