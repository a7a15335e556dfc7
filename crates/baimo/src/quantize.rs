//! `baimo quantize`: a model as a GGUF file of fewer bits.

mod folder;
mod importance;

use crate::args::Quantize;
use crate::fetching;
use crate::session;
use crate::show::human;
use crate::source::{self, Source};
use anyhow::{Result, bail};
use baimo_weights::gguf::{Kind, Value};
use baimo_weights::{
    Checkpoint, Draft, Dtype, Facts, Importance, TensorInfo, fitting, is_quantizable,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::Write;
use std::time::Instant;

/// What GGUF tools call the layout of blocks they agree on today.
const QUANTIZATION_VERSION: u64 = 2;

/// Writes the file.
pub fn run(arguments: &Quantize) -> Result<()> {
    let target = &arguments.target;
    if !arguments.dry_run && !arguments.force && target.exists() {
        bail!("{}: there already\nhint: --force writes over it", target.display());
    }
    if target.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("gguf")) {
        bail!(
            "{}: found another ending, wanted .gguf\nhint: call it {}",
            target.display(),
            target.with_extension("gguf").display()
        );
    }
    fetching::ensure(&arguments.model, arguments.yes)?;
    let path = source::locate(&arguments.model)?;
    if path.is_dir() {
        let source = Source::at(path.clone())?;
        let (draft, header) = folder::draft(&source, &path)?;
        let importance = importance::wanted(arguments, &draft, &path)?;
        return quantize(arguments, &draft, &header, importance.as_ref());
    }
    // Of a file nothing need be known but its tensors: every architecture goes.
    let checkpoint = Checkpoint::open(&path)?;
    let Some(metadata) = checkpoint.metadata() else {
        bail!("{}: weights without config.json\nhint: give the whole folder", arguments.model);
    };
    let draft = Draft::of_gguf(&checkpoint);
    let importance = importance::wanted(arguments, &draft, &path)?;
    quantize(arguments, &draft, metadata.pairs(), importance.as_ref())
}

fn quantize(
    arguments: &Quantize,
    draft: &Draft,
    pairs: &[(String, Value)],
    importance: Option<&Importance>,
) -> Result<()> {
    let types = types(arguments, draft, &facts(pairs, draft, importance.is_some()))?;
    if arguments.dry_run {
        return print(draft, &types);
    }
    let metadata = header(pairs, arguments, importance);
    write(arguments, draft, &metadata, &types, importance)
}

fn write(
    arguments: &Quantize,
    draft: &Draft,
    metadata: &[(String, Value)],
    types: &[Dtype],
    importance: Option<&Importance>,
) -> Result<()> {
    let bytes = |tensor: &TensorInfo, dtype: &Dtype| dtype.bytes(&tensor.shape).unwrap_or(0);
    let tensors = draft.tensors();
    let before: usize = tensors.iter().map(|tensor| bytes(tensor, &tensor.dtype)).sum();
    let after: usize = tensors.iter().zip(types).map(|(tensor, dtype)| bytes(tensor, dtype)).sum();
    let weights: usize = tensors.iter().map(|t| t.shape.iter().product::<usize>()).sum();
    let bar = ProgressBar::new(after as u64);
    let style = "quantizing {bar:30} {bytes}/{total_bytes} {elapsed} (ETA {eta})";
    bar.set_style(ProgressStyle::with_template(style).expect("the template is ours"));
    let threads = session::threads(arguments.threads);
    let start = Instant::now();
    let done = draft.write(&arguments.target, metadata, types, importance, threads, &mut |more| {
        bar.inc(more as u64);
    });
    bar.finish_and_clear();
    done?;
    eprintln!(
        "{}: {}, {:.2} bits a weight (before: {}), in {:.1} s",
        arguments.target.display(),
        human(after, 1024, "B"),
        (8 * after) as f64 / weights.max(1) as f64,
        human(before, 1024, "B"),
        start.elapsed().as_secs_f64(),
    );
    Ok(())
}

