//! How attention is shared out.

use super::merge::RANGE;
use super::store::KvLayout;
use super::{Attention, AttentionSpan};
use crate::lanes::WIDE;
use std::ops::Range;

/// Some query heads of one key head, for some tokens of one span.
#[derive(Clone)]
pub(super) struct Task {
    pub span: usize,
    pub kv_head: usize,
    pub heads: Range<usize>,
    pub tokens: Range<usize>,
    /// Which ranges of positions.
    pub ranges: Range<usize>,
    /// Where its sums go, where other tasks sum other ranges of the same rows.
    pub part: Option<usize>,
}

impl Task {
    /// How many rows.
    pub fn rows(&self) -> usize {
        self.tokens.len() * self.heads.len()
    }
}

/// All tasks, and what is left when they are done.
pub(super) struct Plan {
    pub tasks: Vec<Task>,
    /// Tasks that have summed the same rows, ranges upwards.
    pub merges: Vec<Range<usize>>,
    /// Numbers of all parts together.
    pub parts: usize,
}

/// Sums of a task's rows together: 128 KiB, beside the page they are added from.
const ROW_NUMBERS_MAX: usize = 32 * 1024;

/// Rows, each a token's query head, that go through a page together at most, where values have so
/// many numbers.
pub fn rows_together(v_dim: usize) -> usize {
    (ROW_NUMBERS_MAX / v_dim.max(1)).clamp(16, 128)
}

/// Tasks for each thread that are enough for all to end at about the same time.
const TASKS_EACH: usize = 4;

/// Cuts the work in tasks: enough query rows in each to reuse what is read, few enough to stay
/// in cache. Where tasks are few, each range of positions is one, and where they are still fewer
/// than threads, groups of query heads are. No cut changes any row's arithmetic.
pub(super) fn share_out(
    how: &Attention,
    layout: &KvLayout,
    spans: &[AttentionSpan],
    threads: usize,
) -> Plan {
    let group = how.heads / layout.kv_heads;
    let rows_max = rows_together(layout.v_dim);
    let heads_max = group.min(rows_max);
    // Rows that choose positions of their own share no page.
    let tokens_max = if how.choice.is_some() { 1 } else { rows_max / heads_max };
    let tiles: usize = spans.iter().map(|span| span.rows.div_ceil(tokens_max)).sum();
    let units = tiles * layout.kv_heads * group.div_ceil(heads_max);
    let split = how.choice.is_none() && threads > 1 && units < TASKS_EACH * threads;
    let longest = spans.iter().map(|span| ranges(how, span, &(0..span.rows)).len()).max();
    let units = if split { units * longest.unwrap_or(1) } else { units };
    let heads_max = heads_max.div_ceil(threads.div_ceil(units.max(1)));
    // Fewer rows than lanes are no less work.
    let heads_max = if layout.latent { heads_max.next_multiple_of(WIDE) } else { heads_max };
    let mut plan = Plan { tasks: Vec::new(), merges: Vec::new(), parts: 0 };
    // Heads outermost, so that each thread's share has early and late tokens, light and heavy.
    for first in (0..how.heads).step_by(group) {
        for head in (first..first + group).step_by(heads_max) {
            let heads = head..(head + heads_max).min(first + group);
            for (span, of) in spans.iter().enumerate() {
                for token in (0..of.rows).step_by(tokens_max) {
                    let tokens = token..(token + tokens_max).min(of.rows);
                    let (kv_head, ranges) = (first / group, ranges(how, of, &tokens));
                    let heads = heads.clone();
                    plan.add(
                        Task { span, kv_head, heads, tokens, ranges, part: None },
                        split,
                        layout,
                    );
                }
            }
        }
    }
    plan
}

/// The ranges of positions that some tokens of a span see.
fn ranges(how: &Attention, span: &AttentionSpan, tokens: &Range<usize>) -> Range<usize> {
    let first = span.position + tokens.start;
    let end = (span.position + tokens.end).max(span.together);
    let from = how.window.map_or(0, |window| (first + 1).saturating_sub(window));
    from / RANGE..end.div_ceil(RANGE)
}

impl Plan {
    /// Adds a task, or one for each of its ranges.
    fn add(&mut self, task: Task, split: bool, layout: &KvLayout) {
        if !split || task.ranges.len() < 2 {
            return self.tasks.push(task);
        }
        let first = self.tasks.len();
        for range in task.ranges.clone() {
            let part = Some(self.parts);
            self.parts += part_len(task.rows(), layout);
            self.tasks.push(Task { ranges: range..range + 1, part, ..task.clone() });
        }
        self.merges.push(first..self.tasks.len());
    }
}

/// Numbers of what a task with so many rows has summed: two and the values of each row.
pub(super) fn part_len(rows: usize, layout: &KvLayout) -> usize {
    rows * (2 + layout.v_dim.next_multiple_of(WIDE))
}
