//! LiteLLM: `{ "provider/model": { litellm_provider, mode, max_input_tokens, … } }`.

use super::{ImportError, Reader, Row, exported_name, models, put};
use crate::facts::{Catalog, Facts, Lab, Model, Value};
use serde_json::{Map, Value as Json};

/// What a model is for, by what comes out of it.
const MODES: [(&str, &str); 7] = [
    ("text", "chat"),
    ("vectors", "embedding"),
    ("scores", "rerank"),
    ("image", "image_generation"),
    ("video", "video_generation"),
    ("audio", "audio_speech"),
    ("music", "audio_speech"),
];

/// Keys for inputs beyond text.
const INPUTS: [(&str, &str); 3] = [
    ("supports_vision", "image"),
    ("supports_audio_input", "audio"),
    ("supports_video_input", "video"),
];

pub(super) fn export(catalog: &Catalog) -> Json {
    let rows = catalog.labs.iter().flat_map(|lab| models(lab).map(move |row| (lab, row)));
    let named = rows.map(|(lab, row)| {
        let name = exported_name(row);
        (format!("{}/{name}", lab.id), model(lab, row))
    });
    Json::Object(named.collect())
}

fn model(lab: &Lab, row: &Model) -> Json {
    let mut entry = Map::new();
    entry.insert("litellm_provider".into(), lab.id.clone().into());
    let (input, output) = (row.modalities("input"), row.modalities("output"));
    let comes_out = |word: &str| output.iter().any(|other| other == word);
    let mode = MODES.iter().find(|(word, _)| comes_out(word));
    put(&mut entry, "mode", mode.map(|(_, mode)| *mode));
    put(&mut entry, "max_input_tokens", row.tokens("context"));
    put(&mut entry, "max_output_tokens", row.tokens("answer"));
    put(&mut entry, "max_tokens", row.tokens("answer").or(row.tokens("context")));
    for (key, word) in INPUTS {
        if !input.is_empty() {
            entry.insert(key.into(), input.iter().any(|other| other == word).into());
        }
    }
    put(&mut entry, "supports_reasoning", row.flag("thinks"));
    put(&mut entry, "supports_function_calling", row.flag("calls"));
    if !input.is_empty() {
        entry.insert("supported_modalities".into(), input.to_vec().into());
    }
    if !output.is_empty() {
        entry.insert("supported_output_modalities".into(), output.to_vec().into());
    }
    put(&mut entry, "source", row.text("page").or(row.text("report")));
    Json::Object(entry)
}

pub(super) fn rows(reader: &Reader, entries: &Map<String, Json>) -> Result<Vec<Row>, ImportError> {
    let mut rows = Vec::new();
    // The first entry of LiteLLM's own file explains the others.
    for (name, found) in entries.iter().filter(|(name, _)| *name != "sample_spec") {
        let entry = reader.object(name, "model", found)?;
        let Some(provider) = reader.text(name, entry, "litellm_provider")? else { continue };
        let id = name.strip_prefix(&format!("{provider}/")).unwrap_or(name);
        rows.push(Row {
            provider_name: provider.clone(),
            provider_facts: Facts::new(),
            id: id.to_owned(),
            title: None,
            facts: model_facts(reader, name, entry)?,
            provider,
        });
    }
    Ok(rows)
}

fn model_facts(
    reader: &Reader,
    place: &str,
    entry: &Map<String, Json>,
) -> Result<Facts, ImportError> {
    let mut facts = Facts::new();
    // Old entries have one number for both.
    let legacy = || reader.tokens(place, entry, "max_tokens");
    let context = reader.tokens(place, entry, "max_input_tokens")?;
    let has_both = context.is_some() || entry.contains_key("max_output_tokens");
    let context = if has_both { context } else { legacy()? };
    reader.put(&mut facts, "context", context);
    reader.put(&mut facts, "answer", reader.tokens(place, entry, "max_output_tokens")?);
    let thinks = reader.flag(place, entry, "supports_reasoning")?;
    reader.put(&mut facts, "thinks", thinks.map(Value::Flag));
    let calls = reader.flag(place, entry, "supports_function_calling")?;
    reader.put(&mut facts, "calls", calls.map(Value::Flag));
    let input = match reader.modalities(place, entry, "supported_modalities")? {
        Some(input) => Some(input),
        None => inputs(reader, place, entry)?,
    };
    reader.put(&mut facts, "input", input);
    let output = reader.modalities(place, entry, "supported_output_modalities")?;
    let mode = reader.text(place, entry, "mode")?;
    let by_mode = || {
        let (word, _) = MODES.iter().find(|(_, known)| mode.as_deref() == Some(known))?;
        Some(Value::Words(vec![(*word).to_owned()]))
    };
    reader.put(&mut facts, "output", output.or_else(by_mode));
    Ok(facts)
}

/// Text, and what flags say of further inputs; `None` where no flag says anything.
fn inputs(
    reader: &Reader,
    place: &str,
    entry: &Map<String, Json>,
) -> Result<Option<Value>, ImportError> {
    let mut words = vec!["text".to_owned()];
    let mut said = false;
    for (key, word) in INPUTS {
        let flag = reader.flag(place, entry, key)?;
        said |= flag.is_some();
        words.extend(flag.filter(|flag| *flag).map(|_| word.to_owned()));
    }
    Ok(said.then_some(Value::Words(words)))
}
