use super::*;
use crate::Isa;
use crate::attention::tests::{kernels, numbers};
use crate::attention::{Attention, KvElement, KvLayout, KvStore, PooledLayout, attention};

const DIM: usize = 11;
const TOKENS: usize = 150;
const KV_HEADS: usize = 2;
const LENGTHS: [usize; 1] = [TOKENS];

/// A sequence of keys and values, with what its rows ask and how they choose.
struct Case {
    how: BlockChooser<'static>,
    layout: PooledLayout,
    keys: KvStore,
    pages: Vec<u32>,
    q: Vec<f32>,
}

/// What rows choose, and the bits of what they attend to.
type Found = (Vec<Vec<usize>>, Vec<u32>);

impl Case {
    fn new(size: usize, stride: usize, how: BlockChooser<'static>, element: KvElement) -> Case {
        let cached = KvLayout { kv_heads: KV_HEADS, k_dim: DIM, v_dim: 5, latent: false, element };
        let mut keys = KvStore::new(cached, 3);
        let (k, v) = (numbers(TOKENS * KV_HEADS * DIM, 1), numbers(TOKENS * KV_HEADS * 5, 2));
        let pages = vec![2, 0, 1];
        keys.write(&kernels(Isa::Scalar, 1), &pages, 0, &k, &v);
        let layout = PooledLayout { kv_heads: KV_HEADS, dim: DIM, size, stride };
        let q = numbers(TOKENS * how.heads * DIM, 3).iter().map(|q| q * 3.0).collect();
        Case { how, layout, keys, pages, q }
    }

    /// Of various sizes: runs that end in page after page, strides that no page is a multiple of,
    /// few and many heads.
    fn all() -> Vec<Case> {
        let how = BlockChooser {
            heads: 6,
            scale: 0.3,
            block: 8,
            active: 5,
            first: 1,
            latest: 2,
            coarse: 4,
            q: &[],
        };
        let odd = BlockChooser { block: 9, first: 2, active: 6, heads: 2, ..how };
        let page = BlockChooser { block: 64, active: 2, latest: 1, ..how };
        vec![
            Case::new(4, 2, how, KvElement::F32),
            Case::new(6, 3, odd, KvElement::F16),
            Case::new(4, 4, BlockChooser { coarse: 1, first: 0, ..how }, KvElement::F32),
            Case::new(32, 16, page, KvElement::F16),
        ]
    }

    /// The sequence computed as spans of the given lengths.
    fn run(&self, kernels: &Kernels, lengths: &[usize]) -> Found {
        let mut pooled = PooledStore::new(self.layout, 3);
        let (mut chosen, mut bits, mut position) = (Vec::new(), Vec::new(), 0);
        for &rows in lengths {
            let each = self.how.heads * DIM;
            let q = &self.q[position * each..][..rows * each];
            let spans = [AttentionSpan::causal(0, rows, position, &self.pages)];
            pooled.write(&self.keys, &spans);
            let how = BlockChooser { q, ..self.how };
            let choice = choose_blocks(kernels, &how, &pooled, &spans);
            for (row, head) in (0..rows).flat_map(|row| (0..KV_HEADS).map(move |head| (row, head)))
            {
                chosen.push(choice.positions(row, head, position + row).collect());
            }
            let how =
                Attention { choice: Some(&choice), ..Attention::causal(how.heads, how.scale) };
            let mut out = vec![f32::NAN; rows * how.heads * 5];
            attention(kernels, &how, q, &self.keys, &spans, &mut out);
            bits.extend(out.iter().map(|x| x.to_bits()));
            position += rows;
        }
        (chosen, bits)
    }

    /// The mean of `size` keys from `first` on.
    fn mean(&self, first: usize, size: usize, head: usize) -> Vec<f64> {
        let mut mean = vec![0.0; DIM];
        for position in first..first + size {
            let (key, _) = self.keys.read(&self.pages, position, head);
            mean.iter_mut().zip(&key).for_each(|(m, &k)| *m += f64::from(k) / size as f64);
        }
        mean
    }

