//! A mixture of experts with its weights: each active expert's weights are read once a batch, those
//! of the FFN that every token meets in the same regions.

mod ahead;
mod plan;
mod within;

pub(crate) use ahead::{Ahead, Following};
pub(crate) use within::Within;

use crate::ffn::Gating;
use crate::ffn::dense::Dense;
use crate::linear::{Linear, apply_all};
use baimo_blueprint::Router;
use baimo_kernels::matmul::{Activations, Gate, Matrix, Product, products};
use baimo_kernels::{Floats, Kernels};
use plan::{Choice, Met, Plan};

/// A mixture of experts; see [`baimo_blueprint::Experts`].
pub struct Experts {
    pub(crate) active: usize,
    pub(crate) gating: Gating,
    pub(crate) router: Router,
    pub(crate) inner: Option<Linear>,
    pub(crate) logits: Linear,
    pub(crate) bias: Option<Vec<f32>>,
    /// On the weight of each expert.
    pub(crate) factors: Option<Vec<f32>>,
    /// Per expert `[width, hidden]`.
    pub(crate) gate: Vec<Matrix>,
    /// Per expert `[width, hidden]`.
    pub(crate) up: Vec<Matrix>,
    /// Per expert `[hidden, width]`.
    pub(crate) down: Vec<Matrix>,
    pub(crate) shared: Option<Shared>,
    pub(crate) within: Within,
}

/// The FFN that every token meets besides.
pub struct Shared {
    pub(crate) dense: Dense,
    pub(crate) gate: Option<Linear>,
}

impl Experts {
    /// The output for the normed rows `x`; see [`Ahead`].
    pub(crate) fn forward(&self, kernels: &Kernels, x: &[f32], ahead: Option<&Ahead>) -> Floats {
        let hidden = self.down[0].rows();
        let (logits, gates) = self.logits(kernels, x);
        let plan = Plan::new(kernels, self, &logits);
        let (outputs, common) = match self.within.cache.get() {
            None => self.meet(kernels, x, &plan),
            Some(cache) => (self.meet_in_rounds(kernels, x, &plan, cache, ahead), None),
        };
        let common =
            common.or_else(|| self.shared.as_ref().map(|shared| shared.dense.forward(kernels, x)));
        let mut out = common.unwrap_or_else(|| kernels.zeros(x.len()));
        kernels.pool.run_rows(&mut out, hidden, &|first, rows| {
            for (row, out) in (first..).zip(rows.chunks_exact_mut(hidden)) {
                let gate = gates.as_ref().map_or(1.0, |gates| 1.0 / (1.0 + (-gates[row]).exp()));
                mix(plan.of(row), &x[row * hidden..][..hidden], &outputs, gate, out);
            }
        });
        out
    }

    /// Every expert's output for its tokens, and the shared FFN's where it is computed beside them.
    fn meet(&self, kernels: &Kernels, x: &[f32], plan: &Plan) -> (Floats, Option<Floats>) {
        let (inner, common) = self.up(kernels, x, plan);
        self.down(kernels, plan, &inner, common.as_deref())
    }

    /// Of each row, a number for each expert, and that of the shared FFN's gate.
    fn logits(&self, kernels: &Kernels, x: &[f32]) -> (Floats, Option<Floats>) {
        let shared = self.shared.as_ref().and_then(|shared| shared.gate.as_ref());
        let Some(inner) = &self.inner else {
            let Some(shared) = shared else { return (self.logits.apply(kernels, x), None) };
            let [logits, gates] = apply_all(kernels, x, [&self.logits, shared]);
            return (logits, Some(gates));
        };
        let mut inner = inner.apply(kernels, x);
        inner.iter_mut().for_each(|inner| *inner = inner.tanh());
        let gates = shared.map(|shared| shared.apply(kernels, x));
        (self.logits.apply(kernels, &inner), gates)
    }

    /// The shared FFN, where its products can be computed beside those of the experts.
    fn beside(&self) -> Option<(&Dense, Gate<'_>)> {
        let dense = &self.shared.as_ref()?.dense;
        let gate = dense.gate().filter(|_| dense.down.bias.is_none())?;
        Some((dense, gate))
    }

