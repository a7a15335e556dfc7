//! Softmax attention over paged keys and values, without ever forming a matrix of scores
//! (online softmax as in FlashAttention: Dao et al., arXiv:2205.14135).
//!
//! A row walks the pages it sees upwards; a page boundary is a boundary of its arithmetic, and so
//! is that of a range of pages, whose sums are added in their order. Both are cut at absolute
//! positions, so a row's bits are the same whether it is computed alone or in
//! a prompt, next to whichever sequences, on any number of threads.

mod bias;
mod blocks;
mod choice;
mod element;
mod few;
mod gather;
mod index;
mod int8;
mod many;
mod merge;
mod plan;
mod pool;
mod store;
mod task;
#[cfg(test)]
mod tests;
mod tiles;
mod values;
mod write;

pub use bias::{Bias, Segments};
pub use blocks::{BlockChooser, choose_blocks};
pub use choice::{Choice, Chooser, choose};
pub use index::{IndexLayout, IndexStore};
pub use merge::RANGE;
pub use plan::rows_together;
pub use pool::{PooledLayout, PooledStore};
pub use store::{KvElement, KvLayout, KvStore, PAGE};
pub use task::{FEW_ROWS, GROUP_ROWS, kept_by_thread};

use crate::Kernels;
use crate::lanes::on_wide;
use crate::threads::Shared;
use bias::RowBias;
use element::{Cached, KvNumber};
use merge::MergeRow;
use plan::Plan;
use std::cell::Cell;
use std::ops::Range;
use store::Numbers;
use task::Job;

/// What attention computes.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Query heads; head `h` uses the keys and values of head `h / (heads / kv_heads)`.
    pub heads: usize,
    /// What dot products are multiplied with, usually `1 / sqrt(k_dim)`.
    pub scale: f32,
    /// How many of the latest positions a row sees, its own included; all without one.
    pub window: Option<usize>,
    /// For each query head a score that takes its share of the softmax and adds no value.
    pub sinks: Option<&'a [f32]>,
    /// Scores become `cap * tanh(score / cap)`.
    pub softcap: Option<f32>,
    /// For each query head the slope of a bias: scores fall by it with each position of distance
    /// (ALiBi: Press, Smith and Lewis, arXiv:2108.12409).
    pub slopes: Option<&'a [f32]>,
    /// What is added to scores by the segments and the distance of row and key.
    pub bias: Option<&'a Bias>,
    /// The only positions each row sees, where it does not see all.
    pub choice: Option<&'a Choice>,
}

impl<'a> Attention<'a> {
    /// Plain causal attention.
    pub fn causal(heads: usize, scale: f32) -> Attention<'a> {
        Attention {
            heads,
            scale,
            window: None,
            sinks: None,
            softcap: None,
            slopes: None,
            bias: None,
            choice: None,
        }
    }
}

/// Rows of one sequence at consecutive positions.
#[derive(Clone, Copy, Debug)]
pub struct AttentionSpan<'a> {
    /// The first row in the queries and the output.
    pub first_row: usize,
    /// How many rows.
    pub rows: usize,
    /// The position of the first row; row `i` sees positions up to `position + i`, whose keys
    /// and values are in the store already.
    pub position: usize,
    /// So many first positions all rows see, also those before them: their keys and values are in
    /// the store too.
    pub together: usize,
    /// The sequence's segments, where a bias asks for them.
    pub segments: Segments<'a>,
    /// The sequence's page table: position `p` is in page `pages[p / PAGE]`. Entries before a
    /// window are not looked at.
    pub pages: &'a [u32],
}

impl<'a> AttentionSpan<'a> {
    /// Rows that see what is before them and themselves.
    pub fn causal(
        first_row: usize,
        rows: usize,
        position: usize,
        pages: &'a [u32],
    ) -> AttentionSpan<'a> {
        let segments = Segments::default();
        AttentionSpan { first_row, rows, position, together: 0, segments, pages }
    }
}

/// Which slots of a page a row sees.
struct Seen<'a> {
    slots: Range<usize>,
    /// The row's own position in slots of this page, which may be beyond it.
    own_slot: isize,
    /// The slope of the bias of the row's head.
    slope: Option<f32>,
    /// The bias of the row and its head.
    bias: Option<RowBias<'a>>,
}

