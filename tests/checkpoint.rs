//! Writes a golden case's checkpoint: real safetensors or GGUF files whose numbers are a pure
//! function of each tensor's name (`golden/README.md`).

use crate::golden::{self, Listed};
use baimo_kernels::Format;
use baimo_kernels::format::quantize;
use baimo_weights::gguf::{self, Array, Kind};
use baimo_weights::{Dtype, TensorInfo, safetensors};
use serde_json::Value;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// Writes `config.json` and `model.safetensors` of a case into `folder`.
pub fn write(case: &str, folder: &Path) {
    let config = golden::folder(case).join("config.json");
    std::fs::copy(config, folder.join("config.json")).expect("a config to copy");
    let path = folder.join("model.safetensors");
    let tensors = golden::tensors(case);
    let infos: Vec<TensorInfo> = tensors.iter().map(info).collect();
    let file = BufWriter::new(File::create(&path).expect("a file to write"));
    let mut writer = safetensors::Writer::new(file, &path, &infos).expect("a header");
    for tensor in &tensors {
        writer.push(&bytes(tensor)).expect("a tensor to write");
    }
    writer.finish().expect("a whole file");
}

/// Writes the GGUF file of a case: its header, without a vocabulary, and its tensors.
pub fn write_gguf(case: &str, path: &Path) {
    let header = golden::json(case, "header.json");
    let header = header.as_object().expect("keys with values").iter();
    let metadata: Vec<_> = header.map(|(key, value)| (key.clone(), typed(value))).collect();
    let tensors = golden::tensors(case);
    let all: Vec<_> = tensors.iter().map(|tensor| (info(tensor), bytes(tensor))).collect();
    let all: Vec<_> = all.iter().map(|(info, bytes)| (info.clone(), &bytes[..])).collect();
    gguf::write(path, &metadata, &all).expect("a whole file");
}

/// As converters write such a value: whole numbers and others in 32 bits.
fn typed(value: &Value) -> gguf::Value {
    let whole = |value: &Value| u32::try_from(value.as_u64().expect("whole")).expect("32 bits");
    let float = |value: &Value| value.as_f64().expect("a number") as f32;
    match value {
        Value::Bool(value) => gguf::Value::Bool(*value),
        Value::Number(number) if number.is_f64() => gguf::Value::F32(float(value)),
        Value::Number(_) => gguf::Value::Unsigned(Kind::U32, u64::from(whole(value))),
        Value::String(text) => gguf::Value::String(text.clone()),
        Value::Array(list) => {
            let (kind, bytes): (Kind, Vec<u8>) = match &list[0] {
                Value::Bool(_) => {
                    let bits = list.iter().map(|value| value.as_bool().expect("a truth value"));
                    (Kind::Bool, bits.map(u8::from).collect())
                }
                Value::Number(number) if number.is_f64() => {
                    (Kind::F32, list.iter().flat_map(|value| float(value).to_le_bytes()).collect())
                }
                _ => {
                    (Kind::U32, list.iter().flat_map(|value| whole(value).to_le_bytes()).collect())
                }
            };
            gguf::Value::Array(Array::Numbers(kind, bytes))
        }
        Value::Null | Value::Object(_) => panic!("GGUF has no {value}"),
    }
}

fn info(tensor: &Listed) -> TensorInfo {
    TensorInfo {
        name: tensor.name.clone(),
        dtype: dtype(tensor),
        shape: tensor.shape.clone(),
        range: 0..0,
    }
}

fn dtype(tensor: &Listed) -> Dtype {
    match tensor.entry["dtype"].as_str().expect("a dtype") {
        "F32" => Dtype::Weights(Format::F32),
        "F16" => Dtype::Weights(Format::F16),
        "BF16" => Dtype::Weights(Format::Bf16),
        "F8_E4M3" => Dtype::Weights(Format::F8E4M3),
        "I32" => Dtype::I32,
        "U8" => Dtype::U8,
        other => panic!("{}: no golden case has {other}", tensor.name),
    }
}

/// The tensor's numbers as the file has them.
fn bytes(tensor: &Listed) -> Vec<u8> {
    let elements: usize = tensor.shape.iter().product();
    let random = (0..elements as u64).map(|index| random(&tensor.name, index));
    let format = match dtype(tensor) {
        // 7F and FF are not numbers.
        Dtype::Weights(Format::F8E4M3) => {
            let bytes = random.map(|x| (x >> 56) as u8);
            return bytes.map(|x| x - u8::from(x & 0x7F == 0x7F)).collect();
        }
        Dtype::Weights(format) => format,
        other => return integers(tensor, other, random),
    };
    let float = |value: &Value| value.as_f64().expect("a number") as f32;
    let values: Vec<f32> = match tensor.entry.get("values") {
        Some(values) => values.as_array().expect("a list").iter().map(float).collect(),
        None => {
            let (offset, scale) = (float(&tensor.entry["offset"]), float(&tensor.entry["scale"]));
            let number = |x: u64| {
                let steps = (x >> 40) as i64 - (1 << 23);
                offset + scale * (steps as f32 / (1 << 23) as f32)
            };
            random.map(number).collect()
        }
    };
    let mut bytes = vec![0; format.row_bytes(elements).expect("floats have no blocks")];
    quantize(format, &values, &mut bytes);
    bytes
}

/// Given numbers, or the top bits of the random words, kept in a range where one is given.
fn integers(tensor: &Listed, dtype: Dtype, random: impl Iterator<Item = u64>) -> Vec<u8> {
    let size = dtype.row_bytes(1).expect("integers have no blocks");
    let entry = |key: &str| tensor.entry.get(key);
    let number = |value: &Value| value.as_u64().expect("a whole number");
    let numbers: Vec<u64> = match (entry("values"), entry("from"), entry("count")) {
        (Some(values), _, _) => values.as_array().expect("a list").iter().map(number).collect(),
        (None, Some(from), Some(count)) => {
            let (from, count) = (number(from), number(count));
            random.map(|x| from + (x >> (64 - 8 * size)) % count).collect()
        }
        _ => random.map(|x| x >> (64 - 8 * size)).collect(),
    };
    numbers.iter().flat_map(|number| number.to_le_bytes().into_iter().take(size)).collect()
}

/// splitmix64 of the FNV-1a hash of the name and the index.
fn random(name: &str, index: u64) -> u64 {
    let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
    });
    let golden = 0x9E37_79B9_7F4A_7C15_u64;
    let mut z = hash.wrapping_add(index.wrapping_mul(golden)).wrapping_add(golden);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[test]
fn the_weight_function_has_its_check_values() {
    let entry = |dtype| serde_json::json!({ "dtype": dtype, "offset": 1, "scale": 0.2 });
    let tensor = |dtype| Listed {
        name: "model.embed_tokens.weight".into(),
        shape: vec![4],
        entry: entry(dtype),
    };
    let bits: Vec<u32> = bytes(&tensor("F32"))
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| u32::from_le_bytes(*bytes))
        .collect();
    assert_eq!(bits, [0x3F72_D1F5, 0x3F6D_91E2, 0x3F80_AE22, 0x3F66_3D8F]);
    assert_eq!(bytes(&tensor("F8_E4M3")), [0x5F, 0x51, 0x83, 0x3F]);
}
