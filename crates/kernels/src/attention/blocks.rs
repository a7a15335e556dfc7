//! Which blocks of positions a row attends to, for each key head: the best by pooled keys
//! (InfLLM-v2, arXiv:2509.24663, sections 3.3 and 3.4).

use super::choice::{Choice, best};
use super::{AttentionSpan, PooledStore};
use crate::Kernels;
use crate::lanes::{Lanes, Operation, WIDTH, exp, on};
use crate::threads::Shared;

/// How rows choose blocks.
#[derive(Clone, Copy, Debug)]
pub struct BlockChooser<'a> {
    /// Query heads; those of one key head choose together.
    pub heads: usize,
    /// What dot products are multiplied with.
    pub scale: f32,
    /// Positions in a block, a multiple of the pooled keys' stride.
    pub block: usize,
    /// Blocks a row chooses at most, no fewer than those it always does.
    pub active: usize,
    /// So many from the first on are always chosen.
    pub first: usize,
    /// So many up to the row's own are always chosen.
    pub latest: usize,
    /// Pooled keys in a coarse one.
    pub coarse: usize,
    /// `[rows, heads, dim]`
    pub q: &'a [f32],
}

/// For each row of the spans and each key head the first blocks, the latest, and of the others
/// those with the largest scores up to `active` in all, of equal ones the earlier. A row with no
/// more than `active` blocks takes all of them.
///
/// With `f[h][j] = scale * q[h] . pooled[j]` of the runs `j` that end at or before the row, and
/// coarse scores `c[h][i]` of runs `coarse` times as long and as far apart, a run's score is the
/// sum over the query heads `h` of `exp(f[h][j]) / sum over i of exp(c[h][i])`: a softmax whose
/// denominator is estimated. A block's score is the largest of the runs that begin in it or one
/// stride before it, 0 where there is none. Coarse keys are means of pooled keys, whose runs lie
/// end to end, so `c` is a mean of `f`.
///
/// The pooled keys of the spans are in the store already. Rows outside all spans choose nothing.
pub fn choose_blocks(
    kernels: &Kernels,
    how: &BlockChooser,
    pooled: &PooledStore,
    spans: &[AttentionSpan],
) -> Choice {
    let layout = pooled.layout();
    let group = how.heads / layout.kv_heads;
    assert_eq!(how.heads, group * layout.kv_heads, "{how:?}, {layout:?}");
    assert!(how.first + how.latest <= how.active && how.latest > 0, "too few blocks");
    assert!(how.block.is_multiple_of(layout.stride), "blocks of whole strides");
    assert!(layout.size.is_multiple_of(layout.stride) && how.coarse > 0, "coarse keys are means");
    let rows = how.q.len() / (how.heads * layout.dim);
    assert_eq!(how.q.len(), rows * how.heads * layout.dim, "queries of whole rows");
    let mut choice = Choice::new(rows, layout.kv_heads, spans);
    let mut list = Vec::new();
    for span in spans {
        for token in 0..span.rows {
            let (row, position) = (span.first_row + token, span.position + token);
            list.extend((0..layout.kv_heads).map(|head| (row, head, position, span.pages)));
        }
    }
    let (sets, words) = choice.parts();
    let words = Shared::new(words);
    kernels.pool.run(list.len(), &|index| {
        let (row, head, position, pages) = list[index];
        // SAFETY: each row and head of the list has words of its own.
        let words = unsafe { words.part(sets.words(row, head, position)) };
        let row = Row { how, pooled, row, head, position, pages };
        let blocks = match position / how.block < how.active {
            true => (0..=position / how.block).collect(),
            false => on(kernels.isa, row),
        };
        for block in blocks {
            let end = ((block + 1) * how.block).min(position + 1);
            super::choice::mark(words, block * how.block..end);
        }
    });
    choice
}

/// One row that chooses blocks for the queries of one key head.
struct Row<'a> {
    how: &'a BlockChooser<'a>,
    pooled: &'a PooledStore,
    row: usize,
    head: usize,
    position: usize,
    pages: &'a [u32],
}

