//! The compiled facts: every name of the lineage, what runs, and what people type.

use baimo_catalog::facts::{Catalog, Kind, compiled, find};
use proptest::prelude::*;

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

#[test]
fn every_name_of_the_lineage_has_a_row_with_a_dated_source() {
    let lines = include_str!("lineage.txt").lines().filter(|line| !line.starts_with('#'));
    let mut missing = Vec::new();
    for line in lines {
        let (name, row) = line.split_once(" = ").unwrap_or_else(|| panic!("{line}: no row"));
        match find(row) {
            None => missing.push(format!("{name}: no row {row}")),
            Some(entry) if entry.model.facts.is_empty() => {
                missing.push(format!("{name}: nothing is known of {row}"));
            }
            Some(_) => {}
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn a_downloadable_model_has_an_architecture_that_runs_or_says_what_is_missing() {
    let open = compiled().rows().filter(|(_, model)| model.is_open() && model.kind == Kind::Model);
    let silent: Vec<&str> = open
        .filter(|(_, model)| model.missing.is_none() && !model.runs())
        .map(|(_, model)| &*model.name)
        .collect();
    assert_eq!(silent, Vec::<&str>::new());
}

#[test]
fn what_is_missing_is_missing() {
    let runs = |name: &str| find(name).unwrap_or_else(|| panic!("{name}")).model.runs();
    assert!(runs("qwen3:0.6b") && !runs("deepseek-v4-pro:1.6t") && !runs("qwen3-max"));
    let unread = compiled().rows().filter(|(_, model)| {
        let missing = model.missing.as_deref().unwrap_or_default();
        let text = ["input", "output"].iter().all(|key| model.modalities(key) == ["text"]);
        text && missing.starts_with("no page")
            && model.text("architecture").is_some_and(baimo_labs::reads)
    });
    assert_eq!(unread.map(|(_, model)| &*model.name).collect::<Vec<_>>(), Vec::<&str>::new());
}

/// A file with one row, of which `extra` is said.
fn file(extra: &str) -> String {
    format!(
        "[lab]\nname = \"A\"\nsource = \"s\"\n[sources]\ns = {{ title = \"t\", date = \"2025\" }}\n\
         [[family]]\nname = \"f\"\nmodel = [{{ name = \"a:1b\", weights = \"open\", {extra} }}]\n"
    )
}

fn error(extra: &str) -> String {
    let read = Catalog::read(&[("lab", &file(extra))]);
    read.expect_err(extra).to_string()
}

#[test]
fn an_error_names_the_file_the_model_and_the_key() {
    let found = error("released = \"2025-13\"");
    let wanted = "lab.toml: model a:1b: `released`: found \"2025-13\", wanted a date such as";
    assert!(found.starts_with(wanted), "{found}");
    for (extra, part) in [
        ("released = \"2025-02-29\"", "`released`"),
        ("total = \"7 B\"", "`total`: found \"7 B\", wanted parameters such as"),
        ("total = \"1B\", active = \"2B\"", "`active`: found \"2B\", wanted at most"),
        ("context = 0", "`context`: found 0, wanted a whole number of tokens"),
        ("hugging_face = \"a b/c\"", "`hugging_face`: found"),
        ("input = [\"smell\"]", "`input`: found"),
        ("input = [\"text\", \"text\"]", "`input`: found"),
        ("report = \"http://a.b\"", "`report`: found"),
        ("licenze = \"MIT\"", "`licenze`: found \"MIT\", wanted one of"),
        ("context = { value = 1, source = \"x\" }", "`context`: found \"x\", wanted a source"),
        ("context = { value = 1, claims = true }", "`claims`: found true"),
        ("source = \"y\"", "`source`: found \"y\""),
        ("kind = \"thing\"", "`kind`: found \"thing\""),
    ] {
        let found = error(extra);
        assert!(found.contains(part) && found.contains("model a:1b"), "{extra}: {found}");
    }
    assert!(Catalog::read(&[("lab", "[lab")]).expect_err("cut").to_string().contains("not TOML"));
}

#[test]
fn a_name_means_one_row() {
    let twice = file("aliases = [\"B\"] }, { name = \"b\", weights = \"api\"");
    let found = Catalog::read(&[("lab", &twice)]).expect_err("two rows called b").to_string();
    assert!(found.contains("as model a:1b is called already"), "{found}");
    let closed = file("hugging_face = \"a/b\"").replace("\"open\"", "\"api\"");
    let found = Catalog::read(&[("lab", &closed)]).expect_err("nobody has the weights");
    assert!(found.to_string().contains("`hugging_face`: found \"a/b\""), "{found}");
}

#[test]
fn a_fact_keeps_its_claim_and_the_other_view() {
    let other = "other = { value = \"2024-12\", source = \"s\" }";
    let text = file(&format!("released = {{ value = \"2025-08-21\", claim = true, {other} }}"));
    let catalog = Catalog::read(&[("lab", &text)]).expect("reads");
    let entry = catalog.find("A:1B").expect("found");
    let fact = &entry.model.facts["released"];
    assert!(fact.claim);
    assert_eq!(fact.value.to_string(), "2025-08-21");
    assert_eq!(fact.source.date.to_string(), "2025");
    assert_eq!(fact.others[0].0.to_string(), "2024-12");
}

/// What a convention says of the models, exported, read over the catalog or over nothing, and
/// exported again.
#[test]
fn what_is_exported_comes_back() {
    use baimo_catalog::facts::Convention;
    let date = "2026-11-22".parse().expect("a date");
    for (name, convention) in Convention::ALL {
        let exported = compiled().export(convention);
        let text = exported.to_string();
        let mut over = compiled().clone();
        let count = over.import(&text, name, date).expect("our own words");
        assert!(count > 300, "{name}: {count}");
        assert_eq!(over.rows().count(), compiled().rows().count(), "{name}: no row is added");
        assert_eq!(over.export(convention), exported, "{name}");
        let mut alone = Catalog::default();
        alone.import(&text, name, date).expect("our own words");
        let again = alone.export(convention);
        let keys = |json: &serde_json::Value| {
            let text = json.to_string();
            text.matches("context").count() + text.matches("tokens").count()
        };
        assert_eq!(keys(&again), keys(&exported), "{name}: contexts and answers are carried");
    }
}

#[test]
fn a_file_of_others_replaces_what_it_speaks_of_and_nothing_else() {
    let date = "2026-11-22".parse().expect("a date");
    let mut catalog = compiled().clone();
    let text = r#"{ "sample_spec": {}, "qwen/qwen3:0.6b": { "litellm_provider": "qwen",
        "max_input_tokens": "1234", "supports_vision": true, "input_cost_per_token": 1e-7 } }"#;
    assert_eq!(catalog.import(text, "prices.json", date).expect("reads"), 1);
    let (entry, before) = (catalog.find("qwen3:0.6b").unwrap(), find("qwen3:0.6b").unwrap());
    assert_eq!(entry.model.tokens("context"), Some(1234));
    assert_eq!(entry.model.modalities("input"), ["text", "image"]);
    assert_eq!(entry.model.facts["context"].source.title, "prices.json");
    assert_eq!(entry.model.facts["total"], before.model.facts["total"]);
    assert!(entry.model.is_open());
    for (text, part) in [
        ("[]", "neither models.dev's form"),
        ("{", "not JSON"),
        (r#"{ "a": { "litellm_provider": 1 } }"#, "a: `litellm_provider`: found 1, wanted text"),
        (r#"{ "a": { "models": [] } }"#, "a: `models`: found [], wanted an object"),
    ] {
        let error = catalog.import(text, "x.json", date).expect_err(text).to_string();
        assert!(error.starts_with("x.json") && error.contains(part), "{text}: {error}");
    }
}

proptest! {
    // Each case reads half a megabyte.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_json_is_read_or_refused(at in 0usize..1_000_000, byte in any::<u8>()) {
        use baimo_catalog::facts::Convention;
        static EXPORTED: std::sync::LazyLock<[String; 2]> = std::sync::LazyLock::new(|| {
            Convention::ALL.map(|(_, convention)| compiled().export(convention).to_string())
        });
        let mut bytes = EXPORTED[at % 2].clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let date = "2026".parse().expect("a date");
        if let Err(error) = Catalog::default().import(&text, "x.json", date) {
            prop_assert!(error.to_string().starts_with("x.json"), "{error}");
        }
    }

    #[test]
    fn a_damaged_file_is_read_or_refused(at in 0usize..100_000, byte in any::<u8>(), cut: bool) {
        let (name, text) = baimo_labs::FACTS[at % baimo_labs::FACTS.len()];
        let at = at % text.len();
        let mut bytes = text.as_bytes().to_vec();
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Err(error) = Catalog::read(&[(name, &text)]) {
            prop_assert!(error.to_string().starts_with(name), "{error}");
        }
    }

    #[test]
    fn dates_and_numbers_are_printed_as_they_are_read(
        year in 1000u16..=9999, month in 1u8..=12, day in 1u8..=28, precision in 0u8..3,
        whole in 1u32..10_000, thousandths in 0u32..1000, scale in 0usize..3, more: bool,
    ) {
        use baimo_catalog::facts::{Date, Parameters};
        let date = match precision {
            0 => format!("{year}"),
            1 => format!("{year}-{month:02}"),
            _ => format!("{year}-{month:02}-{day:02}"),
        };
        prop_assert_eq!(date.parse::<Date>().unwrap().to_string(), date);
        let letter = ["T", "B", "M"][scale];
        let text = format!("{whole}.{thousandths:03}{letter}{}", if more { "+" } else { "" });
        let parameters: Parameters = text.parse().unwrap();
        prop_assert_eq!(parameters.to_string().parse::<Parameters>().unwrap().or_more, more);
        let again: Parameters = parameters.to_string().parse().unwrap();
        let lost = parameters.count - again.count;
        prop_assert!(lost * 1000 <= parameters.count, "{} {}", text, parameters);
    }

    #[test]
    fn any_words_find_a_row_or_nothing(name in ".{0,40}") {
        if let Some(entry) = find(&name) {
            prop_assert!(!entry.model.name.is_empty());
        }
        compiled().near(&name);
    }
}
