//! What GGUF files call the tensors of a checkpoint: one table for every family.
//!
//! Source: `gguf-py/gguf/{constants,tensor_mapping}.py` and `conversion/` of
//! <https://github.com/ggml-org/llama.cpp>. Where converters chose differently by family, the
//! alternatives stand below each other and the first that a file has is taken.

mod table;

use table::{
    ENDINGS, EXPERTS, FUSED, FUSED_STACK, GATED, LAYER, LAYER_WHOLE, LAYERS, MIXER, OUTSIDE,
    SHARED_EXPERT, SPLIT,
};

/// Where a tensor may lie in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The name in the file.
    pub name: String,
    /// Which part of it.
    pub part: Part,
}

/// A part of a tensor in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// One matrix of a stack `[experts, outputs, inputs]`.
    Matrix(usize),
    /// Of one matrix of a stack, the first half of the rows (the gate of a fused gate and up).
    FirstHalf(usize),
    /// Of one matrix of a stack, the second half of the rows.
    SecondHalf(usize),
}

/// Where a GGUF file may hold the tensor of that hub name, best first.
pub fn gguf_candidates(hub_name: &str) -> Vec<Candidate> {
    let (stem, ending) = split_ending(hub_name);
    let whole = |name: String| Candidate { name, part: Part::Whole };
    let Some((layer, name)) = split_hub_layer(hub_name) else {
        return targets(OUTSIDE, stem).map(|name| whole(format!("{name}{ending}"))).collect();
    };
    let mut all = in_layer(layer, name);
    if let Some(usual) = usual_name(name) {
        all.extend(in_layer(layer, &usual));
    }
    let (stem, ending) = split_ending(name);
    for folder in SHARED_EXPERT {
        let map = stem.strip_prefix(folder).and_then(|rest| rest.strip_prefix('.'));
        for map in map.into_iter().flat_map(|map| targets(GATED, map)) {
            all.push(whole(format!("blk.{layer}.ffn_{map}_shexp{ending}")));
        }
    }
    for folder in EXPERTS {
        if let Some(rest) = stem.strip_prefix(folder).and_then(|rest| rest.strip_prefix('.')) {
            all.extend(expert_candidates(layer, rest, ending));
        }
    }
    all
}

fn in_layer(layer: &str, name: &str) -> Vec<Candidate> {
    let whole = |name: String| Candidate { name: format!("blk.{layer}.{name}"), part: Part::Whole };
    let exact = targets(LAYER_WHOLE, name).map(|name| whole(name.to_string()));
    let (stem, ending) = split_ending(name);
    exact.chain(targets(LAYER, stem).map(|name| whole(format!("{name}{ending}")))).collect()
}

/// The name within a layer with its mixer called as most do, where it is not.
fn usual_name(name: &str) -> Option<String> {
    let [own, usual] = MIXER;
    Some(format!("{usual}{}", name.strip_prefix(own)?))
}

/// The hub name of a part of a tensor that converters split: the first part, the last, or the one
/// between.
pub fn part_of_split(hub_name: &str, is_first: bool, is_last: bool) -> Option<String> {
    let (_, name) = split_hub_layer(hub_name)?;
    let (stem, ending) = split_ending(name);
    let usual = usual_name(stem);
    let is_it = |whole: &str| whole == stem || usual.as_deref() == Some(whole);
    let (_, parts) = SPLIT.iter().find(|(whole, _)| is_it(whole))?;
    let part = match (is_first, is_last) {
        (true, _) => parts.first(),
        (false, true) => parts.last(),
        (false, false) => parts.get(1).filter(|_| parts.len() == 3),
    };
    let folder = hub_name.strip_suffix(name)?;
    Some(format!("{folder}{}{ending}", part?))
}

/// Where a safetensors checkpoint may hold it: under its own name, or an expert's in a stack,
/// which may hold gates above ups.
pub fn hub_candidates(hub_name: &str) -> Vec<Candidate> {
    let mut all = whole_or_stacked(hub_name);
    // Models that embed are saved without their heads, and then without the folder beside them.
    all.extend(hub_name.strip_prefix("model.").into_iter().flat_map(whole_or_stacked));
    all
}

fn whole_or_stacked(hub_name: &str) -> Vec<Candidate> {
    let mut all = vec![Candidate { name: hub_name.to_string(), part: Part::Whole }];
    let (stem, ending) = split_ending(hub_name);
    let Some((folder, rest)) = stem.split_once(".experts.") else { return all };
    let Some((expert, map)) = split_number(rest) else { return all };
    for name in [
        format!("{folder}.experts.{map}{ending}"),
        format!("{folder}.experts.{map}"),
        format!("{folder}.{map}{ending}"),
    ] {
        all.push(Candidate { name, part: Part::Matrix(expert) });
    }
    let half = match map {
        "gate_proj" => Part::FirstHalf(expert),
        "up_proj" => Part::SecondHalf(expert),
        _ => return all,
    };
    for ending in [ending, ""] {
        all.push(Candidate { name: format!("{folder}.experts.{FUSED}{ending}"), part: half });
    }
    all
}

