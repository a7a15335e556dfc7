//! The catalog in the words of others: models.dev's `api.json` and LiteLLM's
//! `model_prices_and_context_window.json`, out and in.
//!
//! What both sides know is carried: names, dates to the month, modalities, contexts, longest
//! answers, thoughts, calls, who has the weights. Sources and claims stay here; prices, which
//! change by the week, stay there.

mod litellm;
mod models_dev;

use super::{Catalog, Date, Fact, Facts, Kind, Lab, Model, Source, Value};
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// Whose field names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convention {
    /// <https://models.dev/api.json>: providers with their models.
    ModelsDev,
    /// LiteLLM's `model_prices_and_context_window.json`: one flat object of models.
    LiteLlm,
}

impl Convention {
    /// Every convention with its name.
    pub const ALL: [(&'static str, Convention); 2] =
        [("models.dev", Convention::ModelsDev), ("litellm", Convention::LiteLlm)];
}

/// What is wrong with a file of others.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Not JSON.
    #[error("{file}: not JSON: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// Where and why.
        message: String,
    },
    /// JSON of neither form.
    #[error(
        "{file}: neither models.dev's form (providers with `models`) nor LiteLLM's (models with \
         `litellm_provider`)\nhint: give api.json of models.dev or \
         model_prices_and_context_window.json of LiteLLM"
    )]
    Unknown {
        /// The file.
        file: String,
    },
    /// A value of the wrong kind.
    #[error("{file}: {place}: `{key}`: found {found}, wanted {wanted}")]
    Key {
        /// The file.
        file: String,
        /// The provider and the model.
        place: String,
        /// The key.
        key: String,
        /// What stands there.
        found: String,
        /// What should.
        wanted: &'static str,
    },
}

impl Catalog {
    /// The models in the words of a convention.
    pub fn export(&self, convention: Convention) -> Json {
        match convention {
            Convention::ModelsDev => models_dev::export(self),
            Convention::LiteLlm => litellm::export(self),
        }
    }

    /// Lays a file of either convention over the catalog: what it says of a row replaces what was
    /// known, and rows it alone knows are added, those of new providers under `provider/model`.
    /// Keys with no meaning here are passed over. Returns how many rows it spoke of.
    ///
    /// # Errors
    /// Names the model and the key at fault; then nothing was changed.
    pub fn import(&mut self, text: &str, file: &str, date: Date) -> Result<usize, ImportError> {
        let json: Json = serde_json::from_str(text).map_err(|error| ImportError::Syntax {
            file: file.into(),
            message: error.to_string(),
        })?;
        let entries = json.as_object().filter(|object| !object.is_empty());
        let has = |key: &str| {
            entries.is_some_and(|object| object.values().any(|entry| entry.get(key).is_some()))
        };
        let source = Source { id: "imported".into(), title: file.into(), address: None, date };
        let reader = Reader { file, source: Arc::new(source) };
        let rows = match entries {
            Some(entries) if has("models") => models_dev::rows(&reader, entries)?,
            Some(entries) if has("litellm_provider") => litellm::rows(&reader, entries)?,
            Some(_) | None => return Err(ImportError::Unknown { file: file.into() }),
        };
        let count = rows.len();
        let served = reader.fact(Value::Text("api".into()));
        for row in rows {
            self.lay(row, &served);
        }
        Ok(count)
    }

    /// Lays a row over the one that its lab has under this name, or adds it; whose weights nobody
    /// speaks of are `served`.
    fn lay(&mut self, mut row: Row, served: &Fact) {
        let at = self.labs.iter().position(|lab| lab.id.eq_ignore_ascii_case(&row.provider));
        let at = at.unwrap_or_else(|| {
            let Row { provider, provider_name, .. } = &row;
            self.labs.push(Lab {
                id: provider.to_lowercase(),
                name: provider_name.clone(),
                hanzi: String::new(),
                facts: Facts::new(),
                models: Vec::new(),
            });
            self.labs.len() - 1
        });
        lay_over(&mut self.labs[at].facts, row.provider_facts);
        let called = |model: &Model| exported_name(model).eq_ignore_ascii_case(&row.id);
        if let Some(model) = self.labs[at].models.iter_mut().find(|model| called(model)) {
            lay_over(&mut model.facts, row.facts);
            return;
        }
        row.facts.entry("weights").or_insert_with(|| served.clone());
        let name = row.id.to_lowercase();
        let taken = self.find(&name).is_some();
        let name = if taken { format!("{}/{name}", self.labs[at].id) } else { name };
        self.labs[at].models.push(Model {
            title: row.title.unwrap_or_else(|| row.id.clone()),
            aliases: Vec::new(),
            family: "imported".into(),
            kind: Kind::Model,
            missing: None,
            facts: row.facts,
            name,
        });
    }
}

