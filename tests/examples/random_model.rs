//! Writes a checkpoint of random bf16 weights for a configuration: a golden case's with some keys
//! set otherwise. What it says is noise; how large and how fast it is, is real.
//!
//! `cargo run --release -p baimo-tests --example random_model -- SHAPES.json NAME FOLDER`

use baimo_blueprint::Tensor;
use baimo_kernels::Format;
use baimo_tests::golden;
use baimo_weights::{Dtype, TensorInfo, safetensors};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [shapes, name, folder] = &arguments[..] else {
        anyhow::bail!("wanted SHAPES.json NAME FOLDER, found {arguments:?}");
    };
    let name = name.to_string_lossy();
    let shapes: Value = serde_json::from_slice(&std::fs::read(shapes)?)?;
    let shape = &shapes[name.as_ref()];
    let base = shape["base"].as_str().ok_or_else(|| anyhow::anyhow!("no shape {name}"))?;
    let mut config = golden::json(base, "config.json");
    for (key, value) in shape["set"].as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    std::fs::create_dir_all(folder)?;
    // Python's way of writing what JSON has no number for.
    let text = serde_json::to_string_pretty(&config)?;
    std::fs::write(folder.join("config.json"), text)?;
    let blueprint = baimo_labs::blueprint(&config)?;
    let mut tensors: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for tensor in blueprint.tensors() {
        tensors.extend(stored(tensor));
    }
    write(&folder.join("model.safetensors"), &tensors)?;
    println!("{name}: {} parameters", blueprint.count().parameters);
    Ok(())
}

/// What of a tensor lies in the checkpoint: one of its name, or one for each expert.
fn stored(tensor: &Tensor) -> Vec<(String, Vec<usize>)> {
    let shape = tensor.stored_shape();
    match tensor.is_per_expert() {
        false => vec![(tensor.name.clone(), shape)],
        true => {
            let each = shape[1..].to_vec();
            (0..shape[0]).map(|expert| (tensor.expert_name(expert), each.clone())).collect()
        }
    }
}

fn write(path: &Path, tensors: &BTreeMap<String, Vec<usize>>) -> anyhow::Result<()> {
    let info = |(name, shape): (&String, &Vec<usize>)| TensorInfo {
        name: name.clone(),
        dtype: Dtype::Weights(Format::Bf16),
        shape: shape.clone(),
        range: 0..0,
    };
    let infos: Vec<TensorInfo> = tensors.iter().map(info).collect();
    let file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut writer = safetensors::Writer::new(file, path, &infos)?;
    let mut seed = 1_u64;
    for (name, shape) in tensors {
        let columns = shape.last().copied().unwrap_or(1) as f32;
        // Norms keep the stream's size, maps do on the average.
        let (middle, spread) = match shape.len() {
            1 if name.contains("norm") => (1.0, 0.1),
            1 => (0.0, 0.5),
            _ => (0.0, (3.0 / columns).sqrt()),
        };
        let numbers = (0..shape.iter().product()).map(|_| middle + spread * next(&mut seed));
        let bytes: Vec<u8> = numbers.flat_map(bf16).collect();
        writer.push(&bytes)?;
    }
    writer.finish()?;
    Ok(())
}

/// Between -1 and 1 (xorshift: Marsaglia 2003).
fn next(seed: &mut u64) -> f32 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed >> 40) as f32 / (1 << 23) as f32 - 1.0
}

/// Its upper half.
fn bf16(number: f32) -> [u8; 2] {
    let [_, _, low, high] = number.to_le_bytes();
    [low, high]
}
