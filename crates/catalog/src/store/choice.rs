//! Which files of a repository a model is run with.

use super::{Error, Reference};
use baimo_weights::PartStem;
use std::collections::BTreeSet;

/// The quantization that is taken of several where none is named, as other programs do.
const USUAL: &str = "q4_k_m";

/// What is to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// The paths, in the repository's order.
    pub(super) files: Vec<String>,
    /// The file that is opened; `None`: the folder.
    pub(super) opened: Option<String>,
}

/// A GGUF file, or the parts of one.
struct Gguf<'a> {
    /// Its path without number of the part and `.gguf`.
    stem: &'a str,
    parts: Vec<&'a str>,
    parts_wanted: usize,
}

/// Chooses among `paths` for what `reference` asks; `index` gives the text of an index of shards.
///
/// # Errors
/// Where nothing fits or it is not clear what is meant; those of `index`.
pub(super) fn choose(
    reference: &Reference,
    paths: &[&str],
    index: &mut dyn FnMut(&str) -> Result<String, Error>,
) -> Result<Choice, Error> {
    let models = ggufs(paths);
    match &reference.part {
        Some(part) if paths.contains(&part.as_str()) => {
            match models.iter().find(|model| model.parts.contains(&part.as_str())) {
                Some(model) => whole(reference, model),
                None => Ok(Choice { files: vec![part.clone()], opened: Some(part.clone()) }),
            }
        }
        Some(part) => match quantized(&models, part)[..] {
            [model] => whole(reference, model),
            [] => Err(no_choice(reference, &models, &format!("a file or quantization `{part}`"))),
            _ => Err(no_choice(reference, &models, &format!("one file of `{part}`"))),
        },
        None => match weights(reference, paths, index)? {
            Some(weights) => {
                let beside = paths.iter().filter(|path| is_beside(path)).map(|path| (*path).into());
                let all: BTreeSet<String> = weights.into_iter().chain(beside).collect();
                let files = paths.iter().filter(|path| all.contains(**path));
                Ok(Choice { files: files.map(|path| (*path).to_owned()).collect(), opened: None })
            }
            None => match (&models[..], &quantized(&models, USUAL)[..]) {
                ([model], _) => whole(reference, model),
                (_, [model]) => whole(reference, model),
                _ => Err(no_choice(reference, &models, "weights in safetensors, or a GGUF file")),
            },
        },
    }
}

/// The shards that the index names, or the only file; `None` where there is no safetensors.
fn weights(
    reference: &Reference,
    paths: &[&str],
    index: &mut dyn FnMut(&str) -> Result<String, Error>,
) -> Result<Option<Vec<String>>, Error> {
    let top: Vec<&str> = paths.iter().filter(|path| !path.contains('/')).copied().collect();
    let indexes = top.iter().filter(|path| path.ends_with(".safetensors.index.json"));
    let usual = indexes.clone().find(|path| **path == "model.safetensors.index.json");
    let Some(listed) = usual.or(indexes.clone().next()) else {
        let all = top.iter().filter(|path| path.ends_with(".safetensors"));
        // Some labs put their own format beside the one that everybody reads.
        let common: Vec<_> = match top.contains(&"model.safetensors") {
            true => vec!["model.safetensors".to_owned()],
            false => all.map(|path| (*path).to_owned()).collect(),
        };
        return Ok(Some(common).filter(|files| !files.is_empty()));
    };
    let wrong = |found: String| Error::Choice {
        what: reference.to_string(),
        found,
        wanted: "the shards that its index names".to_owned(),
        hint: format!("{listed} of this repository does not fit its files"),
    };
    let shards = shards(&index(listed)?).ok_or_else(|| wrong("no weight_map".to_owned()))?;
    match shards.iter().find(|shard| !paths.contains(&shard.as_str())) {
        Some(missing) => Err(wrong(format!("no {missing}"))),
        None => Ok(Some(shards.into_iter().collect())),
    }
}

/// The files that an index names.
pub(super) fn shards(index: &str) -> Option<BTreeSet<String>> {
    let index: serde_json::Value = serde_json::from_str(index).ok()?;
    let map = index["weight_map"].as_object()?;
    map.values().map(|file| Some(file.as_str()?.to_owned())).collect()
}

/// Configuration, tokenizer and templates.
fn is_beside(path: &str) -> bool {
    if let Some(template) = path.strip_prefix("additional_chat_templates/") {
        return template.ends_with(".jinja");
    }
    let endings = [".json", ".jinja", ".txt", ".model", ".tiktoken"];
    let others = [".bin.index.json", "trainer_state.json", "requirements.txt"];
    !path.contains('/')
        && endings.iter().any(|ending| path.ends_with(ending))
        && !others.iter().any(|ending| path.ends_with(ending))
}

/// Whether a file holds weights, which are fetched last.
pub(super) fn is_weights(path: &str) -> bool {
    path.ends_with(".safetensors") || path.ends_with(".gguf")
}

/// The models in GGUF, each with its parts in order. What belongs to a model but is none
/// (projectors of images, importance matrices) is left out.
fn ggufs<'a>(paths: &[&'a str]) -> Vec<Gguf<'a>> {
    let mut models: Vec<Gguf<'a>> = Vec::new();
    for path in paths {
        let Some(name) = path.strip_suffix(".gguf") else { continue };
        let file = name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        if file.contains("mmproj") || file.contains("imatrix") {
            continue;
        }
        let part = PartStem::parse(name);
        let (stem, count) = part.map_or((name, 1), |part| (part.prefix, part.count));
        match models.iter_mut().find(|model| model.stem == stem && model.parts_wanted == count) {
            Some(model) => model.parts.push(path),
            None => models.push(Gguf { stem, parts: vec![path], parts_wanted: count }),
        }
    }
    models.iter_mut().for_each(|model| model.parts.sort_unstable());
    models
}

