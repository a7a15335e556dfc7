//! A mixture of experts with its weights: each active expert's weights are read once a batch.

use crate::ffn::Gating;
use crate::ffn::dense::Dense;
use crate::ffn::router::choose;
use crate::linear::Linear;
use baimo_blueprint::Router;
use baimo_kernels::matmul::{Activations, Matrix, Product, products};
use baimo_kernels::{Floats, Kernels};

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
}

/// The FFN that every token meets besides.
pub struct Shared {
    pub(crate) dense: Dense,
    pub(crate) gate: Option<Linear>,
}

/// The tokens of one expert: a run of the places in the grouped order.
struct Group<'a> {
    expert: usize,
    rows: &'a [u32],
    places: &'a [u32],
}

impl Experts {
    pub(crate) fn forward(&self, kernels: &Kernels, x: &[f32]) -> Floats {
        let hidden = self.down[0].rows();
        let choices: Vec<Vec<(usize, f32)>> = self
            .logits(kernels, x)
            .chunks_exact(self.logits.weight.rows())
            .map(|logits| self.choose(logits))
            .collect();
        let mut by_expert: Vec<Vec<u32>> = vec![Vec::new(); self.gate.len()];
        for (row, choice) in choices.iter().enumerate() {
            let experts = choice.iter().filter(|(expert, _)| *expert < self.gate.len());
            experts.for_each(|&(expert, _)| by_expert[expert].push(row as u32));
        }
        let rows: Vec<u32> = by_expert.concat();
        let places: Vec<u32> = (0..rows.len() as u32).collect();
        let (mut groups, mut first) = (Vec::new(), 0);
        for (expert, tokens) in by_expert.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let run = first..first + tokens.len();
            first = run.end;
            groups.push(Group { expert, rows: &rows[run.clone()], places: &places[run] });
        }
        let outputs = self.meet(kernels, x, hidden, &groups);
        let mut next: Vec<usize> = starts(&by_expert);
        let mut out = match &self.shared {
            Some(shared) => shared.forward(kernels, x),
            None => kernels.zeros(x.len()),
        };
        let mut mixed = vec![0.0; hidden];
        let rows = x.chunks_exact(hidden).zip(&choices);
        for (out, (x, choice)) in out.chunks_exact_mut(hidden).zip(rows) {
            mixed.fill(0.0);
            for &(expert, weight) in choice {
                // Choices beyond the experts give the token back.
                let output = match next.get_mut(expert) {
                    None => x,
                    Some(next) => {
                        *next += 1;
                        &outputs[(*next - 1) * hidden..][..hidden]
                    }
                };
                mixed.iter_mut().zip(output).for_each(|(mixed, y)| *mixed += weight * y);
            }
            out.iter_mut().zip(&mixed).for_each(|(out, mixed)| *out += mixed);
        }
        out
    }

    /// Of each row, a number for each expert.
    fn logits(&self, kernels: &Kernels, x: &[f32]) -> Floats {
        let Some(inner) = &self.inner else { return self.logits.apply(kernels, x) };
        let mut inner = inner.apply(kernels, x);
        inner.iter_mut().for_each(|inner| *inner = inner.tanh());
        self.logits.apply(kernels, &inner)
    }

    /// The experts of one token with their weights.
    fn choose(&self, logits: &[f32]) -> Vec<(usize, f32)> {
        let mut chosen = choose(&self.router, logits, self.bias.as_deref(), self.active);
        if let Some(factors) = &self.factors {
            chosen.iter_mut().for_each(|(expert, weight)| *weight *= factors[*expert]);
        }
        chosen
    }

    /// Every expert's output for its tokens, in the grouped order: `[places, hidden]`.
    fn meet(&self, kernels: &Kernels, x: &[f32], hidden: usize, groups: &[Group]) -> Floats {
        let width = self.gate[0].rows();
        let total = groups.iter().map(|group| group.rows.len()).sum::<usize>();
        let (mut gate, mut up) = (kernels.floats(total * width), kernels.floats(total * width));
        let weights = self.gate.iter().take(1).chain(self.up.iter().take(1));
        let input = Activations::new(kernels, x, hidden, weights);
        let mut list = Vec::with_capacity(2 * groups.len());
        for (maps, output) in [(&self.gate, &mut gate), (&self.up, &mut up)] {
            let mut rest = &mut output[..];
            for group in groups {
                let (part, others) = rest.split_at_mut(group.rows.len() * width);
                rest = others;
                list.push(Product {
                    weights: &maps[group.expert],
                    gate: None,
                    input: &input,
                    input_rows: Some(group.rows),
                    output: part,
                });
            }
        }
        products(kernels, &mut list);
        drop(list);
        let inner = self.gating.apply(kernels, gate, up);
        let input = Activations::new(kernels, &inner, width, self.down.iter().take(1));
        let mut outputs = kernels.floats(total * hidden);
        let mut rest = &mut outputs[..];
        let mut list = Vec::with_capacity(groups.len());
        for group in groups {
            let (part, others) = rest.split_at_mut(group.places.len() * hidden);
            rest = others;
            list.push(Product {
                weights: &self.down[group.expert],
                gate: None,
                input: &input,
                input_rows: Some(group.places),
                output: part,
            });
        }
        products(kernels, &mut list);
        drop(list);
        outputs
    }
}

/// Where each expert's run begins in the grouped order.
fn starts(by_expert: &[Vec<u32>]) -> Vec<usize> {
    by_expert
        .iter()
        .scan(0, |next, rows| {
            let start = *next;
            *next += rows.len();
            Some(start)
        })
        .collect()
}

impl Shared {
    fn forward(&self, kernels: &Kernels, x: &[f32]) -> Floats {
        let mut out = self.dense.forward(kernels, x);
        if let Some(gate) = &self.gate {
            let gates = gate.apply(kernels, x);
            let hidden = out.len() / gates.len();
            for (row, gate) in out.chunks_exact_mut(hidden).zip(&*gates) {
                let gate = 1.0 / (1.0 + (-gate).exp());
                row.iter_mut().for_each(|y| *y *= gate);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests;
