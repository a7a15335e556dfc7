//! In which format each weight of a model will be computed with, from what its files say or, where
//! there are none, from its configuration.

use baimo_blueprint::{Fold, Tensor};
use baimo_kernels::Format;
use baimo_weights::{Checkpoint, Claims, Dtype, Role, Target, target_format};
use serde_json::Value;
use std::cell::RefCell;

/// What is known of how weights are stored.
pub enum Stored<'a> {
    /// Their files, of which only the tables of contents are read.
    Files(&'a Checkpoint),
    /// No more than the configuration tells.
    Said(Said),
}

/// What a configuration tells of how weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// Embeddings, norms and all that is not listed below.
    pub plain: Format,
    /// Linear maps inside layers, routers aside.
    pub maps: Format,
}

impl Said {
    /// From a parsed `config.json`; bf16 where it says nothing, as nearly all models are.
    pub fn of(config: &Value) -> Said {
        let inner = config.get("text_config").unwrap_or(config);
        let word = |name: &str| inner.get(name).or_else(|| config.get(name));
        let plain = match word("torch_dtype").or_else(|| word("dtype")).and_then(Value::as_str) {
            Some("float32") => Format::F32,
            Some("float16") => Format::F16,
            Some(_) | None => Format::Bf16,
        };
        let maps = word("quantization_config").and_then(quantized).unwrap_or(plain);
        Said { plain, maps }
    }
}

/// What a `quantization_config` makes of linear maps, where that is known.
fn quantized(config: &Value) -> Option<Format> {
    let method = config.get("quant_method")?.as_str()?;
    let groups = &config["config_groups"]["group_0"]["weights"];
    let bits = config.get("bits").or_else(|| groups.get("num_bits")).and_then(Value::as_u64);
    match (method, bits) {
        ("fp8", _) => Some(Format::F8E4M3),
        ("mxfp4", _) => Some(Format::Mxfp4),
        ("compressed-tensors", Some(4)) if groups["type"] == "float" => Some(Format::Mxfp4),
        ("compressed-tensors", Some(8)) if groups["type"] == "float" => Some(Format::F8E4M3),
        ("gptq" | "awq" | "compressed-tensors", Some(4)) => Some(Format::Int4),
        ("gptq" | "awq" | "compressed-tensors", Some(8)) => Some(Format::Q8_0),
        _ => None,
    }
}

/// What weights are and what they are to become.
pub struct Packing<'a> {
    /// As they are stored.
    pub stored: Stored<'a>,
    /// What the user asks for.
    pub target: Target,
}

/// Asks for the formats of many tensors.
pub(super) struct Formats<'a> {
    packing: &'a Packing<'a>,
    /// Of the files: made once for all tensors.
    claims: Option<RefCell<Claims<'a>>>,
}

impl<'a> Formats<'a> {
    pub fn new(packing: &'a Packing<'a>) -> Formats<'a> {
        let claims = match packing.stored {
            Stored::Files(checkpoint) => Some(RefCell::new(Claims::new(checkpoint))),
            Stored::Said(_) => None,
        };
        Formats { packing, claims }
    }

    /// The format that products with `tensor` are computed in.
    pub fn of(&self, tensor: &Tensor, role: Role) -> Format {
        let columns = tensor.shape.last().copied().unwrap_or(0);
        let source = match &self.packing.stored {
            Stored::Files(checkpoint) => self.of_files(checkpoint, tensor).unwrap_or(Format::Bf16),
            Stored::Said(said) => match role {
                Role::Linear => folded(said.maps, tensor),
                Role::Embedding | Role::Output | Role::Router | Role::Vector => said.plain,
            },
        };
        // What is said may not fit: rows of other lengths are left alone by those who quantize.
        let source = if source.row_bytes(columns).is_some() { source } else { Format::Bf16 };
        target_format(self.packing.target, source, columns, role)
    }

    /// From the files' tables of contents; of experts, the first's.
    fn of_files(&self, checkpoint: &Checkpoint, tensor: &Tensor) -> Option<Format> {
        let expert = tensor.is_per_expert().then_some(0);
        let name = expert.map_or_else(|| tensor.name.clone(), |expert| tensor.expert_name(expert));
        let is_there = checkpoint.contains(&name);
        if is_there && folded(Format::Q8_0, tensor) == Format::F32 {
            // Computed from all numbers: not asked for here.
            let found = checkpoint.tensor(&name).ok().flatten()?;
            return Some(folded(found.format()?, tensor));
        }
        let packed = if is_there { None } else { packed(checkpoint, tensor, &name) };
        packed.or_else(|| {
            let claims = self.claims.as_ref()?;
            Some(claims.borrow_mut().rows(tensor, expert).ok()?.format())
        })
    }
}

/// What the rows of a tensor come in after its fold.
fn folded(stored: Format, tensor: &Tensor) -> Format {
    let is_float = matches!(stored, Format::F32 | Format::F16 | Format::Bf16);
    match tensor.fold {
        Fold::HeadRowsTransposed { .. } | Fold::UnitRows | Fold::UnitColumns if !is_float => {
            Format::F32
        }
        Fold::AsStored
        | Fold::PlusOne
        | Fold::Rows { .. }
        | Fold::HeadRows { .. }
        | Fold::UnitRows
        | Fold::UnitColumns
        | Fold::HeadRowsTransposed { .. } => stored,
    }
}

/// What integers stand for that files have in a tensor's place.
fn packed(checkpoint: &Checkpoint, tensor: &Tensor, name: &str) -> Option<Format> {
    [("qweight", true), ("weight_packed", false)].into_iter().find_map(|(ending, of_words)| {
        let codes = format!("{}{ending}", name.strip_suffix("weight").unwrap_or(name));
        let found = checkpoint.tensor(&codes).ok().flatten()?;
        let numbers: usize = tensor.shape.iter().rev().take(2).product();
        let words: usize = found.shape.iter().product();
        Some(match (found.dtype, numbers / words.max(1)) {
            (Dtype::U8, _) if !of_words => Format::Mxfp4,
            (_, 8) => Format::Int4,
            _ => Format::Q8_0,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_configuration_tells_how_its_weights_are_stored() {
        let fp8 =
            json!({"torch_dtype": "bfloat16", "quantization_config": {"quant_method": "fp8"}});
        let gptq = json!({"dtype": "float16",
            "quantization_config": {"quant_method": "gptq", "bits": 4}});
        let inner = json!({"text_config": {"torch_dtype": "float32"}});
        for (config, plain, maps) in [
            (json!({}), Format::Bf16, Format::Bf16),
            (fp8, Format::Bf16, Format::F8E4M3),
            (gptq, Format::F16, Format::Int4),
            (inner, Format::F32, Format::F32),
        ] {
            assert_eq!(Said::of(&config), Said { plain, maps }, "{config}");
        }
    }

    #[test]
    fn rows_too_short_for_what_is_said_are_taken_for_plain_ones() {
        let said = Said { plain: Format::Bf16, maps: Format::Int4 };
        let packing = Packing { stored: Stored::Said(said), target: Target::Native };
        let format = |columns: usize| {
            Formats::new(&packing).of(&Tensor::new("a", vec![4, columns]), Role::Linear)
        };
        assert_eq!([format(64), format(20)], [Format::Int4, Format::Bf16]);
    }
}
