//! The command's contract, as scripts of others rely on it.

use baimo_tests::run::Outcome;
use baimo_tests::{checkpoint, golden, run};
use baimo_weights::Checkpoint;
use baimo_weights::gguf::{self as gguf_file, Array};
use serde_json::Value;

fn baimo(arguments: &[&str]) -> Outcome {
    run::run(env!("CARGO_BIN_EXE_baimo"), arguments, "")
}

/// The path of a golden GGUF file.
fn gguf(case: &str) -> String {
    let path = golden::folder(&format!("gguf/{case}")).join("model.gguf");
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn json(outcome: &Outcome) -> Value {
    assert!(outcome.success, "{outcome:?}");
    serde_json::from_str(&outcome.stdout).expect("one JSON value on stdout")
}

#[test]
fn logits_prints_one_object_with_the_reference_numbers() {
    for case in ["qwen3", "deepseek_v3_fp8"] {
        let folder = tempfile::tempdir().expect("a folder");
        checkpoint::write(case, folder.path());
        let reference = golden::json(case, "golden.json");
        let ids: Vec<String> =
            reference["ids"].as_array().unwrap().iter().map(Value::to_string).collect();
        let model = folder.path().to_str().unwrap();
        let (ids, at) = (ids.join(","), "1,2,7,24,40");
        let arguments = ["--ids", &ids, "--at", at, "--greedy", "16", "--weights", "f32"];
        let found = json(&baimo(&[&["logits", model], &arguments[..]].concat()));
        assert_eq!(found["greedy"], reference["greedy"], "{case}");
        for entry in reference["logits"].as_array().unwrap() {
            let found = found["logits"][entry["len"].to_string()].as_array().unwrap();
            let wanted = entry["logits"].as_array().unwrap();
            assert_eq!(found.len(), wanted.len());
            let number = |value: &Value| value.as_f64().unwrap();
            let largest = wanted.iter().map(|logit| number(logit).abs()).fold(0.0, f64::max);
            for (found, wanted) in found.iter().zip(wanted) {
                assert!((number(found) - number(wanted)).abs() <= 1e-3 * largest, "{case}");
            }
        }
    }
}

#[test]
fn rows_that_a_model_puts_before_the_prompt_have_room_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    checkpoint::write("cpm_ant", folder.path());
    // With what is written just a page of the cache.
    let ids: Vec<String> = (20..80).map(|id| id.to_string()).collect();
    let model = folder.path().to_str().unwrap();
    let found = json(&baimo(&["logits", model, "--ids", &ids.join(","), "--greedy", "4"]));
    assert_eq!(found["greedy"].as_array().unwrap().len(), 4);
}

#[test]
fn run_prints_the_answer_and_nothing_else() {
    let model = gguf("llama");
    let flags = ["--temperature", "0", "--max-tokens", "12"];
    let raw = baimo(&[&["run", &model, "hello the", "--raw"], &flags[..]].concat());
    assert!(raw.success, "{raw:?}");
    assert!(raw.stdout.ends_with('\n') && raw.stdout.trim().len() > 3, "{raw:?}");
    assert!(raw.stderr.contains("tokens/s"), "{raw:?}");
    let again = baimo(&[&["run", &model, "hello the", "--raw"], &flags[..]].concat());
    assert_eq!(raw.stdout, again.stdout);
    let templated = baimo(&[&["run", &model, "hello the"], &flags[..]].concat());
    assert!(templated.success && templated.stdout != raw.stdout, "{templated:?}");
}

/// A tokenizer of single characters, `size` of them: those one sees first.
fn characters(size: u32) -> String {
    let seen = (b'!'..=b'~').map(char::from).chain('\u{100}'..);
    let vocabulary: serde_json::Map<String, Value> =
        seen.zip(0..size).map(|(c, id)| (c.to_string(), id.into())).collect();
    let bytes = serde_json::json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
    });
    serde_json::json!({
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": bytes,
        "decoder": bytes,
        "model": { "type": "BPE", "vocab": vocabulary, "merges": [] },
    })
    .to_string()
}

