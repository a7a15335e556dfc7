use super::*;
use crate::Isa;
use crate::attention::tests::{kernels, numbers};
use crate::attention::{Attention, AttentionSpan, KvElement, KvStore, attention};
use proptest::prelude::*;

/// Two blocks of a key, the second a short one, and more than one of a value.
const LAYOUT: KvLayout =
    KvLayout { kv_heads: 2, k_dim: 43, v_dim: 66, latent: false, element: KvElement::Q8 };

/// Numbers of many magnitudes, too large and too small ones among them.
fn number() -> impl Strategy<Value = f32> {
    let sized = (-1f32..1.0, -40i32..31).prop_map(|(x, power)| x * 2f32.powi(power));
    prop_oneof![8 => sized, 1 => Just(0.0), 1 => Just(f32::INFINITY), 1 => Just(f32::MIN)]
}

/// The key and the value of each head, as an instruction set stores them.
fn stored(isa: Isa, layout: KvLayout, k: &[f32], v: &[f32]) -> Vec<(Vec<f32>, Vec<f32>)> {
    let mut store = KvStore::new(layout, 1);
    store.write(&kernels(isa, 1), &[0], 35, k, v);
    (0..layout.kv_heads).map(|head| store.read(&[0], 35, head)).collect()
}

/// Fails where a number of a block is not the nearest there is with the block's scale.
fn check_block(given: &[f32], found: &[f32]) {
    let largest_possible = LARGEST * f16::MAX.to_f32();
    let largest = given.iter().fold(0f32, |largest, x| largest.max(x.abs())).min(largest_possible);
    let scale = largest / LARGEST * (1.0 + 1.0 / 1024.0) + 2f32.powi(-24);
    for (given, found) in given.iter().zip(found) {
        let given = given.clamp(-largest_possible, largest_possible);
        let error = (given - found).abs();
        assert!(error <= scale * 0.5, "{given} became {found} beside {largest}");
    }
}

proptest! {
    #[test]
    fn numbers_are_within_half_a_scale_and_the_same_everywhere(
        k in proptest::collection::vec(number(), 2 * LAYOUT.k_dim),
        v in proptest::collection::vec(number(), 2 * LAYOUT.v_dim),
    ) {
        let expected = stored(Isa::Scalar, LAYOUT, &k, &v);
        for isa in Isa::available() {
            prop_assert_eq!(&stored(isa, LAYOUT, &k, &v), &expected, "{}", isa.name());
        }
        for (head, (key, value)) in expected.iter().enumerate() {
            let given_key = &k[head * LAYOUT.k_dim..][..LAYOUT.k_dim];
            let given_value = &v[head * LAYOUT.v_dim..][..LAYOUT.v_dim];
            for (given, found) in [(given_key, key), (given_value, value)] {
                let blocks = given.chunks(PANEL).zip(found.chunks(PANEL));
                blocks.for_each(|(given, found)| check_block(given, found));
            }
        }
    }
}

#[test]
fn integers_up_to_127_are_kept_and_a_nan_takes_its_block_along() {
    let layout = KvLayout { kv_heads: 1, k_dim: 64, v_dim: 64, ..LAYOUT };
    let mut given: Vec<f32> = (0..64).map(|i| (i % 32 * 8 - 127) as f32).collect();
    for isa in Isa::available() {
        let whole = stored(isa, layout, &given, &given);
        assert_eq!(whole, [(given.clone(), given.clone())], "{}", isa.name());
    }
    given[40] = f32::NAN;
    for isa in Isa::available() {
        let (key, value) = stored(isa, layout, &given, &given).remove(0);
        for found in [key, value] {
            assert_eq!(found[..PANEL], given[..PANEL], "{}", isa.name());
            assert!(found[PANEL..].iter().all(|x| x.is_nan()), "{}", isa.name());
        }
    }
}

#[test]
fn pages_can_be_copied_with_their_scales() {
    for layout in [LAYOUT, KvLayout { kv_heads: 1, latent: true, k_dim: 70, ..LAYOUT }] {
        let mut store = KvStore::new(layout, 3);
        let k = numbers(PAGE * layout.kv_heads * layout.k_dim, 1);
        let values = if layout.latent { 0 } else { PAGE * layout.kv_heads * layout.v_dim };
        store.write(&kernels(Isa::Scalar, 1), &[1], 0, &k, &numbers(values, 2));
        let mut bytes = Vec::new();
        store.page(1, &mut bytes);
        assert_eq!(bytes.len(), layout.bytes_per_page());
        bytes.push(7);
        assert_eq!(store.set_page(2, &bytes), [7]);
        let all = |page| (0..PAGE).map(|slot| store.read(&[page], slot, 0)).collect::<Vec<_>>();
        assert_eq!(all(2), all(1));
        assert_ne!(all(2), all(0));
    }
}

/// Keys err by at most half a scale in each dimension, so scores by at most `d`, so weights by
/// at most a factor of `e^(2 d)`; values err by half a scale.
#[test]
fn attention_is_as_far_from_that_over_floats_as_its_numbers_allow() {
    let (heads, tokens) = (4, 100);
    let how = Attention::causal(heads, 0.3);
    let run = |element| {
        let layout = KvLayout { element, ..LAYOUT };
        let (kernels, pages) = (kernels(Isa::detect(), 1), [1, 0]);
        let mut store = KvStore::new(layout, 2);
        let k = numbers(tokens * layout.kv_heads * layout.k_dim, 1);
        let v = numbers(tokens * layout.kv_heads * layout.v_dim, 2);
        store.write(&kernels, &pages, 0, &k, &v);
        let q = numbers(tokens * heads * layout.k_dim, 3);
        let mut out = vec![0.0; tokens * heads * layout.v_dim];
        let span = AttentionSpan::causal(0, tokens, 0, &pages);
        attention(&kernels, &how, &q, &store, &[span], &mut out);
        (q, out)
    };
    let (q, exact) = run(KvElement::F32);
    let (_, found) = run(KvElement::Q8);
    assert_ne!(exact, found);
    // No number is larger than 1.
    let half_scale = 0.5 / LARGEST * (1.0 + 1.0 / 1024.0);
    let rows = exact.chunks(LAYOUT.v_dim).zip(found.chunks(LAYOUT.v_dim));
    for ((exact, found), q) in rows.zip(q.chunks(LAYOUT.k_dim)) {
        let score = how.scale * half_scale * q.iter().map(|q| q.abs()).sum::<f32>();
        let bound = half_scale + (2.0 * score).exp_m1() + 1e-6;
        for (exact, found) in exact.iter().zip(found) {
            assert!((exact - found).abs() <= bound, "{found}, in floats {exact}, bound {bound}");
        }
    }
}
