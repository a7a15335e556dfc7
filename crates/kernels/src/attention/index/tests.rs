use super::*;
use crate::Isa;
use crate::attention::tests::{kernels, numbers};
use crate::attention::{AttentionSpan, Choice, PAGE, choose};
use proptest::prelude::*;

/// Keys in a store of pages in no order, and rows at their end that ask for all of them.
struct Case {
    dim: usize,
    heads: usize,
    keys: Vec<f32>,
    q: Vec<f32>,
    weights: Vec<f32>,
}

impl Case {
    fn new(dim: usize, heads: usize, positions: usize, rows: usize) -> Case {
        let (keys, q) = (numbers(positions * dim, 1), numbers(rows * heads * dim, 2));
        Case { dim, heads, keys, q, weights: numbers(rows * heads, 3) }
    }

    fn positions(&self) -> usize {
        self.keys.len() / self.dim
    }

    /// The last page first, as [`Case::store`] has them.
    fn pages(&self) -> Vec<u32> {
        (0..self.positions().div_ceil(PAGE) as u32).rev().collect()
    }

    /// The keys, written in pieces of so many.
    fn store(&self, kernels: &Kernels, element: KvElement, piece: usize) -> IndexStore {
        let pages = self.pages();
        let mut store = IndexStore::new(IndexLayout { dim: self.dim, element }, pages.len());
        for (index, keys) in self.keys.chunks(piece * self.dim).enumerate() {
            store.write(kernels, &pages, index * piece, keys);
        }
        store
    }

    fn chooser(&self, active: usize) -> Chooser<'_> {
        Chooser { heads: self.heads, active, q: &self.q, weights: &self.weights }
    }

    /// The bits of the scores of all positions in the first row.
    fn scores(&self, kernels: &Kernels, store: &IndexStore) -> Vec<u32> {
        let pages = self.pages();
        let how = self.chooser(1);
        let mut scores = vec![0.0; pages.len() * PAGE];
        store.asked(kernels, &how, &|_| true).score(kernels, 0, &pages, &mut scores);
        scores[..self.positions()].iter().map(|score| score.to_bits()).collect()
    }

    /// What rows at the last positions choose.
    fn choice(&self, element: KvElement, active: usize) -> Choice {
        let (kernels, pages) = (kernels(Isa::detect(), 2), self.pages());
        let rows = self.weights.len() / self.heads;
        let span = AttentionSpan::causal(0, rows, self.positions() - rows, &pages);
        choose(&kernels, &self.chooser(active), &self.store(&kernels, element, PAGE), &[span])
    }
}

/// The definition, number by number.
fn defined(case: &Case, position: usize) -> f32 {
    let dim = case.dim;
    let key = in_8_bits(&case.keys[position * dim..][..dim]);
    let mut sum = 0.0_f32;
    for (query, weight) in case.q.chunks(dim).zip(&case.weights[..case.heads]) {
        let query = in_8_bits(query);
        let dot: i32 = query.codes.iter().zip(&key.codes).map(|(a, b)| a * b).sum();
        let factor = if dim.is_power_of_two() { dim as f32 } else { 1.0 };
        sum = (weight * (query.scale / factor)).mul_add((dot as f32).max(0.0), sum);
    }
    sum * key.scale
}

struct Rounded {
    codes: Vec<i32>,
    scale: f32,
}

fn in_8_bits(x: &[f32]) -> Rounded {
    let rotated: Vec<f32> = if x.len().is_power_of_two() { hadamard(x) } else { x.to_vec() };
    let largest = rotated.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
    let scale = largest / 127.0;
    let code = |x: &f32| if scale == 0.0 { 0 } else { (x / scale).round_ties_even() as i32 };
    Rounded { codes: rotated.iter().map(code).collect(), scale }
}

/// Sylvester's matrix has `(-1)^(ones in common)`; halves are added first, as in its recursion.
fn hadamard(x: &[f32]) -> Vec<f32> {
    match x {
        [_] => x.to_vec(),
        _ => {
            let (low, high) = x.split_at(x.len() / 2);
            let (low, high) = (hadamard(low), hadamard(high));
            let sums = low.iter().zip(&high).map(|(a, b)| a + b);
            sums.chain(low.iter().zip(&high).map(|(a, b)| a - b)).collect()
        }
    }
}

