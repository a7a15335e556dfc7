use super::*;
use crate::Isa;
use crate::attention::tests::{kernels, numbers};
use crate::attention::{Attention, IndexLayout, KvElement, KvLayout, KvStore, attention};

const DIM: usize = 13;
const TOKENS: usize = 150;

/// A sequence of index keys and of keys with values, with what its rows ask.
struct Case {
    heads: usize,
    /// As they were written.
    keys: Vec<f32>,
    index: IndexStore,
    cache: KvStore,
    pages: Vec<u32>,
    q: Vec<f32>,
    weights: Vec<f32>,
    asked: Vec<f32>,
}

const CACHE: KvLayout =
    KvLayout { kv_heads: 1, k_dim: 12, v_dim: 10, latent: true, element: KvElement::F32 };

/// Keys and values apart, of the same widths.
const APART: KvLayout = KvLayout { latent: false, element: KvElement::F16, ..CACHE };

impl Case {
    fn new(heads: usize, element: KvElement) -> Case {
        Case::with(heads, element, CACHE)
    }

    fn with(heads: usize, element: KvElement, cached: KvLayout) -> Case {
        let pages = vec![2, 0, 1];
        let layout = IndexLayout { dim: DIM, element };
        let (mut index, mut cache) = (IndexStore::new(layout, 3), KvStore::new(cached, 3));
        let one = kernels(Isa::Scalar, 1);
        let index_keys = numbers(TOKENS * DIM, 1);
        index.write(&one, &pages, 0, &index_keys);
        let values = if cached.latent { 0 } else { TOKENS * CACHE.v_dim };
        let keys = numbers(TOKENS * CACHE.k_dim, 2);
        cache.write(&one, &pages, 0, &keys, &numbers(values, 6));
        let (q, weights) = (numbers(TOKENS * heads * DIM, 3), numbers(TOKENS * heads, 4));
        let asked = numbers(TOKENS * CACHE.k_dim, 5);
        Case { heads, keys: index_keys, index, cache, pages, q, weights, asked }
    }

    /// What each row chooses and attends to, computed as spans of the given lengths.
    fn run(
        &self,
        kernels: &Kernels,
        active: usize,
        lengths: &[usize],
    ) -> (Vec<Vec<usize>>, Vec<u32>) {
        let (mut chosen, mut bits, mut position) = (Vec::new(), Vec::new(), 0);
        for &rows in lengths {
            let part = |x: &[f32], each: usize| x[position * each..][..rows * each].to_vec();
            let (q, weights) = (part(&self.q, self.heads * DIM), part(&self.weights, self.heads));
            let spans = [AttentionSpan::causal(0, rows, position, &self.pages)];
            let how = Chooser { heads: self.heads, active, q: &q, weights: &weights };
            let choice = choose(kernels, &how, &self.index, &spans);
            chosen.extend((0..rows).map(|row| choice.positions(row, 0, position + row).collect()));
            let how = Attention { choice: Some(&choice), ..Attention::causal(1, 0.7) };
            let mut out = vec![f32::NAN; rows * CACHE.v_dim];
            let asked = part(&self.asked, CACHE.k_dim);
            attention(kernels, &how, &asked, &self.cache, &spans, &mut out);
            bits.extend(out.iter().map(|x| x.to_bits()));
            position += rows;
        }
        (chosen, bits)
    }

    /// The score of every position up to the row's own, by the definition in `f64`.
    fn scores(&self, row: usize) -> Vec<f64> {
        let dot = |head: usize, key: &[f32]| -> f64 {
            let q = &self.q[(row * self.heads + head) * DIM..][..DIM];
            q.iter().zip(key).map(|(&q, &k)| f64::from(q) * f64::from(k)).sum()
        };
        (0..=row)
            .map(|position| {
                let key = &self.keys[position * DIM..][..DIM];
                let shares = (0..self.heads).map(|head| {
                    f64::from(self.weights[row * self.heads + head]) * dot(head, key).max(0.0)
                });
                shares.sum()
            })
            .collect()
    }
}

#[test]
fn rows_choose_the_positions_with_the_largest_scores() {
    for heads in [1, 7, 8, 5] {
        let case = Case::new(heads, KvElement::F32);
        for isa in Isa::available() {
            let (chosen, _) = case.run(&kernels(isa, 2), 20, &[TOKENS]);
            for (row, chosen) in chosen.iter().enumerate() {
                assert_eq!(chosen.len(), 20.min(row + 1), "row {row}");
                let scores = case.scores(row);
                let (mut least, mut best) = (f64::INFINITY, f64::NEG_INFINITY);
                for (position, &score) in scores.iter().enumerate() {
                    match chosen.contains(&position) {
                        true => least = least.min(score),
                        false => best = best.max(score),
                    }
                }
                assert!(least >= best - 1e-5, "row {row}: {least} in, {best} out");
            }
        }
    }
}

#[test]
fn a_cut_prompt_chooses_and_attends_to_the_same_bit_for_bit() {
    [KvElement::F32, KvElement::F16].into_iter().for_each(check_cuts);
}

