//! Softmax attention and its kin, as `model::mixer` runs them.

use super::pass::{Map, Pass};
use super::scratch::Lent;
use super::tape::{Attended, Matrices, Operation, Part, Product, Work};
use baimo_blueprint::{
    Blocks, Choice, Indexer, Latent, Linear, Mixer, Query, RelativeBias, Reuse, Softmax, Tensor,
};
use baimo_kernels::attention::{KvElement, KvLayout, PAGE, kept_by_thread, rows_together};
use baimo_weights::Role;

/// The mixer's output.
pub(super) fn mixer(pass: &Pass, mixer: &Mixer) -> Lent {
    match mixer {
        Mixer::Softmax(mixer) => pass.within(Part::Attention, || softmax(pass, mixer)),
        Mixer::Reuse(mixer) => pass.within(Part::Attention, || reuse(pass, mixer)),
        Mixer::Latent(mixer) => pass.within(Part::Attention, || latent(pass, mixer)),
        Mixer::Recurrent(mixer) => {
            pass.within(Part::Recurrent, || super::recurrent::recurrent(pass, mixer))
        }
    }
}

fn softmax(pass: &Pass, shape: &Softmax) -> Lent {
    let rows = pass.rows();
    let q_map = pass.map(&shape.q, Role::Linear);
    let low = shape.q_low.as_ref();
    let first = low.map_or(q_map, |low| pass.map(&low.down, Role::Linear));
    let maps = [first, pass.map(&shape.k, Role::Linear), pass.map(&shape.v, Role::Linear)];
    let mut given = pass.apply_all(rows, &maps).into_iter();
    let mut next = || given.next().expect("an output for each map");
    let [mut q, mut k, mut v] = [next(), next(), next()];
    if let Some(low) = low {
        let normed = pass.norm(&low.norm, q.len);
        q = pass.apply(rows, q_map);
        drop(normed);
    }
    if let Some(smoothing) = &shape.smoothing {
        for x in [&mut k, &mut v] {
            pass.vector(smoothing.taps * x.len / rows);
            let out = pass.floats(x.len);
            pass.works(Work::Convolve, smoothing.taps * x.len);
            *x = out;
        }
    }
    if let Some(norm) = &shape.qk_norm {
        pass.head_norm(&norm.q, q.len);
        pass.head_norm(&norm.k, k.len);
    }
    let heads = shape.heads + shape.kv_heads;
    for rope in shape.rope.iter().chain(&shape.second_rope) {
        pass.works(Work::Rope, rows * heads * rope.dim);
    }
    if shape.v_scale != 1.0 {
        pass.works(Work::Add, v.len);
    }
    shape.sinks.iter().for_each(|sinks| pass.vector(sinks.elements()));
    shape.bias.iter().for_each(|bias| relative_bias(pass, bias));
    pass.works(Work::Cache, k.len + v.len);
    let mixed = pass.floats(rows * shape.heads * shape.v_dim);
    let layout = KvLayout {
        kv_heads: shape.kv_heads,
        k_dim: shape.qk_dim,
        v_dim: shape.v_dim,
        latent: false,
        element: pass.shape.element,
    };
    pass.kept.set(Some(layout));
    let chosen = shape.blocks.and_then(|blocks| chosen_of_blocks(pass, &blocks, shape));
    let (heads, window) = (shape.heads, shape.window);
    attend(pass, Attended { layout, heads, window, chosen });
    if let Some(gate) = &shape.gate {
        gated(pass, gate, heads, mixed.len);
    }
    let o = pass.map(&shape.o, Role::Linear);
    let out = pass.apply(rows, o);
    drop((q, k, v, mixed));
    out
}

/// Positions that a row chooses by blocks, where it chooses.
fn chosen_of_blocks(pass: &Pass, blocks: &Blocks, shape: &Softmax) -> Option<usize> {
    let reached = pass.shape.position + pass.shape.rows;
    if reached < blocks.reached {
        return None;
    }
    let keys = reached / blocks.stride;
    let Softmax { heads, kv_heads, qk_dim: dim, .. } = *shape;
    pass.does(Operation::BlockChoice { heads, kv_heads, dim, keys });
    Some(blocks.active * blocks.positions)
}

/// Layers may share one.
fn relative_bias(pass: &Pass, bias: &RelativeBias) {
    let (heads, relations) = (bias.table.shape[1], bias.table.shape[0] - bias.buckets);
    if pass.is_first(&bias.table) {
        pass.vector(heads * (2 * bias.distance_max + 1 + relations));
    }
}

fn reuse(pass: &Pass, shape: &Reuse) -> Lent {
    let rows = pass.rows();
    let q_map = pass.map(&shape.q, Role::Linear);
    let q = pass.apply(rows, q_map);
    if let Some(rope) = &shape.rope {
        pass.works(Work::Rope, rows * shape.heads * rope.dim);
    }
    shape.q_norm.iter().for_each(|norm| pass.head_norm(norm, q.len));
    let mixed = pass.floats(rows * shape.heads * shape.v_dim);
    let layout = pass.kept.get().expect("a mixer before it keeps keys and values");
    attend(pass, Attended { layout, heads: shape.heads, window: None, chosen: None });
    let o = pass.map(&shape.o, Role::Linear);
    let out = pass.apply(rows, o);
    drop((q, mixed));
    out
}