/// What is the same keeps its source.
fn lay_over(known: &mut Facts, said: Facts) {
    for (key, fact) in said {
        if known.get(key).is_none_or(|old| old.value != fact.value) {
            known.insert(key, fact);
        }
    }
}

/// A model as a file of others has it.
struct Row {
    provider: String,
    provider_name: String,
    provider_facts: Facts,
    id: String,
    title: Option<String>,
    facts: Facts,
}

/// The name that others know a model by: that in its lab's API, else ours.
fn exported_name(model: &Model) -> &str {
    model.text("api_model").unwrap_or(&model.name)
}

/// The models of a lab, without products and milestones.
fn models(lab: &Lab) -> impl Iterator<Item = &Model> {
    lab.models.iter().filter(|model| model.kind == Kind::Model)
}

/// Puts a value under a key where there is one.
fn put(entry: &mut Map<String, Json>, key: &str, value: Option<impl Into<Json>>) {
    if let Some(value) = value {
        entry.insert(key.into(), value.into());
    }
}

/// Takes facts out of the JSON of others.
struct Reader<'a> {
    file: &'a str,
    source: Arc<Source>,
}

impl Reader<'_> {
    fn wrong(&self, place: &str, key: &str, found: &Json, wanted: &'static str) -> ImportError {
        ImportError::Key {
            file: self.file.into(),
            place: place.into(),
            key: key.into(),
            found: found.to_string(),
            wanted,
        }
    }

    fn object<'j>(
        &self,
        place: &str,
        key: &str,
        found: &'j Json,
    ) -> Result<&'j Map<String, Json>, ImportError> {
        found.as_object().ok_or_else(|| self.wrong(place, key, found, "an object"))
    }

    /// Text, of which an empty one says nothing.
    fn text(
        &self,
        place: &str,
        entry: &Map<String, Json>,
        key: &str,
    ) -> Result<Option<String>, ImportError> {
        match entry.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(other) => Err(self.wrong(place, key, other, "text")),
        }
    }

    fn flag(
        &self,
        place: &str,
        entry: &Map<String, Json>,
        key: &str,
    ) -> Result<Option<bool>, ImportError> {
        match entry.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Bool(flag)) => Ok(Some(*flag)),
            // models.dev may say more of calls than whether there are any.
            Some(Json::Object(more)) => Ok(more.get("supported").and_then(Json::as_bool)),
            Some(other) => Err(self.wrong(place, key, other, "true or false")),
        }
    }

    /// Tokens; 0 stands for "does not apply", and LiteLLM writes some numbers as text.
    fn tokens(
        &self,
        place: &str,
        entry: &Map<String, Json>,
        key: &str,
    ) -> Result<Option<Value>, ImportError> {
        let count = match entry.get(key) {
            None | Some(Json::Null) => return Ok(None),
            Some(Json::String(text)) => text.parse().ok(),
            Some(number) => number.as_f64().filter(|n| (0.0..1e15).contains(n)).map(|n| n as u64),
        };
        let count =
            count.ok_or_else(|| self.wrong(place, key, &entry[key], "a whole number of tokens"))?;
        Ok((count > 0).then_some(Value::Tokens(count)))
    }

    /// A list of modalities; those without a word here are left out.
    fn modalities(
        &self,
        place: &str,
        entry: &Map<String, Json>,
        key: &str,
    ) -> Result<Option<Value>, ImportError> {
        let Some(found) = entry.get(key) else { return Ok(None) };
        let list = found.as_array().ok_or_else(|| self.wrong(place, key, found, "a list"))?;
        let mut words: Vec<String> = Vec::new();
        for word in list.iter().filter_map(Json::as_str) {
            let known = super::field::MODALITIES.contains(&word);
            if known && !words.iter().any(|other| other == word) {
                words.push(word.to_owned());
            }
        }
        Ok((!words.is_empty()).then_some(Value::Words(words)))
    }

    fn put(&self, facts: &mut Facts, key: &'static str, value: Option<Value>) {
        if let Some(value) = value {
            facts.insert(key, self.fact(value));
        }
    }

    fn fact(&self, value: Value) -> Fact {
        Fact { value, source: self.source.clone(), claim: false, others: Vec::new() }
    }
}
