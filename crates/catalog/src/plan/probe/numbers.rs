//! Work on numbers one by one.

use super::super::machine::Numbers;
use super::super::tape::Work;
use super::{numbers, seconds};
use baimo_kernels::activation::{Activation, activate, add_scaled, gated};
use baimo_kernels::attention::{KvElement, KvLayout, KvStore, PAGE};
use baimo_kernels::convolution::{Convolution, convolve};
use baimo_kernels::matmul::{Activations, Matrix};
use baimo_kernels::norm::{rms_norm, rms_norm_heads};
use baimo_kernels::recurrence::{decays, steps};
use baimo_kernels::rope::{RopeStyle, rope};
use baimo_kernels::softmax::top_k;
use baimo_kernels::{Format, HeadLayout, Kernels, SlotSpan, SlotStore};
use std::collections::BTreeMap;

/// Numbers of a row.
const ROW: usize = 1024;
/// Rows of a prompt.
const ROWS: usize = 512;

/// What `work` costs: `run` does it to so many rows.
fn of(mut run: impl FnMut(usize)) -> Numbers {
    const TIMES: usize = 64;
    let mut each = |rows: usize, times: usize| {
        seconds(|| (0..times).for_each(|_| run(rows))) / (times * rows * ROW) as f64
    };
    let (one, eight, many) = (each(1, TIMES), each(8, TIMES), each(ROWS, 1));
    // A line through one row and eight.
    let few = ((8.0 * eight - one) / 7.0).max(0.0);
    Numbers { call: ((one - few) * ROW as f64).max(0.0), few, many }
}

pub(super) fn measure(kernels: &Kernels) -> BTreeMap<Work, Numbers> {
    let x = numbers(ROWS * ROW);
    let mut all = shared(kernels, &x);
    for (work, format) in [(Work::Int8, Format::Q4_0), (Work::Int16, Format::Q8_0)] {
        let matrix = table(format, 16);
        let round = |rows: usize| _ = Activations::new(kernels, &x[..rows * ROW], ROW, [&matrix]);
        all.insert(work, of(round));
    }
    all.insert(Work::Cache, cache(kernels, &x));
    all.insert(Work::Convolve, convolution(kernels, &x));
    all.insert(Work::Route, route(kernels, &x));
    all.insert(Work::Mix, mix(kernels, &x));
    all.insert(Work::Permute, permute(kernels, &x));
    all.extend(alone(&x));
    all
}

/// What all threads share.
fn shared(kernels: &Kernels, x: &[f32]) -> BTreeMap<Work, Numbers> {
    // What is done in place is done again and again: nothing may grow or vanish by that.
    let (y, weight, mut out) = (numbers(ROWS * ROW), vec![1.0; ROW], numbers(ROWS * ROW));
    let heads = HeadLayout::packed(ROW / 128, 128);
    let norm = of(|rows| {
        let part = rows * ROW;
        rms_norm(kernels, &x[..part], ROW, Some(&weight), 1e-6, &mut out[..part]);
    });
    let head_norm = of(|rows| {
        rms_norm_heads(kernels, &mut out[..rows * ROW], heads, Some(&weight[..128]), 1e-6);
    });
    let (cos, sin) = (vec![0.6; ROWS * 64], vec![0.8; ROWS * 64]);
    let turn = of(|rows| {
        let (cos, sin) = (&cos[..rows * 64], &sin[..rows * 64]);
        rope(kernels, &mut out[..rows * ROW], heads, cos, sin, RopeStyle::Half);
    });
    let curve = of(|rows| activate(kernels, Activation::Sigmoid, &mut out[..rows * ROW]));
    let gate = of(|rows| {
        let part = rows * ROW;
        gated(kernels, Activation::Silu, &x[..part], &y[..part], &mut out[..part]);
    });
    let add = of(|rows| add_scaled(kernels, &mut out[..rows * ROW], &y[..rows * ROW], 1e-3));
    let decay = of(|rows| {
        let part = &mut out[..rows * ROW];
        steps(kernels, part, &weight, &(0.0..=f32::INFINITY));
        decays(kernels, part, &weight);
    });
    BTreeMap::from([
        (Work::Norm, norm),
        (Work::HeadNorm, head_norm),
        (Work::Rope, turn),
        (Work::Activate, curve),
        (Work::Gate, gate),
        (Work::Add, add),
        (Work::Decay, decay),
    ])
}

