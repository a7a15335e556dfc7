//! How rows depend on the length of the prompt that they are a part of.

use baimo_blueprint::{Blueprint, Mixer, RopeScaling};

/// Which lengths of prompts make a difference to the rows of a model: two sequences that begin with
/// the same tokens have the same rows there, bit for bit, where their prompts are
/// [equal](Lengths::of_prompt) in this and in their [`crate::Opening`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    differences: Vec<Difference>,
}

/// What tells lengths apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    /// Whether a prompt has so many tokens or more.
    From(usize),
    /// How often this must be doubled to hold a prompt.
    Doublings(usize),
    /// Each token beyond these.
    Beyond(usize),
}

impl Lengths {
    /// Those of a model.
    pub fn of(blueprint: &Blueprint) -> Lengths {
        let mut differences: Vec<Difference> = Vec::new();
        for mixer in blueprint.layers.iter().flat_map(|layer| layer.mixers()) {
            let blocks = match mixer {
                Mixer::Softmax(mixer) => mixer.blocks,
                Mixer::Reuse(_) | Mixer::Latent(_) | Mixer::Recurrent(_) => None,
            };
            let scalings = mixer.ropes().into_iter().map(|rope| &rope.scaling);
            let met = scalings.filter_map(of_rope);
            for difference in met.chain(blocks.map(|blocks| Difference::From(blocks.reached))) {
                if !differences.contains(&difference) {
                    differences.push(difference);
                }
            }
        }
        Lengths { differences }
    }

    /// What matters of a prompt of so many tokens, the model's lead among them.
    pub fn of_prompt(&self, tokens: usize) -> Vec<usize> {
        let of = |difference: &Difference| match *difference {
            Difference::From(length) => usize::from(tokens >= length),
            Difference::Doublings(length) => tokens.div_ceil(length).max(1).next_power_of_two(),
            Difference::Beyond(length) => tokens.max(length),
        };
        self.differences.iter().map(of).collect()
    }
}

fn of_rope(scaling: &RopeScaling) -> Option<Difference> {
    match *scaling {
        RopeScaling::Long { original, .. } => Some(Difference::From(original + 1)),
        RopeScaling::Steps { original } => Some(Difference::Doublings(original)),
        RopeScaling::Dynamic { original, .. } => Some(Difference::Beyond(original)),
        RopeScaling::None
        | RopeScaling::Linear { .. }
        | RopeScaling::Divided { .. }
        | RopeScaling::Llama3 { .. }
        | RopeScaling::Yarn { .. }
        | RopeScaling::Ntk { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_told_apart_where_rows_are() {
        let dynamic = RopeScaling::Dynamic { factor: 2.0, original: 10 };
        let long =
            RopeScaling::Long { short: Vec::new(), long: Vec::new(), original: 20, attention: 1.0 };
        let scalings = [dynamic, RopeScaling::Steps { original: 10 }, long, RopeScaling::None];
        let lengths = Lengths { differences: scalings.iter().filter_map(of_rope).collect() };
        let of = |tokens| lengths.of_prompt(tokens);
        assert_eq!(of(1), of(10));
        assert_eq!(of(10), [10, 1, 0]);
        assert_eq!(of(11), [11, 2, 0]);
        assert_eq!(of(21), [21, 4, 1]);
    }
}
