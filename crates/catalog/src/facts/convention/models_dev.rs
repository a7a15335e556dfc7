//! models.dev: `{ provider: { id, name, env, api, doc, models: { id: { … } } } }`.

use super::{ImportError, Reader, Row, exported_name, models, put};
use crate::facts::{Catalog, Date, Facts, Lab, Model, Value};
use serde_json::{Map, Value as Json, json};

const HUB: &str = "https://huggingface.co/";

/// What models.dev has words for.
const MODALITIES: [&str; 4] = ["text", "image", "audio", "video"];

pub(super) fn export(catalog: &Catalog) -> Json {
    let labs = catalog.labs.iter().filter(|lab| models(lab).next().is_some());
    Json::Object(labs.map(|lab| (lab.id.clone(), provider(lab))).collect())
}

fn provider(lab: &Lab) -> Json {
    let mut entry = Map::new();
    entry.insert("id".into(), lab.id.clone().into());
    entry.insert("name".into(), lab.name.clone().into());
    put(&mut entry, "env", lab.text("key").map(|key| json!([key])));
    put(&mut entry, "api", lab.text("api"));
    put(&mut entry, "doc", lab.text("site"));
    let models = models(lab).map(|row| (exported_name(row).to_owned(), model(row)));
    entry.insert("models".into(), Json::Object(models.collect()));
    Json::Object(entry)
}

fn model(row: &Model) -> Json {
    let mut entry = Map::new();
    entry.insert("id".into(), exported_name(row).into());
    entry.insert("name".into(), row.title.clone().into());
    let known = |key: &str| {
        let words = row.modalities(key).iter().filter(|word| MODALITIES.contains(&word.as_str()));
        words.cloned().collect::<Vec<_>>()
    };
    let (input, output) = (known("input"), known("output"));
    if !input.is_empty() {
        entry.insert("attachment".into(), input.iter().any(|word| word != "text").into());
    }
    put(&mut entry, "reasoning", row.flag("thinks"));
    put(&mut entry, "tool_call", row.flag("calls"));
    // Its dates have a month.
    let released = row.released().filter(|date| date.month.is_some());
    put(&mut entry, "release_date", released.map(|date| date.to_string()));
    entry.insert("modalities".into(), json!({ "input": input, "output": output }));
    entry.insert("open_weights".into(), row.is_open().into());
    let mut limit = Map::new();
    put(&mut limit, "context", row.tokens("context"));
    put(&mut limit, "output", row.tokens("answer"));
    entry.insert("limit".into(), limit.into());
    let weights = row.text("hugging_face");
    put(
        &mut entry,
        "weights",
        weights.map(|id| json!([{ "label": "Hugging Face", "url": format!("{HUB}{id}") }])),
    );
    Json::Object(entry)
}

pub(super) fn rows(
    reader: &Reader,
    providers: &Map<String, Json>,
) -> Result<Vec<Row>, ImportError> {
    let mut rows = Vec::new();
    for (id, found) in providers {
        let provider = reader.object(id, "provider", found)?;
        let mut facts = Facts::new();
        let env = provider.get("env").and_then(|env| env.get(0)).and_then(Json::as_str);
        reader.put(&mut facts, "key", env.map(|key| Value::Text(key.into())));
        let link = |text: Option<String>| text.filter(|link| link.starts_with("https://"));
        let api = link(reader.text(id, provider, "api")?);
        reader.put(&mut facts, "api", api.map(Value::Text));
        let name = reader.text(id, provider, "name")?.unwrap_or_else(|| id.clone());
        let Some(listed) = provider.get("models") else { continue };
        for (model, found) in reader.object(id, "models", listed)? {
            let place = format!("{id}: {model}");
            let entry = reader.object(&place, "model", found)?;
            rows.push(Row {
                provider: id.clone(),
                provider_name: name.clone(),
                provider_facts: facts.clone(),
                id: model.clone(),
                title: reader.text(&place, entry, "name")?,
                facts: model_facts(reader, &place, entry)?,
            });
        }
    }
    Ok(rows)
}

fn model_facts(
    reader: &Reader,
    place: &str,
    entry: &Map<String, Json>,
) -> Result<Facts, ImportError> {
    let mut facts = Facts::new();
    if let Some(text) = reader.text(place, entry, "release_date")? {
        let date: Result<Date, _> = text.parse();
        let wrong = |wanted| reader.wrong(place, "release_date", &entry["release_date"], wanted);
        reader.put(&mut facts, "released", Some(Value::Date(date.map_err(wrong)?)));
    }
    let thinks = reader.flag(place, entry, "reasoning")?;
    reader.put(&mut facts, "thinks", thinks.map(Value::Flag));
    let calls = reader.flag(place, entry, "tool_call")?;
    reader.put(&mut facts, "calls", calls.map(Value::Flag));
    if let Some(limit) = entry.get("limit") {
        let limit = reader.object(place, "limit", limit)?;
        reader.put(&mut facts, "context", reader.tokens(place, limit, "context")?);
        reader.put(&mut facts, "answer", reader.tokens(place, limit, "output")?);
    }
    if let Some(found) = entry.get("modalities") {
        let found = reader.object(place, "modalities", found)?;
        reader.put(&mut facts, "input", reader.modalities(place, found, "input")?);
        reader.put(&mut facts, "output", reader.modalities(place, found, "output")?);
    }
    if let Some(open) = reader.flag(place, entry, "open_weights")? {
        let access = if open { "open" } else { "api" };
        reader.put(&mut facts, "weights", Some(Value::Text(access.into())));
    }
    let listed = entry.get("weights").and_then(Json::as_array).into_iter().flatten();
    let mut addresses = listed.filter_map(|weights| weights.get("url")?.as_str());
    let id = addresses.find_map(|address| address.strip_prefix(HUB));
    reader.put(&mut facts, "hugging_face", id.map(|id| Value::Text(id.into())));
    Ok(facts)
}
