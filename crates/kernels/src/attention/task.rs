//! How attention is shared out, and what one thread does for its share.

use super::choice::{Choice, slots};
use super::element::KvNumber;
use super::gather::{Gathered, to_floats, turn_keys};
use super::page::{AddPage, PageOfHead, Sums};
use super::store::{KvLayout, PAGE, PANEL, head_start};
use super::{Attention, AttentionSpan, Seen};
use crate::lanes::{Lanes, Operation, WIDTH};
use crate::threads::Shared;
use std::cell::Cell;
use std::ops::Range;

/// Some query heads of one key head, for some tokens of one span.
pub(super) struct Task {
    span: usize,
    kv_head: usize,
    heads: Range<usize>,
    tokens: Range<usize>,
}

/// Cuts the work in tasks: enough query rows in each to reuse what is read, few enough to stay
/// in cache, and where key heads are fewer than threads, groups of query heads. No cut changes
/// any row's arithmetic.
pub(super) fn share_out(
    how: &Attention,
    layout: &KvLayout,
    spans: &[AttentionSpan],
    threads: usize,
) -> Vec<Task> {
    let group = how.heads / layout.kv_heads;
    let rows_max = (ROW_NUMBERS_MAX / layout.v_dim).clamp(16, 128);
    let heads_max = group.min(rows_max);
    // Rows that choose positions of their own share no page.
    let tokens_max = if how.choice.is_some() { 1 } else { rows_max / heads_max };
    let tiles: usize = spans.iter().map(|span| span.rows.div_ceil(tokens_max)).sum();
    let units = (tiles * layout.kv_heads * group.div_ceil(heads_max)).max(1);
    let heads_max = heads_max.div_ceil(threads.div_ceil(units));
    let mut tasks = Vec::new();
    // Heads outermost, so that each thread's share has early and late tokens, light and heavy.
    for first in (0..how.heads).step_by(group) {
        for head in (first..first + group).step_by(heads_max) {
            let heads = head..(head + heads_max).min(first + group);
            for (span, of) in spans.iter().enumerate() {
                for token in (0..of.rows).step_by(tokens_max) {
                    let tokens = token..(token + tokens_max).min(of.rows);
                    let kv_head = first / group;
                    tasks.push(Task { span, kv_head, heads: heads.clone(), tokens });
                }
            }
        }
    }
    tasks
}

/// Sums of a task's rows together: 64 KiB, beside the page they are added from.
const ROW_NUMBERS_MAX: usize = 16 * 1024;

/// From this many rows on, a page is first converted to `f32` once instead of by each few rows.
const ROWS_WORTH_CONVERTING: usize = 8;

/// What all tasks share.
pub(super) struct Job<'a, E> {
    pub how: &'a Attention<'a>,
    pub layout: &'a KvLayout,
    pub numbers: &'a [E],
    pub q: &'a [f32],
    pub spans: &'a [AttentionSpan<'a>],
    pub out: &'a Shared<'a, f32>,
}

impl<'a, E> Job<'a, E> {
    /// One task, to be run on an instruction set.
    pub(super) fn of<'b>(&'b self, task: &'b Task) -> TaskOf<'b, 'a, E> {
        TaskOf { job: self, task }
    }
}

pub(super) struct TaskOf<'b, 'a, E> {
    job: &'b Job<'a, E>,
    task: &'b Task,
}

/// A task's working memory, kept by its thread from one task to the next.
#[derive(Default)]
struct Workspace {
    /// Queries in tiles of `R` rows, each `[k_dim][R]`.
    q: Vec<f32>,
    largest: Vec<f32>,
    weight: Vec<f32>,
    /// `[rows, width]`
    values: Vec<f32>,
    page_keys: Vec<f32>,
    page_values: Vec<f32>,
    gathered: Gathered,
}

/// Which slots of a page rows see.
#[derive(Clone, Copy)]
enum Slots {
    /// Of the page of positions `page * PAGE ..`, those up to each row's own.
    OfPage(usize),
    /// So many, from the first on.
    First(usize),
}

thread_local! {
    static WORKSPACE: Cell<Workspace> = Cell::default();
}