impl Operation for Row<'_> {
    type Output = Vec<usize>;

    /// The numbers of its blocks.
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> Vec<usize> {
        let BlockChooser { block, active, first, latest, .. } = *self.how;
        let runs = self.run_scores(lanes);
        let (own, strides) = (self.position / block, block / self.pooled.layout().stride);
        let score = |block: usize| {
            if block < first || block + latest > own {
                return f32::INFINITY;
            }
            let near = (block * strides).saturating_sub(1)..((block + 1) * strides).min(runs.len());
            let near = runs.get(near).unwrap_or_default();
            // Those that are always chosen stay ahead of any other.
            near.iter()
                .fold(0.0, |best, &score| if score > best { score } else { best })
                .min(f32::MAX)
        };
        let scores: Vec<f32> = (0..=own).map(score).collect();
        best(&scores, active).into_iter().map(|block| block as usize).collect()
    }
}

impl Row<'_> {
    /// The scores of all runs that end at or before the row.
    #[inline(always)]
    fn run_scores<L: Lanes>(&self, lanes: L) -> Vec<f32> {
        let layout = self.pooled.layout();
        let runs = layout.runs(self.position + 1);
        let logits = self.logits(lanes, runs);
        let padded = runs.next_multiple_of(WIDTH);
        let mut scores = vec![0.0; padded];
        for logits in logits.chunks_exact(padded.max(1)) {
            let (largest, sum) = self.coarse_sum(lanes, &logits[..runs]);
            if sum == 0.0 {
                continue;
            }
            let (largest, sum) = (lanes.splat(largest), lanes.splat(sum));
            for (score, logit) in scores.as_chunks_mut().0.iter_mut().zip(logits.as_chunks().0) {
                let share = exp(lanes, lanes.sub(lanes.load(logit), largest));
                lanes.store(lanes.add(lanes.load(score), lanes.div(share, sum)), score);
            }
        }
        scores.truncate(runs);
        scores
    }

    /// `[heads of the key head, runs up to whole vectors]`
    #[inline(always)]
    fn logits<L: Lanes>(&self, lanes: L, runs: usize) -> Vec<f32> {
        let layout = self.pooled.layout();
        let (dim, width) = (layout.dim, layout.width());
        let (padded, group) = (runs.next_multiple_of(WIDTH), self.how.heads / layout.kv_heads);
        let mut q = vec![0.0; group * width];
        let source = &self.how.q[(self.row * self.how.heads + self.head * group) * dim..];
        for (q, source) in q.chunks_exact_mut(width).zip(source.chunks_exact(dim)) {
            q[..dim].copy_from_slice(source);
        }
        let mut logits = vec![0.0; group * padded];
        for run in 0..runs {
            let key = self.pooled.key(self.pages, run, self.head).as_chunks().0;
            for (head, q) in q.chunks_exact(width).enumerate() {
                let mut sum = lanes.splat(0.0);
                for (q, key) in q.as_chunks().0.iter().zip(key) {
                    sum = lanes.fma(lanes.load(q), lanes.load(key), sum);
                }
                logits[head * padded + run] = lanes.sum(sum) * self.how.scale;
            }
        }
        logits
    }

    /// The largest coarse score of a head, and the sum of `exp(score - largest)` over all of them:
    /// 0 where there is none.
    #[inline(always)]
    fn coarse_sum<L: Lanes>(&self, lanes: L, logits: &[f32]) -> (f32, f32) {
        let (layout, coarse) = (self.pooled.layout(), self.how.coarse);
        // From the beginning of a run to the end of it, in runs.
        let apart = layout.size / layout.stride;
        let count = logits.len().checked_sub((coarse - 1) * apart + 1);
        let count = count.map_or(0, |rest| rest / coarse + 1);
        let score = |index: usize| {
            let parts = logits[index * coarse..].iter().step_by(apart).take(coarse);
            parts.sum::<f32>() / coarse as f32
        };
        let mut scores: Vec<f32> = (0..count).map(score).collect();
        let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        scores.resize(count.next_multiple_of(WIDTH), f32::NEG_INFINITY);
        let mut sum = lanes.splat(0.0);
        for scores in scores.as_chunks().0 {
            let share = exp(lanes, lanes.sub(lanes.load(scores), lanes.splat(largest)));
            sum = lanes.add(sum, share);
        }
        (largest, lanes.sum(sum))
    }
}

#[cfg(test)]
mod tests;
