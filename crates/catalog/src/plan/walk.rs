//! One pass over a Blueprint, block by block as `model::decoder` runs it.

use super::ffn;
use super::mixers;
use super::packing::{Formats, Packing};
use super::pass::{Map, Pass};
use super::scratch::{Lent, Scratch};
use super::tape::{Matrices, Part, Shape, Tape, Work};
use baimo_blueprint::{Block, Blueprint, Residual, Skip, Sublayer};
use baimo_weights::Role;
use std::cell::{Cell, RefCell};

/// What a pass of that shape does; `scratch` keeps what passes before it have left.
pub(super) fn walk(
    blueprint: &Blueprint,
    packing: &Packing,
    shape: Shape,
    scratch: &Scratch,
) -> Tape {
    let pass = Pass {
        shape,
        formats: Formats::new(packing),
        scratch: scratch.clone(),
        tape: RefCell::default(),
        part: Cell::new(Part::Embeddings),
        chosen: Cell::default(),
        kept: Cell::default(),
        shared: RefCell::default(),
    };
    decoder(&pass, blueprint);
    pass.tape.into_inner()
}

fn decoder(pass: &Pass, blueprint: &Blueprint) {
    let (rows, hidden) = (pass.rows(), blueprint.hidden);
    let angles = angles(pass, blueprint);
    let tied = blueprint.is_tied();
    let role = if tied { Role::Output } else { Role::Embedding };
    let embedding = mixers::table(pass, &blueprint.embedding, role);
    let x = pass.floats(rows * hidden);
    pass.works(Work::Lookup, rows * hidden);
    for table in blueprint.ngrams.iter().flat_map(|ngrams| &ngrams.tables) {
        let map = pass.map(&table.map, Role::Linear);
        let columns = mixers::table(pass, &table.table, Role::Embedding).columns;
        let found = pass.scratch.passing(rows * columns);
        pass.works(Work::Lookup, found.len);
        let mapped = pass.apply(rows, map);
        pass.works(Work::Add, mapped.len);
    }
    for lookup in &blueprint.lookups {
        mixers::table(pass, &lookup.table, Role::Embedding);
        let found = pass.scratch.passing(x.len);
        pass.works(Work::Lookup, found.len);
        pass.works(Work::Add, found.len);
    }
    if blueprint.embedding_scale != 1.0 {
        pass.works(Work::Copy, x.len);
    }
    for layer in &blueprint.layers {
        let mut later = Vec::new();
        layer.sublayers.iter().for_each(|part| sublayer(pass, part, x.len, &mut later));
        later.iter().for_each(|output| pass.works(Work::Add, output.len));
    }
    head(pass, blueprint, embedding);
    drop((x, angles));
}

/// Cosines and sines of each different rotation.
fn angles(pass: &Pass, blueprint: &Blueprint) -> Vec<Lent> {
    let mut ropes = Vec::new();
    for rope in blueprint.layers.iter().flat_map(|layer| layer.mixers()).flat_map(|m| m.ropes()) {
        if !ropes.contains(&rope) {
            ropes.push(rope);
        }
    }
    let of = |dim: usize| {
        pass.works(Work::Angles, pass.rows() * dim);
        // Two vectors that double as they grow.
        pass.scratch.passing(2 * (pass.rows() * dim / 2).next_power_of_two())
    };
    ropes.into_iter().map(|rope| of(rope.dim)).collect()
}

fn head(pass: &Pass, blueprint: &Blueprint, embedding: Matrices) {
    pass.part.set(Part::Head);
    let wanted = pass.shape.wanted;
    let map = match blueprint.is_tied() {
        true => Map { matrices: embedding, biased: false },
        false => pass.map(&blueprint.head, Role::Output),
    };
    if wanted == 0 {
        return pass.norm_weights(&blueprint.norm);
    }
    let rows = pass.scratch.passing(wanted * blueprint.hidden);
    let normed = pass.norm(&blueprint.norm, wanted * blueprint.hidden);
    drop(rows);
    let logits = pass.apply(wanted, map);
    drop((normed, logits));
}

fn sublayer(pass: &Pass, sublayer: &Sublayer, numbers: usize, later: &mut Vec<Lent>) {
    let Residual { before, after, skip, skip_scale, scale: _, sum } = &sublayer.residual;
    let normed = before.as_ref().map(|norm| pass.norm(norm, numbers));
    let mut output = match &sublayer.block {
        Block::Mixer(mixer) => mixers::mixer(pass, mixer),
        Block::Ffn(ffn) => ffn::ffn(pass, ffn),
        Block::Shortcut(shortcut) => {
            later.push(ffn::ffn(pass, &shortcut.later));
            ffn::ffn(pass, &shortcut.ffn)
        }
    };
    if let Some(after) = after {
        output = pass.norm(after, output.len);
    }
    match skip {
        Skip::Normed => pass.works(Work::Copy, numbers),
        Skip::Stream => (),
    }
    if *skip_scale != 1.0 {
        pass.works(Work::Add, numbers);
    }
    pass.works(Work::Add, numbers);
    if let Some(sum) = sum {
        let sum = pass.norm(sum, numbers);
        pass.works(Work::Copy, sum.len);
    }
    drop((output, normed));
}