    /// What stands between the maps: for each expert of its tokens, `[places, width]`, and of the
    /// shared FFN for all, where it is computed beside them.
    fn up(&self, kernels: &Kernels, x: &[f32], plan: &Plan) -> (Floats, Option<Floats>) {
        let [gate, up] = [&self.gate[0], &self.up[0]];
        let (width, hidden) = (up.rows(), up.columns());
        let beside = self.beside().filter(|_| plan.is_whole());
        let common = beside.map(|(dense, _)| &dense.up.weight);
        let input = Activations::new(kernels, x, hidden, [gate, up].into_iter().chain(common));
        let mut shared = common.map(|up| kernels.floats(input.rows() * up.rows()));
        let mut list = Vec::with_capacity(2 * self.gate.len() + 1);
        if let (Some((dense, gate)), Some(output)) = (beside, &mut shared) {
            let (weights, gate) = (&dense.up.weight, Some(gate));
            list.push(Product { weights, gate, input: &input, input_rows: None, output });
        }
        let mut inner = places(kernels, plan, width);
        if let Some(gate) = self.gating.gate(gate, up) {
            let gate = |expert: usize| Some(Gate { weights: &self.gate[expert], ..gate });
            let groups = plan.groups(width, &mut inner);
            list.extend(groups.map(|(group, output)| Product {
                weights: &self.up[group.expert],
                gate: gate(group.expert),
                input: &input,
                input_rows: Some(group.rows),
                output,
            }));
            products(kernels, &mut list);
            drop(list);
            return (inner, shared);
        }
        let mut gates = places(kernels, plan, width);
        for (maps, output) in [(&self.gate, &mut gates), (&self.up, &mut inner)] {
            list.extend(plan.groups(width, output).map(|(group, output)| Product {
                weights: &maps[group.expert],
                gate: None,
                input: &input,
                input_rows: Some(group.rows),
                output,
            }));
        }
        products(kernels, &mut list);
        drop(list);
        (self.gating.apply(kernels, gates, inner), shared)
    }

    /// Every expert's output for its tokens, `[places, hidden]`, and the shared FFN's for all, if
    /// `common` is what stands between its maps.
    fn down(
        &self,
        kernels: &Kernels,
        plan: &Plan,
        inner: &[f32],
        common: Option<&[f32]>,
    ) -> (Floats, Option<Floats>) {
        let (width, hidden) = (self.down[0].columns(), self.down[0].rows());
        let room = plan.places_max();
        let input = Activations::with_room(kernels, inner, room, width, [&self.down[0]]);
        let dense = self.beside().map(|(dense, _)| &dense.down.weight);
        let given = dense.zip(common).map(|(weights, common)| {
            (weights, Activations::new(kernels, common, weights.columns(), [weights]))
        });
        let mut shared = given.as_ref().map(|(_, input)| kernels.floats(input.rows() * hidden));
        let mut outputs = places(kernels, plan, hidden);
        let mut list = Vec::with_capacity(self.down.len() + 1);
        if let (Some((weights, input)), Some(output)) = (&given, &mut shared) {
            list.push(Product { weights, gate: None, input, input_rows: None, output });
        }
        list.extend(plan.groups(hidden, &mut outputs).map(|(group, output)| Product {
            weights: &self.down[group.expert],
            gate: None,
            input: &input,
            input_rows: Some(group.places),
            output,
        }));
        products(kernels, &mut list);
        drop(list);
        (outputs, shared)
    }
}

/// `[places, width]` numbers, in memory for as many places as there could be.
fn places(kernels: &Kernels, plan: &Plan, width: usize) -> Floats {
    let mut floats = kernels.floats(plan.places_max() * width);
    floats.shorten(plan.places() * width);
    floats
}

/// Columns that are summed at once, in registers.
const BLOCK: usize = 32;

/// `out = gate * out + the weighted sum of what the token's experts give`.
fn mix(choices: &[Choice], x: &[f32], outputs: &[f32], gate: f32, out: &mut [f32]) {
    let hidden = x.len();
    for (index, out) in out.chunks_mut(BLOCK).enumerate() {
        let mut sums = [0.0; BLOCK];
        for choice in choices {
            let given = match choice.met {
                Met::Expert(place) => &outputs[place as usize * hidden..][..hidden],
                Met::Itself => x,
                Met::Nobody => continue,
            };
            let given = &given[index * BLOCK..][..out.len()];
            sums.iter_mut().zip(given).for_each(|(sum, y)| *sum += choice.weight * y);
        }
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out = *out * gate + sum);
    }
}

#[cfg(test)]
mod tests;
