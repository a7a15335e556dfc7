//! What one thread does for its share of attention.

use super::choice::{Choice, slots};
use super::element::{Cached, KvNumber};
use super::gather::Gathered;
use super::merge::{RANGE, State, write_out};
use super::plan::{Task, part_len};
use super::store::{KvLayout, PAGE, head_of};
use super::{Attention, AttentionSpan};
use crate::lanes::{Lanes, Operation, WIDE};
use crate::memory::AlignedBuffer;
use crate::threads::Shared;
use std::cell::Cell;

/// So many rows at most go through a page as it is stored; more share one converted to `f32`.
pub const FEW_ROWS: usize = 8;

/// More rows go through a page in groups of so many, the last of them filled up.
pub const GROUP_ROWS: usize = WIDE;

/// What all tasks share.
pub(super) struct Job<'a, E> {
    pub how: &'a Attention<'a>,
    pub layout: &'a KvLayout,
    pub stored: Cached<'a, E>,
    pub q: &'a [f32],
    pub spans: &'a [AttentionSpan<'a>],
    pub out: &'a Shared<'a, f32>,
    /// Sums of tasks that are merged later.
    pub parts: &'a Shared<'a, f32>,
}

impl<'a, E> Job<'a, E> {
    /// One task, to be run on an instruction set.
    pub(super) fn of<'b>(&'b self, task: &'b Task) -> TaskOf<'b, 'a, E> {
        TaskOf { job: self, task }
    }
}

pub(super) struct TaskOf<'b, 'a, E> {
    pub(super) job: &'b Job<'a, E>,
    pub(super) task: &'b Task,
}

/// A task's working memory, kept by its thread from one task to the next.
#[derive(Default)]
pub(super) struct Workspace {
    /// Queries in tiles of `R` rows, each `[k_dim][R]`.
    pub(super) q: AlignedBuffer<f32>,
    /// Of a tile of many rows.
    pub(super) scores: AlignedBuffer<f32>,
    /// What rows have seen of one range of positions.
    pub(super) sums: State,
    /// Of all ranges before.
    totals: State,
    /// A page of one head, converted.
    page: AlignedBuffer<f32>,
    gathered: Gathered,
}

/// Numbers that a thread keeps from one task to the next, where tasks have up to so many rows;
/// `choosing` where rows choose positions.
pub fn kept_by_thread(layout: &KvLayout, rows: usize, choosing: bool) -> usize {
    let rows = rows.next_multiple_of(GROUP_ROWS);
    // The sums of a range and those of all before, each with its weight and its largest score.
    let sums = 2 * rows * (layout.v_dim.next_multiple_of(WIDE) + 2);
    let pages = if choosing { 2 } else { 1 };
    rows * layout.k_dim + 2 * GROUP_ROWS * PAGE + sums + pages * layout.head_len()
}

/// Which slots of a page rows see.
#[derive(Clone, Copy)]
pub(super) enum Slots {
    /// Of the page of positions `page * PAGE ..`, those up to each row's own.
    OfPage(usize),
    /// So many, from the first on.
    First(usize),
}

thread_local! {
    static WORKSPACE: Cell<Workspace> = Cell::default();
}

impl<E: KvNumber> Operation<WIDE> for TaskOf<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, lanes: L) {
        let mut workspace = WORKSPACE.take();
        self.begin(lanes, &mut workspace);
        let span = &self.job.spans[self.task.span];
        let first = span.position + self.task.tokens.start;
        let end = (span.position + self.task.tokens.end).max(span.together);
        let from = self.job.how.window.map_or(0, |window| (first + 1).saturating_sub(window));
        match self.job.how.choice {
            Some(choice) => {
                self.add_chosen(lanes, choice, from, &mut workspace);
                self.end_range(lanes, true, &mut workspace);
            }
            None => {
                for range in self.task.ranges.clone() {
                    let (start, stop) = (range * RANGE, (range + 1) * RANGE);
                    for page in from.max(start) / PAGE..end.min(stop).div_ceil(PAGE) {
                        self.add(lanes, page, &mut workspace);
                    }
                    self.end_range(lanes, range == self.task.ranges.start, &mut workspace);
                }
            }
        }
        self.end(lanes, &workspace);
        WORKSPACE.set(workspace);
    }
}

impl<E: KvNumber> TaskOf<'_, '_, E> {
    pub(super) fn rows(&self) -> usize {
        self.task.rows()
    }

