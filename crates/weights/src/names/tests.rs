use super::table::{LAYER, LAYER_WHOLE, OUTSIDE};
use super::*;

fn first(hub_name: &str) -> (String, Part) {
    let candidate = gguf_candidates(hub_name).into_iter().next().expect(hub_name);
    (candidate.name, candidate.part)
}

#[test]
fn every_name_of_the_table_goes_to_gguf_and_back() {
    let mut names: Vec<String> = OUTSIDE.iter().map(|(hub, _)| format!("{hub}.weight")).collect();
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

#[test]
fn a_mixer_has_the_same_names_whatever_its_folder_is_called() {
    let maps = ["q_proj.weight", "dt_bias", "kv_a_layernorm.weight", "o_norm.weight"];
    for map in maps {
        let of = |folder| gguf_candidates(&format!("model.layers.4.{folder}.{map}"));
        assert_eq!(of("attention"), of("self_attn"), "{map}");
    }
    let last = part_of_split("model.layers.4.attention.kv_b_proj.weight", false, true);
    assert_eq!(last.as_deref(), Some("model.layers.4.self_attn.v_b_proj.weight"));
}