    /// The scores of all blocks up to a row's own, by the definition in `f64`.
    fn scores(&self, row: usize, head: usize) -> Vec<f64> {
        let PooledLayout { size, stride, .. } = self.layout;
        let (group, coarse) = (self.how.heads / KV_HEADS, self.how.coarse);
        let keys = |size: usize, stride: usize| -> Vec<Vec<f64>> {
            let starts = (0..).map(|run| run * stride).take_while(|start| start + size <= row + 1);
            starts.map(|start| self.mean(start, size, head)).collect()
        };
        let (fine, coarse) = (keys(size, stride), keys(size * coarse, stride * coarse));
        let mut runs = vec![0.0; fine.len()];
        for query in head * group..(head + 1) * group {
            let q = &self.q[(row * self.how.heads + query) * DIM..][..DIM];
            let power = |key: &Vec<f64>| -> f64 {
                let dot: f64 = q.iter().zip(key).map(|(&q, k)| f64::from(q) * k).sum();
                (dot * f64::from(self.how.scale)).exp()
            };
            let sum: f64 = coarse.iter().map(power).sum();
            for (run, key) in runs.iter_mut().zip(&fine).filter(|_| sum > 0.0) {
                *run += power(key) / sum;
            }
        }
        let blocks = 0..=row / self.how.block;
        blocks
            .map(|block| {
                let begins = |run: &usize| {
                    let start = (run * stride) as isize - (block * self.how.block) as isize;
                    (-(stride as isize)..self.how.block as isize).contains(&start)
                };
                (0..runs.len()).filter(begins).map(|run| runs[run]).fold(0.0, f64::max)
            })
            .collect()
    }
}

#[test]
fn rows_choose_the_first_the_latest_and_the_best_blocks() {
    for case in Case::all() {
        let how = &case.how;
        for isa in Isa::available() {
            let (chosen, _) = case.run(&kernels(isa, 2), &LENGTHS);
            for (index, chosen) in chosen.iter().enumerate() {
                let (row, head) = (index / KV_HEADS, index % KV_HEADS);
                let own = row / how.block;
                let mut blocks: Vec<usize> = chosen.iter().map(|at| at / how.block).collect();
                blocks.dedup();
                assert_eq!(blocks.len(), how.active.min(own + 1), "row {row}: {blocks:?}");
                let whole = blocks.iter().flat_map(|b| b * how.block..(b + 1) * how.block);
                assert!(chosen.iter().copied().eq(whole.filter(|&at| at <= row)), "row {row}");
                let scores = case.scores(row, head);
                let (mut least, mut best) = (f64::INFINITY, f64::NEG_INFINITY);
                for (block, &score) in scores.iter().enumerate() {
                    let always = block < how.first || block + how.latest > own;
                    match blocks.contains(&block) {
                        true if always => (),
                        true => least = least.min(score),
                        false => best = best.max(score),
                    }
                    assert!(!always || blocks.contains(&block), "row {row}: {block} is missing");
                }
                assert!(least >= best * (1.0 - 1e-5), "row {row}: {least} in, {best} out");
            }
        }
    }
}

#[test]
fn a_cut_prompt_chooses_the_same_blocks_bit_for_bit() {
    for case in Case::all() {
        let whole = case.run(&kernels(Isa::Scalar, 1), &LENGTHS);
        for isa in Isa::available() {
            for cut in [1, 3, 64, 65] {
                let found = case.run(&kernels(isa, 1 + cut % 3), &[cut, TOKENS - cut]);
                assert_eq!(found, whole, "cut at {cut} on {}", isa.name());
            }
        }
        let best = *Isa::available().last().expect("scalar is always there");
        assert_eq!(case.run(&kernels(best, 2), &[1; TOKENS]), whole, "decoded");
    }
}

#[test]
fn of_equal_blocks_the_earlier_is_chosen_and_rows_outside_spans_choose_nothing() {
    let mut case = Case::all().remove(0);
    case.q.fill(0.0);
    let mut pooled = PooledStore::new(case.layout, 3);
    let span = |rows, position| AttentionSpan::causal(10, rows, position, &case.pages);
    pooled.write(&case.keys, &[span(TOKENS, 0)]);
    let each = case.how.heads * DIM;
    let how = BlockChooser { q: &case.q[..60 * each], ..case.how };
    let choice = choose_blocks(&kernels(Isa::detect(), 1), &how, &pooled, &[span(40, 100)]);
    assert_eq!(choice.rows(), 60);
    for (row, head) in (0..40).flat_map(|row| [(row, 0), (row, 1)]) {
        let own = (100 + row) / 8;
        let chosen = choice.positions(10 + row, head, 100 + row).filter(|at| at % 8 == 0);
        assert!(chosen.map(|at| at / 8).eq([0, 1, 2, own - 1, own]), "row {row}");
    }
}
