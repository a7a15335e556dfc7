//! Dependencies between our crates point down, and only these exist.

use super::{Finding, Source};
use toml::{Table, Value};

/// Folder below `crates/`, and the crates of ours it may depend on. Tests may use any.
const ARROWS: &[(&str, &[&str])] = &[
    ("baimo", &["server", "engine", "text", "labs", "catalog", "weights"]),
    ("server", &["engine", "text"]),
    ("engine", &["model"]),
    ("model", &["blueprint", "weights", "kernels"]),
    ("labs", &["blueprint"]),
    ("text", &["blueprint"]),
    ("weights", &["blueprint", "kernels"]),
    ("catalog", &["labs", "blueprint", "weights", "model", "kernels"]),
    ("blueprint", &[]),
    ("kernels", &[]),
];

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources
        .iter()
        .filter_map(|source| Some((source, manifest_of(source)?)))
        .flat_map(|(source, folder)| check_manifest(source, folder))
        .collect()
}

/// The crate's folder, if `source` is the manifest of a crate below `crates/`.
fn manifest_of(source: &Source) -> Option<&str> {
    source.path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")
}

fn check_manifest(source: &Source, folder: &str) -> Vec<Finding> {
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == folder) else {
        let message = format!("crate `{folder}` has no line in xtask's table of dependencies");
        return vec![source.finding(1, message)];
    };
    let manifest: Table = match source.text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![source.finding(1, format!("not TOML: {error}"))],
    };
    dependencies(&manifest)
        .into_iter()
        .filter_map(|name| Some((name.strip_prefix("baimo-")?.to_owned(), name)))
        .filter(|(ours, _)| !allowed.contains(&ours.as_str()))
        .map(|(_, name)| {
            let line = source.text.lines().position(|line| line.starts_with(&name));
            let message = format!(
                "`{folder}` may not depend on `{name}`; of ours it may use {allowed:?} \
                 (ARCHITECTURE.md draws the arrows)"
            );
            source.finding(line.map_or(1, |index| index + 1), message)
        })
        .collect()
}

/// Names under `[dependencies]` and `[build-dependencies]`, also those for one target only.
fn dependencies(manifest: &Table) -> Vec<String> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let per_target = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    std::iter::once(manifest)
        .chain(per_target)
        .flat_map(|table| [table.get("dependencies"), table.get("build-dependencies")])
        .flatten()
        .filter_map(Value::as_table)
        .flat_map(|table| table.iter())
        .map(|(name, value)| {
            let renamed = value.get("package").and_then(Value::as_str);
            renamed.unwrap_or(name).to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(folder: &str, text: &str) -> Vec<String> {
        let path = format!("crates/{folder}/Cargo.toml");
        let source = Source { path, text: text.into() };
        check(&[source]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_arrow_of_the_design_passes() {
        assert!(messages("engine", "[dependencies]\nbaimo-model.workspace = true\n").is_empty());
    }

    #[test]
    fn an_arrow_upwards_is_found_at_its_line() {
        let found = messages("model", "[dependencies]\nhalf = \"2\"\nbaimo-labs = \"1\"\n");
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/model/Cargo.toml:3: "), "{found:?}");
    }

    #[test]
    fn targets_builds_and_new_names_hide_nothing() {
        let target = "[target.'cfg(unix)'.dependencies]\nbaimo-engine = \"1\"\n";
        assert_eq!(messages("kernels", target).len(), 1);
        assert_eq!(messages("kernels", "[build-dependencies]\nbaimo-text = \"1\"\n").len(), 1);
        let renamed = "[dependencies]\nmine = { package = \"baimo-text\", path = \"../text\" }\n";
        assert_eq!(messages("kernels", renamed).len(), 1);
    }

    #[test]
    fn tests_may_depend_on_anything() {
        assert!(messages("kernels", "[dev-dependencies]\nbaimo-engine = \"1\"\n").is_empty());
    }

    #[test]
    fn a_new_crate_needs_a_line_in_the_table() {
        assert_eq!(messages("gateway", "[package]\nname = \"baimo-gateway\"\n").len(), 1);
    }
}
