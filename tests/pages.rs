//! Every page against a checkpoint: the Blueprint names each tensor and its shape.

use baimo_blueprint::Tensor;
use baimo_tests::golden;
use std::collections::BTreeMap;

/// The tensors a Blueprint wants, expert by expert, with their shapes in the checkpoint.
fn wanted(tensors: &[&Tensor]) -> BTreeMap<String, Vec<usize>> {
    let mut all = BTreeMap::new();
    for tensor in tensors {
        let shape = tensor.stored_shape();
        match tensor.is_per_expert() {
            true => (0..shape[0]).for_each(|expert| {
                all.insert(tensor.expert_name(expert), shape[1..].to_vec());
            }),
            false => {
                all.insert(tensor.name.clone(), shape);
            }
        }
    }
    all
}

#[test]
fn a_blueprint_names_every_tensor_of_its_checkpoint() {
    for case in golden::cases() {
        let blueprint = baimo_labs::blueprint(&golden::json(&case, "config.json"))
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        let stored: BTreeMap<_, _> = golden::tensors(&case)
            .into_iter()
            .filter(|tensor| !tensor.name.ends_with("_scale_inv"))
            .map(|tensor| (tensor.name, tensor.shape))
            .collect();
        assert_eq!(wanted(&blueprint.tensors()), stored, "{case}");
    }
}

#[test]
fn a_blueprint_is_drawn() {
    let drawn: Vec<String> = golden::cases()
        .iter()
        .map(|case| {
            let blueprint = baimo_labs::blueprint(&golden::json(case, "config.json")).unwrap();
            format!("{case}\n{blueprint}  {:?}\n", blueprint.count())
        })
        .collect();
    insta::assert_snapshot!(drawn.join("\n"));
}

#[test]
fn the_readme_lists_what_runs() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(path).expect("a README");
    let (_, rest) = readme.split_once("<!-- models:begin -->\n").expect("where the table begins");
    let (table, _) = rest.split_once("<!-- models:end -->").expect("where it ends");
    assert_eq!(table, baimo_labs::markdown_table(), "paste what `baimo list --markdown` prints");
}
