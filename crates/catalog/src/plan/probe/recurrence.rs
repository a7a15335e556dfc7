//! Recurrences: a row at a time, from memory, and many rows of one sequence.

use super::super::machine::{Pace, Recurrence};
use super::{numbers, seconds};
use baimo_kernels::recurrence::{Decays, Fed, Recurrence as How, Sharing, Write, kept, recur};
use baimo_kernels::{Kernels, SlotSpan, SlotStore};

const HEADS: usize = 16;
const DIM: usize = 128;
/// Layers, each with a state of a megabyte.
const LAYERS: usize = 24;
/// Rows of a prompt.
const ROWS: usize = 256;

pub(super) fn measure(kernels: &Kernels) -> Recurrence {
    Recurrence {
        value: pace(kernels, Write::Value, false),
        delta: pace(kernels, Write::Difference, false),
        by_channel: pace(kernels, Write::Difference, true),
    }
}

fn pace(kernels: &Kernels, write: Write, by_channel: bool) -> Pace {
    Pace {
        one: each(kernels, write, by_channel, LAYERS, 1),
        many: each(kernels, write, by_channel, 1, ROWS),
    }
}

/// Seconds for each number of a state and each row.
fn each(kernels: &Kernels, write: Write, by_channel: bool, layers: usize, rows: usize) -> f64 {
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
    let number = kept(HEADS, DIM, DIM);
    let mut stores: Vec<SlotStore> = (0..layers).map(|_| SlotStore::new(number, 1)).collect();
    // Small, so that nothing grows without end.
    let x: Vec<f32> = numbers(rows * HEADS * DIM).iter().map(|x| x * 0.05).collect();
    let decays = vec![0.9; rows * HEADS * if by_channel { DIM } else { 1 }];
    let rates = vec![0.5; rows * HEADS];
    let decays = if by_channel { Decays::PerChannel(&decays) } else { Decays::PerHead(&decays) };
    let fed = Fed { q: &x, k: &x, v: &x, decays, rates: Some(&rates) };
    let spans = [SlotSpan { first_row: 0, rows, slot: 0 }];
    let mut out = vec![0.0; rows * HEADS * DIM];
    let spent = seconds(|| {
        for store in &mut stores {
            recur(kernels, &how, &fed, store, 0, &spans, &mut out);
        }
    });
    spent / (layers * rows * HEADS * DIM * DIM) as f64
}
