//! What some rows of a span bring to one head, side by side: in their own buffers the rows of a
//! head lie a power of two apart, where caches keep few of them.

use super::{Decays, Fed, PANEL, Recurrence, Sharing};
use crate::threads::Shared;
use std::ops::Range;

/// Rows that go through a panel before the next panel's turn: for so many rows a panel is read
/// from the second cache once, and for so many panels the rows stay there.
pub(super) const ROWS: usize = 32;

/// A head, and those of its panels that a task takes.
#[derive(Clone)]
pub(super) struct Part {
    pub head: usize,
    pub panels: Range<usize>,
}

/// Some rows of a part.
pub(super) struct Tile {
    pub keys: Keys,
    /// `[rows, panels]`: values, and in their place later what is read; anything in columns that
    /// are not there.
    pub values: Vec<[f32; PANEL]>,
    pub panels: usize,
}

/// What rows bring to all columns of a head.
pub(super) struct Keys {
    /// `[rows, 4, k_dim]`: queries, keys, keys times decays, decays of key channels.
    numbers: Vec<f32>,
    k_dim: usize,
    /// A decay for all channels, and how strongly is written.
    controls: [(f32, f32); ROWS],
}

/// What a row brings to all columns of a head.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub q: &'a [f32],
    pub k: &'a [f32],
    /// Keys times decays.
    pub asked: &'a [f32],
    /// Of key channels that have their own.
    pub decays: &'a [f32],
    /// Of key channels that share it.
    pub decay: f32,
    pub rate: f32,
}

impl Tile {
    /// For spans of `rows` rows.
    pub fn new(how: &Recurrence, part: &Part, rows: usize) -> Tile {
        let rows = rows.min(ROWS);
        let numbers = vec![0.0; rows * 4 * how.k_dim];
        let keys = Keys { numbers, k_dim: how.k_dim, controls: [(1.0, 1.0); ROWS] };
        let panels = part.panels.len();
        Tile { keys, values: vec![[0.0; PANEL]; rows * panels], panels }
    }

    /// Takes the rows `rows`.
    #[inline(always)]
    pub fn fill(&mut self, how: &Recurrence, fed: &Fed, part: &Part, rows: Range<usize>) {
        let values = self.values.chunks_exact_mut(self.panels);
        for ((index, row), values) in rows.enumerate().zip(values) {
            self.keys.take(how, fed, part.head, row, index);
            let given = &fed.v[part.values(how, row)];
            values.as_flattened_mut()[..given.len()].copy_from_slice(given);
        }
    }

    /// Writes what was read to the rows `rows` of the output.
    ///
    /// # Safety
    /// Nobody else has these rows of the part in use.
    #[inline(always)]
    pub unsafe fn give(
        &self,
        how: &Recurrence,
        part: &Part,
        rows: Range<usize>,
        out: &Shared<f32>,
    ) {
        for (row, values) in rows.zip(self.values.chunks_exact(self.panels)) {
            // SAFETY: the caller's promise.
            let out = unsafe { out.part(part.values(how, row)) };
            out.copy_from_slice(&values.as_flattened()[..out.len()]);
        }
    }
}

impl Part {
    /// Where the row `row` has the part's values, and its outputs.
    fn values(&self, how: &Recurrence, row: usize) -> Range<usize> {
        let first = (row * how.heads + self.head) * how.v_dim;
        let column = |panel: usize| (panel * PANEL).min(how.v_dim);
        first + column(self.panels.start)..first + column(self.panels.end)
    }
}

impl Keys {
    #[inline(always)]
    fn take(&mut self, how: &Recurrence, fed: &Fed, head: usize, row: usize, index: usize) {
        let (width, at) = (self.k_dim, row * how.heads + head);
        let key = Keys::place(how, head, row);
        let (q, rest) = self.numbers[index * 4 * width..][..4 * width].split_at_mut(width);
        let (k, rest) = rest.split_at_mut(width);
        let (asked, decays) = rest.split_at_mut(width);
        q.copy_from_slice(&fed.q[key.clone()]);
        k.copy_from_slice(&fed.k[key]);
        let rate = fed.rates.map_or(1.0, |rates| rates[at]);
        let decay = match fed.decays {
            Decays::Fixed(all) => all[head],
            Decays::PerHead(all) => all[at],
            Decays::PerChannel(all) => {
                decays.copy_from_slice(&all[at * width..][..width]);
                let factors = k.iter().zip(&*decays);
                asked.iter_mut().zip(factors).for_each(|(asked, (k, decay))| *asked = k * decay);
                self.controls[index] = (1.0, rate);
                return;
            }
        };
        asked.iter_mut().zip(&*k).for_each(|(asked, k)| *asked = k * decay);
        self.controls[index] = (decay, rate);
    }

    /// Where the head's query is in the row `row`, and its key.
    #[inline(always)]
    fn place(how: &Recurrence, head: usize, row: usize) -> Range<usize> {
        let key_head = match how.sharing {
            Sharing::Neighbours => head / (how.heads / how.key_heads),
            Sharing::Turns => head % how.key_heads,
        };
        let first = (row * how.key_heads + key_head) * how.k_dim;
        first..first + how.k_dim
    }

    /// A row of the tile.
    #[inline(always)]
    pub fn row(&self, index: usize) -> Row<'_> {
        let width = self.k_dim;
        let (q, rest) = self.numbers[index * 4 * width..][..4 * width].split_at(width);
        let (k, rest) = rest.split_at(width);
        let (asked, decays) = rest.split_at(width);
        let (decay, rate) = self.controls[index];
        Row { q, k, asked, decays, decay, rate }
    }
}
