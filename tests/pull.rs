//! `baimo pull` and its kin, as processes that can be killed.

use baimo_tests::golden;
use baimo_tests::run::Outcome;
use baimo_tests_hub::{Hub, SHARDS, noise};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const REPO: &str = "owner/model";
const MODEL: &str = "hf:owner/model";
const SHARD_BYTES: usize = 3 << 20;

/// A hub with a model, and a cache of its own.
struct Place {
    hub: Hub,
    cache: TempDir,
}

impl Place {
    fn new() -> Place {
        let hub = Hub::start();
        hub.put_model(REPO, SHARD_BYTES);
        Place { hub, cache: tempfile::tempdir().expect("a folder") }
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        let kept = std::env::vars_os().filter(|(name, _)| name == "PATH");
        command.args(arguments).env_clear().envs(kept).env("HOME", self.cache.path());
        command.env("HF_ENDPOINT", self.hub.endpoint());
        command.env("MODELSCOPE_ENDPOINT", self.hub.endpoint());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(env!("CARGO_BIN_EXE_baimo"), arguments);
        command.spawn().expect("the program starts")
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        outcome(self.start(arguments))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        json(&self.run(arguments))
    }

    /// Asserts that the model is here, to the last byte.
    fn assert_whole(&self, folder: &Path) {
        for (shard, seed) in SHARDS.into_iter().zip(1..) {
            assert!(std::fs::read(folder.join(shard)).unwrap() == noise(SHARD_BYTES, seed));
        }
    }
}

