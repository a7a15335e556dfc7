//! Configurations that somebody broke at random: an error or a Blueprint that can be counted and
//! drawn, never a panic, never much memory.

use baimo_blueprint::{Ffn, Mixer};
use cap::Cap;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use std::alloc::System;
use std::path::Path;

/// More than the largest Blueprint that is accepted needs; whoever allocates beyond it aborts the
/// tests.
const MEMORY_MAX: usize = 512 << 20;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, MEMORY_MAX);

/// The configurations of the golden cases.
fn configs() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the golden cases")
        .map(|entry| entry.expect("a readable folder").path().join("config.json"))
        .filter(|path| path.exists())
        .collect();
    paths.sort();
    assert!(paths.len() >= 15, "the golden cases are missing");
    let read = |path| std::fs::read_to_string(path).expect("a readable file");
    paths.iter().map(|path| baimo_labs::parse(&read(path)).expect("JSON")).collect()
}

/// Every place in the configuration: key, and key within a nested object.
fn places(config: &Value) -> Vec<(String, Option<String>)> {
    let mut places = Vec::new();
    for (key, value) in config.as_object().expect("an object") {
        places.push((key.clone(), None));
        for inner in value.as_object().into_iter().flatten() {
            places.push((key.clone(), Some(inner.0.clone())));
        }
    }
    places
}

/// What is put in a place; `None` takes the key out.
fn replacements() -> impl Strategy<Value = Option<Value>> {
    let sizes = [0, 1, 2, 3, 7, 16, 24, 128, 4096, 65_536, (1 << 31) - 1, 1 << 31, u64::MAX];
    let numbers = [0.0, -0.5, 0.3, 1e-300, 1e300, -1e300, 1e-46];
    let words = ["", "yarn", "llama3", "dynamic", "softmax", "sigmoid", "greedy", "fp8"];
    let objects = [
        json!(null),
        json!(true),
        json!(false),
        json!([]),
        json!([1, 2]),
        json!({}),
        json!({ "rope_type": "yarn", "factor": 1e-300, "beta_fast": -1.0 }),
        json!({ "rope_type": "dynamic", "factor": 1e300 }),
        json!({ "rope_theta": -1.0, "partial_rotary_factor": 0.01 }),
    ];
    prop_oneof![
        1 => Just(None),
        6 => prop::sample::select(sizes.to_vec()).prop_map(|size| Some(json!(size))),
        2 => prop::sample::select(numbers.to_vec()).prop_map(|number| Some(json!(number))),
        2 => prop::sample::select(words.to_vec()).prop_map(|word| Some(json!(word))),
        3 => prop::sample::select(objects.to_vec()).prop_map(Some),
    ]
}

fn put(config: &mut Value, (key, inner): &(String, Option<String>), value: Option<Value>) {
    let object = match inner {
        None => Some(config),
        Some(_) => config.get_mut(key),
    };
    // An earlier change may have replaced the nested object.
    let Some(Value::Object(object)) = object else { return };
    let key = inner.as_ref().unwrap_or(key).clone();
    match value {
        Some(value) => object.insert(key, value),
        None => object.remove(&key),
    };
}

/// What every reader of a Blueprint relies on.
fn check(config: &Value) {
    let blueprint = match baimo_labs::blueprint(config) {
        Ok(blueprint) => blueprint,
        Err(error) => {
            let message = error.to_string();
            assert!(message.lines().count() <= 2 && message.len() < 1000, "{message}");
            return;
        }
    };
    let count = blueprint.count();
    assert!(count.active <= count.parameters, "{count:?}");
    assert!(!blueprint.to_string().is_empty());
    blueprint.check();
    for layer in &blueprint.layers {
        for mixer in layer.mixers() {
            let width = match mixer {
                Mixer::Softmax(mixer) => mixer.qk_dim,
                Mixer::Reuse(mixer) => mixer.qk_dim,
                Mixer::Latent(mixer) => mixer.rope_dim,
                Mixer::Recurrent(mixer) => {
                    assert!(mixer.heads.is_multiple_of(mixer.key_heads));
                    assert!((mixer.heads * mixer.v_dim).is_multiple_of(mixer.norm.norm.width));
                    let dim = mixer.turned.as_ref().map_or(0, |turned| turned.rope.dim);
                    assert!(dim <= mixer.k_dim && dim.is_multiple_of(2));
                    continue;
                }
            };
            for dim in mixer.ropes().into_iter().map(|rope| rope.dim) {
                assert!(dim > 0 && dim <= width && dim.is_multiple_of(2), "{dim} of {width}");
            }
            if let Mixer::Softmax(mixer) = mixer {
                assert!(mixer.heads.is_multiple_of(mixer.kv_heads));
            }
        }
        for ffn in layer.ffns() {
            if let Ffn::Experts(experts) = ffn {
                let kept =
                    experts.router.groups.map_or(experts.count + experts.identities, |limit| {
                        assert!(experts.count.is_multiple_of(limit.groups));
                        experts.count / limit.groups * limit.kept
                    });
                assert!(experts.active <= kept);
                let groups = experts.router.spread.unwrap_or(1);
                assert!(experts.count.is_multiple_of(groups));
                assert!(experts.active.is_multiple_of(groups));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_broken_configuration_is_an_error_or_a_sound_blueprint(
        case in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), replacements()), 1..4),
    ) {
        let mut config = case.get(&CONFIGS).clone();
        for (place, value) in changes {
            let places = places(&config);
            put(&mut config, place.get(&places), value);
        }
        check(&config);
    }
}

static CONFIGS: std::sync::LazyLock<Vec<Value>> = std::sync::LazyLock::new(configs);

#[test]
fn the_configurations_are_right_before_they_are_broken() {
    for config in CONFIGS.iter() {
        baimo_labs::blueprint(config).unwrap_or_else(|error| panic!("{config}: {error}"));
    }
}

#[test]
fn the_memory_limit_of_these_tests_is_in_force() {
    let mut bytes: Vec<u8> = Vec::new();
    assert!(bytes.try_reserve_exact(2 * MEMORY_MAX).is_err());
}