#[test]
fn thoughts_are_shown_beside_the_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    checkpoint::write("qwen3", folder.path());
    let config = golden::json("qwen3", "config.json");
    let vocabulary = u32::try_from(config["vocab_size"].as_u64().unwrap()).unwrap();
    let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();
    write("tokenizer.json", &characters(vocabulary));
    write(
        "chat_template.jinja",
        "{{ messages[0].content }}{% if enable_thinking %}<think>{% endif %}",
    );
    let flags = ["--temperature", "0", "--max-tokens", "24"];
    let model = folder.path().to_str().unwrap();
    let run = |think| baimo(&[&["run", model, "why?", "--think", think], &flags[..]].concat());
    let (plain, thinking) = (run("off"), run("on"));
    assert!(plain.success && plain.stdout.trim().len() > 3, "{plain:?}");
    assert!(thinking.success && thinking.stdout == "\n", "{thinking:?}");
    assert!(thinking.stderr.len() > plain.stderr.len(), "{thinking:?}");
}

#[test]
fn show_says_how_a_model_speaks() {
    let folder = tempfile::tempdir().expect("a folder");
    checkpoint::write("qwen3", folder.path());
    let model = folder.path().to_str().unwrap();
    assert!(!baimo(&["show", model]).stdout.contains("voice"));
    let template = "<tool_call></tool_call> XML tags{% if enable_thinking %}<think>{% endif %}";
    std::fs::write(folder.path().join("chat_template.jinja"), template).unwrap();
    let shown = baimo(&["show", model]);
    assert!(shown.stdout.contains("voice: JSON in <tool_call>, thoughts, switched"), "{shown:?}");
}

#[test]
fn run_reads_its_prompt_from_a_pipe() {
    let model = gguf("llama");
    let flags = ["--raw", "--temperature", "0", "--max-tokens", "12"];
    let given = baimo(&[&["run", &model, "hello"], &flags[..]].concat());
    let program = env!("CARGO_BIN_EXE_baimo");
    let piped = run::run(program, &[&["run", &model], &flags[..]].concat(), "hello");
    assert!(piped.success, "{piped:?}");
    assert_eq!(piped.stdout, given.stdout);
}

#[test]
fn a_seed_repeats_an_answer_and_a_stop_string_ends_it() {
    let model = gguf("qwen3_moe");
    let flags = ["--raw", "--temperature", "1", "--max-tokens", "40", "--seed"];
    let with = |seed: &str, more: &[&str]| {
        let arguments = [&["run", &model, "the"], &flags[..], &[seed], more].concat();
        let outcome = baimo(&arguments);
        assert!(outcome.success, "{outcome:?}");
        outcome.stdout
    };
    let answer = with("7", &[]);
    assert_eq!(answer, with("7", &[]));
    assert_ne!(answer, with("8", &[]));
    let (middle, _) = answer.trim_end().char_indices().nth(10).expect("a longer answer");
    let stop = &answer[middle..].chars().take(3).collect::<String>();
    let cut = with("7", &["--stop", stop]);
    assert_eq!(cut.trim_end_matches('\n'), &answer[..answer.find(stop).unwrap()]);
}

#[test]
fn without_a_model_the_built_in_poet_answers() {
    let outcome = baimo(&["run", "春江花月夜", "--seed", "1"]);
    assert!(outcome.success, "{outcome:?}");
    assert!(outcome.stdout.chars().filter(|character| *character == '。').count() >= 2);
    let missing = baimo(&["run", "./no-such-model.gguf"]);
    assert!(!missing.success && missing.stderr.contains("no-such-model.gguf"), "{missing:?}");
}

/// The tests of a bench, and that each has rates in their order.
fn benched(outcome: &Outcome) -> Vec<(String, u64)> {
    let of = |test: &Value| {
        let rate = &test["tokens_per_second"];
        let number = |key: &str| rate[key].as_f64().unwrap();
        assert!(number("min") > 0.0 && number("min") <= number("median"));
        assert!(number("median") <= number("max"));
        (test["test"].as_str().unwrap().to_owned(), test["depth"].as_u64().unwrap())
    };
    json(outcome).as_array().unwrap().iter().map(of).collect()
}

#[test]
fn bench_prints_a_list_of_tests() {
    let model = gguf("deepseek_v3");
    let flags = ["-p", "16", "-n", "4", "-d", "0,8", "-t", "2", "-r", "2", "--json"];
    let found = benched(&baimo(&[&["bench", &model], &flags[..]].concat()));
    let wanted = [("pp16", 0), ("tg4", 0), ("pp16", 8), ("tg4", 8)];
    assert_eq!(found, wanted.map(|(name, depth)| (name.to_owned(), depth)));
}