/// Whether a GGUF tensor holds `-exp(x)` or `exp(x)` where the hub's holds `x`: the rates of a
/// state's decay.
pub fn is_rate(gguf_name: &str) -> bool {
    gguf_name.ends_with(".ssm_a")
}

/// The hub name of a tensor of a GGUF file, where the table has it; a stack of experts has `{e}`
/// for the expert's number. Where several hub names have one GGUF name, the commonest.
pub fn hub_name(gguf_name: &str) -> Option<String> {
    let (stem, ending) = split_ending(gguf_name);
    let Some((layer, name)) = split_layer(gguf_name, "blk.") else {
        return Some(format!("{}{ending}", source(OUTSIDE, stem)?));
    };
    let prefix = format!("model.layers.{layer}");
    if let Some(whole) = source(LAYER_WHOLE, name) {
        return Some(format!("{prefix}.{whole}"));
    }
    let (stem, ending) = split_ending(name);
    if let Some(stem) = source(LAYER, stem) {
        return Some(format!("{prefix}.{stem}{ending}"));
    }
    if stem == FUSED_STACK {
        return Some(format!("{prefix}.{}.{FUSED}", EXPERTS[0]));
    }
    let map = stem.strip_prefix("ffn_")?;
    let (map, folder) = match (map.strip_suffix("_exps"), map.strip_suffix("_shexp")) {
        (Some(map), _) => (map, format!("{}.{{e}}", EXPERTS[0])),
        (_, Some(map)) => (map, SHARED_EXPERT[0].to_string()),
        (None, None) => return None,
    };
    Some(format!("{prefix}.{folder}.{}{ending}", source(GATED, map)?))
}

/// `rest` is what follows `experts.`: `{e}.{map}` of one expert, or `{map}` of all.
fn expert_candidates(layer: &str, rest: &str, ending: &str) -> Vec<Candidate> {
    let block = format!("blk.{layer}");
    let Some((expert, map)) = split_number(rest) else {
        let stack_ending = if ending.is_empty() { ".weight" } else { ending };
        let fused = (rest == FUSED).then(|| FUSED_STACK.to_string());
        let stacks = targets(GATED, rest).map(|map| format!("ffn_{map}_exps")).chain(fused);
        let named = stacks.map(|stack| format!("{block}.{stack}{stack_ending}"));
        return named.map(|name| Candidate { name, part: Part::Whole }).collect();
    };
    let mut all = Vec::new();
    for map in targets(GATED, map) {
        let stack = format!("{block}.ffn_{map}_exps{ending}");
        all.push(Candidate { name: stack, part: Part::Matrix(expert) });
        let fused = format!("{block}.{FUSED_STACK}{ending}");
        match map {
            "gate" => all.push(Candidate { name: fused, part: Part::FirstHalf(expert) }),
            "up" => all.push(Candidate { name: fused, part: Part::SecondHalf(expert) }),
            _ => {}
        }
        // Files of 2023 and early 2024 have one tensor per expert.
        let single = format!("{block}.ffn_{map}.{expert}{ending}");
        all.push(Candidate { name: single, part: Part::Whole });
    }
    all
}

fn targets<'t>(
    table: &'t [(&'t str, &'t str)],
    from: &'t str,
) -> impl Iterator<Item = &'t str> + 't {
    table.iter().filter(move |(hub, _)| *hub == from).map(|(_, gguf)| *gguf)
}

fn source(table: &[(&'static str, &'static str)], to: &str) -> Option<&'static str> {
    table.iter().find(|(_, gguf)| *gguf == to).map(|(hub, _)| *hub)
}

/// `(name, ending)`, with an empty ending where it is none of [`ENDINGS`].
fn split_ending(name: &str) -> (&str, &str) {
    let ending = ENDINGS.iter().find(|ending| name.ends_with(**ending)).map_or(0, |e| e.len());
    name.split_at(name.len() - ending)
}

/// `(layer, rest)` of a hub name, whatever its layers are called.
fn split_hub_layer(name: &str) -> Option<(&str, &str)> {
    LAYERS.iter().find_map(|prefix| split_layer(name, prefix))
}

/// `(layer, rest)` of `{prefix}{layer}.{rest}`.
pub(crate) fn split_layer<'n>(name: &'n str, prefix: &str) -> Option<(&'n str, &'n str)> {
    let (layer, rest) = name.strip_prefix(prefix)?.split_once('.')?;
    layer.bytes().all(|byte| byte.is_ascii_digit()).then_some((layer, rest))
}

/// `(number, rest)` of `{number}.{rest}`.
fn split_number(text: &str) -> Option<(usize, &str)> {
    let (number, rest) = text.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests;