/// What one thread does by itself.
fn alone(x: &[f32]) -> BTreeMap<Work, Numbers> {
    let mut out = numbers(ROWS * ROW);
    let copy = of(|rows| {
        let part = rows * ROW;
        let pairs = out[..part].chunks_exact_mut(128).zip(x[..part].chunks_exact(128));
        pairs.for_each(|(to, from)| to.copy_from_slice(from));
    });
    let matrix = table(Format::Q8_0, ROWS);
    let lookup = of(|rows| (0..rows).for_each(|row| matrix.dequantize_row(row, &mut out[..ROW])));
    let angles = of(|rows| {
        for (out, x) in out[..rows * ROW].chunks_exact_mut(2).zip(x) {
            let angle = f64::from(*x * 1000.0);
            (out[0], out[1]) = (angle.cos() as f32, angle.sin() as f32);
        }
    });
    BTreeMap::from([(Work::Copy, copy), (Work::Lookup, lookup), (Work::Angles, angles)])
}

fn table(format: Format, rows: usize) -> Matrix {
    let mut builder = Matrix::builder(format, rows, ROW);
    builder.push_rows(&vec![0x11; rows * format.row_bytes(ROW).expect("whole blocks")]);
    builder.finish()
}

/// Keys and values of four heads, in one layer after the other: the place of a layer's next row has
/// left the nearest caches.
fn cache(kernels: &Kernels, x: &[f32]) -> Numbers {
    const LAYERS: usize = 32;
    let element = KvElement::F16;
    let layout = KvLayout { kv_heads: 4, k_dim: 128, v_dim: 128, latent: false, element };
    let pages: Vec<u32> = (0..2 * (ROWS / PAGE) as u32).collect();
    let store = |_| KvStore::new(layout, pages.len());
    let mut layers: Vec<KvStore> = (0..LAYERS).map(store).collect();
    // The system gives memory when it is written first.
    let half = &x[..ROWS * ROW / 2];
    for store in &mut layers {
        for position in [0, ROWS] {
            store.write(kernels, &pages, position, half, half);
        }
    }
    let mut calls = 0;
    of(|rows| {
        let position = calls / LAYERS * rows % ROWS;
        let half = &x[..rows * ROW / 2];
        layers[calls % LAYERS].write(kernels, &pages, position, half, half);
        calls += 1;
    })
}

/// Four taps, counted by tap.
fn convolution(kernels: &Kernels, x: &[f32]) -> Numbers {
    let weight = numbers(4 * ROW);
    let how = Convolution { taps: 4, channels: ROW, weight: &weight, bias: None };
    let mut store = SlotStore::new(how.kept(), 1);
    let mut out = vec![0.0; ROWS * ROW];
    let Numbers { call, few, many } = of(|rows| {
        let spans = [SlotSpan { first_row: 0, rows, slot: 0 }];
        let part = rows * ROW;
        convolve(kernels, &how, &x[..part], &mut store, 0, &spans, &mut out[..part]);
    });
    Numbers { call, few: few / 4.0, many: many / 4.0 }
}

/// Rows of 128 scores, of which each keeps 8.
fn route(kernels: &Kernels, x: &[f32]) -> Numbers {
    of(|rows| {
        let scores = &x[..rows * ROW];
        kernels.pool.run(rows.div_ceil(2), &|part| {
            let part = &scores[part * 2 * ROW..((part + 1) * 2 * ROW).min(scores.len())];
            for scores in part.chunks_exact(128) {
                let exps: Vec<f32> = scores.iter().map(|x| x.exp()).collect();
                std::hint::black_box(top_k(&exps, 8));
            }
        });
    })
}

/// Sums of weighted rows.
fn mix(kernels: &Kernels, x: &[f32]) -> Numbers {
    let mut out = vec![0.0; ROWS * ROW];
    of(|rows| {
        kernels.pool.run_rows(&mut out[..rows * ROW], ROW, &|first, part| {
            let from = &x[first * ROW..][..part.len()];
            part.iter_mut().zip(from).for_each(|(out, x)| *out = *out * 0.5 + 0.1 * x);
        });
    })
}

/// Eight heads of each row, all rows of a head one after the other.
fn permute(kernels: &Kernels, x: &[f32]) -> Numbers {
    const HEADS: usize = ROW / 128;
    let mut out = vec![0.0; ROWS * ROW];
    of(|rows| {
        kernels.pool.run_rows(&mut out[..rows * ROW], 128, &|first, part| {
            for (index, part) in (first..).zip(part.chunks_exact_mut(128)) {
                let (head, row) = (index / rows, index % rows);
                part.copy_from_slice(&x[(row * HEADS + head) * 128..][..128]);
            }
        });
    })
}