fn outcome(child: Child) -> Outcome {
    let output = child.wait_with_output().expect("the program ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    Outcome { success: output.status.success(), stdout, stderr }
}

fn json(outcome: &Outcome) -> Value {
    assert!(outcome.success, "{outcome:?}");
    serde_json::from_str(&outcome.stdout).expect("one JSON value on stdout")
}

fn path(report: &Value) -> PathBuf {
    report["path"].as_str().expect("a path").into()
}

#[test]
fn a_pull_that_is_killed_at_ten_points_ends_with_the_same_bytes() {
    let place = Place::new();
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let points = noise(10, seconds.as_nanos() as u64);
    // So slow that records of what has come are written on the way.
    place.hub.behave(|manners| manners.pace = Some(700_000));
    for point in &points {
        let until = place.hub.sent() + u64::from(*point) * 6_000;
        let mut child = place.start(&["pull", MODEL]);
        while place.hub.sent() < until && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    place.hub.behave(|manners| manners.pace = None);
    let report = place.json(&["pull", "--json", MODEL]);
    place.assert_whole(&path(&report));
    let (fetched, total) = (&report["fetched_bytes"], &report["bytes"]);
    assert!(
        fetched.as_u64().unwrap() < total.as_u64().unwrap(),
        "{fetched} of {total}: {points:?}"
    );
    assert_eq!(place.json(&["prune", "--dry-run", "--json"])["bytes"], 0);
}

#[test]
fn two_processes_that_pull_one_model_share_it() {
    let place = Place::new();
    place.hub.behave(|manners| manners.pace = Some(4_000_000));
    let both = [(); 2].map(|()| place.start(&["pull", "--json", MODEL]));
    let reports = both.map(|child| json(&outcome(child)));
    reports.iter().for_each(|report| place.assert_whole(&path(report)));
    let fetched = reports.iter().map(|report| report["fetched_bytes"].as_u64().unwrap());
    assert_eq!(fetched.sum::<u64>(), reports[0]["bytes"].as_u64().unwrap());
}

#[cfg(unix)]
#[test]
fn a_disk_that_takes_no_more_is_told_and_leaves_no_model() {
    let place = Place::new();
    // A file may have 1 MiB: what a full disk does, without a disk to fill.
    let script = "trap '' XFSZ; ulimit -f 2048; exec \"$@\"";
    let baimo = env!("CARGO_BIN_EXE_baimo");
    let arguments = ["-c", script, "sh", baimo, "pull", MODEL];
    let outcome = outcome(place.command("sh", &arguments).spawn().unwrap());
    assert!(!outcome.success);
    let told = &outcome.stderr;
    assert!(told.contains("hint: make room") && told.contains("blobs"), "{told}");
    assert!(told.lines().count() <= 3, "{told}");
    let local = place.json(&["list", "--local", "--json"]);
    assert_eq!(local[0]["models"], Value::Array(Vec::new()), "{local}");
    let refused = place.run(&["tokenize", MODEL, "word"]);
    assert!(!refused.success && refused.stderr.contains("baimo pull"), "{refused:?}");
    place.assert_whole(&path(&place.json(&["pull", "--json", MODEL])));
}

fn poet() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/poet")
}

/// The built-in model, as if its folder were published.
fn publish_poet(place: &Place, repo: &str) {
    let folder = poet();
    let names = ["config", "generation_config", "tokenizer", "tokenizer_config"];
    let names = names.map(|name| format!("{name}.json")).into_iter();
    for name in names.chain(["model.safetensors".to_owned()]) {
        place.hub.put(repo, &name, std::fs::read(folder.join(&name)).expect("a file"));
    }
}

#[test]
fn run_fetches_what_is_not_here_and_later_asks_nobody() {
    let place = Place::new();
    publish_poet(&place, "o/poet");
    let flags = ["月", "--max-tokens", "6", "--temperature", "0"];
    let run = |model: &str| place.run(&[&["run", model], &flags[..]].concat());
    let (built_in, fetched) = (run("poet"), run("hf:o/poet"));
    assert!(fetched.success && fetched.stderr.contains("to fetch"), "{fetched:?}");
    assert_eq!(fetched.stdout, built_in.stdout);
    let seen = place.hub.seen().len();
    let again = run("hf:o/poet");
    assert_eq!((again.stdout, place.hub.seen().len()), (built_in.stdout, seen));
    assert!(!again.stderr.contains("fetch"), "{}", again.stderr);
}

#[test]
fn plan_and_show_ask_the_hub_and_fetch_no_weights() {
    let place = Place::new();
    publish_poet(&place, "o/poet");
    let weights = poet().join("model.safetensors").metadata().expect("weights").len();
    for command in ["plan", "show"] {
        let shown = place.run(&[command, "hf:o/poet", "--json"]);
        let (far, near) = (json(&shown), place.json(&[command, "poet", "--json"]));
        assert!(shown.stderr.contains("none is fetched"), "{shown:?}");
        for key in ["architecture", "parameters", "context"] {
            assert_eq!(far[key], near[key], "{command} {key}");
        }
    }
    assert!(place.hub.sent() < weights / 10, "{} of {weights}", place.hub.sent());
    assert_eq!(place.json(&["list", "--local", "--json"]), serde_json::json!([]));
}

#[test]
fn every_command_that_runs_a_model_fetches_it() {
    let file = golden::folder("gguf/llama").join("model.gguf");
    let requantize = ["FILE.gguf", "--type", "q8_0", "--dry-run", "--allow-requantize"];
    for (command, model, flags) in [
        ("logits", "hf:o/poet", &["--ids", "1,2"][..]),
        ("bench", "hf:o/poet", &["-p", "4", "-n", "2", "-r", "1", "--json"]),
        ("fidelity", "hf:o/poet", &["--ids", "IDS", "--context", "8", "--json"]),
        ("quantize", "hf:o/llama", &requantize),
    ] {
        let place = Place::new();
        publish_poet(&place, "o/poet");
        place.hub.put("o/llama", "model.gguf", std::fs::read(&file).expect("a file"));
        let ids = place.cache.path().join("ids");
        std::fs::write(&ids, "1 2 3 4 5 6 7 8").unwrap();
        let ids = ids.to_str().unwrap();
        let flags = flags.iter().map(|flag| if *flag == "IDS" { ids } else { *flag });
        let flags: Vec<&str> = [command, model].into_iter().chain(flags).collect();
        let outcome = place.run(&flags);
        assert!(outcome.success && outcome.stderr.contains("to fetch"), "{command}: {outcome:?}");
    }
}

#[test]
fn a_quantization_that_no_lab_keeps_is_made_while_loading() {
    let place = Place::new();
    publish_poet(&place, "ByteDance-Seed/Seed-OSS-36B-Instruct");
    let bench = |model| place.run(&["bench", model, "-p", "4", "-n", "2", "-r", "1", "--json"]);
    let (plain, smaller) = (bench("seed-oss:36b"), bench("seed-oss:36b@q8_0"));
    assert!(smaller.stderr.contains("become that while loading"), "{smaller:?}");
    let (plain, smaller) = (json(&plain), json(&smaller));
    assert_eq!(smaller[0]["weights"], "q8_0");
    let bytes = |report: &Value| report[0]["weight_bytes"].as_u64().expect("bytes");
    assert!(bytes(&smaller) < bytes(&plain), "{smaller} {plain}");
    let kept = place.run(&["rm", "seed-oss:36b@q8_0"]);
    assert!(!kept.success && kept.stderr.contains("hint: `baimo rm hf:"), "{kept:?}");
    let refused = place.run(&["bench", "seed-oss:36b@q3_k_m"]);
    assert!(!refused.success && refused.stderr.contains("seed-oss:36b@q4_k"), "{refused:?}");
}

#[test]
fn offline_says_what_to_pull() {
    let place = Place::new();
    let arguments = ["run", MODEL, "word"];
    let mut command = place.command(env!("CARGO_BIN_EXE_baimo"), &arguments);
    let outcome = outcome(command.env("HF_HUB_OFFLINE", "1").spawn().unwrap());
    assert!(
        !outcome.success && outcome.stderr.contains("baimo pull hf:owner/model"),
        "{outcome:?}"
    );
    assert!(place.hub.seen().is_empty());
}

#[test]
fn models_come_are_listed_and_go() {
    let place = Place::new();
    let dry = place.json(&["pull", "--dry-run", "--json", MODEL]);
    assert_eq!((&dry["missing_bytes"], &dry["fetched_bytes"]), (&dry["bytes"], &Value::Null));
    assert!(!path(&dry).exists());
    let pulled = place.run(&["pull", MODEL]);
    assert!(Path::new(pulled.stdout.trim()).join("config.json").exists(), "{pulled:?}");
    let local = place.run(&["list", "--local"]);
    assert!(local.stdout.contains("6.29 MB  hf:owner/model\n"), "{local:?}");
    assert_eq!(place.json(&["list", "--local", "--json"])[0]["models"][0], MODEL);
    // Something that nobody needs, which is not removed unasked.
    let repo = place.cache.path().join(".cache/huggingface/hub/models--owner--model");
    let orphan = repo.join("blobs").join("a".repeat(64));
    std::fs::write(&orphan, noise(5_000, 1)).unwrap();
    let asked = place.run(&["prune"]);
    assert!(!asked.success && asked.stderr.contains("--yes") && orphan.exists(), "{asked:?}");
    assert_eq!(place.json(&["prune", "--yes", "--json"])["bytes"], 5_000);
    assert!(!orphan.exists());
    assert!(place.run(&["rm", MODEL]).stdout.contains("6.29 MB freed"));
    assert!(!repo.exists());
    let again = place.run(&["rm", MODEL]);
    assert!(!again.success && again.stderr.contains("list --local"), "{again:?}");
}

#[test]
fn a_name_that_nobody_knows_is_told_with_its_neighbours() {
    let place = Place::new();
    let outcome = place.run(&["pull", "qwen3:0.6c"]);
    assert!(!outcome.success && outcome.stderr.contains("qwen3:0.6b"), "{outcome:?}");
    for command in ["pull", "rm", "prune"] {
        assert!(place.run(&[command, "--help"]).stdout.contains("Examples:"), "{command}");
    }
}