#[test]
fn scores_are_those_of_the_definition_bit_for_bit_on_every_instruction_set() {
    for (dim, heads) in [(128, 7), (64, 64), (24, 8), (13, 3), (1, 1), (130, 5)] {
        let case = Case::new(dim, heads, 150, 1);
        let wanted: Vec<u32> = (0..150).map(|at| defined(&case, at).to_bits()).collect();
        assert!(wanted.iter().any(|bits| *bits != 0), "{dim}");
        for isa in Isa::available() {
            let kernels = kernels(isa, 2);
            let store = case.store(&kernels, KvElement::F16, 150);
            assert_eq!(case.scores(&kernels, &store), wanted, "{dim}, {}", isa.name());
        }
    }
}

proptest! {
    #[test]
    fn every_instruction_set_gives_the_bits_of_the_scalar_one(
        dim in 1usize..140,
        heads in 1usize..12,
        bits in proptest::collection::vec(any::<u32>(), 64),
        plain in any::<bool>(),
    ) {
        let mut case = Case::new(dim, heads, 70, 1);
        // Any floats at all, also NaN and infinity, among the keys and the queries.
        for (index, bits) in bits.into_iter().enumerate().filter(|_| !plain) {
            let (keys, queries) = (case.keys.len(), case.q.len());
            case.keys[index * 7919 % keys] = f32::from_bits(bits);
            if index % 16 == 0 {
                case.q[index * 104_729 % queries] = f32::from_bits(bits.reverse_bits());
            }
        }
        let scalar = kernels(Isa::Scalar, 1);
        let wanted = case.scores(&scalar, &case.store(&scalar, KvElement::Q8, 70));
        for isa in Isa::available() {
            let kernels = kernels(isa, 1);
            let found = case.scores(&kernels, &case.store(&kernels, KvElement::Q8, 70));
            prop_assert_eq!(&found, &wanted, "{}", isa.name());
        }
    }
}

#[test]
fn the_largest_products_are_exact() {
    for (key, query) in [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)] {
        // No power of two, so that nothing is rotated.
        let mut case = Case::new(132, 4, 65, 1);
        case.keys.fill(key);
        case.q.fill(query);
        case.weights.fill(1.0);
        let wanted = 4.0 * (132.0_f32 * key * query).max(0.0);
        for isa in Isa::available() {
            let kernels = kernels(isa, 1);
            let found = case.scores(&kernels, &case.store(&kernels, KvElement::F16, 65));
            for bits in found {
                let found = f32::from_bits(bits);
                assert!((found - wanted).abs() <= wanted * 1e-6, "{found} for {wanted}");
            }
        }
    }
}

#[test]
fn what_is_not_finite_or_too_small_for_a_scale_counts_as_zeros() {
    let kernels = kernels(Isa::detect(), 1);
    let clean = Case::new(16, 3, 70, 1);
    let scores = clean.scores(&kernels, &clean.store(&kernels, KvElement::F16, 70));
    for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        let mut case = Case::new(16, 3, 70, 1);
        // With `MAX` the rotation is what overflows.
        case.keys[5 * 16..][..2].fill(odd);
        case.keys[6 * 16..7 * 16].fill(1e-44);
        let found = case.scores(&kernels, &case.store(&kernels, KvElement::F16, 70));
        for (position, (found, clean)) in found.iter().zip(&scores).enumerate() {
            let wanted = if [5, 6].contains(&position) { 0 } else { *clean };
            assert_eq!(*found, wanted, "{odd}, position {position}");
        }
        let mut case = Case::new(16, 1, 70, 1);
        case.q[3] = odd;
        case.q[4] = odd;
        let found = case.scores(&kernels, &case.store(&kernels, KvElement::F16, 70));
        assert!(found.iter().all(|bits| *bits == 0), "{odd} in a query");
    }
}

