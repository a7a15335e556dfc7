//! What GGUF files call the tensors of a checkpoint: one table for every family.
//!
//! Source: `gguf-py/gguf/{constants,tensor_mapping}.py` and `conversion/` of
//! <https://github.com/ggml-org/llama.cpp>. Where converters chose differently by family, the
//! alternatives stand below each other and the first that a file has is taken.

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

/// Names outside layers, without `.weight`.
const OUTSIDE: &[(&str, &str)] = &[
    ("model.embed_tokens", "token_embd"),
    ("model.word_embeddings", "token_embd"),
    ("model.norm", "output_norm"),
    ("lm_head", "output"),
    // Divisors of rope frequencies: no hub checkpoint has them, so they keep their name.
    ("rope_freqs", "rope_freqs"),
];

/// Names within `model.layers.{n}.` and `blk.{n}.`, without `.weight` or `.bias`.
const LAYER: &[(&str, &str)] = &[
    ("input_layernorm", "attn_norm"),
    // Before the FFN in most families; after attention in those that call it so and have no
    // `ffn_norm`.
    ("post_attention_layernorm", "ffn_norm"),
    ("post_attention_layernorm", "post_attention_norm"),
    ("post_self_attn_layernorm", "post_attention_norm"),
    ("post_mlp_layernorm", "post_ffw_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.qkv_proj", "attn_qkv"),
    ("attention.query_key_value", "attn_qkv"),
    ("self_attn.o_proj", "attn_output"),
    ("attention.dense", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.query_layernorm", "attn_q_norm"),
    ("attention.query_layernorm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("self_attn.key_layernorm", "attn_k_norm"),
    ("attention.key_layernorm", "attn_k_norm"),
    ("self_attn.q_a_proj", "attn_q_a"),
    ("self_attn.q_a_layernorm", "attn_q_a_norm"),
    ("self_attn.q_b_proj", "attn_q_b"),
    ("self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"),
    ("self_attn.kv_a_layernorm", "attn_kv_a_norm"),
    ("self_attn.kv_b_proj", "attn_kv_b"),
    (KEY_UP, "attn_k_b"),
    (VALUE_UP, "attn_v_b"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    // Gate above up in one tensor: converters that keep it so call it `ffn_up`.
    ("mlp.gate_up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("mlp.gate", "ffn_gate_inp"),
    ("mlp.gate.wg", "ffn_gate_inp"),
    ("block_sparse_moe.gate", "ffn_gate_inp"),
    ("mlp.shared_expert_gate", "ffn_gate_inp_shexp"),
    // Prediction layers after the last: carried by some files.
    ("eh_proj", "nextn.eh_proj"),
    ("embed_tokens", "nextn.embed_tokens"),
    ("enorm", "nextn.enorm"),
    ("hnorm", "nextn.hnorm"),
    ("shared_head.head", "nextn.shared_head_head"),
    ("shared_head.norm", "nextn.shared_head_norm"),
];

/// Whole names within a layer, for those whose endings do not correspond.
const LAYER_WHOLE: &[(&str, &str)] = &[
    ("mlp.gate.e_score_correction_bias", "exp_probs_b.bias"),
    ("mlp.gate.e_score_correction_bias", "exp_probs_b"),
    ("mlp.gate.expert_bias", "exp_probs_b.bias"),
    ("mlp.moe_statics.e_score_correction_bias", "exp_probs_b.bias"),
    ("block_sparse_moe.e_score_correction_bias", "exp_probs_b.bias"),
    ("self_attn.sinks", "attn_sinks.weight"),
];

/// The two halves of `kv_b_proj` as newer converters split it; no hub checkpoint has these names.
pub(crate) const KEY_UP: &str = "self_attn.k_b_proj";
pub(crate) const VALUE_UP: &str = "self_attn.v_b_proj";
pub(crate) const KEY_VALUE_UP: &str = "self_attn.kv_b_proj";

/// Folders of one FFN per expert, and of the one that every token meets.
const EXPERTS: &[&str] = &["mlp.experts", "block_sparse_moe.experts"];
const SHARED_EXPERT: &[&str] = &["mlp.shared_experts", "mlp.shared_expert", "mlp.shared_mlp"];
/// The maps of a gated FFN.
const GATED: &[(&str, &str)] = &[
    ("gate_proj", "gate"),
    ("up_proj", "up"),
    ("down_proj", "down"),
    ("w1", "gate"),
    ("w3", "up"),
    ("w2", "down"),
];
const FUSED: &str = "gate_up_proj";
const FUSED_STACK: &str = "ffn_gate_up_exps";

const ENDINGS: &[&str] = &[".weight", ".bias"];

/// Where a GGUF file may hold the tensor of that hub name, best first.
pub fn gguf_candidates(hub_name: &str) -> Vec<Candidate> {
    let (stem, ending) = split_ending(hub_name);
    let whole = |name: String| Candidate { name, part: Part::Whole };
    let Some((layer, name)) = split_layer(hub_name, "model.layers.") else {
        return targets(OUTSIDE, stem).map(|name| whole(format!("{name}{ending}"))).collect();
    };
    let exact = targets(LAYER_WHOLE, name).map(|name| whole(format!("blk.{layer}.{name}")));
    let mut all: Vec<Candidate> = exact.collect();
    let (stem, ending) = split_ending(name);
    all.extend(targets(LAYER, stem).map(|name| whole(format!("blk.{layer}.{name}{ending}"))));
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

/// Where a safetensors checkpoint may hold it: under its own name, or an expert's in a stack.
pub fn hub_candidates(hub_name: &str) -> Vec<Candidate> {
    let mut all = vec![Candidate { name: hub_name.to_string(), part: Part::Whole }];
    let (stem, ending) = split_ending(hub_name);
    let Some((folder, rest)) = stem.split_once(".experts.") else { return all };
    let Some((expert, map)) = split_number(rest) else { return all };
    for ending in [ending, ""] {
        let name = format!("{folder}.experts.{map}{ending}");
        all.push(Candidate { name, part: Part::Matrix(expert) });
    }
    all
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

/// `(layer, rest)` of `{prefix}{layer}.{rest}`.
fn split_layer<'n>(name: &'n str, prefix: &str) -> Option<(&'n str, &'n str)> {
    let (layer, rest) = name.strip_prefix(prefix)?.split_once('.')?;
    layer.bytes().all(|byte| byte.is_ascii_digit()).then_some((layer, rest))
}

/// `(number, rest)` of `{number}.{rest}`.
fn split_number(text: &str) -> Option<(usize, &str)> {
    let (number, rest) = text.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(hub_name: &str) -> (String, Part) {
        let candidate = gguf_candidates(hub_name).into_iter().next().expect(hub_name);
        (candidate.name, candidate.part)
    }

    #[test]
    fn every_name_of_the_table_goes_to_gguf_and_back() {
        let mut names: Vec<String> =
            OUTSIDE.iter().map(|(hub, _)| format!("{hub}.weight")).collect();
        names.extend(LAYER.iter().map(|(hub, _)| format!("model.layers.17.{hub}.bias")));
        names.extend(LAYER_WHOLE.iter().map(|(hub, _)| format!("model.layers.17.{hub}")));
        for hub in names {
            for candidate in gguf_candidates(&hub) {
                let back = hub_name(&candidate.name).expect(&candidate.name);
                let again = gguf_candidates(&back);
                assert!(again.contains(&candidate), "{hub} -> {candidate:?} -> {back}");
            }
        }
    }

    #[test]
    fn the_names_are_those_of_real_files() {
        let pairs = [
            ("model.embed_tokens.weight", "token_embd.weight"),
            ("lm_head.weight", "output.weight"),
            ("model.norm.weight", "output_norm.weight"),
            ("model.layers.3.self_attn.q_proj.bias", "blk.3.attn_q.bias"),
            ("model.layers.3.self_attn.kv_a_proj_with_mqa.weight", "blk.3.attn_kv_a_mqa.weight"),
            ("model.layers.3.mlp.gate.weight", "blk.3.ffn_gate_inp.weight"),
            ("model.layers.3.mlp.gate.e_score_correction_bias", "blk.3.exp_probs_b.bias"),
            ("model.layers.3.mlp.shared_experts.up_proj.weight", "blk.3.ffn_up_shexp.weight"),
            ("model.layers.3.post_mlp_layernorm.weight", "blk.3.post_ffw_norm.weight"),
        ];
        for (hub, gguf) in pairs {
            assert_eq!(first(hub), (gguf.to_string(), Part::Whole));
            assert_eq!(hub_name(gguf).as_deref(), Some(hub));
        }
    }

    #[test]
    fn an_expert_is_a_matrix_of_a_stack_or_half_a_fused_one() {
        let found = gguf_candidates("model.layers.0.mlp.experts.7.up_proj.weight");
        let wanted = [
            ("blk.0.ffn_up_exps.weight", Part::Matrix(7)),
            ("blk.0.ffn_gate_up_exps.weight", Part::SecondHalf(7)),
            ("blk.0.ffn_up.7.weight", Part::Whole),
        ];
        let wanted = wanted.map(|(name, part)| Candidate { name: name.to_string(), part });
        assert_eq!(found, wanted);
        assert_eq!(
            hub_name("blk.0.ffn_down_exps.weight").as_deref(),
            Some("model.layers.0.mlp.experts.{e}.down_proj.weight")
        );
    }

    #[test]
    fn a_norm_with_two_homes_has_both_in_order() {
        let names: Vec<String> = gguf_candidates("model.layers.0.post_attention_layernorm.weight")
            .into_iter()
            .map(|candidate| candidate.name)
            .collect();
        assert_eq!(names, ["blk.0.ffn_norm.weight", "blk.0.post_attention_norm.weight"]);
    }

    #[test]
    fn unknown_names_have_no_candidates() {
        for name in ["", "model.layers.x.mlp.up_proj.weight", "visual.patch.weight", "blk.0"] {
            assert!(gguf_candidates(name).is_empty(), "{name}");
        }
        assert_eq!(hub_name("v.patch_embd.weight"), None);
    }
}
