//! Which tensor of a model gets which format: the mixtures that GGUF tools know by names such as
//! `q4_k_m`, so that a file is what users of those tools expect.
//!
//! Source of the rules: `src/llama-quant.cpp` of <https://github.com/ggml-org/llama.cpp>. Values,
//! the maps out of FFNs and the output are given more bits than the rest, in a part of the layers:
//! the first and last eighth and every third between.

use std::str::FromStr;

use baimo_kernels::format::Format;

use crate::names::split_layer;
use crate::tensor::{Dtype, TensorInfo};

/// A mixture of formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mixture {
    name: &'static str,
    /// What GGUF files call it (`general.file_type`).
    number: u32,
    base: Format,
    plan: Plan,
}

/// What is beyond the base format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    /// All tensors alike.
    Floats,
    /// Six bits for the output.
    Plain,
    /// Five bits in the first layers.
    Small,
    /// Six bits in some layers.
    Medium,
    /// Three bits, more for most.
    Three,
    /// Two bits, more for most.
    Two,
    /// A table; five bits in the first layers.
    Table,
    /// Experts; all else in eight bits.
    Experts,
}

impl Mixture {
    /// Every mixture, widest first.
    pub const ALL: [Mixture; 18] = [
        Mixture::new("f32", 0, Format::F32, Plan::Floats),
        Mixture::new("f16", 1, Format::F16, Plan::Floats),
        Mixture::new("bf16", 32, Format::Bf16, Plan::Floats),
        Mixture::new("q8_0", 7, Format::Q8_0, Plan::Plain),
        Mixture::new("q6_k", 18, Format::Q6K, Plan::Plain),
        Mixture::new("q5_k_m", 17, Format::Q5K, Plan::Medium),
        Mixture::new("q5_k_s", 16, Format::Q5K, Plan::Plain),
        Mixture::new("q5_1", 9, Format::Q5_1, Plan::Plain),
        Mixture::new("q5_0", 8, Format::Q5_0, Plan::Plain),
        Mixture::new("q4_k_m", 15, Format::Q4K, Plan::Medium),
        Mixture::new("q4_k_s", 14, Format::Q4K, Plan::Small),
        Mixture::new("q4_1", 3, Format::Q4_1, Plan::Plain),
        Mixture::new("q4_0", 2, Format::Q4_0, Plan::Plain),
        Mixture::new("iq4_nl", 25, Format::Iq4Nl, Plan::Table),
        Mixture::new("iq4_xs", 30, Format::Iq4Xs, Plan::Table),
        Mixture::new("mxfp4", 38, Format::Mxfp4, Plan::Experts),
        Mixture::new("q3_k_m", 12, Format::Q3K, Plan::Three),
        Mixture::new("q2_k", 10, Format::Q2K, Plan::Two),
    ];

    const fn new(name: &'static str, number: u32, base: Format, plan: Plan) -> Mixture {
        Mixture { name, number, base, plan }
    }

    /// The name users and GGUF tools know it by, in lower case.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Its number in GGUF files, `general.file_type`.
    pub fn number(self) -> u32 {
        self.number
    }
}

impl FromStr for Mixture {
    type Err = String;

    fn from_str(text: &str) -> Result<Mixture, String> {
        let found = Mixture::ALL.into_iter().find(|known| known.name.eq_ignore_ascii_case(text));
        found.ok_or_else(|| {
            let names = Mixture::ALL.map(Mixture::name).join(", ");
            format!("found type `{}`, wanted one of {names}", text.escape_debug())
        })
    }
}

/// What the rules ask of a model.
#[derive(Clone, Debug)]
pub struct Facts {
    layers: usize,
    experts: usize,
    /// Query heads to a key head.
    heads_together: usize,
    has_output: bool,
    /// The layers that have values, in order.
    value_layers: Vec<usize>,
    weighed: bool,
}

impl Facts {
    /// Of a model with these tensors, by their GGUF names. `weighed` says whether the importance
    /// of columns is known.
    pub fn new(
        tensors: &[TensorInfo],
        layers: usize,
        experts: usize,
        heads_together: usize,
        weighed: bool,
    ) -> Facts {
        let values = tensors.iter().filter(|tensor| Place::of(&tensor.name) == Place::Values);
        let mut value_layers: Vec<usize> = values.filter_map(|t| layer_of(&t.name)).collect();
        value_layers.sort_unstable();
        let has_output = tensors.iter().any(|tensor| Place::of(&tensor.name) == Place::Output);
        Facts { layers, experts, heads_together, has_output, value_layers, weighed }
    }
}

/// What a tensor is, as far as the rules go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Output,
    Embedding,
    Values,
    Keys,
    AttentionOutput,
    Down,
    Other,
}

