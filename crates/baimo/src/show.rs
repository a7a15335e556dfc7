//! `baimo show`: the architecture drawn from the Blueprint, or a row of the catalog.

use crate::args::Show;
use crate::source::{self, Source};
use crate::{cache, catalog};
use anyhow::{Result, bail};
use baimo_labs::Blueprint;
use serde_json::json;
use std::io::Write;

/// Draws the model; of a folder without weights, what config.json says. What is no file or folder
/// is a name of the catalog, of which all that is known is told.
pub fn run(arguments: &Show) -> Result<()> {
    let model = arguments.model.clone().unwrap_or_else(source::default_model);
    if source::is_place(&model) {
        return draw(&model, arguments);
    }
    let catalog = catalog::with(&arguments.import)?;
    if let Some(entry) = catalog.find(&model) {
        return catalog::show(&entry, arguments.json);
    }
    let near = catalog.near(&model);
    if near.is_empty() || source::looks_like_a_model(&model) {
        return draw(&model, arguments);
    }
    let near = near.join(", ");
    bail!("{model}: no such file or folder\nhint: perhaps {near}? `baimo list` prints all names")
}

fn draw(model: &str, arguments: &Show) -> Result<()> {
    let source = Source::describe(model)?;
    let (blueprint, count) = (source.blueprint(), source.blueprint().count());
    // Two bytes a number: what `run` caches by default.
    let cache = 2 * count.cached_per_token;
    let state = size_of::<f32>() * count.kept_per_sequence;
    let at_hub = source.bytes_at_hub().map(|bytes| bytes as usize);
    let bytes = at_hub.or(source.weight_bytes());
    let voice = source.template().ok().and_then(|template| source.voice(&template));
    let voice = voice.map(|voice| voice.name);
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let report = json!({
            "architecture": blueprint.architecture,
            "layers": layers(blueprint),
            "hidden": blueprint.hidden,
            "vocabulary": blueprint.vocab,
            "context": blueprint.context,
            "tied": blueprint.is_tied(),
            "parameters": count.parameters,
            "active_parameters": count.active,
            "weight_bytes": bytes,
            "weights_are_here": at_hub.is_none() && bytes.is_some(),
            "cache_bytes_per_token": cache,
            "state_bytes_per_sequence": state,
            "voice": voice,
        });
        writeln!(out, "{report:#}")?;
        return Ok(());
    }
    write!(out, "{blueprint}")?;
    let active = match count.active == count.parameters {
        true => String::new(),
        false => format!(", {} active", human(count.active, 1000, "")),
    };
    writeln!(out, "parameters: {}{active}", human(count.parameters, 1000, ""))?;
    match bytes {
        Some(bytes) => {
            let place = if at_hub.is_some() { "at its hub, none here" } else { "on disk" };
            writeln!(out, "weights: {} {place}", human(bytes, 1024, "B"))?;
        }
        None => writeln!(out, "weights: none here")?,
    }
    let kept = cache::packed_weights(None)?;
    if let Some(size) = kept.bytes().filter(|bytes| *bytes > 0) {
        let (size, folder) = (human(size, 1024, "B"), kept.folder().display());
        writeln!(out, "packed weights of all models: {size} in {folder}")?;
    }
    writeln!(out, "cache: {} per token in f16", human(cache, 1024, "B"))?;
    if state > 0 {
        writeln!(out, "state: {} per sequence in f32", human(state, 1024, "B"))?;
    }
    if let Some(voice) = voice {
        writeln!(out, "voice: {voice}")?;
    }
    Ok(())
}

fn layers(blueprint: &Blueprint) -> serde_json::Value {
    let kinds = blueprint.layer_kinds();
    kinds
        .iter()
        .map(|(range, layer)| {
            let sublayers: Vec<String> =
                layer.sublayers.iter().map(|sublayer| sublayer.block.to_string()).collect();
            json!({ "layers": range, "sublayers": sublayers })
        })
        .collect()
}

/// `1.23 G`: three digits and a prefix.
pub fn human(number: usize, base: usize, unit: &str) -> String {
    let prefixes =
        if base == 1024 { ["", "Ki", "Mi", "Gi", "Ti"] } else { ["", "k", "M", "G", "T"] };
    let (mut value, mut prefix) = (number as f64, 0);
    while value >= base as f64 && prefix + 1 < prefixes.len() {
        value /= base as f64;
        prefix += 1;
    }
    match prefix {
        0 => format!("{number} {unit}").trim_end().to_owned(),
        _ => format!("{value:.2} {}{unit}", prefixes[prefix]),
    }
}