fn check_cuts(element: KvElement) {
    let case = Case::new(6, element);
    let whole = case.run(&kernels(Isa::Scalar, 1), 20, &[TOKENS]);
    for isa in Isa::available() {
        for cut in [1, 3, 64, 65] {
            let found = case.run(&kernels(isa, 1 + cut % 3), 20, &[cut, TOKENS - cut]);
            assert_eq!(found, whole, "cut at {cut} on {}", isa.name());
        }
    }
    let best = *Isa::available().last().expect("scalar is always there");
    assert_eq!(case.run(&kernels(best, 2), 20, &[1; TOKENS]), whole, "decoded");
}

#[test]
fn attention_to_chosen_positions_is_softmax_over_them_alone() {
    for cached in [CACHE, APART, KvLayout { element: KvElement::Q8, ..APART }] {
        check_softmax(&Case::with(4, KvElement::F32, cached));
    }
}

#[test]
#[should_panic(expected = "positions are chosen among those before a row")]
fn a_choice_beside_positions_that_all_rows_see_is_our_mistake() {
    let (case, kernels) = (Case::new(1, KvElement::F32), kernels(Isa::Scalar, 1));
    let spans = [AttentionSpan { together: 2, ..AttentionSpan::causal(0, 1, 0, &case.pages) }];
    let how = Chooser { heads: 1, active: 1, q: &case.q[..DIM], weights: &case.weights[..1] };
    let choice = choose(&kernels, &how, &case.index, &spans);
    let how = Attention { choice: Some(&choice), ..Attention::causal(1, 0.7) };
    let mut out = [0.0; CACHE.v_dim];
    attention(&kernels, &how, &case.asked[..CACHE.k_dim], &case.cache, &spans, &mut out);
}

fn check_softmax(case: &Case) {
    let (chosen, bits) = case.run(&kernels(Isa::Scalar, 1), 20, &[TOKENS]);
    let read = |position| case.cache.read(&case.pages, position, 0);
    for (row, chosen) in chosen.iter().enumerate() {
        let asked = &case.asked[row * CACHE.k_dim..][..CACHE.k_dim];
        let weight = |key: &[f32]| -> f64 {
            let dot: f32 = asked.iter().zip(key).map(|(q, k)| q * k).sum();
            f64::from(dot * 0.7).exp()
        };
        let read: Vec<_> = chosen.iter().map(|&position| read(position)).collect();
        let total: f64 = read.iter().map(|(key, _)| weight(key)).sum();
        for d in 0..CACHE.v_dim {
            let sum: f64 = read.iter().map(|(key, value)| weight(key) * f64::from(value[d])).sum();
            let found = f64::from(f32::from_bits(bits[row * CACHE.v_dim + d]));
            assert!((found - sum / total).abs() < 1e-5, "row {row}, {d}");
        }
    }
}

#[test]
fn few_positions_are_all_chosen_and_attention_to_them_is_dense_bit_for_bit() {
    for (cached, active) in [(CACHE, TOKENS), (APART, TOKENS + 1), (CACHE, usize::MAX)] {
        let case = Case::with(4, KvElement::F16, cached);
        let (chosen, bits) = case.run(&kernels(Isa::Scalar, 1), active, &[TOKENS]);
        assert!(chosen.iter().enumerate().all(|(row, chosen)| chosen.len() == row + 1));
        let spans = [AttentionSpan::causal(0, TOKENS, 0, &case.pages)];
        let mut dense = vec![f32::NAN; TOKENS * CACHE.v_dim];
        let how = Attention::causal(1, 0.7);
        attention(&kernels(Isa::Scalar, 1), &how, &case.asked, &case.cache, &spans, &mut dense);
        assert_eq!(bits, dense.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
    }
}

#[test]
fn of_equal_scores_the_earlier_position_is_chosen() {
    [KvElement::F32, KvElement::Q8].into_iter().for_each(check_equal_scores);
}

fn check_equal_scores(element: KvElement) {
    let mut case = Case::new(3, element);
    case.weights.fill(-0.0);
    for isa in Isa::available() {
        let (chosen, _) = case.run(&kernels(isa, 1), 20, &[TOKENS]);
        for (row, chosen) in chosen.iter().enumerate() {
            assert!(chosen.iter().copied().eq(0..20.min(row + 1)), "row {row}: {chosen:?}");
        }
    }
}

#[test]
fn the_best_are_those_that_sorting_puts_first_whatever_the_numbers() {
    let odd = [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1.0, -1.0];
    let scores: Vec<f32> = numbers(90, 7).iter().map(|x| (x * 4.0).round()).chain(odd).collect();
    for active in [1, 2, 5, 40, 97, 98] {
        let mut sorted: Vec<u32> = (0..scores.len() as u32).collect();
        sorted.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
        sorted.truncate(active);
        sorted.sort_unstable();
        assert_eq!(best(&scores, active), sorted, "the best {active}");
    }
}