#[test]
fn bench_computes_several_sequences_at_once() {
    // Attention beside a state of fixed size, latent rows; made-up rows too.
    for (case, fill) in [("qwen3_next", false), ("qwen3_next", true), ("deepseek_v3", true)] {
        let folder = tempfile::tempdir().expect("a folder");
        checkpoint::write(case, folder.path());
        let model = folder.path().to_str().unwrap();
        let flags = ["-p", "70", "-n", "3", "-d", "65", "-b", "1,3", "-r", "2", "--json"];
        let fill = if fill { &["--fill"][..] } else { &[] };
        let found = benched(&baimo(&[&["bench", model], &flags[..], fill].concat()));
        let wanted = ["pp70", "tg3", "3xpp70", "3xtg3"].map(|name| (name.to_owned(), 65));
        assert_eq!(found, wanted);
    }
}

#[test]
fn bench_measures_the_machine() {
    let report = json(&baimo(&["bench", "--limits", "-r", "2", "-t", "2", "--json"]));
    let read = &report["read_bytes_per_second"];
    assert!(read["min"].as_f64().unwrap() > 0.0 && read["all"].as_array().unwrap().len() == 2);
    for kind in ["float", "int16", "int8"] {
        assert!(report[format!("{kind}_operations_per_second")].as_f64().unwrap() > 0.0, "{kind}");
    }
}

#[test]
fn bench_computes_a_prompt_that_is_read_in_both_directions_in_one_piece() {
    let folder = tempfile::tempdir().expect("a folder");
    checkpoint::write("cpm_ant", folder.path());
    let model = folder.path().to_str().unwrap();
    // More than a piece, and a cache that ends with a page.
    let flags = ["-p", "571", "-n", "59", "-d", "0,64", "-r", "1", "--json"];
    assert_eq!(benched(&baimo(&[&["bench", model], &flags[..]].concat())).len(), 4);
}

