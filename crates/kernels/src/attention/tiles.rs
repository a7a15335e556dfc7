//! How a task's rows go through a page: a few of them together, or a group.

use super::Seen;
use super::element::{Cached, KvNumber};
use super::few::{AddToFew, Sums};
use super::many::{AddToMany, Keys, Sight};
use super::store::PAGE;
use super::task::{Slots, TaskOf, Workspace};
use crate::lanes::{Lanes, WIDE};
use std::ops::Range;

impl<E: KvNumber> TaskOf<'_, '_, E> {
    /// Adds the slots of a head's page, as it is stored, to the rows: of the first of `heads`. They
    /// come to the second then.
    #[inline(always)]
    pub(super) fn add_to_few<L: Lanes<WIDE>, K: KvNumber>(
        &self,
        lanes: L,
        slots: Slots,
        heads: [Cached<K>; 2],
        workspace: &mut Workspace,
    ) {
        let mut row = 0;
        while row < self.rows() {
            let tile = self.tile::<L>(row);
            match tile {
                8 => self.add_to_tile::<L, K, 8>(lanes, slots, heads, workspace, row),
                4 => self.add_to_tile::<L, K, 4>(lanes, slots, heads, workspace, row),
                2 => self.add_to_tile::<L, K, 2>(lanes, slots, heads, workspace, row),
                _ => self.add_to_tile::<L, K, 1>(lanes, slots, heads, workspace, row),
            };
            row += tile;
        }
    }

    /// [`Self::add_to_few`] for `R` rows from `row` on.
    #[inline(always)]
    fn add_to_tile<L: Lanes<WIDE>, K: KvNumber, const R: usize>(
        &self,
        lanes: L,
        slots: Slots,
        [head, next]: [Cached<K>; 2],
        workspace: &mut Workspace,
        row: usize,
    ) {
        let how = self.job.how;
        let (low, high) = (self.slots(row, slots), self.slots(row + R - 1, slots));
        let seen: [Seen<'_>; R] = match low == high && how.slopes.is_none() && how.bias.is_none() {
            // Both ends of what rows see rise from token to token.
            true => [(); R].map(|()| Seen::all_of(low.clone())),
            false => std::array::from_fn(|r| self.seen(row + r, slots)),
        };
        if seen.iter().all(|seen| seen.slots.is_empty()) {
            return;
        }
        let (layout, sums) = (self.job.layout, self.sums(workspace, row, R));
        let [keys, values] = head.split(layout);
        let q = sums.0.as_chunks::<R>().0;
        let (value_width, next, seen, sums) = (layout.value_width(), next.numbers, &seen, sums.1);
        lanes.call(AddToFew { how, q, keys, values, value_width, next, seen, sums });
    }

    /// Adds the slots of one head's page in floats to the rows.
    #[inline(always)]
    pub(super) fn add_to_many<L: Lanes<WIDE>>(
        &self,
        lanes: L,
        slots: Slots,
        head: &[f32],
        workspace: &mut Workspace,
    ) {
        let mut row = 0;
        while row < self.rows() {
            let tile = self.tile::<L>(row);
            match tile {
                WIDE => self.add_to_group::<L, WIDE>(lanes, slots, head, workspace, row),
                _ => self.add_to_group::<L, { 2 * WIDE }>(lanes, slots, head, workspace, row),
            }
            row += tile;
        }
    }

    /// [`Self::add_to_many`] for `G` rows from `row` on.
    #[inline(always)]
    fn add_to_group<L: Lanes<WIDE>, const G: usize>(
        &self,
        lanes: L,
        slots: Slots,
        head: &[f32],
        workspace: &mut Workspace,
        row: usize,
    ) {
        let sight = self.sight::<G>(row, slots);
        if sight.any.is_empty() {
            return;
        }
        let layout = self.job.layout;
        let (keys, values) = head.split_at(layout.keys_len());
        let keys = match layout.latent {
            true => Keys::Panels(values, layout.value_width()),
            false => Keys::Blocks(keys),
        };
        let mut scores = std::mem::take(&mut workspace.scores);
        let (q, sums) = self.sums(workspace, row, G);
        lanes.call(AddToMany {
            how: self.job.how,
            q: q.as_chunks::<G>().0,
            keys,
            values,
            value_width: layout.value_width(),
            sight: &sight,
            scores: scores.as_chunks_mut::<G>().0.first_chunk_mut().expect("a page of scores"),
            sums,
        });
        workspace.scores = scores;
    }

    /// The queries and the sums of a tile.
    fn sums<'w>(
        &self,
        workspace: &'w mut Workspace,
        row: usize,
        rows: usize,
    ) -> (&'w [f32], Sums<'w>) {
        let (dim, width) = (self.job.layout.k_dim, self.width());
        let Workspace { q, sums, .. } = workspace;
        let sums = Sums {
            largest: &mut sums.largest[row..][..rows],
            weight: &mut sums.weight[row..][..rows],
            values: &mut sums.values[row * width..][..rows * width],
            width,
        };
        (&q[row * dim..][..rows * dim], sums)
    }

    /// What `G` rows from `row` on see; where rows have ended, what the last one does.
    #[inline(always)]
    fn sight<const G: usize>(&self, row: usize, slots: Slots) -> Sight<'_, G> {
        let last = self.rows() - 1;
        // Both ends of what rows see rise from token to token.
        let low = self.slots(row, slots);
        let high = self.slots((row + G - 1).min(last), slots);
        let (any, same) = (low.start..high.end, low == high);
        let mut all = [(); G].map(|()| any.clone());
        if !same {
            for (r, seen) in all.iter_mut().enumerate() {
                *seen = self.slots((row + r).min(last), slots);
            }
        }
        let mut sight = Sight { slots: all, any, same, slopes: None, biases: Vec::new() };
        let how = self.job.how;
        if how.slopes.is_some() || how.bias.is_some() {
            let seen = (row..row + G).map(|row| self.seen(row.min(last), slots));
            let mut slopes = [[0.0; G]; 2];
            for (r, seen) in seen.enumerate() {
                slopes[0][r] = seen.own_slot as f32;
                slopes[1][r] = seen.slope.unwrap_or(0.0);
                sight.biases.extend(seen.bias);
            }
            sight.slopes = how.slopes.map(|_| slopes);
        }
        sight
    }

    /// Which slots the row sees.
    #[inline(always)]
    fn slots(&self, row: usize, slots: Slots) -> Range<usize> {
        let page = match slots {
            Slots::OfPage(page) => page,
            Slots::First(count) => return 0..count,
        };
        let span = &self.job.spans[self.task.span];
        let position = span.position + self.token_and_head(row).0;
        let end = (position + 1).max(span.together);
        let from = self.job.how.window.map_or(0, |window| (position + 1).saturating_sub(window));
        let start = page * PAGE;
        from.saturating_sub(start).min(PAGE)..end.saturating_sub(start).min(PAGE)
    }

    /// The same, with what is added to the row's scores.
    fn seen(&self, row: usize, slots: Slots) -> Seen<'_> {
        let seen = self.slots(row, slots);
        let Slots::OfPage(page) = slots else {
            return Seen::all_of(seen);
        };
        let (how, start) = (self.job.how, page * PAGE);
        let (token, head) = self.token_and_head(row);
        let span = &self.job.spans[self.task.span];
        let position = span.position + token;
        let slope = how.slopes.map(|slopes| slopes[head]);
        let bias = how.bias.map(|bias| bias.of_row(head, position, start, span.segments));
        Seen { slots: seen, own_slot: position as isize - start as isize, slope, bias }
    }
}
