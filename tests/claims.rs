//! What the README's table claims, against what the golden cases show. `BAIMO_WRITE=1` in the
//! environment writes both files anew; run it twice, as the first is compiled in.

use baimo_labs::LABS;
use baimo_tests::golden;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The quantization of a released checkpoint, as people call it.
fn quantization(config: &Value) -> Option<String> {
    let part = config.get("quantization_config")?;
    let text = |key: &str| part[key].as_str().unwrap_or_default().to_owned();
    let bits = part["bits"].as_u64().unwrap_or_default();
    Some(match text("quant_method").as_str() {
        "compressed-tensors" => match text("format").as_str() {
            "pack-quantized" => "INT4".to_owned(),
            "float-quantized" => "FP8".to_owned(),
            format => format.split('-').next().unwrap_or_default().to_uppercase(),
        },
        "gptq" => format!("GPTQ-Int{bits}"),
        method => method.to_uppercase(),
    })
}

/// Logits further apart than this, as a share of the largest, do not agree.
const APART_MAX: f64 = 1e-4;

/// The architecture of a line `| case | GGUF name | logits apart |..` where the two agree. A case
/// that was varied for a converter's sake has the name of its golden case and more.
fn agrees_with_a_peer(line: &str) -> Option<String> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let (name, apart) = (*cells.get(1)?, cells.get(3)?.parse::<f64>().ok()?);
    let cases = golden::cases().into_iter().filter(|case| name.starts_with(case.as_str()));
    let case = cases.max_by_key(String::len).filter(|_| apart < APART_MAX)?;
    let config = golden::json(&case, "config.json");
    let architecture = config["architectures"][0].as_str()?;
    let mut families = LABS.iter().flat_map(|lab| lab.families);
    let is_read =
        families.any(|family| family.architecture == architecture && family.gguf.is_some());
    is_read.then(|| architecture.to_owned())
}

/// For each architecture: the references its golden cases come from, llama.cpp where the table of
/// `peer/README.md` has its GGUF files, and the quantizations among the cases.
fn shown_by_the_cases() -> String {
    let mut shown: BTreeMap<String, [BTreeSet<String>; 2]> = BTreeMap::new();
    for case in golden::cases() {
        let (config, golden) =
            (golden::json(&case, "config.json"), golden::json(&case, "golden.json"));
        let architecture = config["architectures"][0].as_str().expect("a name");
        let reference = golden["reference"].as_str().expect("where the numbers come from");
        let [references, quantizations] = shown.entry(architecture.to_owned()).or_default();
        let is_ours = reference.starts_with("references/");
        references.insert(if is_ours { "our PyTorch" } else { "transformers" }.to_owned());
        quantizations.extend(quantization(&config));
    }
    let peer = std::fs::read_to_string(golden::folder("../peer/README.md")).expect("a table");
    for architecture in peer.lines().filter_map(agrees_with_a_peer) {
        let [references, _] = shown.entry(architecture).or_default();
        references.insert("llama.cpp".to_owned());
    }
    let joined = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(", ");
    let lines = shown.into_iter().map(|(architecture, [references, quantizations])| {
        let line = format!("{architecture}: {}", joined(references));
        match quantizations.is_empty() {
            true => line + "\n",
            false => format!("{line}; {}\n", joined(quantizations)),
        }
    });
    lines.collect()
}

#[test]
fn nothing_is_claimed_that_no_case_shows() {
    let path = golden::folder("../../crates/labs/checked.txt");
    let (shown, claimed) = (shown_by_the_cases(), std::fs::read_to_string(&path).expect("claims"));
    if is_to_write() {
        std::fs::write(&path, &shown).expect("a file to write");
        return;
    }
    assert_eq!(claimed, shown, "BAIMO_WRITE=1 writes crates/labs/checked.txt anew");
    let names: Vec<&str> = claimed.lines().filter_map(|line| line.split(": ").next()).collect();
    let families = LABS.iter().flat_map(|lab| lab.families);
    let pages: BTreeSet<&str> = families.map(|family| family.architecture).collect();
    assert!(names.iter().all(|name| pages.contains(name)), "a case without a page");
}

#[test]
fn the_readme_lists_what_runs() {
    let path = golden::folder("../../README.md");
    let readme = std::fs::read_to_string(&path).expect("a README");
    let (before, rest) = readme.split_once(BEGIN).expect("where the table begins");
    let (found, after) = rest.split_once(END).expect("where it ends");
    let table = baimo_labs::markdown_table();
    if is_to_write() {
        let whole = [before, BEGIN, &table, END, after].concat();
        std::fs::write(&path, whole).expect("a file to write");
        return;
    }
    assert_eq!(found, table, "BAIMO_WRITE=1 writes README.md anew");
}

const BEGIN: &str = "<!-- models:begin -->\n";
const END: &str = "<!-- models:end -->";

fn is_to_write() -> bool {
    std::env::var_os("BAIMO_WRITE").is_some()
}