#[test]
fn show_draws_a_folder_that_has_only_a_config() {
    let folder = golden::folder("deepseek_v3");
    let outcome = baimo(&["show", folder.to_str().unwrap()]);
    assert!(outcome.success, "{outcome:?}");
    for part in ["latent attention, 4 heads", "16 experts, 4 active", "multi-token prediction"] {
        assert!(outcome.stdout.contains(part), "{part}: {}", outcome.stdout);
    }
    let report = json(&baimo(&["show", &gguf("deepseek_v3"), "--json"]));
    let config = golden::json("gguf/deepseek_v3", "config.json");
    let blueprint = baimo_labs::blueprint(&config).expect("a page");
    assert_eq!(report["parameters"], blueprint.count().parameters);
    assert!(report["weight_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn tokenize_and_chat_template_print_ids_and_text() {
    let model = gguf("llama");
    let report = json(&baimo(&["tokenize", &model, "hello the", "--json"]));
    assert_eq!(report["tokens"], serde_json::json!(["he", "ll", "o", " the"]));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("messages.json");
    std::fs::write(&file, r#"[{"role": "user", "content": "hi"}]"#).expect("a file to write");
    let arguments = ["chat-template", &model, "--messages", file.to_str().unwrap()];
    let rendered = baimo(&arguments);
    assert_eq!((rendered.success, rendered.stdout.as_str()), (true, "user: hi\n"));
}

#[test]
fn a_gguf_file_without_a_template_is_given_its_familys() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, file) = (folder.path().join("model.gguf"), folder.path().join("messages.json"));
    checkpoint::write_gguf("gguf/xverse", &model);
    let written = Checkpoint::open(&model).expect("a file");
    let words = ["<s>", "a"].map(str::to_owned).to_vec();
    let vocabulary = [
        ("tokenizer.ggml.model".to_owned(), gguf_file::Value::String("gpt2".to_owned())),
        ("tokenizer.ggml.tokens".to_owned(), gguf_file::Value::Array(Array::Strings(words))),
    ];
    let metadata = [written.metadata().expect("keys").pairs(), &vocabulary].concat();
    // This tensor says how many rows the vocabulary has.
    let table = written.tensors().find(|tensor| tensor.name == "token_embd.weight").unwrap();
    let (table, zeros) = (table.clone(), vec![0; table.range.len()]);
    drop(written);
    gguf_file::write(&model, &metadata, &[(table, &zeros)]).expect("a file");
    std::fs::write(&file, r#"[{"role": "user", "content": "hi"}]"#).expect("a file to write");
    let [model, file] = [&model, &file].map(|path| path.to_str().expect("a path in UTF-8"));
    let rendered = baimo(&["chat-template", model, "--messages", file]);
    assert_eq!(rendered.stdout, "Human: hi\n\nAssistant: ", "{rendered:?}");
}

#[test]
fn list_names_every_family() {
    let outcome = baimo(&["list", "--architectures"]);
    for lab in baimo_labs::LABS {
        assert!(outcome.stdout.contains(lab.name), "{}", lab.name);
        for family in lab.families {
            assert!(outcome.stdout.contains(family.architecture), "{}", family.architecture);
        }
    }
}

#[test]
fn plan_needs_no_weights_and_says_what_to_change() {
    let folder = golden::folder("qwen3_moe");
    let model = folder.to_str().unwrap();
    let plan = |more: &[&str]| json(&baimo(&[&["plan", model, "--json"], more].concat()));
    let number = |value: &Value| value.as_f64().expect("a number");
    let whole = plan(&["--context", "4096"]);
    let memory = &whole["memory"];
    assert_eq!(
        number(&memory["own"]) + number(&memory["weights_mapped"]),
        number(&memory["total"])
    );
    let longer = plan(&["--context", "8192", "--kv", "f32", "--users", "2"]);
    assert_eq!(number(&longer["memory"]["caches"]), 8.0 * number(&memory["caches"]));
    let total = number(&longer["memory"]["total"]) as usize;
    let tight = plan(&["--context", "8192", "--users", "2", "--kv", "f32", "--memory", "6M"]);
    assert_eq!(number(&tight["fit"]["missing"]) as usize, total - (6 << 20));
    let advice = tight["fit"]["advice"].to_string();
    for flag in ["--kv f16", "--users 1"] {
        assert!(advice.contains(flag), "{flag}: {advice}");
    }
    let fits = plan(&["--memory", &total.to_string()]);
    assert_eq!(
        (&fits["fit"]["missing"], &fits["fit"]["advice"]),
        (&0.into(), &Value::Array(vec![]))
    );
}

#[test]
fn packed_weights_are_listed_by_their_model_and_dropped_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let baimo = |arguments: &[&str]| {
        let environment =
            [("BAIMO_CACHE", cache.as_os_str()), ("BAIMO_CACHE_LIMIT", "1G".as_ref())];
        run::run_in(env!("CARGO_BIN_EXE_baimo"), arguments, "", &environment)
    };
    let model = gguf("llama");
    let files = || json(&baimo(&["cache", "--json"]))["files"].as_array().expect("a list").clone();
    // A budget of memory has even small weights kept.
    let load = |weights: &str, more: &[&str]| {
        let start = ["logits", &model, "--ids", "1", "--memory", "1G", "--weights", weights];
        baimo(&[&start, more].concat())
    };
    assert!(files().is_empty());
    for weights in ["native", "f32"] {
        assert!(load(weights, &[]).success);
    }
    let found = files();
    assert_eq!(found.len(), 2);
    assert_eq!((&found[0]["weights"], &found[1]["weights"]), (&"f32".into(), &"native".into()));
    assert_eq!(found[0]["model"].as_str(), std::fs::canonicalize(&model).unwrap().to_str());
    let shown = baimo(&["cache"]).stdout;
    assert!(shown.contains("model.gguf") && shown.contains("1.00 GiB"), "{shown}");
    let key = found[1]["key"].as_str().expect("a key");
    assert!(baimo(&["cache", "--drop", &key[..12]]).success);
    assert_eq!(files(), found[..1]);
    let refused = baimo(&["cache", "--drop", "nothing"]);
    assert!(!refused.success && refused.stderr.contains("nothing: no packed weights"));
    assert!(baimo(&["cache", "--drop", "model.gguf"]).success && files().is_empty());
    let refused = load("native", &["--cache-limit", "10"]);
    assert!(!refused.success && refused.stderr.contains("--cache-limit"), "{refused:?}");
}