fn latent(pass: &Pass, shape: &Latent) -> Lent {
    let (rows, width) = (pass.rows(), shape.rank + shape.rope_dim);
    let before = shape.nope_dim + shape.rope_dim;
    let (q, low) = queries(pass, &shape.query);
    let kv_down = pass.map(&shape.kv_down, Role::Linear);
    let kv = pass.apply(rows, kv_down);
    pass.head_norm(&shape.kv_norm, rows * shape.rank);
    shape.rope_norm.iter().for_each(|norm| pass.head_norm(norm, rows * shape.rope_dim));
    if shape.rope.is_some() {
        pass.works(Work::Rope, rows * (shape.heads + 1) * shape.rope_dim);
    }
    let chosen = shape.choice.as_ref().and_then(|choice| chosen(pass, choice));
    pass.works(Work::Cache, kv.len);
    let k_up = pass.matrices(&shape.k_up, Role::Linear, shape.heads);
    let q = absorb(pass, k_up, q, before, width);
    let mixed = pass.floats(rows * shape.heads * shape.rank);
    let layout = KvLayout {
        kv_heads: 1,
        k_dim: width,
        v_dim: shape.rank,
        latent: true,
        element: pass.shape.element,
    };
    attend(pass, Attended { layout, heads: shape.heads, window: shape.window, chosen });
    let v_up = pass.matrices(&shape.v_up, Role::Linear, shape.heads);
    let values = per_head(pass, v_up);
    let joined = pass.floats(rows * shape.heads * shape.v_dim);
    pass.works(Work::Permute, joined.len);
    if let Some(gate) = &shape.gate {
        gated(pass, gate, shape.heads, joined.len);
    }
    let o = pass.map(&shape.o, Role::Linear);
    let out = pass.apply(rows, o);
    drop((joined, values, mixed, q, kv, low));
    out
}

/// Every head's query, and what they come from.
fn queries(pass: &Pass, query: &Query) -> (Lent, Option<Lent>) {
    let rows = pass.rows();
    match query {
        Query::Direct(map) => (pass.apply(rows, pass.map(map, Role::Linear)), None),
        Query::LowRank { down, norm, up } => {
            let down = pass.apply(rows, pass.map(down, Role::Linear));
            let low = pass.norm(norm, down.len);
            drop(down);
            (pass.apply(rows, pass.map(up, Role::Linear)), Some(low))
        }
    }
}

/// Queries in the latent's space.
fn absorb(pass: &Pass, k_up: Matrices, q: Lent, before: usize, width: usize) -> Lent {
    let latents = per_head(pass, k_up);
    let absorbed = pass.floats(q.len / before * width);
    pass.works(Work::Permute, absorbed.len);
    drop((latents, q));
    absorbed
}

/// Each head's own map of its part of all rows.
fn per_head(pass: &Pass, maps: Matrices) -> Lent {
    let (rows, heads) = (pass.rows(), maps.count);
    let by_head = pass.floats(rows * heads * maps.columns);
    pass.works(Work::Permute, by_head.len);
    let inputs = pass.inputs(by_head.len, [maps.format]);
    let numbers_of_rows = pass.scratch.passing(heads * rows);
    let y = pass.floats(heads * rows * maps.rows);
    pass.products(vec![Product::of(maps, rows)]);
    drop((numbers_of_rows, inputs, by_head));
    y
}

/// Positions that each row chooses at most.
fn chosen(pass: &Pass, choice: &Choice) -> Option<usize> {
    if let Choice::Indexed(indexer) = choice {
        indexed(pass, indexer);
        pass.chosen.set(Some(indexer.active));
    }
    pass.chosen.get()
}

fn indexed(pass: &Pass, shape: &Indexer) {
    let rows = pass.rows();
    let q = pass.apply(rows, pass.map(&shape.q, Role::Linear));
    let maps = [pass.map(&shape.k, Role::Linear), pass.map(&shape.weights, Role::Router)];
    let given = pass.apply_all(rows, &maps);
    let k = pass.norm(&shape.k_norm, rows * shape.dim);
    if let Some(rope) = &shape.rope {
        pass.works(Work::Rope, rows * (shape.heads + 1) * rope.dim);
    }
    pass.works(Work::Cache, k.len);
    let keys = pass.shape.position + pass.shape.rows;
    // A bit for each position, and the scores of those that are being sorted.
    let words = pass.scratch.passing(2 * rows * keys.div_ceil(PAGE));
    let scores = pass.scratch.passing(2 * keys * pass.shape.threads);
    let mut rounded = None;
    if keys > shape.active {
        // Queries in 8 bits, with a weight each.
        let numbers = rows * shape.heads * (shape.dim.div_ceil(4) + 1);
        rounded = (pass.shape.element != KvElement::F32).then(|| pass.scratch.passing(numbers));
        pass.does(Operation::Choice { heads: shape.heads, dim: shape.dim, keys });
    }
    drop((rounded, scores, words, k, given, q));
}

/// What heads give, times a gate.
pub(super) fn gated(pass: &Pass, gate: &Linear, heads: usize, numbers: usize) {
    let gates = pass.apply(pass.rows(), by_head(pass, gate, heads));
    pass.works(Work::Activate, gates.len);
    pass.works(Work::Add, numbers);
}

/// A map to one number for each of `heads`, or to more.
pub(super) fn by_head(pass: &Pass, map: &Linear, heads: usize) -> Map {
    let role = if map.outputs() == heads { Role::Router } else { Role::Linear };
    pass.map(map, role)
}

/// Attention, and what threads keep for it.
fn attend(pass: &Pass, attended: Attended) {
    let Attended { layout, heads, .. } = attended;
    let group = heads / layout.kv_heads.max(1);
    let rows = (group * pass.rows()).min(rows_together(layout.v_dim));
    pass.keep_for_threads(kept_by_thread(&layout, rows, attended.chosen.is_some()));
    pass.does(Operation::Attention(attended));
}

/// Rows of a table that is read token by token.
pub(super) fn table(pass: &Pass, table: &Tensor, role: Role) -> Matrices {
    pass.matrices(table, role, 1)
}
