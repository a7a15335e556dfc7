//! `baimo list` and `baimo show` of the catalog.

use baimo_tests::run::{self, Outcome};
use serde_json::Value;

fn baimo(arguments: &[&str]) -> Outcome {
    run::run(env!("CARGO_BIN_EXE_baimo"), arguments, "")
}

fn json(outcome: &Outcome) -> Value {
    assert!(outcome.success, "{outcome:?}");
    serde_json::from_str(&outcome.stdout).expect("one JSON value on stdout")
}

#[test]
fn list_tells_the_catalog_and_narrows_it() {
    let rows = |flags: &[&str]| {
        let listed = json(&baimo(&[&["list", "--json"], flags].concat()));
        listed.as_array().expect("a list").clone()
    };
    let all = rows(&[]);
    let open = rows(&["--lab", "qwen", "--open", "--runs", "--max-memory", "1G"]);
    assert!(!open.is_empty() && open.len() < all.len());
    for row in &open {
        assert_eq!((&row["lab"], &row["weights"]), (&"qwen".into(), &"open".into()), "{row}");
        assert!(row["estimated_bytes"].as_u64().unwrap() <= 1 << 30, "{row}");
        assert_eq!(row["runs"], true, "{row}");
    }
    let video = rows(&["--modality", "video", "--released-after", "2026", "--sort", "released"]);
    let dates: Vec<&str> = video.iter().map(|row| row["released"].as_str().unwrap()).collect();
    assert!(dates.is_sorted_by(|a, b| a >= b) && dates[dates.len() - 1] >= "2026", "{dates:?}");
    let table = baimo(&["list", "--lab", "智谱", "--open"]).stdout;
    let column = |line: &str| line.find("  ").unwrap();
    assert!(table.lines().nth(1).is_some_and(|line| column(line) > 0), "{table}");
    assert!(table.contains("glm-4.5-air") && !table.contains("qwen3:0.6b"), "{table}");
    let nothing = baimo(&["list", "--released-after", "soon"]);
    assert!(nothing.stderr.contains("wanted a date such as 2025"), "{nothing:?}");
}

#[test]
fn show_tells_a_catalog_name_with_its_sources() {
    let shown = baimo(&["show", "QWEN3:30b-a3b"]);
    for part in ["Qwen3-30B-A3B", "[1]", "Hugging Face", "30.5B", "runs", "sources", "https://"] {
        assert!(shown.stdout.contains(part), "{part}: {shown:?}");
    }
    let facts = json(&baimo(&["show", "deepseek-v3.1:671b", "--json"]));
    let released = &facts["facts"]["released"];
    assert_eq!((&released["value"], &released["claim"]), (&"2025-08-21".into(), &false.into()));
    assert_eq!(released["others"][0]["value"], "2024-12");
    assert!(released["source"]["date"].is_string(), "{released}");
    assert_eq!(facts["pull"]["hugging_face"]["id"], "deepseek-ai/DeepSeek-V3.1");
    let missed = baimo(&["show", "qwen3:30b-a4b"]);
    assert!(!missed.success && missed.stderr.contains("perhaps qwen3:30b-a3b"), "{missed:?}");
}

#[test]
fn a_file_of_others_lies_over_the_catalog_for_one_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("api.json");
    let mine = r#"{ "mine": { "id": "mine", "name": "Mine", "models": { "qwen3:0.6b": { "id": "x",
        "limit": { "context": 4096, "output": 0 }, "release_date": "2026-01" } } } }"#;
    std::fs::write(&file, mine).unwrap();
    let path = file.to_str().unwrap();
    let shown = baimo(&["show", "mine/qwen3:0.6b", "--import", path]);
    assert!(shown.stdout.contains("4096") && shown.stdout.contains("api.json"), "{shown:?}");
    std::fs::write(&file, mine.replace("4096", "true")).unwrap();
    let refused = baimo(&["list", "--import", path]);
    assert!(!refused.success, "{refused:?}");
    let wanted = "mine: qwen3:0.6b: `context`: found true, wanted a whole number of tokens";
    assert!(refused.stderr.contains(wanted), "{refused:?}");
}

#[test]
fn every_shell_is_told_how_to_ask() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = baimo(&["completions", shell]);
        assert!(script.stdout.contains("BAIMO_COMPLETE"), "{shell}: {script:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn bash_completes_names_that_it_takes_apart() {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_baimo"));
    // What bash makes of `baimo run qwen3:0`, and hands to the function.
    let script = "PATH=$1:$PATH; source <(baimo completions bash); COMP_TYPE=9 COMP_CWORD=4
        COMP_WORDS=(baimo run qwen3 : 0); compopt() { :; }; _baimo baimo 0 :
        echo \"${COMPREPLY[*]}\"";
    let folder = program.parent().and_then(|path| path.to_str()).expect("a path in UTF-8");
    let completed = run::run("bash", &["-c", script, "bash", folder], "");
    assert_eq!(completed.stdout, "0.6b\n", "{completed:?}");
}
