//! A panel of one head's state through the rows of a span, on any instruction set.

use super::{Decays, Fed, PANEL, Recurrence, Sharing, Write};
use crate::SlotSpan;
use crate::lanes::{Lanes, Operation, WIDTH};
use crate::threads::Shared;

/// Vectors in a row of a panel.
const VECTORS: usize = PANEL / WIDTH;

/// One head's panel in one span.
pub(super) struct Task<'a> {
    pub how: &'a Recurrence<'a>,
    pub fed: &'a Fed<'a>,
    pub span: SlotSpan,
    pub head: usize,
    pub panel: usize,
    /// `[k_dim, PANEL]`
    pub state: &'a mut [f32],
    pub out: &'a Shared<'a, f32>,
}

/// What a row does to the state.
struct Row<'a> {
    q: &'a [f32],
    k: &'a [f32],
    /// One for each key channel, or one for all.
    decays: &'a [f32],
    rate: f32,
    v: [f32; PANEL],
}

impl Operation for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Recurrence { heads, v_dim, scale, write, skip, .. } = *self.how;
        let (state, _) = self.state.as_chunks_mut::<PANEL>();
        let skip = lanes.splat(skip.map_or(0.0, |skip| skip[self.head]));
        let columns = self.panel * PANEL..((self.panel + 1) * PANEL).min(v_dim);
        for index in self.span.first_row..self.span.first_row + self.span.rows {
            let first = (index * heads + self.head) * v_dim;
            let place = first + columns.start..first + columns.end;
            let row = row_of(self.how, self.fed, index, self.head, &self.fed.v[place.clone()]);
            let read = match write {
                Write::Value => advance(lanes, state, &row, [lanes.splat(0.0); VECTORS]),
                Write::Difference => {
                    let known = known(lanes, state, &row);
                    advance(lanes, state, &row, known)
                }
            };
            // SAFETY: spans have different rows; tasks of a span differ in head or columns.
            let out = unsafe { self.out.part(place) };
            let (v, _) = row.v.as_chunks::<WIDTH>();
            for ((out, read), v) in out.chunks_mut(WIDTH).zip(read).zip(v) {
                let skipped = lanes.mul(lanes.load(v), skip);
                lanes.store_part(lanes.fma(read, lanes.splat(scale), skipped), out);
            }
        }
    }
}

#[inline(always)]
fn row_of<'a>(
    how: &Recurrence,
    fed: &Fed<'a>,
    index: usize,
    head: usize,
    columns: &[f32],
) -> Row<'a> {
    let Recurrence { heads, key_heads, k_dim, .. } = *how;
    let key_head = match how.sharing {
        Sharing::Neighbours => head / (heads / key_heads),
        Sharing::Turns => head % key_heads,
    };
    let key = (index * key_heads + key_head) * k_dim;
    let at = index * heads + head;
    let mut v = [0.0; PANEL];
    v[..columns.len()].copy_from_slice(columns);
    Row {
        q: &fed.q[key..key + k_dim],
        k: &fed.k[key..key + k_dim],
        decays: match fed.decays {
            Decays::Fixed(decays) => &decays[head..=head],
            Decays::PerHead(decays) => &decays[at..=at],
            Decays::PerChannel(decays) => &decays[at * k_dim..][..k_dim],
        },
        rate: fed.rates.map_or(1.0, |rates| rates[at]),
        v,
    }
}

impl Row<'_> {
    /// The decay of a key channel.
    #[inline(always)]
    fn decay(&self, channel: usize) -> f32 {
        match self.decays {
            [one] => *one,
            each => each[channel],
        }
    }
}

/// What the shrunk state says of the key: `(decay * S)^T k`.
#[inline(always)]
fn known<L: Lanes>(lanes: L, state: &[[f32; PANEL]], row: &Row) -> [L::Vector; VECTORS] {
    let mut known = [lanes.splat(0.0); VECTORS];
    for (channel, (state, &k)) in state.iter().zip(row.k).enumerate() {
        let (decay, k) = (lanes.splat(row.decay(channel)), lanes.splat(k));
        let (state, _) = state.as_chunks::<WIDTH>();
        for (known, state) in known.iter_mut().zip(state) {
            *known = lanes.fma(lanes.mul(lanes.load(state), decay), k, *known);
        }
    }
    known
}

/// Shrinks the state, writes `rate * (v - known)` to it and reads it: `S^T q`.
#[inline(always)]
fn advance<L: Lanes>(
    lanes: L,
    state: &mut [[f32; PANEL]],
    row: &Row,
    known: [L::Vector; VECTORS],
) -> [L::Vector; VECTORS] {
    let rate = lanes.splat(row.rate);
    let mut written = known;
    let (v, _) = row.v.as_chunks::<WIDTH>();
    for (written, v) in written.iter_mut().zip(v) {
        *written = lanes.mul(lanes.sub(lanes.load(v), *written), rate);
    }
    let mut read = [lanes.splat(0.0); VECTORS];
    for (channel, (state, (&k, &q))) in state.iter_mut().zip(row.k.iter().zip(row.q)).enumerate() {
        let decay = lanes.splat(row.decay(channel));
        let (k, q) = (lanes.splat(k), lanes.splat(q));
        let (state, _) = state.as_chunks_mut::<WIDTH>();
        for ((state, written), read) in state.iter_mut().zip(written).zip(&mut read) {
            let next = lanes.fma(k, written, lanes.mul(lanes.load(state), decay));
            lanes.store(next, state);
            *read = lanes.fma(next, q, *read);
        }
    }
    read
}
