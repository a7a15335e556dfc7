//! `baimo quantize` and `baimo fidelity`, from a checkpoint to the file and its logits.

use baimo_tests::run::Outcome;
use baimo_tests::{checkpoint, golden, run};
use baimo_weights::{Checkpoint, Importance, gguf, is_quantizable};
use serde_json::{Value, json};
use std::path::Path;

fn baimo(arguments: &[&str]) -> Outcome {
    run::run(env!("CARGO_BIN_EXE_baimo"), arguments, "")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// A golden checkpoint as a folder, and a folder for what is made of it.
fn folder(case: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    checkpoint::write(case, folder.path());
    folder
}

/// Writes `model` as a file of that type into the same folder.
fn quantize(model: &Path, folder: &Path, mixture: &str) -> std::path::PathBuf {
    let target = folder.join(format!("{mixture}.gguf"));
    let done = baimo(&["quantize", text(model), text(&target), "--type", mixture, "--force"]);
    assert!(done.success, "{mixture}: {done:?}");
    target
}

/// The logits after all ids of the case, and the largest of them.
fn logits(model: &Path, case: &str) -> (Vec<f64>, f64) {
    let ids = golden::json(case, "golden.json")["ids"].as_array().expect("ids").clone();
    let ids: Vec<String> = ids.iter().map(Value::to_string).collect();
    let found = baimo(&["logits", text(model), "--ids", &ids.join(","), "--threads", "1"]);
    assert!(found.success, "{found:?}");
    let json: Value = serde_json::from_str(&found.stdout).expect("JSON");
    let row = json["logits"][ids.len().to_string()].as_array().expect("logits").clone();
    let row: Vec<f64> = row.iter().map(|logit| logit.as_f64().expect("a number")).collect();
    let largest = row.iter().fold(0.0f64, |most, logit| most.max(logit.abs()));
    (row, largest)
}

/// The root mean square difference of logits, in parts of the largest.
fn apart(found: &[f64], (wanted, largest): &(Vec<f64>, f64)) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let squares = found.iter().zip(wanted).map(|(a, b)| (a - b).powi(2));
    (squares.sum::<f64>() / found.len() as f64).sqrt() / largest
}

#[test]
fn a_file_of_f32_computes_what_the_folder_does() {
    // Rows in another order, experts in stacks, maps cut apart and turned, divisors of a rope.
    let cases = [
        "llama",
        "llama_rope3",
        "qwen2",
        "qwen3",
        "qwen3_moe",
        "qwen2_moe",
        "glm4",
        "glm4_moe",
        "deepseek_v2",
        "deepseek_v3",
        "deepseek_v3_fp8",
        "ernie4_5",
        "seed_oss",
        "dots1",
    ];
    for case in cases {
        let folder = folder(case);
        let file = quantize(folder.path(), folder.path(), "f32");
        let wanted = logits(folder.path(), case);
        let found = apart(&logits(&file, case).0, &wanted);
        assert!(found < 1e-5, "{case}: {found}");
    }
}

#[test]
fn every_type_is_read_again_and_near() {
    // Its rows are whole blocks of 32 numbers.
    let folder = folder("qwen2");
    let whole = quantize(folder.path(), folder.path(), "f32");
    let wanted = logits(&whole, "qwen2");
    let most = [
        ("f16", 0.001),
        ("bf16", 0.01),
        ("q8_0", 0.01),
        ("q6_k", 0.02),
        ("q5_k_m", 0.1),
        ("q5_k_s", 0.1),
        ("q5_1", 0.1),
        ("q5_0", 0.1),
        ("q4_k_m", 0.2),
        ("q4_k_s", 0.2),
        ("q4_1", 0.2),
        ("q4_0", 0.2),
        ("iq4_nl", 0.2),
        ("iq4_xs", 0.2),
        ("mxfp4", 0.2),
        ("q3_k_m", 0.3),
        ("q2_k", 0.5),
    ];
    for (mixture, most) in most {
        let file = quantize(&whole, folder.path(), mixture);
        let found = apart(&logits(&file, "qwen2").0, &wanted);
        assert!(found < most, "{mixture}: {found}");
    }
}

