//! Broken models through the command: each is refused in a line or two that name what is wrong.
//! (`tests/hostile` breaks files in many more ways, one door further in.)

use baimo_tests::{checkpoint, golden, run};
use std::path::Path;

/// Refused, without an answer, by a short message that names all `culprits`.
fn refuses(model: &Path, culprits: &[&str]) {
    let model = model.to_str().expect("a path in UTF-8");
    let program = env!("CARGO_BIN_EXE_baimo");
    let outcome = run::run(program, &["logits", model, "--ids", "1,2,3"], "");
    let message = &outcome.stderr;
    assert!(!outcome.success && outcome.stdout.is_empty(), "{culprits:?}: {outcome:?}");
    assert!((1..=2).contains(&message.trim_end().lines().count()), "{message}");
    for culprit in culprits {
        assert!(message.contains(culprit), "{culprit} is not named: {message}");
    }
    assert!(!message.contains("panicked") && !message.contains("RUST_BACKTRACE"), "{message}");
}

/// A sound folder, broken by `change`.
fn folder(change: impl Fn(&Path)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    checkpoint::write("qwen3_moe", folder.path());
    change(folder.path());
    folder
}

fn edit(file: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(file).expect("a file to read");
    change(&mut bytes);
    std::fs::write(file, bytes).expect("a file to write");
}

/// `config.json` with one text replaced by another.
fn config(from: &'static str, to: &'static str) -> tempfile::TempDir {
    folder(|folder| {
        let file = folder.join("config.json");
        let text = std::fs::read_to_string(&file).expect("a config");
        assert!(text.contains(from), "{from} is not in {text}");
        std::fs::write(&file, text.replacen(from, to, 1)).expect("a file to write");
    })
}

#[test]
fn a_config_that_is_wrong_is_refused_by_key() {
    for (from, to, culprits) in [
        ("\"hidden_size\": 48", "\"hidden_size\": \"48\"", &["config.json", "hidden_size"][..]),
        ("\"hidden_size\": 48", "\"hidden_sizes\": 48", &["hidden_size", "missing"]),
        ("\"hidden_size\": 48", "\"hidden_size\": 0", &["hidden_size", "is 0", "wanted"]),
        ("\"hidden_size\": 48", "\"hidden_size\": 49", &["model.safetensors", "48", "49"]),
        ("\"num_experts\": 16", "\"num_experts\": 12", &["mlp.gate.weight", "[12, 48]"]),
        ("\"num_experts\": 16", "\"num_experts\": 20", &["mlp.gate.weight", "[20, 48]"]),
        ("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2", &["model.layers.2"]),
        ("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4", &["model.layers.3"]),
        ("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4000000000", &["num_hidden_layers"]),
        ("\"hidden_act\": \"silu\"", "\"hidden_act\": \"relu\"", &["hidden_act", "silu"]),
        ("\"head_dim\": 16", "\"head_dim\": 16, \"novelty\": 1", &["novelty"]),
        ("Qwen3MoeForCausalLM", "Qwen3MooForCausalLM", &["Qwen3MooForCausalLM", "nearest"]),
        ("{", "", &["config.json", "JSON"]),
    ] {
        refuses(config(from, to).path(), culprits);
    }
}

#[test]
fn a_safetensors_file_that_is_cut_or_shifted_is_refused_by_name() {
    let name = "model.safetensors";
    for (keep, culprits) in [
        (0, &["model.safetensors"][..]),
        (7, &["model.safetensors"]),
        (100, &["model.safetensors"]),
        (30_000, &["model.safetensors"]),
        (400_000, &["model.safetensors"]),
    ] {
        let broken = folder(|folder| edit(&folder.join(name), |bytes| bytes.truncate(keep)));
        refuses(broken.path(), culprits);
    }
    let longer = folder(|folder| edit(&folder.join(name), |bytes| bytes.extend([0; 9])));
    refuses(longer.path(), &["model.safetensors"]);
    let garbled = folder(|folder| edit(&folder.join(name), |bytes| bytes[9] = b'x'));
    refuses(garbled.path(), &["model.safetensors"]);
    let huge = folder(|folder| edit(&folder.join(name), |bytes| bytes[..8].fill(0xFF)));
    refuses(huge.path(), &["model.safetensors"]);
    let gone = folder(|folder| std::fs::remove_file(folder.join(name)).expect("a file"));
    refuses(gone.path(), &["safetensors"]);
    refuses(Path::new("/no/such/model"), &["/no/such/model"]);
}

#[test]
fn a_gguf_file_that_is_cut_or_changed_is_refused_by_name() {
    let sound = golden::folder("gguf/llama").join("model.gguf");
    let sound = std::fs::read(sound).expect("a golden file");
    let broken = |change: &dyn Fn(&mut Vec<u8>)| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut bytes = sound.clone();
        change(&mut bytes);
        std::fs::write(folder.path().join("model.gguf"), bytes).expect("a file to write");
        refuses(&folder.path().join("model.gguf"), &["model.gguf"]);
    };
    for keep in [0, 3, 20, 500, 5_000, sound.len() / 2, sound.len() - 1] {
        broken(&|bytes| bytes.truncate(keep));
    }
    broken(&|bytes| bytes[0] = b'X');
    broken(&|bytes| bytes[4] = 99);
    broken(&|bytes| bytes[8..16].fill(0xFF));
    broken(&|bytes| bytes[16..24].fill(0xFF));
    let architecture = sound.windows(5).position(|part| part == b"llama").expect("its name");
    broken(&|bytes| bytes[architecture..][..5].copy_from_slice(b"lemma"));
}

#[test]
fn a_tokenizer_that_is_broken_is_refused_by_file() {
    let program = env!("CARGO_BIN_EXE_baimo");
    for (text, culprit) in [("{", "tokenizer.json"), ("{}", "tokenizer.json"), ("[1]", "tokenizer")]
    {
        let folder = folder(|folder| {
            std::fs::write(folder.join("tokenizer.json"), text).expect("a file to write");
        });
        let model = folder.path().to_str().unwrap();
        let outcome = run::run(program, &["run", model, "hi", "--raw"], "");
        assert!(!outcome.success && outcome.stderr.contains(culprit), "{outcome:?}");
        assert!(outcome.stderr.trim_end().lines().count() <= 2, "{}", outcome.stderr);
    }
    let none = folder(|_| ());
    let outcome = run::run(program, &["run", none.path().to_str().unwrap(), "hi"], "");
    assert!(!outcome.success && outcome.stderr.contains("tokenizer"), "{outcome:?}");
}
