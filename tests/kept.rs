//! A model whose packed weights were kept is the model that was loaded.

use baimo_engine::{Kept, Options, Runner};
use baimo_tests::model::{self, Outcome};
use baimo_weights::{Store, Target};

const PROMPT: [u32; 6] = [3, 1, 4, 1, 5, 9];

/// A case for each way in which weights come: plain, tied, folded by head, experts one by one and
/// stacked, outer scales, codes of other tools, recurrent, GGUF.
const CASES: [&str; 7] = [
    "qwen3",
    "deepseek_v2",
    "deepseek_v3_fp8",
    "deepseek_v3_mxfp4",
    "qwen3_next",
    "baichuan2_7b",
    "minimax_text_01",
];

fn outcome(runner: Runner) -> Outcome {
    let mut engine = model::engine(runner, 4);
    let id = engine.submit(model::greedy(&PROMPT, &[2, 6], 4)).expect("a prompt that fits");
    model::finish(&mut engine).remove(&id).expect("an outcome")
}

#[test]
fn kept_weights_give_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().to_owned());
    for (case, weights) in
        CASES.iter().flat_map(|case| [Target::Native, Target::Q8_0].map(|weights| (case, weights)))
    {
        let options = Options { store: Some(store.clone()), ..model::options(weights) };
        let plain = model::load(case, weights);
        let bytes = plain.decoder().weight_bytes();
        let plain = outcome(plain);
        for is_first in [true, false] {
            let runner = model::load_with(case, &options);
            let kept = runner.decoder().kept();
            let found = matches!(kept, Kept::Found { .. });
            assert!(found || matches!(kept, Kept::Written { .. }), "{case}: {kept:?}");
            assert_eq!(found, !is_first, "{case}: {kept:?}");
            assert_eq!(runner.decoder().weight_bytes(), bytes, "{case}");
            assert_eq!(outcome(runner), plain, "{case}, found: {found}");
        }
    }
}

#[test]
fn a_model_runs_where_its_weights_cannot_be_kept() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let store = Some(Store::new(file.path().join("no folder")));
    let options = Options { store, ..model::options(Target::Native) };
    let runner = model::load_with("qwen3", &options);
    assert!(matches!(runner.decoder().kept(), Kept::Failed(_)), "{:?}", runner.decoder().kept());
    assert_eq!(outcome(runner), outcome(model::load("qwen3", Target::Native)));
}

/// Bytes that a case needs besides its experts; found by asking for too few.
fn least(case: &str, options: &Options) -> usize {
    let refused = model::try_load(case, &Options { memory: Some(1), ..options.clone() });
    let message = refused.err().expect("one byte is too little").to_string();
    let (_, rest) = message.split_once("at least ").expect("the least is told");
    rest.split_once(':').expect("a number").0.parse().expect("a number")
}

#[test]
fn a_model_larger_than_its_memory_gives_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let store = Some(Store::new(folder.path().to_owned()));
    for case in ["qwen3_moe", "deepseek_v3_fp8", "qwen2_moe", "longcat_flash"] {
        let options = Options { store: store.clone(), ..model::options(Target::Native) };
        let wanted = outcome(model::load(case, Target::Native));
        let least = least(case, &options);
        assert!(
            model::try_load(case, &Options { memory: Some(least - 1), ..options.clone() }).is_err()
        );
        for memory in [least, least + 20_000] {
            let runner =
                model::load_with(case, &Options { memory: Some(memory), ..options.clone() });
            assert_eq!(outcome(runner), wanted, "{case} in {memory} bytes");
        }
    }
}

#[test]
fn experts_guessed_ahead_change_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let store = Some(Store::new(folder.path().to_owned()));
    for case in ["qwen3_moe", "longcat_flash"] {
        let run = |options: &Options| {
            let mut engine = model::engine(model::load_with(case, options), 4);
            let prompts = [&PROMPT[..], &PROMPT[1..], &PROMPT[2..]];
            let ids = prompts.map(|prompt| engine.submit(model::greedy(prompt, &[2], 60)));
            let mut outcomes = model::finish(&mut engine);
            let outcomes = ids.map(|id| outcomes.remove(&id.expect("a prompt that fits")));
            (outcomes, engine.model().decoder().experts_read())
        };
        let options = Options { store: store.clone(), ..model::options(Target::Native) };
        let (wanted, none) = run(&options);
        assert_eq!(none, None, "{case}: all experts are in memory");
        let memory = Some(least(case, &options) + 20_000);
        let (found, counts) = run(&Options { memory, ..options });
        assert_eq!(found, wanted, "{case}");
        let counts = counts.expect("experts are read as they are chosen");
        assert!(counts.guessed > 0 && counts.right > 0, "{case}: {counts:?}");
        assert!(counts.here < counts.asked && counts.used <= counts.ahead, "{case}: {counts:?}");
    }
}

#[test]
fn a_budget_without_a_file_to_read_from_is_refused() {
    let options = Options { memory: Some(1 << 30), ..model::options(Target::Native) };
    let refused = model::try_load("qwen3_moe", &options).err().expect("no file").to_string();
    assert!(refused.contains("memory budget"), "{refused}");
}
