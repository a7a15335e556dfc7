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