#[test]
fn the_same_model_gives_the_same_bytes_on_any_number_of_threads() {
    let folder = folder("qwen3");
    let write = |name: &str, threads: &str| {
        let target = folder.path().join(name);
        let flags = ["--type", "q4_0", "--rule", "ffn_down=q6_k", "--threads", threads];
        let model = text(folder.path());
        let done = baimo(&[&["quantize", model, text(&target)], &flags[..]].concat());
        assert!(done.success, "{done:?}");
        std::fs::read(target).expect("the file")
    };
    assert_eq!(write("one.gguf", "1"), write("three.gguf", "3"));
    let parts = std::fs::read_dir(folder.path()).expect("a folder").flatten();
    let parts = parts.filter(|entry| entry.path().extension() == Some("part".as_ref()));
    assert_eq!(parts.count(), 0);
}

#[test]
fn what_cannot_be_done_is_refused_with_a_hint() {
    let folder = folder("llama");
    let small = quantize(folder.path(), folder.path(), "q8_0");
    let other = folder.path().join("other.gguf");
    let refused = |arguments: &[&str], word: &str| {
        let outcome = baimo(arguments);
        assert!(!outcome.success && outcome.stderr.contains(word), "{arguments:?}: {outcome:?}");
        assert!(!other.exists(), "{arguments:?} left a file");
    };
    let (model, small, there) = (text(folder.path()), text(&small), text(&small));
    let target = text(&other);
    refused(&["quantize", model, there, "--type", "f16"], "--force");
    refused(&["quantize", small, target, "--type", "q4_0"], "--allow-requantize");
    refused(&["quantize", model, target, "--type", "q9"], "q4_k_m");
    refused(&["quantize", model, target, "--type", "f16", "--rule", "nothing=q8_0"], "--dry-run");
    refused(&["quantize", model, target, "--type", "f16", "--rule", "(=q8_0"], "(");
    refused(&["quantize", model, "other.bin", "--type", "f16"], ".gguf");
    let strange = self::folder("longcat_flash");
    refused(&["quantize", text(strange.path()), target, "--type", "f16"], "convert_hf_to_gguf");
    let done = baimo(&["quantize", small, target, "--type", "f32", "--allow-requantize"]);
    assert!(done.success, "{done:?}");
}

/// Numbers of a tensor of an importance file.
fn numbers(file: &gguf::Contents, bytes: &[u8], name: &str) -> Vec<f32> {
    let info = file.tensors.iter().find(|tensor| tensor.name == name);
    let range = info.unwrap_or_else(|| panic!("no {name}")).range.clone();
    bytes[range].as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// A byte-level tokenizer of printable ASCII.
fn write_tokenizer(folder: &Path) {
    let letters = ('!'..='~').chain(['\u{120}', '\u{10a}']);
    let vocab: serde_json::Map<String, Value> =
        letters.enumerate().map(|(id, letter)| (letter.to_string(), id.into())).collect();
    let bytes = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
    });
    let model = json!({ "type": "BPE", "vocab": vocab, "merges": [] });
    let json = json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": bytes,
        "post_processor": null, "decoder": bytes, "model": model,
    });
    std::fs::write(folder.join("tokenizer.json"), json.to_string()).expect("written");
}

