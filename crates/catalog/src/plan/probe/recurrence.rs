//! Recurrences: a row at a time, from memory, and many rows of one sequence.

use super::super::machine::{Pace, Recurrence};
use super::{MEMORY, numbers, seconds};
use baimo_kernels::recurrence::{Decays, Fed, Recurrence as How, Sharing, Write, kept, recur};
use baimo_kernels::{Kernels, SlotSpan, SlotStore};

const HEADS: usize = 16;
const DIM: usize = 128;
/// Layers, each with a state of a megabyte.
const LAYERS: usize = 24;
/// So many that their states come from memory.
const LAYERS_MEMORY: usize = MEMORY >> 20;
/// Rows of a prompt.
const ROWS: usize = 256;

/// A region takes `region` seconds beside its work.
pub(super) fn measure(kernels: &Kernels, region: f64) -> Recurrence {
    // Of all ways, one after the other: the system gives memory when it is written first.
    let number = kept(HEADS, DIM, DIM);
    let mut stores: Vec<SlotStore> =
        (0..LAYERS_MEMORY).map(|_| SlotStore::new(number, 1)).collect();
    stores.iter_mut().for_each(|store| store.clear(0));
    let mut pace = |write: Write, by_channel: bool| {
        let mut each = |layers: usize, rows: usize| {
            let spent = each(kernels, write, by_channel, &mut stores[..layers], rows);
            (spent - region).max(spent / 2.0) / (rows * HEADS * DIM * DIM) as f64
        };
        Pace { one: each(LAYERS, 1), one_memory: each(LAYERS_MEMORY, 1), many: each(1, ROWS) }
    };
    Recurrence {
        value: pace(Write::Value, false),
        delta: pace(Write::Difference, false),
        by_channel: pace(Write::Difference, true),
    }
}

/// Seconds of each layer.
fn each(
    kernels: &Kernels,
    write: Write,
    by_channel: bool,
    stores: &mut [SlotStore],
    rows: usize,
) -> f64 {
    let how = How {
        heads: HEADS,
        key_heads: HEADS,
        sharing: Sharing::Neighbours,
        k_dim: DIM,
        v_dim: DIM,
        scale: 0.1,
        write,
        skip: None,
    };
    // Small, so that nothing grows without end.
    let x: Vec<f32> = numbers(rows * HEADS * DIM).iter().map(|x| x * 0.05).collect();
    let decays = vec![0.9; rows * HEADS * if by_channel { DIM } else { 1 }];
    let rates = vec![0.5; rows * HEADS];
    let decays = if by_channel { Decays::PerChannel(&decays) } else { Decays::PerHead(&decays) };
    let fed = Fed { q: &x, k: &x, v: &x, decays, rates: Some(&rates) };
    let spans = [SlotSpan { first_row: 0, rows, slot: 0 }];
    let mut out = vec![0.0; rows * HEADS * DIM];
    let spent = seconds(|| {
        for store in stores.iter_mut() {
            recur(kernels, &how, &fed, store, 0, &spans, &mut out);
        }
    });
    spent / stores.len() as f64
}