impl Seen<'_> {
    /// These, without any bias.
    #[inline(always)]
    fn all_of(slots: Range<usize>) -> Self {
        Seen { slots, own_slot: 0, slope: None, bias: None }
    }
}

/// `out[row, head] = sum over positions p the row sees of softmax(q . k[p] * scale) v[p]`.
///
/// `q` is `[rows, heads, k_dim]` and `out` `[rows, heads, v_dim]`; spans are ascending and do
/// not overlap. Rows outside all spans are left as they are.
pub fn attention(
    kernels: &Kernels,
    how: &Attention,
    q: &[f32],
    store: &KvStore,
    spans: &[AttentionSpan],
    out: &mut [f32],
) {
    check(how, q, store, spans, out);
    let plan = plan::share_out(how, store.layout(), spans, kernels.pool.threads());
    let mut sums = PARTS.take();
    if sums.len() < plan.parts {
        sums.resize(plan.parts, 0.0);
    }
    let (out, parts) = (&Shared::new(out), &Shared::new(&mut sums));
    let (layout, scales) = (store.layout(), &store.scales);
    match &store.numbers {
        Numbers::F16(numbers) => {
            let stored = Cached { numbers, scales };
            run(kernels, &plan, &Job { how, layout, stored, q, spans, out, parts });
        }
        Numbers::F32(numbers) => {
            let stored = Cached { numbers, scales };
            run(kernels, &plan, &Job { how, layout, stored, q, spans, out, parts });
        }
        Numbers::Q8(numbers) => {
            let stored = Cached { numbers, scales };
            run(kernels, &plan, &Job { how, layout, stored, q, spans, out, parts });
        }
    }
    PARTS.set(sums);
}

thread_local! {
    /// What tasks have summed that share rows, kept from one call to the next.
    static PARTS: Cell<Vec<f32>> = Cell::default();
}

fn check(how: &Attention, q: &[f32], store: &KvStore, spans: &[AttentionSpan], out: &[f32]) {
    let layout = store.layout();
    assert!(how.heads > 0 && how.heads.is_multiple_of(layout.kv_heads), "{how:?}, {layout:?}");
    assert!(how.window != Some(0), "a window holds at least the row's own position");
    assert!(how.sinks.is_none_or(|sinks| sinks.len() == how.heads), "a sink for each head");
    assert!(how.slopes.is_none_or(|slopes| slopes.len() == how.heads), "a slope for each head");
    let rows = q.len() / (how.heads * layout.k_dim);
    assert_eq!(q.len(), rows * how.heads * layout.k_dim, "queries of whole rows");
    assert_eq!(out.len(), rows * how.heads * layout.v_dim, "an output row for each query row");
    let fits = |choice: &Choice| (choice.rows(), choice.kv_heads()) == (rows, layout.kv_heads);
    assert!(how.choice.is_none_or(fits), "a choice for each key head of each row");
    let biased = how.slopes.is_some() || how.bias.is_some();
    assert!(how.choice.is_none() || !biased, "chosen positions have no bias");
    let onward = spans.iter().all(|span| span.together == 0);
    assert!(how.choice.is_none() || onward, "positions are chosen among those before a row");
    if let Some(bias) = how.bias {
        bias.check(how.heads, spans);
    }
    let mut free = 0;
    for span in spans {
        assert!(span.first_row >= free, "spans ascend: row {} after {free}", span.first_row);
        free = span.first_row + span.rows;
        let end = (span.position + span.rows).max(span.together);
        assert!(end.div_ceil(PAGE) <= span.pages.len(), "{end} positions need more pages");
    }
    assert!(free <= rows, "spans end at row {free} of {rows}");
}

fn run<E: KvNumber>(kernels: &Kernels, plan: &Plan, job: &Job<E>) {
    kernels.pool.run(plan.tasks.len(), &|index| {
        on_wide(kernels.isa, job.of(&plan.tasks[index]));
    });
    let rows = |tasks: &Range<usize>| 0..plan.tasks[tasks.start].rows();
    let merges = plan.merges.iter().flat_map(|tasks| rows(tasks).map(move |row| (tasks, row)));
    let merges: Vec<_> = merges.collect();
    kernels.pool.run(merges.len(), &|index| {
        let (tasks, row) = merges[index];
        on_wide(kernels.isa, MergeRow { job, tasks: &plan.tasks[tasks.clone()], row });
    });
}