#[test]
fn a_text_tells_the_importance_of_every_map_and_the_file_of_it_the_same() {
    let folder = folder("deepseek_v3");
    write_tokenizer(folder.path());
    let path = |name: &str| folder.path().join(name);
    let book = path("book.txt");
    let line = "The river runs east, past pines and pavilions, and nobody counts the days.\n";
    std::fs::write(&book, line.repeat(20)).expect("written");
    let write = |model: &Path, target: &str, flags: &[&str]| {
        let target = path(target);
        let common = ["quantize", text(model), text(&target), "--type", "q4_0"];
        let done = baimo(&[&common[..], flags].concat());
        assert!(done.success, "{done:?}");
        std::fs::read(target).expect("the file")
    };
    let kept = path("kept.gguf");
    let measured = ["--imatrix-from", text(&book), "--imatrix-out", text(&kept)];
    let first = write(folder.path(), "first.gguf", &measured);
    assert!(first == write(folder.path(), "again.gguf", &["--imatrix", text(&kept)]), "others");
    assert!(first != write(folder.path(), "plain.gguf", &[]), "importance changes nothing");

    let known = Importance::read(&kept).expect("importance");
    let checkpoint = Checkpoint::open(&path("first.gguf")).expect("the file");
    let maps = checkpoint.tensors().filter(|it| it.name.starts_with("blk.") && is_quantizable(it));
    for map in maps {
        assert_eq!(known.columns(&map.name), map.shape.last().copied(), "{}", map.name);
    }
    // A file calls its tensors otherwise and has some in parts; it is the same model.
    let whole = quantize(folder.path(), folder.path(), "f32");
    let of_file = path("of_file.gguf");
    write(&whole, "third.gguf", &["--imatrix-from", text(&book), "--imatrix-out", text(&of_file)]);
    assert!(known == Importance::read(&of_file).expect("importance"), "another importance");

    let bytes = std::fs::read(&kept).expect("the file");
    let file = gguf::read(&bytes, &kept).expect("a GGUF file");
    let tokens = 512.0 * known.chunks as f32;
    assert_eq!(numbers(&file, &bytes, "blk.0.attn_q_a.weight.counts"), [tokens]);
    // The same inputs, and each token with as many experts as it chooses.
    let sums = |map: &str| numbers(&file, &bytes, &format!("blk.1.{map}.weight.in_sum2"));
    assert_eq!(sums("ffn_gate_exps"), sums("ffn_up_exps"));
    let counts = |map: &str| numbers(&file, &bytes, &format!("blk.1.{map}.weight.counts"));
    assert_eq!(counts("ffn_down_exps"), counts("ffn_up_exps"));
    let active = golden::json("deepseek_v3", "config.json")["num_experts_per_tok"].as_f64();
    let active = active.expect("a number") as f32;
    assert_eq!(counts("ffn_up_exps").iter().sum::<f32>(), active * tokens);
}

#[test]
fn fidelity_is_whole_between_equals_and_less_for_fewer_bits() {
    let folder = folder("qwen3");
    let ids = folder.path().join("ids.txt");
    let count = golden::json("qwen3", "config.json")["vocab_size"].as_u64().expect("a size");
    let numbers: Vec<String> = (0..200).map(|n| (n * 7919 % count).to_string()).collect();
    std::fs::write(&ids, numbers.join(" ")).expect("written");
    let model = text(folder.path());
    let compare = |flags: &[&str]| -> Value {
        let common = ["--ids", text(&ids), "--context", "64", "--json"];
        let outcome = baimo(&[&["fidelity", model], flags, &common[..]].concat());
        assert!(outcome.success, "{outcome:?}");
        serde_json::from_str(&outcome.stdout).expect("JSON")
    };
    let same = compare(&[]);
    assert_eq!(same["kl"]["max"].as_f64(), Some(0.0), "{same}");
    assert_eq!(same["same_top_percent"]["value"].as_f64(), Some(100.0));
    assert_eq!((same["chunks"].as_u64(), same["scored_positions"].as_u64()), (Some(3), Some(93)));
    let less = compare(&["--b-weights", "q4_0"]);
    let mean = |report: &Value| report["kl"]["mean"]["value"].as_f64().expect("a number");
    assert!(mean(&less) > 1e-6, "{less}");
    let file = quantize(folder.path(), folder.path(), "q8_0");
    let file = compare(&[text(&file)]);
    assert!(mean(&file) < mean(&less), "{file}");
    let other = baimo(&["fidelity", model, "poet", "--ids", text(&ids)]);
    assert!(!other.success && other.stderr.contains("vocabularies"), "{other:?}");
}
