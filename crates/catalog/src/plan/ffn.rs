//! FFNs, as `model::ffn` runs them.

use super::pass::{Map, Pass};
use super::scratch::Lent;
use super::tape::{Part, Product, Work};
use baimo_blueprint::{Dense, Experts, Ffn, Linear};
use baimo_weights::Role;

/// The FFN's output.
pub(super) fn ffn(pass: &Pass, ffn: &Ffn) -> Lent {
    let rows = pass.rows();
    match ffn {
        Ffn::Dense(shape) => pass.within(Part::Ffn, || dense(pass, &DenseMaps::of(pass, shape))),
        Ffn::Plain(plain) => pass.within(Part::Ffn, || {
            let inner = pass.apply(rows, pass.map(&plain.up, Role::Linear));
            pass.works(Work::Activate, inner.len);
            pass.apply(rows, pass.map(&plain.down, Role::Linear))
        }),
        Ffn::Experts(shape) => experts(pass, shape),
    }
}

/// A gated FFN's maps.
struct DenseMaps {
    gate: Map,
    up: Map,
    down: Map,
    /// Whether the gate is a part of the product.
    joined: bool,
}

impl DenseMaps {
    fn of(pass: &Pass, dense: &Dense) -> DenseMaps {
        let map = |linear: &Linear| pass.map(linear, Role::Linear);
        let (gate, up, down) = (map(&dense.gate), map(&dense.up), map(&dense.down));
        let same = gate.matrices.format == up.matrices.format;
        let joined = dense.clamp.is_none() && same && !gate.biased && !up.biased;
        DenseMaps { gate, up, down, joined }
    }

    fn up(&self, rows: usize) -> Product {
        Product { gated: true, ..Product::of(self.up.matrices, rows) }
    }
}

fn dense(pass: &Pass, maps: &DenseMaps) -> Lent {
    let (rows, up) = (pass.rows(), maps.up.matrices);
    let inner = match maps.joined {
        true => {
            let _inputs = pass.inputs(rows * up.columns, [up.format]);
            let output = pass.floats(rows * up.rows);
            pass.products(vec![maps.up(rows)]);
            output
        }
        false => {
            let both = pass.apply_all(rows, &[maps.gate, maps.up]);
            let inner = pass.floats(rows * up.rows);
            pass.works(Work::Gate, inner.len);
            drop(both);
            inner
        }
    };
    let out = pass.apply(rows, maps.down);
    drop(inner);
    out
}

fn experts(pass: &Pass, shape: &Experts) -> Lent {
    let rows = pass.rows();
    let [gate, up, down] = pass.within(Part::Experts, || {
        [&shape.gate, &shape.up, &shape.down]
            .map(|tensor| pass.matrices(tensor, Role::Linear, tensor.shape[0]))
    });
    let shared = shape
        .shared
        .as_ref()
        .map(|shared| pass.within(Part::Ffn, || DenseMaps::of(pass, &shared.dense)));
    let gates = route(pass, shape);
    // Of so many choices, some fall on what gives the token back.
    let of_experts = shape.count as f64 / (shape.count + shape.identities) as f64;
    let places = (rows * shape.active) as f64 * of_experts;
    let met = met(shape.count, shape.active as f64 * of_experts, rows);
    let product = |matrices| Product { matrices, met, height: places / met, gated: false };
    // What stands between is lent for as many places as there could be.
    let slots = rows * shape.active;
    let beside = shared.as_ref().filter(|maps| maps.joined && !maps.down.biased);
    let formats = [gate.format, up.format].into_iter();
    let formats = formats.chain(beside.map(|maps| maps.up.matrices.format));
    let inputs = pass.inputs(rows * up.columns, formats);
    let common = beside.map(|maps| pass.floats(rows * maps.up.matrices.rows));
    let mut inner = pass.floats(slots * up.rows);
    let joined = shape.clamp.is_none() && gate.format == up.format;
    let mut list: Vec<Product> = beside.map(|maps| maps.up(rows)).into_iter().collect();
    if joined {
        list.push(Product { gated: true, ..product(up) });
        pass.products(list);
    } else {
        let given = pass.floats(slots * up.rows);
        list.extend([product(gate), product(up)]);
        pass.products(list);
        let activated = pass.floats(slots * up.rows);
        pass.works(Work::Gate, inner.len);
        drop(given);
        inner = activated;
    }
    drop(inputs);
    let inputs = pass.inputs(inner.len, [down.format]);
    let common_inputs = beside
        .zip(common.as_ref())
        .map(|(maps, common)| pass.inputs(common.len, [maps.down.matrices.format]));
    let shared_out = beside.map(|maps| pass.floats(rows * maps.down.matrices.rows));
    let outputs = pass.floats(slots * down.rows);
    let mut list = vec![product(down)];
    list.extend(beside.map(|maps| Product::of(maps.down.matrices, rows)));
    pass.products(list);
    drop((common_inputs, inputs, inner, common));
    let apart = shared.as_ref().filter(|_| beside.is_none()).map(|maps| dense(pass, maps));
    let out = apart.or(shared_out).unwrap_or_else(|| pass.floats(rows * down.rows));
    pass.works(Work::Mix, (shape.active + 1) * out.len);
    drop((outputs, gates));
    out
}

/// How many of `count` experts meet any of `rows` rows that meet `active` each, all alike likely.
fn met(count: usize, active: f64, rows: usize) -> f64 {
    let missed = (1.0 - active / count as f64).powf(rows as f64);
    (count as f64 * (1.0 - missed)).max(1.0)
}

/// The router's logits and gates.
fn route(pass: &Pass, shape: &Experts) -> Vec<Lent> {
    let rows = pass.rows();
    pass.within(Part::Routers, || {
        let router = &shape.router;
        for vector in router.bias.iter().chain(&shape.factors) {
            pass.vector(vector.elements());
        }
        let shared = shape.shared.as_ref().and_then(|shared| shared.gate.as_ref());
        let gate = shared.map(|gate| pass.map(gate, Role::Router));
        let logits = pass.map(&router.logits, Role::Router);
        let given = match &router.inner {
            None => pass
                .apply_all(rows, &[Some(logits), gate].into_iter().flatten().collect::<Vec<_>>()),
            Some(inner) => {
                let inner = pass.apply(rows, pass.map(inner, Role::Router));
                pass.works(Work::Copy, inner.len);
                let gates = gate.map(|gate| pass.apply(rows, gate));
                let logits = pass.apply(rows, logits);
                drop(inner);
                [Some(logits), gates].into_iter().flatten().collect()
            }
        };
        pass.works(Work::Route, rows * (shape.count + shape.identities));
        given
    })
}