fn whole(reference: &Reference, model: &Gguf<'_>) -> Result<Choice, Error> {
    if model.parts.len() != model.parts_wanted {
        return Err(Error::Choice {
            what: reference.to_string(),
            found: format!("{} parts of {}", model.parts.len(), model.stem),
            wanted: format!("{}", model.parts_wanted),
            hint: "the repository lacks some of its files".to_owned(),
        });
    }
    let files: Vec<String> = model.parts.iter().map(|part| (*part).to_owned()).collect();
    let opened = files.first().cloned();
    Ok(Choice { files, opened })
}

/// The models of a kind of quantization. `q4_k` is `q4_k_m` where there is no plain one.
fn quantized<'a, 'b>(models: &'b [Gguf<'a>], kind: &str) -> Vec<&'b Gguf<'a>> {
    let kind = kind.to_ascii_lowercase();
    for size in ["", "_m", "_s", "_l", "_xl"] {
        let kind = format!("{kind}{size}");
        let found: Vec<_> = models.iter().filter(|model| is_of(model.stem, &kind)).collect();
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

/// Whether a file's name ends in `kind`, or a folder that it is in does.
fn is_of(stem: &str, kind: &str) -> bool {
    stem.to_ascii_lowercase().split('/').any(|name| {
        let rest = name.strip_suffix(kind);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with(['-', '.', '_']))
    })
}

fn no_choice(reference: &Reference, models: &[Gguf<'_>], wanted: &str) -> Error {
    let (found, hint) = match models {
        [] => (
            "neither safetensors nor GGUF".to_owned(),
            "look for a release in safetensors; pickled weights (.bin, .pt) are not read"
                .to_owned(),
        ),
        _ => {
            let names: Vec<&str> = models.iter().map(|model| model.stem).collect();
            let hint = format!("{}:{}.gguf names one", reference.repository(), names[0]);
            (names.join(", "), hint)
        }
    };
    Error::Choice { what: reference.to_string(), found, wanted: wanted.to_owned(), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(reference: &str, paths: &[&str]) -> Result<Vec<String>, Error> {
        let index = r#"{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}"#;
        let mut index = |_: &str| Ok(index.to_owned());
        choose(&reference.parse()?, paths, &mut index).map(|choice| choice.files)
    }

    #[test]
    fn a_folder_is_what_the_index_names_and_what_is_read_beside_it() {
        let paths = [
            ".gitattributes",
            "README.md",
            "config.json",
            "additional_chat_templates/t.jinja",
            "consolidated.safetensors",
            "m-1.safetensors",
            "m-2.safetensors",
            "merges.txt",
            "model.safetensors.index.json",
            "onnx/config.json",
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
            "tokenizer.json",
            "modeling.py",
        ];
        let wanted = [
            "config.json",
            "additional_chat_templates/t.jinja",
            "m-1.safetensors",
            "m-2.safetensors",
            "merges.txt",
            "model.safetensors.index.json",
            "tokenizer.json",
        ];
        assert_eq!(chosen("hf:o/r", &paths).unwrap(), wanted);
        let error = chosen("hf:o/r", &["config.json", "model.safetensors.index.json"]);
        assert!(error.unwrap_err().to_string().contains("no m-1.safetensors"));
    }

    #[test]
    fn one_file_of_weights_is_enough() {
        let paths = ["config.json", "model.safetensors", "other.safetensors", "f.gguf"];
        assert_eq!(chosen("hf:o/r", &paths).unwrap(), ["config.json", "model.safetensors"]);
    }

    const GGUFS: &[&str] = &[
        "README.md",
        "m-Q4_K_M.gguf",
        "m-Q8_0.gguf",
        "m-IQ4_K_M.gguf",
        "mmproj-m-Q8_0.gguf",
        "BF16/m-BF16-00002-of-00002.gguf",
        "BF16/m-BF16-00001-of-00002.gguf",
    ];

    #[test]
    fn a_quantization_is_one_file_with_all_its_parts() {
        assert_eq!(chosen("hf:o/r:q8_0", GGUFS).unwrap(), ["m-Q8_0.gguf"]);
        assert_eq!(chosen("hf:o/r:Q4_K", GGUFS).unwrap(), ["m-Q4_K_M.gguf"]);
        assert_eq!(chosen("hf:o/r", GGUFS).unwrap(), ["m-Q4_K_M.gguf"]);
        let parts = ["BF16/m-BF16-00001-of-00002.gguf", "BF16/m-BF16-00002-of-00002.gguf"];
        assert_eq!(chosen("hf:o/r:bf16", GGUFS).unwrap(), parts);
        assert_eq!(chosen(&format!("hf:o/r:{}", parts[1]), GGUFS).unwrap(), parts);
        let plain = chosen("hf:o/r:mmproj-m-Q8_0.gguf", GGUFS).unwrap();
        assert_eq!(plain, ["mmproj-m-Q8_0.gguf"]);
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let error = chosen("hf:o/r:q5_1", GGUFS).unwrap_err().to_string();
        assert!(error.contains("q5_1") && error.contains("m-Q8_0"), "{error}");
        let error = chosen("hf:o/r", &["a-Q8_0.gguf", "a-F16.gguf"]).unwrap_err().to_string();
        assert!(error.contains("hf:o/r:a-Q8_0.gguf"), "{error}");
        let error = chosen("hf:o/r", &["config.json", "pytorch_model.bin"]).unwrap_err();
        assert!(error.to_string().contains("pickled"), "{error}");
        let error = chosen("hf:o/r", &["a-Q8_0-00001-of-00002.gguf"]).unwrap_err();
        assert!(error.to_string().contains("1 parts"), "{error}");
    }
}
