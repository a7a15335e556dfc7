//! Mixers with a state of fixed size, as `model::mixer::recurrent` runs them.

use super::mixers::by_head;
use super::pass::{Map, Pass};
use super::scratch::Lent;
use super::tape::{Operation, Work};
use baimo_blueprint::{Curve, Decay, GateOrder, Norm, Projection, Recurrent, Stream, Write};
use baimo_weights::Role;

pub(super) fn recurrent(pass: &Pass, shape: &Recurrent) -> Lent {
    let (rows, inner) = (pass.rows(), shape.heads * shape.v_dim);
    let mut maps: Vec<Map> =
        shape.streams().map(|stream| pass.map(&stream.map, Role::Linear)).to_vec();
    let (gate, gate_up) = projection(pass, &shape.norm.gate, shape.heads);
    maps.push(gate);
    let delta = match &shape.write {
        Write::Value | Write::Step => None,
        Write::Delta(map) => Some(by_head(pass, map, shape.heads)),
    };
    maps.extend(delta);
    let decay = match &shape.decay {
        Decay::Fixed(_) => None,
        Decay::Learned { map, bias, .. } => {
            pass.vector(bias.elements());
            pass.vector(map.outputs());
            Some(projection(pass, map, shape.heads))
        }
    };
    maps.extend(decay.map(|(first, _)| first));
    let mut given = pass.apply_all(rows, &maps).into_iter();
    let mut next = || given.next().expect("an output for each map");
    let [q, k, v, gate] = [next(), next(), next(), next()];
    let rates = delta.map(|_| next());
    rates.iter().for_each(|rates| pass.works(Work::Activate, rates.len));
    let factors = decay.map(|(_, up)| factors(pass, shape, up, next()));
    let streams = shape.streams().into_iter().zip([q, k, v]);
    let [q, k, v] = streams
        .map(|(stream, x)| follow(pass, stream, x))
        .collect::<Vec<_>>()
        .try_into()
        .expect("three streams");
    if shape.unit_eps.is_some() {
        pass.vector(shape.k_dim);
        pass.works(Work::HeadNorm, q.len + k.len);
    }
    if let Some(turned) = &shape.turned {
        for (norm, x) in [(&turned.q_norm, &q), (&turned.k_norm, &k)] {
            norm.iter().for_each(|norm| pass.head_norm(norm, x.len));
            pass.works(Work::Rope, rows * shape.key_heads * turned.rope.dim);
        }
    }
    shape.skip.iter().for_each(|skip| pass.vector(skip.elements()));
    let read = pass.floats(v.len);
    pass.does(Operation::Recurrence {
        heads: shape.heads,
        k_dim: shape.k_dim,
        v_dim: shape.v_dim,
        delta: delta.is_some(),
        by_channel: decay.is_some_and(|(first, up)| {
            up.unwrap_or(first).matrices.rows == shape.heads * shape.k_dim && shape.k_dim > 1
        }),
    });
    let gate = match gate_up {
        None => gate,
        Some(up) => pass.apply(rows, up),
    };
    let read = gated_norm(pass, &shape.norm.norm, shape.norm.order, read, rows * inner);
    let o = pass.map(&shape.o, Role::Linear);
    let out = pass.apply(rows, o);
    drop((read, gate, v, k, q, factors, rates));
    out
}

/// The first map of a projection, and the second where there are two.
fn projection(pass: &Pass, projection: &Projection, heads: usize) -> (Map, Option<Map>) {
    match projection {
        Projection::Direct(map) => (by_head(pass, map, heads), None),
        Projection::LowRank { down, up } => {
            (pass.map(down, Role::Linear), Some(pass.map(up, Role::Linear)))
        }
    }
}

/// Decays from what their first map gave.
fn factors(pass: &Pass, shape: &Recurrent, up: Option<Map>, first: Lent) -> [Option<Lent>; 2] {
    let factors = match up {
        None => first,
        Some(up) => pass.apply(pass.rows(), up),
    };
    let copied = (shape.write == Write::Step).then(|| pass.floats(factors.len));
    pass.works(Work::Decay, factors.len);
    [Some(factors), copied]
}

/// What follows a stream's map.
fn follow(pass: &Pass, stream: &Stream, mut x: Lent) -> Lent {
    if let Some(convolution) = &stream.convolution {
        pass.vector(convolution.weight.elements());
        convolution.bias.iter().for_each(|bias| pass.vector(bias.elements()));
        let out = pass.floats(x.len);
        pass.works(Work::Convolve, convolution.taps * x.len);
        x = out;
    }
    match stream.curve {
        Curve::Identity => (),
        Curve::Silu | Curve::Sigmoid => pass.works(Work::Activate, x.len),
    }
    x
}

fn gated_norm(pass: &Pass, norm: &Norm, order: GateOrder, read: Lent, numbers: usize) -> Lent {
    pass.norm_weights(norm);
    let out = pass.floats(numbers);
    for work in match order {
        GateOrder::NormFirst => [Work::HeadNorm, Work::Gate],
        GateOrder::GateFirst => [Work::Gate, Work::HeadNorm],
    } {
        pass.works(work, numbers);
    }
    drop(read);
    out
}