#[test]
fn keys_written_one_by_one_are_those_written_together() {
    let case = Case::new(64, 2, 150, 1);
    let (one, many) = (kernels(Isa::Scalar, 1), kernels(Isa::detect(), 2));
    let bytes = |store: &IndexStore| {
        let mut bytes = Vec::new();
        (0..3).for_each(|page| store.page(page, &mut bytes));
        bytes
    };
    let whole = bytes(&case.store(&many, KvElement::F16, 150));
    for piece in [1, 7, 64] {
        assert!(bytes(&case.store(&one, KvElement::F16, piece)) == whole, "{piece} at a time");
    }
}

#[test]
fn a_page_put_back_elsewhere_gives_the_same_scores() {
    let kernels = kernels(Isa::detect(), 1);
    for (element, dim) in [(KvElement::F16, 128), (KvElement::Q8, 13), (KvElement::F32, 24)] {
        let case = Case::new(dim, 3, 150, 1);
        let store = case.store(&kernels, element, 150);
        let mut other = IndexStore::new(*store.layout(), 3);
        for page in 0..3 {
            let mut bytes = Vec::new();
            store.page(page, &mut bytes);
            assert_eq!(bytes.len(), store.layout().bytes_per_page(), "{element:?}");
            bytes.push(7);
            assert_eq!(other.set_page(page, &bytes), [7]);
        }
        assert_eq!(case.scores(&kernels, &other), case.scores(&kernels, &store), "{element:?}");
    }
}

#[test]
fn a_row_chooses_the_same_beside_other_sequences() {
    let (kernels, case) = (kernels(Isa::detect(), 2), Case::new(32, 5, 150, 4));
    let (pages, store) = (case.pages(), case.store(&kernels, KvElement::F16, 150));
    let spans = [(0, 1, 149), (1, 2, 70), (3, 1, 20)];
    let together = spans.map(|(first, rows, at)| AttentionSpan::causal(first, rows, at, &pages));
    let choice = choose(&kernels, &case.chooser(10), &store, &together);
    for (first, rows, at) in spans {
        let all = first * case.heads..(first + rows) * case.heads;
        let how = Chooser {
            q: &case.q[all.start * case.dim..all.end * case.dim],
            weights: &case.weights[all],
            ..case.chooser(10)
        };
        let span = AttentionSpan::causal(0, rows, at, &pages);
        let alone = choose(&kernels, &how, &store, &[span]);
        for row in 0..rows {
            let beside = choice.positions(first + row, 0, at + row);
            assert!(beside.eq(alone.positions(row, 0, at + row)), "row {row} at {at}");
        }
    }
}

#[test]
fn keys_in_8_bits_choose_nearly_what_exact_ones_do_also_with_outliers() {
    const ROWS: usize = 8;
    for outliers in [0, 4] {
        let mut case = Case::new(128, 16, 2048, ROWS);
        for key in case.keys.chunks_mut(128) {
            key[..outliers].iter_mut().for_each(|number| *number *= 20.0);
        }
        let exact = case.choice(KvElement::F32, 512);
        let found = case.choice(KvElement::F16, 512);
        let mut common = 0;
        for row in 0..ROWS {
            let of = |choice: &Choice| -> Vec<usize> {
                choice.positions(row, 0, 2048 - ROWS + row).collect()
            };
            let exact = of(&exact);
            common += of(&found).iter().filter(|at| exact.binary_search(at).is_ok()).count();
        }
        let all = ROWS * 512;
        assert!(common * 100 >= all * 97, "{common} of {all} with {outliers} outliers");
    }
}

#[test]
fn index_keys_in_8_bits_take_little_more_than_half_of_what_half_precision_would() {
    let bytes = |element| IndexLayout { dim: 128, element }.bytes_per_page();
    assert_eq!(bytes(KvElement::F16), PAGE * (128 + 4));
    assert_eq!(bytes(KvElement::Q8), bytes(KvElement::F16));
    assert_eq!(bytes(KvElement::F32), PAGE * 128 * 4);
}