    /// The token (in its span) and the head of a row.
    #[inline(always)]
    pub(super) fn token_and_head(&self, row: usize) -> (usize, usize) {
        let heads = self.task.heads.len();
        (self.task.tokens.start + row / heads, self.task.heads.start + row % heads)
    }

    /// Dimensions that are summed: whole vectors.
    pub(super) fn width(&self) -> usize {
        self.job.layout.v_dim.next_multiple_of(WIDE)
    }

    /// Whether rows are so many that they go through pages in groups.
    pub(super) fn many(&self) -> bool {
        self.rows() > FEW_ROWS || self.job.layout.latent
    }

    /// Rows, whole groups of them where they are many.
    fn padded_rows(&self) -> usize {
        if self.many() { self.rows().next_multiple_of(WIDE) } else { self.rows() }
    }

    /// How many of the rows from `row` on go through a page together, and with how many lanes or
    /// registers: a group of many may be more than there are rows left.
    #[inline(always)]
    pub(super) fn tile<L: Lanes<WIDE>>(&self, row: usize) -> usize {
        let left = self.rows() - row;
        match self.many() {
            true if left > WIDE => 2 * WIDE,
            true => WIDE,
            false if L::REGISTERS >= 32 && left >= 8 => 8,
            false => tile_rows(left),
        }
    }

    /// Empty sums, and queries in the order they are used in.
    #[inline(always)]
    fn begin<L: Lanes<WIDE>>(&self, lanes: L, workspace: &mut Workspace) {
        let (rows, dim) = (self.rows(), self.job.layout.k_dim);
        let Workspace { q, scores, sums, totals, .. } = workspace;
        let padded = self.padded_rows();
        sums.clear(padded, self.width());
        scores.room(PAGE * 2 * WIDE);
        if let Some(sinks) = self.job.how.sinks {
            // As if a first position had this score and the value zero.
            totals.clear(padded, self.width());
            for row in 0..rows {
                totals.largest[row] = sinks[self.token_and_head(row).1];
                totals.weight[row] = 1.0;
            }
        }
        let q = q.room(padded * dim);
        let mut row = 0;
        while row < rows {
            let tile = self.tile::<L>(row);
            let packed = &mut q[row * dim..][..tile * dim];
            if self.many() {
                for first in (0..tile).step_by(WIDE) {
                    self.pack(lanes, row + first, &mut packed[first..], tile);
                }
            } else {
                for r in 0..tile {
                    let packed = packed[r..].iter_mut().step_by(tile);
                    packed.zip(self.query(row + r)).for_each(|(packed, &number)| *packed = number);
                }
            }
            row += tile;
        }
    }

    /// Writes the queries of sixteen rows from `row` on as columns of `packed`, whose lines are
    /// `stride` long; zeros where rows have ended.
    #[inline(always)]
    fn pack<L: Lanes<WIDE>>(&self, lanes: L, row: usize, packed: &mut [f32], stride: usize) {
        let dim = self.job.layout.k_dim;
        for d in (0..dim).step_by(WIDE) {
            let mut columns = [lanes.splat(0.0); WIDE];
            for (r, column) in (row..self.rows()).zip(&mut columns) {
                let query = self.query(r);
                *column = lanes.load_padded(&query[d..(d + WIDE).min(dim)], 0.0);
                // Rows lie far apart, too many for the processor to foresee.
                if r + WIDE < self.rows() {
                    lanes.prefetch(self.query(r + WIDE)[d..].as_ptr());
                }
            }
            let columns = lanes.transpose(columns);
            for (r, line) in packed[d * stride..].chunks_mut(stride).take(WIDE).enumerate() {
                lanes.store(columns[r], line.first_chunk_mut().expect("whole vectors"));
            }
        }
    }

    fn query(&self, row: usize) -> &[f32] {
        let (token, head) = self.token_and_head(row);
        let row = self.job.spans[self.task.span].first_row + token;
        let dim = self.job.layout.k_dim;
        &self.job.q[(row * self.job.how.heads + head) * dim..][..dim]
    }

    /// Adds the page of positions `page * PAGE ..` to all rows.
    #[inline(always)]
    fn add<L: Lanes<WIDE>>(&self, lanes: L, page: usize, workspace: &mut Workspace) {
        let layout = self.job.layout;
        let pages = &self.job.spans[self.task.span].pages[page..];
        let of = |number: u32| head_of(layout, self.job.stored, number as usize, self.task.kv_head);
        let head = of(pages[0]);
        if self.many() {
            let mut scratch = std::mem::take(&mut workspace.page);
            let head = E::floats(lanes, layout, head, &mut scratch);
            self.add_to_many(lanes, Slots::OfPage(page), head, workspace);
            workspace.page = scratch;
        } else {
            let next = pages.get(1).map_or(Cached::NONE, |&number| of(number));
            self.add_to_few(lanes, Slots::OfPage(page), [head, next], workspace);
        }
    }

