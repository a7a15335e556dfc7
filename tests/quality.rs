//! `baimo quantize` and `baimo fidelity`, from a checkpoint to the file and its logits.

use baimo_tests::run::Outcome;
use baimo_tests::{checkpoint, golden, run};
use serde_json::Value;
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