impl<E: KvNumber> Operation for TaskOf<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let mut workspace = WORKSPACE.take();
        self.begin(&mut workspace);
        let span = &self.job.spans[self.task.span];
        let first = span.position + self.task.tokens.start;
        let last = span.position + self.task.tokens.end - 1;
        let from = self.job.how.window.map_or(0, |window| (first + 1).saturating_sub(window));
        match self.job.how.choice {
            Some(choice) => self.add_chosen(lanes, choice, from, &mut workspace),
            None => {
                let last = last.max(span.together.saturating_sub(1));
                for page in from / PAGE..=last / PAGE {
                    self.add(lanes, page, &mut workspace);
                }
            }
        }
        self.end(lanes, &workspace);
        WORKSPACE.set(workspace);
    }
}

impl<E: KvNumber> TaskOf<'_, '_, E> {
    fn rows(&self) -> usize {
        self.task.tokens.len() * self.task.heads.len()
    }

    /// The token (in its span) and the head of a row.
    #[inline(always)]
    fn token_and_head(&self, row: usize) -> (usize, usize) {
        let heads = self.task.heads.len();
        (self.task.tokens.start + row / heads, self.task.heads.start + row % heads)
    }

    /// Dimensions that are summed: whole vectors.
    fn width(&self) -> usize {
        self.job.layout.v_dim.next_multiple_of(WIDTH)
    }