impl Place {
    fn of(name: &str) -> Place {
        let inner = split_layer(name, "blk.").map_or(name, |(_, inner)| inner);
        match inner {
            "output.weight" => Place::Output,
            "token_embd.weight" => Place::Embedding,
            "attn_v.weight" | "attn_qkv.weight" | "attn_kv_b.weight" => Place::Values,
            "attn_k.weight" => Place::Keys,
            "attn_output.weight" => Place::AttentionOutput,
            _ if inner.starts_with("ffn_down") => Place::Down,
            _ => Place::Other,
        }
    }
}

fn layer_of(name: &str) -> Option<usize> {
    split_layer(name, "blk.")?.0.parse().ok()
}

/// Whether a tensor of a GGUF file is quantized: matrices of weights, and not those that are small
/// and whose errors choose wrongly (routers) or stay in a state.
pub fn is_quantizable(tensor: &TensorInfo) -> bool {
    const KEPT: [&str; 8] = [
        "_norm.weight",
        "ffn_gate_inp",
        "ssm_conv1d",
        "shortconv.conv",
        "indexer.k_proj",
        "indexer.q_proj",
        "attn_rel_b",
        "rope_f",
    ];
    let matrix = tensor.shape.iter().filter(|size| **size != 1).count() >= 2;
    let weights = matches!(tensor.dtype, Dtype::Weights(_)) && tensor.name.ends_with(".weight");
    matrix && weights && !KEPT.iter().any(|part| tensor.name.contains(part))
}

impl Mixture {
    /// The format of a tensor that [`is_quantizable`].
    pub fn format(self, tensor: &TensorInfo, facts: &Facts) -> Format {
        if !self.base.is_quantized() {
            return self.base;
        }
        let columns = tensor.shape.last().copied().unwrap_or(1);
        let place = Place::of(&tensor.name);
        let is_output = place == Place::Output || (place == Place::Embedding && !facts.has_output);
        let wanted = match (is_output, self.plan) {
            (true, Plan::Experts) => Format::Q8_0,
            (true, _) if self.base.row_bytes(columns).is_none() => Format::Q8_0,
            (true, _) if self.base == Format::Q8_0 => Format::Q8_0,
            (true, _) => Format::Q6K,
            (false, Plan::Experts) if facts.experts > 0 && tensor.shape.len() < 3 => Format::Q8_0,
            (false, Plan::Experts) if place == Place::Embedding => Format::Q8_0,
            (false, _) => self.inner_format(place, layer_of(&tensor.name).unwrap_or(0), facts),
        };
        fitting(wanted, columns)
    }

    /// Of a tensor inside a layer.
    fn inner_format(self, place: Place, layer: usize, facts: &Facts) -> Format {
        let eight = facts.experts == 8;
        match place {
            // Little to pay where values are few.
            Place::Values | Place::Keys if eight && self.base != Format::Q8_0 => Format::Q8_0,
            Place::Values => {
                let format = self.values_format(layer, facts);
                // Eight query heads share these values: a small tensor on which much depends.
                let few = facts.layers == 80 && facts.heads_together == 8;
                match format {
                    Format::Q3K | Format::Q4K if few => Format::Q5K,
                    format => format,
                }
            }
            Place::Down => self.down_format(layer, facts),
            Place::AttentionOutput => match self.plan {
                Plan::Two | Plan::Three | Plan::Small | Plan::Medium | Plan::Table
                    if eight && self.base != Format::Q5K =>
                {
                    Format::Q5K
                }
                Plan::Two if !eight => Format::Q3K,
                Plan::Three if !eight => Format::Q4K,
                _ => self.base,
            },
            Place::Output | Place::Embedding | Place::Keys | Place::Other => self.base,
        }
    }

    fn values_format(self, layer: usize, facts: &Facts) -> Format {
        let count = facts.value_layers.len();
        let index = facts.value_layers.partition_point(|other| *other < layer);
        match self.plan {
            Plan::Two if facts.heads_together >= 4 => Format::Q4K,
            Plan::Two => Format::Q3K,
            Plan::Three if index < 2 => Format::Q5K,
            Plan::Three => Format::Q4K,
            Plan::Table if facts.heads_together >= 4 => Format::Q5K,
            Plan::Medium if gets_more_bits(index, count) => Format::Q6K,
            Plan::Small if index < 4 => Format::Q5K,
            _ => self.base,
        }
    }

