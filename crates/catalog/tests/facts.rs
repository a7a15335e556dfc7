//! The compiled facts: every name of the lineage, what runs, and what people type.

use baimo_catalog::facts::{compiled, find};

#[test]
fn a_name_finds_its_repositories_on_both_hubs() {
    for name in ["qwen3:0.6b", "QWEN3:0.6B", "Qwen3-0.6B", "Qwen/Qwen3-0.6B"] {
        let entry = find(name).unwrap_or_else(|| panic!("{name} is found"));
        assert_eq!(entry.hugging_face().unwrap().id, "Qwen/Qwen3-0.6B");
        assert_eq!(entry.model_scope().unwrap().id, "Qwen/Qwen3-0.6B");
        assert!(entry.model_scope().unwrap().stated, "{name}");
        assert_eq!(entry.quantization, None);
    }
    let entry = find("qwen3:30b-a3b@Q4_K").expect("found");
    assert_eq!(entry.model.title, "Qwen3-30B-A3B");
    assert_eq!(entry.quantization.as_deref(), Some("q4_k"));
    assert_eq!(find("qwen3:0.6b-base").unwrap().hugging_face().unwrap().id, "Qwen/Qwen3-0.6B-Base");
    assert_eq!(find("qwen3:0.6b-").map(|entry| entry.model.title.clone()), None);
    assert!(find("no-such-model").is_none());
    assert_eq!(compiled().near("qwen3:0.6")[0], "qwen3:0.6b");
}