    /// Empty sums, and queries in the order they are used in.
    fn begin(&self, workspace: &mut Workspace) {
        let (rows, dim) = (self.rows(), self.job.layout.k_dim);
        let Workspace { q, largest, weight, values, .. } = workspace;
        refill(values, rows * self.width(), 0.0);
        refill(largest, rows, f32::NEG_INFINITY);
        refill(weight, rows, 0.0);
        if let Some(sinks) = self.job.how.sinks {
            // As if a first position had this score and the value zero.
            for row in 0..rows {
                (largest[row], weight[row]) = (sinks[self.token_and_head(row).1], 1.0);
            }
        }
        q.resize(rows * dim, 0.0);
        let mut row = 0;
        while row < rows {
            let tile = tile_rows(rows - row);
            for r in 0..tile {
                let source = self.query(row + r);
                let packed = q[row * dim + r..].iter_mut().step_by(tile);
                packed.zip(source).for_each(|(packed, &number)| *packed = number);
            }
            row += tile;
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
    fn add<L: Lanes>(&self, lanes: L, page: usize, workspace: &mut Workspace) {
        let layout = self.job.layout;
        let number = self.job.spans[self.task.span].pages[page] as usize;
        let start = head_start(layout, number, self.task.kv_head);
        let head = &self.job.numbers[start..][..layout.head_len()];
        let (keys, values) = head.split_at(layout.keys_len());
        let value_width = layout.value_width();
        let mut page_keys = std::mem::take(&mut workspace.page_keys);
        let mut page_values = std::mem::take(&mut workspace.page_values);
        let convert = !E::IS_FLOAT && self.rows() >= ROWS_WORTH_CONVERTING;
        if convert {
            to_floats(lanes, &values[..self.values_read()], &mut page_values);
        }
        if layout.latent {
            turn_keys(lanes, layout, values, &mut page_keys);
        } else if convert {
            to_floats(lanes, keys, &mut page_keys);
        }
        match (layout.latent, convert) {
            (_, true) => {
                let (keys, values) = (&page_keys[..], &page_values[..]);
                self.add_to_rows(
                    lanes,
                    Slots::OfPage(page),
                    PageOfHead { keys, values, value_width },
                    workspace,
                );
            }
            (true, false) => {
                let keys = &page_keys[..];
                self.add_to_rows(
                    lanes,
                    Slots::OfPage(page),
                    PageOfHead { keys, values, value_width },
                    workspace,
                );
            }
            (false, false) => {
                self.add_to_rows(
                    lanes,
                    Slots::OfPage(page),
                    PageOfHead { keys, values, value_width },
                    workspace,
                );
            }
        }
        (workspace.page_keys, workspace.page_values) = (page_keys, page_values);
    }

    /// Adds the positions that the task's one token has chosen, from `from` on: whole pages as
    /// they are stored, the others a page of them at a time.
    #[inline(always)]
    fn add_chosen<L: Lanes>(
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
            let start = head_start(layout, span.pages[page] as usize, self.task.kv_head);
            for slot in slots(word).filter(|slot| page * PAGE + slot >= from) {
                let head = &self.job.numbers[start..][..layout.head_len()];
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
    fn add_gathered<L: Lanes>(&self, lanes: L, gathered: &mut Gathered, workspace: &mut Workspace) {
        let Gathered { keys, values, filled } = gathered;
        if self.job.layout.latent {
            turn_keys(lanes, self.job.layout, values, keys);
        }
        let (keys, values) = (&keys[..], &values[..]);
        let page = PageOfHead { keys, values, value_width: self.job.layout.value_width() };
        self.add_to_rows(lanes, Slots::First(*filled), page, workspace);
        *filled = 0;
    }

    /// Numbers of a page's values that are summed: a latent layer's last panels are only keys.
    fn values_read(&self) -> usize {
        self.width().next_multiple_of(PANEL).min(self.job.layout.value_width()) * PAGE
    }

    #[inline(always)]
    fn add_to_rows<L: Lanes, K: KvNumber, V: KvNumber>(
        &self,
        lanes: L,
        slots: Slots,
        of_head: PageOfHead<K, V>,
        workspace: &mut Workspace,
    ) {
        let rows = self.rows();
        let mut row = 0;
        while row < rows {
            row += match tile_rows(rows - row) {
                4 => self.add_to_tile::<L, K, V, 4>(lanes, slots, of_head, workspace, row),
                2 => self.add_to_tile::<L, K, V, 2>(lanes, slots, of_head, workspace, row),
                _ => self.add_to_tile::<L, K, V, 1>(lanes, slots, of_head, workspace, row),
            };
        }
    }

    /// Adds the slots to `R` rows from `row` on; gives `R`.
    #[inline(always)]
    fn add_to_tile<L: Lanes, K: KvNumber, V: KvNumber, const R: usize>(
        &self,
        lanes: L,
        slots: Slots,
        of_head: PageOfHead<K, V>,
        workspace: &mut Workspace,
        row: usize,
    ) -> usize {
        let seen: [Seen<'_>; R] = std::array::from_fn(|r| self.seen(row + r, slots));
        if seen.iter().all(|seen| seen.slots.is_empty()) {
            return R;
        }
        let (dim, width) = (self.job.layout.k_dim, self.width());
        let q = workspace.q[row * dim..][..R * dim].as_chunks::<R>().0;
        let sums = Sums {
            largest: &mut workspace.largest[row..][..R],
            weight: &mut workspace.weight[row..][..R],
            values: &mut workspace.values[row * width..][..R * width],
            width,
        };
        lanes.call(AddPage { how: self.job.how, q, page: of_head, seen: &seen, sums });
        R
    }

    /// Which slots the row sees.
    fn seen(&self, row: usize, slots: Slots) -> Seen<'_> {
        let page = match slots {
            Slots::OfPage(page) => page,
            Slots::First(count) => {
                return Seen { slots: 0..count, own_slot: 0, slope: None, bias: None };
            }
        };
        let (token, head) = self.token_and_head(row);
        let how = self.job.how;
        let span = &self.job.spans[self.task.span];
        let position = span.position + token;
        let end = (position + 1).max(span.together);
        let from = how.window.map_or(0, |window| (position + 1).saturating_sub(window));
        let start = page * PAGE;
        let slots = from.saturating_sub(start).min(PAGE)..end.saturating_sub(start).min(PAGE);
        let slope = how.slopes.map(|slopes| slopes[head]);
        let bias = how.bias.map(|bias| bias.of_row(head, position, start, span.segments));
        Seen { slots, own_slot: position as isize - start as isize, slope, bias }
    }

    /// Divides by the sum of weights, once: a multiplication with its inverse rounds differently.
    #[inline(always)]
    fn end<L: Lanes>(&self, lanes: L, workspace: &Workspace) {
        let (dim, heads) = (self.job.layout.v_dim, self.job.how.heads);
        let first_row = self.job.spans[self.task.span].first_row;
        for (row, values) in workspace.values.chunks_exact(self.width()).enumerate() {
            let (token, head) = self.token_and_head(row);
            let at = ((first_row + token) * heads + head) * dim;
            // SAFETY: spans do not overlap (`check`), tasks cut them in disjoint tokens and heads.
            let out = unsafe { self.job.out.part(at..at + dim) };
            let weight = lanes.splat(workspace.weight[row]);
            for (out, part) in out.chunks_mut(WIDTH).zip(values.as_chunks().0) {
                lanes.store_part(lanes.div(lanes.load(part), weight), out);
            }
        }
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

fn refill(numbers: &mut Vec<f32>, len: usize, value: f32) {
    numbers.clear();
    numbers.resize(len, value);
}