/// What each tensor becomes.
fn types(arguments: &Quantize, draft: &Draft, facts: &Facts) -> Result<Vec<Dtype>> {
    let mut used = vec![false; arguments.rule.len()];
    let mut types = Vec::with_capacity(draft.tensors().len());
    for tensor in draft.tensors() {
        let Dtype::Weights(source) = tensor.dtype else {
            types.push(tensor.dtype);
            continue;
        };
        if !is_quantizable(tensor) {
            types.push(tensor.dtype);
            continue;
        }
        let mut matching = None;
        for (rule, used) in arguments.rule.iter().zip(&mut used) {
            if rule.pattern.is_match(&tensor.name)? {
                *used = true;
                matching = Some(rule.format);
                break;
            }
        }
        let columns = tensor.shape.last().copied().unwrap_or(1);
        let format = match matching {
            Some(format) => fitting(format, columns),
            None => arguments.mixture.format(tensor, facts),
        };
        if source.is_quantized() && format != source && !arguments.allow_requantize {
            let (found, wanted) = (source.name(), format.name());
            bail!(
                "{}: tensor `{}`: found {found}, which is rounded already, wanted floats to make \
                 {wanted} of\nhint: quantize the model's own weights, or say --allow-requantize",
                arguments.model,
                tensor.name.escape_debug(),
            );
        }
        types.push(Dtype::Weights(format));
    }
    match used.iter().position(|used| !used) {
        Some(unused) => bail!(
            "--rule {}: found no map of that name that no earlier rule took\nhint: --dry-run \
             prints all names",
            arguments.rule[unused].text
        ),
        None => Ok(types),
    }
}

fn print(draft: &Draft, types: &[Dtype]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    for (tensor, dtype) in draft.tensors().iter().zip(types) {
        let (name, shape) = (tensor.name.escape_debug().to_string(), &tensor.shape);
        writeln!(out, "{name:40} {:>8} -> {:8} {shape:?}", tensor.dtype.name(), dtype.name())?;
    }
    Ok(())
}

/// Numbers that decide where a mixture spends bits.
fn facts(pairs: &[(String, Value)], draft: &Draft, weighed: bool) -> Facts {
    let find = |key: &str| pairs.iter().find(|(other, _)| other == key).map(|(_, value)| value);
    let architecture = find("general.architecture").and_then(Value::as_str).unwrap_or_default();
    // One for all layers, or one for each.
    let first = |key: &str| -> Option<u64> {
        let value = find(&format!("{architecture}.{key}"))?;
        let listed = || value.as_array()?.values().find_map(|value| value.as_u64());
        value.as_u64().or_else(listed)
    };
    let count = |key: &str| first(key).unwrap_or(0) as usize;
    let heads = count("attention.head_count");
    let together = heads / count("attention.head_count_kv").clamp(1, heads.max(1));
    let (layers, experts) = (count("block_count"), count("expert_count"));
    Facts::new(draft.tensors(), layers, experts, together, weighed)
}

/// Keys of the new file: those of the old one but for what describes its weights and its parts.
fn header(
    pairs: &[(String, Value)],
    arguments: &Quantize,
    importance: Option<&Importance>,
) -> Vec<(String, Value)> {
    const REPLACED: [&str; 6] = [
        "general.file_type",
        "general.quantization_version",
        "general.alignment",
        "split.no",
        "split.count",
        "split.tensors.count",
    ];
    let number = |key: &str, value: u64| (key.to_owned(), Value::Unsigned(Kind::U32, value));
    let kept = pairs.iter().filter(|(key, _)| {
        !REPLACED.contains(&key.as_str()) && !key.starts_with("quantize.imatrix.")
    });
    let mut pairs: Vec<_> = kept.cloned().collect();
    pairs.push(number("general.file_type", arguments.mixture.number().into()));
    pairs.push(number("general.quantization_version", QUANTIZATION_VERSION));
    if let Some(known) = importance {
        let text = |key: &str, value: String| (key.to_owned(), Value::String(value));
        let file = arguments.imatrix.as_ref().or(arguments.imatrix_out.as_ref());
        let file = file.and_then(|path| path.file_name());
        let file = file.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        pairs.push(text("quantize.imatrix.file", file));
        pairs.push(text("quantize.imatrix.dataset", known.texts.join(", ")));
        pairs.push(number("quantize.imatrix.entries_count", known.maps().count() as u64));
        pairs.push(number("quantize.imatrix.chunks_count", known.chunks as u64));
    }
    pairs
}
