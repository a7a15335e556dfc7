use super::*;
use crate::Isa;
use proptest::prelude::*;
use std::ops::Range;

pub(super) fn kernels(isa: Isa, threads: usize) -> Kernels {
    Kernels::on(isa, threads)
}

/// Reproducible numbers around zero.
pub(super) fn numbers(len: usize, seed: usize) -> Vec<f32> {
    let mut state = seed as u32 * 7919 + 12345;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// A sequence with its queries, keys and values, in pages of its own.
struct Case {
    layout: KvLayout,
    heads: usize,
    tokens: usize,
    q: Vec<f32>,
    store: KvStore,
    pages: Vec<u32>,
    /// Of its spans.
    together: usize,
    starts: Vec<usize>,
    relations: Vec<usize>,
}

const GROUPED: KvLayout =
    KvLayout { kv_heads: 2, k_dim: 24, v_dim: 40, latent: false, element: KvElement::F16 };
const LATENT: KvLayout =
    KvLayout { kv_heads: 1, k_dim: 43, v_dim: 36, latent: true, element: KvElement::F16 };
const TINY: KvLayout =
    KvLayout { kv_heads: 3, k_dim: 10, v_dim: 10, latent: false, element: KvElement::F32 };
const INT8: KvLayout =
    KvLayout { kv_heads: 2, k_dim: 70, v_dim: 40, latent: false, element: KvElement::Q8 };

impl Case {
    /// Unused slots hold NaN, and the pages are in no order.
    fn new(layout: KvLayout, heads: usize, tokens: usize) -> Case {
        let count = tokens.div_ceil(PAGE) as u32 + 2;
        let pages: Vec<u32> = (0..count).map(|page| count - 1 - page).collect();
        let mut store = KvStore::new(layout, count as usize);
        let all = count as usize * PAGE;
        let kernels = kernels(Isa::Scalar, 1);
        let nan = |dim| vec![f32::NAN; all * layout.kv_heads * dim];
        let v_dim = if layout.latent { 0 } else { layout.v_dim };
        store.write(&kernels, &pages, 0, &nan(layout.k_dim), &nan(v_dim));
        let k = numbers(tokens * layout.kv_heads * layout.k_dim, 1);
        let v = numbers(tokens * layout.kv_heads * v_dim, 2);
        store.write(&kernels, &pages, 0, &k, &v);
        // Queries large enough that the softmax is not flat.
        let q = numbers(tokens * heads * layout.k_dim, 3).iter().map(|q| q * 3.0).collect();
        let (starts, relations) = (vec![0, 10, 80], vec![0, 1, 2, 1, 0, 2, 2, 1, 0]);
        Case { layout, heads, tokens, q, store, pages, together: 0, starts, relations }
    }

    /// Rows `range` computed as spans of the given lengths, one call for each.
    fn run(&self, kernels: &Kernels, how: &Attention, lengths: &[usize]) -> Vec<f32> {
        let (q_row, out_row) = (self.heads * self.layout.k_dim, self.heads * self.layout.v_dim);
        let mut out = vec![f32::NAN; self.tokens * out_row];
        let mut position = 0;
        for rows in lengths.iter().copied() {
            let span = AttentionSpan {
                together: self.together,
                segments: Segments { starts: &self.starts, relations: &self.relations },
                ..AttentionSpan::causal(0, rows, position, &self.pages)
            };
            let q = &self.q[position * q_row..][..rows * q_row];
            let out = &mut out[position * out_row..][..rows * out_row];
            attention(kernels, how, q, &self.store, &[span], out);
            position += rows;
        }
        assert_eq!(position, self.tokens);
        out
    }

    /// The last `rows` rows alone.
    fn run_last(&self, kernels: &Kernels, how: &Attention, rows: usize) -> Vec<f32> {
        let first = self.tokens - rows;
        let span = AttentionSpan {
            together: self.together,
            segments: Segments { starts: &self.starts, relations: &self.relations },
            ..AttentionSpan::causal(0, rows, first, &self.pages)
        };
        let mut out = vec![f32::NAN; rows * self.heads * self.layout.v_dim];
        let q = &self.q[first * self.heads * self.layout.k_dim..];
        attention(kernels, how, q, &self.store, &[span], &mut out);
        out
    }

    /// The definition, in `f64`, from what the store holds.
    fn exactly(&self, how: &Attention) -> Vec<f64> {
        self.exactly_rows(how, 0..self.tokens)
    }

    fn exactly_rows(&self, how: &Attention, rows: Range<usize>) -> Vec<f64> {
        let (layout, group) = (&self.layout, self.heads / self.layout.kv_heads);
        let mut out = Vec::new();
        for (token, head) in rows.flat_map(|t| (0..self.heads).map(move |h| (t, h))) {
            let q = &self.q[(token * self.heads + head) * layout.k_dim..][..layout.k_dim];
            let first = how.window.map_or(0, |window| (token + 1).saturating_sub(window));
            let sink = how.sinks.map_or(0.0, |sinks| f64::from(sinks[head]).exp());
            let (mut weights, mut sums) = (sink, vec![0.0; layout.v_dim]);
            for position in first..(token + 1).max(self.together) {
                let (k, v) = self.store.read(&self.pages, position, head / group);
                let dot: f64 = q.iter().zip(&k).map(|(&q, &k)| f64::from(q) * f64::from(k)).sum();
                let mut score = dot * f64::from(how.scale);
                if let Some(cap) = how.softcap.map(f64::from) {
                    score = cap * (score / cap).tanh();
                }
                if let Some(slopes) = how.slopes {
                    score -= f64::from(slopes[head]) * (token as f64 - position as f64);
                }
                if let Some(bias) = how.bias {
                    score += f64::from(self.bias(bias, head, token, position));
                }
                weights += score.exp();
                sums.iter_mut().zip(&v).for_each(|(sum, &v)| *sum += score.exp() * f64::from(v));
            }
            out.extend(sums.iter().map(|sum| sum / weights));
        }
        out
    }

    /// What a bias adds for a row and a key.
    fn bias(&self, bias: &Bias, head: usize, row: usize, key: usize) -> f32 {
        let segment = |at| self.starts.iter().filter(|&&start| start <= at).count().max(1) - 1;
        if segment(row) == segment(key) {
            let reach = bias.reach as isize;
            let distance = (key as isize - row as isize).clamp(-reach, reach);
            return bias.by_distance[head * (2 * bias.reach + 1) + (distance + reach) as usize];
        }
        let relation = self.relations[segment(row) * self.starts.len() + segment(key)];
        bias.across[head * bias.relations + relation]
    }
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// One of each kind: plain, windows, sinks, a cap, biases, all together.
fn kinds(heads: usize, check: &mut dyn FnMut(&Attention)) {
    let (sinks, slopes) = (numbers(heads, 5), vec![0.07; heads]);
    let plain = Attention::causal(heads, 0.4);
    check(&plain);
    check(&Attention { window: Some(1), ..plain });
    check(&Attention { window: Some(70), ..plain });
    check(&Attention { sinks: Some(&sinks), ..plain });
    check(&Attention { softcap: Some(2.5), ..plain });
    check(&Attention { slopes: Some(&slopes), ..plain });
    let (reach, relations) = (20, 3);
    let (by_distance, across) = (numbers(heads * (2 * reach + 1), 6), numbers(heads * 3, 7));
    check(&Attention { bias: Some(&Bias { reach, by_distance, across, relations }), ..plain });
    let window = Some(33);
    check(&Attention { window, sinks: Some(&sinks), slopes: Some(&slopes), ..plain });
}

/// The layouts with their query heads.
const LAYOUTS: [(KvLayout, usize); 7] = [
    (GROUPED, 6),
    (KvLayout { element: KvElement::F32, ..GROUPED }, 2),
    (LATENT, 5),
    (KvLayout { element: KvElement::F32, ..LATENT }, 16),
    (TINY, 3),
    (INT8, 6),
    (KvLayout { element: KvElement::Q8, ..LATENT }, 5),
];

/// The layouts, without and with positions that all rows see.
fn with_prefixes() -> impl Iterator<Item = ((KvLayout, usize), usize)> {
    LAYOUTS.into_iter().zip([0, 90, 64, 0, 129, 64, 0])
}

#[test]
fn attention_is_its_definition_whatever_unused_slots_hold() {
    for ((layout, heads), together) in with_prefixes() {
        let case = Case { together, ..Case::new(layout, heads, 150) };
        kinds(heads, &mut |how| {
            let exact = case.exactly(how);
            for isa in Isa::available() {
                let out = case.run(&kernels(isa, 2), how, &[150]);
                for (index, (&out, exact)) in out.iter().zip(&exact).enumerate() {
                    let error = (f64::from(out) - exact).abs();
                    assert!(error < 3e-6, "{layout:?} {how:?} {index}: {out}, exactly {exact}");
                }
            }
        });
    }
}

#[test]
fn a_cut_prompt_and_decoding_give_the_same_bits_on_every_instruction_set() {
    for ((layout, heads), together) in with_prefixes() {
        let case = Case { together, ..Case::new(layout, heads, 150) };
        kinds(heads, &mut |how| {
            let whole = bits(&case.run(&kernels(Isa::Scalar, 1), how, &[150]));
            for isa in Isa::available() {
                // The definition is slow: one cut that splits a page says enough about it.
                let cuts: &[usize] = if isa == Isa::Scalar { &[65] } else { &[1, 3, 16, 64, 65] };
                for &cut in cuts {
                    let out = case.run(&kernels(isa, 1 + cut % 3), how, &[cut, 150 - cut]);
                    assert_eq!(bits(&out), whole, "{layout:?} {how:?} cut at {cut} {isa:?}");
                }
            }
            let best = *Isa::available().last().expect("scalar is always there");
            let out = case.run(&kernels(best, 2), how, &[1; 150]);
            assert_eq!(bits(&out), whole, "{layout:?} {how:?} decoded");
        });
    }
}

#[test]
fn long_sequences_give_the_same_bits_however_they_are_shared_out() {
    let best = *Isa::available().last().expect("scalar is always there");
    for (layout, heads) in [(GROUPED, 6), (LATENT, 20), (TINY, 3), (INT8, 4)] {
        let case = Case::new(layout, heads, 1200);
        let sinks = numbers(heads, 5);
        let plain = Attention::causal(heads, 0.4);
        let sunk = Attention { sinks: Some(&sinks), ..plain };
        for how in [plain, sunk, Attention { window: Some(640), ..sunk }] {
            let several = case.run_last(&kernels(best, 1), &how, 40);
            let alone = case.run_last(&kernels(best, 1), &how, 1);
            assert_eq!(bits(&several[39 * alone.len()..]), bits(&alone), "{layout:?} {how:?}");
            for isa in Isa::available() {
                let out = case.run_last(&kernels(isa, 4), &how, 1);
                assert_eq!(bits(&out), bits(&alone), "{layout:?} {how:?} {isa:?}");
            }
            for (&out, exact) in alone.iter().zip(&case.exactly_rows(&how, 1199..1200)) {
                assert!((f64::from(out) - exact).abs() < 3e-6, "{layout:?}: {out}, {exact}");
            }
        }
    }
}

#[test]
fn spans_do_not_depend_on_each_other() {
    let (layout, heads) = (GROUPED, 6);
    let case = Case::new(layout, heads, 150);
    let how = Attention::causal(heads, 0.4);
    let spans: Vec<AttentionSpan> = [(2, 40, 100), (42, 1, 149), (43, 100, 7)]
        .map(|(first_row, rows, position)| {
            AttentionSpan::causal(first_row, rows, position, &case.pages)
        })
        .to_vec();
    let q = numbers(145 * heads * layout.k_dim, 9);
    let row = heads * layout.v_dim;
    for isa in Isa::available() {
        let mut together = vec![7.0; 145 * row];
        attention(&kernels(isa, 3), &how, &q, &case.store, &spans, &mut together);
        for span in &spans {
            let mut alone = vec![7.0; 145 * row];
            attention(&kernels(isa, 1), &how, &q, &case.store, &[*span], &mut alone);
            let rows = span.first_row * row..(span.first_row + span.rows) * row;
            assert_eq!(bits(&together[rows.clone()]), bits(&alone[rows]), "{}", isa.name());
        }
        assert!(together[..2 * row].iter().chain(&together[143 * row..]).all(|&x| x == 7.0));
    }
}

#[test]
fn what_is_written_is_read_back_and_pages_can_be_copied() {
    for layout in LAYOUTS.map(|(layout, _)| KvLayout { element: KvElement::F32, ..layout }) {
        for isa in Isa::available() {
            let (kernels, pages) = (kernels(isa, 2), [3, 1, 2]);
            let mut store = KvStore::new(layout, 5);
            let k = numbers(130 * layout.kv_heads * layout.k_dim, 1);
            let v_dim = if layout.latent { 0 } else { layout.v_dim };
            let v = numbers(130 * layout.kv_heads * v_dim, 2);
            store.write(&kernels, &pages, 60, &k, &v);
            let mut bytes = Vec::new();
            store.page(1, &mut bytes);
            bytes.push(7);
            assert_eq!(store.set_page(4, &bytes), [7]);
            for (token, head) in (0..130).flat_map(|t| (0..layout.kv_heads).map(move |h| (t, h))) {
                let row = token * layout.kv_heads + head;
                let key = &k[row * layout.k_dim..][..layout.k_dim];
                let value = if layout.latent { key } else { &v[row * v_dim..][..v_dim] };
                let value = &value[..layout.v_dim];
                let (read_key, read_value) = store.read(&pages, 60 + token, head);
                assert_eq!((&read_key[..], &read_value[..]), (key, value), "{layout:?} {token}");
                let (read_key, _) = store.read(&[3, 4, 2], 60 + token, head);
                assert_eq!(read_key, key);
            }
        }
    }
}

#[test]
fn half_precision_keeps_the_nearest_number_and_never_overflows() {
    let layout = KvLayout { kv_heads: 1, k_dim: 4, v_dim: 4, ..GROUPED };
    let given = [1.0 + 1.0 / 4096.0, -1e9, f32::NAN, 1e-9];
    for isa in Isa::available() {
        let mut store = KvStore::new(layout, 1);
        store.write(&kernels(isa, 1), &[0], 5, &given, &given);
        let (k, v) = store.read(&[0], 5, 0);
        for stored in [k, v] {
            assert_eq!(stored[..2], [1.0, -65504.0], "{}", isa.name());
            assert!(stored[2].is_nan() && stored[3] == 0.0, "{}", isa.name());
        }
    }
}

#[test]
fn a_page_takes_as_many_bytes_as_its_numbers() {
    let layout = KvLayout { kv_heads: 8, k_dim: 128, v_dim: 128, ..GROUPED };
    assert_eq!(layout.bytes_per_page(), 64 * 8 * (128 + 128) * 2);
    let latent = KvLayout { kv_heads: 1, k_dim: 576, v_dim: 512, ..LATENT };
    assert_eq!(latent.bytes_per_page(), 64 * 576 * 2);
    let int8 = |layout| KvLayout { element: KvElement::Q8, ..layout }.bytes_per_page();
    assert_eq!(int8(layout), 64 * 8 * (4 + 4) * 34);
    assert_eq!(int8(latent), 64 * 18 * 34);
    // The last block of a key is a short one, that of a value is filled up to whole vectors.
    assert_eq!(INT8.bytes_per_page(), 64 * 2 * (70 + 48 + (3 + 2) * 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_cut_on_any_threads_gives_the_same_bits(
        which in 0..LAYOUTS.len(),
        cuts in proptest::collection::vec(1usize..90, 1..6),
        window in proptest::option::of(1usize..140),
        threads in 1usize..5,
    ) {
        let (layout, heads) = LAYOUTS[which];
        let tokens = cuts.iter().sum();
        let case = Case::new(layout, heads, tokens);
        let how = Attention { window, ..Attention::causal(heads, 0.5) };
        let best = *Isa::available().last().expect("scalar is always there");
        let whole = case.run(&kernels(best, 1), &how, &[tokens]);
        let cut = case.run(&kernels(best, threads), &how, &cuts);
        prop_assert_eq!(bits(&whole), bits(&cut));
    }
}