    fn down_format(self, layer: usize, facts: &Facts) -> Format {
        let first = layer < facts.layers / 8;
        match self.plan {
            Plan::Two => Format::Q3K,
            Plan::Three if layer < facts.layers / 16 => Format::Q5K,
            Plan::Three => Format::Q4K,
            Plan::Medium if gets_more_bits(layer, facts.layers) => Format::Q6K,
            Plan::Table if first && !facts.weighed => Format::Q5K,
            Plan::Small if first => Format::Q5K,
            // A few columns of the first layers are far out of scale.
            Plan::Plain if first && facts.weighed && self.base == Format::Q4_0 => Format::Q4_1,
            Plan::Plain if first && facts.weighed && self.base == Format::Q5_0 => Format::Q5_1,
            _ => self.base,
        }
    }
}

/// The first eighth, the last eighth, and every third between.
fn gets_more_bits(index: usize, count: usize) -> bool {
    let eighth = count / 8;
    index < eighth || index >= count - count.div_ceil(8) || (index - eighth) % 3 == 2
}

/// The format, or the next that has whole blocks in rows of `columns`.
pub fn fitting(format: Format, columns: usize) -> Format {
    if format.row_bytes(columns).is_some() {
        return format;
    }
    let blocks_of_32 = match format {
        Format::Q2K | Format::Q3K => Format::Q4_0,
        Format::Iq4Xs => Format::Iq4Nl,
        Format::Q4K => Format::Q5_0,
        Format::Q5K => Format::Q5_1,
        Format::Q6K => Format::Q8_0,
        _ => Format::F16,
    };
    if blocks_of_32.row_bytes(columns).is_some() { blocks_of_32 } else { Format::F16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(name: &str, columns: usize) -> TensorInfo {
        let dtype = Dtype::Weights(Format::F32);
        TensorInfo { name: name.into(), dtype, shape: vec![64, columns], range: 0..0 }
    }

    fn format(mixture: &str, name: &str, facts: &Facts) -> Format {
        mixture.parse::<Mixture>().expect("a mixture").format(&matrix(name, 512), facts)
    }

    fn layers(count: usize) -> Facts {
        let tensors: Vec<TensorInfo> =
            (0..count).map(|layer| matrix(&format!("blk.{layer}.attn_v.weight"), 512)).collect();
        Facts::new(&tensors, count, 0, 1, false)
    }

    #[test]
    fn a_medium_mixture_gives_some_layers_six_bits() {
        let facts = layers(16);
        let six = |map: &str| -> Vec<usize> {
            let is_six = |layer: &usize| {
                let name = format!("blk.{layer}.{map}.weight");
                format("q4_k_m", &name, &facts) == Format::Q6K
            };
            (0..16).filter(is_six).collect()
        };
        assert_eq!(six("ffn_down"), [0, 1, 4, 7, 10, 13, 14, 15]);
        assert_eq!(six("attn_v"), six("ffn_down"));
        assert!(six("attn_k").is_empty());
    }

    #[test]
    fn the_output_has_six_bits_and_is_the_embedding_where_there_is_none() {
        let tied = layers(8);
        assert_eq!(format("q4_0", "token_embd.weight", &tied), Format::Q6K);
        let apart = Facts::new(&[matrix("output.weight", 512)], 8, 0, 1, false);
        assert_eq!(format("q4_0", "token_embd.weight", &apart), Format::Q4_0);
        assert_eq!(format("q4_0", "output.weight", &apart), Format::Q6K);
        assert_eq!(format("q8_0", "output.weight", &apart), Format::Q8_0);
    }

    #[test]
    fn rows_of_no_whole_blocks_get_the_next_format() {
        let wanted = [
            ("q4_k_s", 96, Format::Q5_0),
            ("q5_k_s", 96, Format::Q5_1),
            ("q6_k", 96, Format::Q8_0),
            ("q2_k", 96, Format::Q4_0),
            ("iq4_xs", 96, Format::Iq4Nl),
            ("q4_0", 40, Format::F16),
            ("q4_k_m", 40, Format::F16),
        ];
        for (mixture, columns, wanted) in wanted {
            let mixture: Mixture = mixture.parse().expect("a mixture");
            let found = mixture.format(&matrix("blk.9.attn_q.weight", columns), &layers(16));
            assert_eq!(found, wanted, "{} of {columns}", mixture.name());
        }
    }

    #[test]
    fn norms_and_routers_are_kept() {
        for name in ["blk.0.attn_norm.weight", "blk.0.ffn_gate_inp.weight", "blk.0.attn_q.bias"] {
            assert!(!is_quantizable(&matrix(name, 512)), "{name}");
        }
        assert!(is_quantizable(&matrix("blk.0.attn_q.weight", 512)));
        assert!(!is_quantizable(&TensorInfo { shape: vec![1, 512], ..matrix("x.weight", 512) }));
    }
}