    /// Adds the positions that the task's one token has chosen, from `from` on: whole pages as
    /// they are stored, the others a page of them at a time.
    #[inline(always)]
    fn add_chosen<L: Lanes<WIDE>>(
        &self,
        lanes: L,
        choice: &Choice,
        from: usize,
        workspace: &mut Workspace,
    ) {
        let (layout, span) = (self.job.layout, &self.job.spans[self.task.span]);
        let token = self.task.tokens.start;
        let mut gathered = std::mem::take(&mut workspace.gathered);
        gathered.begin(layout);
        let (row, own) = (span.first_row + token, span.position + token);
        for (page, word) in choice.pages(row, self.task.kv_head, own).enumerate() {
            if word == u64::MAX && page * PAGE >= from {
                self.add(lanes, page, workspace);
                continue;
            }
            let number = span.pages[page] as usize;
            let head = head_of(layout, self.job.stored, number, self.task.kv_head);
            for slot in slots(word).filter(|slot| page * PAGE + slot >= from) {
                gathered.push(lanes, layout, head, slot);
                if gathered.filled == PAGE {
                    self.add_gathered(lanes, &mut gathered, workspace);
                }
            }
        }
        if gathered.filled > 0 {
            self.add_gathered(lanes, &mut gathered, workspace);
        }
        workspace.gathered = gathered;
    }

    #[inline(always)]
    fn add_gathered<L: Lanes<WIDE>>(
        &self,
        lanes: L,
        gathered: &mut Gathered,
        workspace: &mut Workspace,
    ) {
        let slots = Slots::First(gathered.filled);
        gathered.filled = 0;
        match self.many() {
            true => self.add_to_many(lanes, slots, &gathered.numbers, workspace),
            false => {
                let head = Cached::of_floats(&gathered.numbers);
                self.add_to_few(lanes, slots, [head, Cached::NONE], workspace);
            }
        }
    }

    /// Adds the sums of a range to those of the ranges before; the sums are empty again.
    #[inline(always)]
    fn end_range<L: Lanes<WIDE>>(&self, lanes: L, first: bool, workspace: &mut Workspace) {
        let Workspace { sums, totals, .. } = workspace;
        if first && (self.job.how.sinks.is_none() || self.task.part.is_some()) {
            std::mem::swap(sums, totals);
        } else {
            let rows = sums.values.chunks_exact(self.width()).take(self.padded_rows());
            for (row, values) in rows.enumerate() {
                totals.add(lanes, row, [sums.largest[row], sums.weight[row]], values);
            }
        }
        if self.task.ranges.len() > 1 {
            sums.clear(self.padded_rows(), self.width());
        }
    }

    /// Hands over what was summed.
    #[inline(always)]
    fn end<L: Lanes<WIDE>>(&self, lanes: L, workspace: &Workspace) {
        let (rows, totals) = (self.rows(), &workspace.totals);
        if let Some(start) = self.task.part {
            // SAFETY: the plan gives each task a part of its own.
            let part =
                unsafe { self.job.parts.part(start..start + part_len(rows, self.job.layout)) };
            let (largest, rest) = part.split_at_mut(rows);
            let (weight, values) = rest.split_at_mut(rows);
            largest.copy_from_slice(&totals.largest[..rows]);
            weight.copy_from_slice(&totals.weight[..rows]);
            return values.copy_from_slice(&totals.values[..rows * self.width()]);
        }
        for (row, values) in totals.values.chunks_exact(self.width()).take(rows).enumerate() {
            let at = self.place(row);
            // SAFETY: spans do not overlap (`check`), tasks cut them in disjoint tokens and heads.
            let out = unsafe { self.job.out.part(at..at + self.job.layout.v_dim) };
            write_out(lanes, values, totals.weight[row], out);
        }
    }

    /// Where a row's output begins.
    pub(super) fn place(&self, row: usize) -> usize {
        let (token, head) = self.token_and_head(row);
        let row = self.job.spans[self.task.span].first_row + token;
        (row * self.job.how.heads + head) * self.job.layout.v_dim
    }
}

/// How many of the rows that are left go through a page together.
pub(super) fn tile_rows(left: usize) -> usize {
    match left {
        4.. => 4,
        2.. => 2,
        _ => 1,
    }
}
