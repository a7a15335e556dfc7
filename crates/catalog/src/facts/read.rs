//! A file of facts, from TOML.

use super::field::{Field, LAB_FIELDS, MODEL_FIELDS};
use super::{Error, Fact, Facts, Kind, Lab, Model, Source, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::{Table, Value as Toml};

/// The lab of one file, which is called `id`.
pub(super) fn lab(id: &str, text: &str) -> Result<Lab, Error> {
    let syntax = |error: toml::de::Error| Error::Syntax {
        file: id.into(),
        message: error.to_string().trim_end().to_owned(),
    };
    let mut file: Table = text.parse().map_err(syntax)?;
    let mut reader = Reader { file: id, sources: BTreeMap::new() };
    let top = Place { reader: &reader, name: "the file".into() };
    let sources = top.table(&mut file, "sources")?;
    let mut table = top.table(&mut file, "lab")?;
    let families = top.tables(&mut file, "family")?;
    top.nothing_left(&file, &["lab", "sources", "family"])?;
    reader.sources = sources
        .into_iter()
        .map(|(key, value)| Ok((key.clone(), Arc::new(source(&reader, key, value)?))))
        .collect::<Result<_, Error>>()?;

    let place = Place { reader: &reader, name: "the lab".into() };
    let name = place.required(&mut table, "name")?;
    let hanzi = place.words(&mut table, "hanzi")?.unwrap_or_default();
    let citing = place.citing(&mut table, &Citing::new())?;
    let facts = place.facts(&mut table, LAB_FIELDS, &citing)?;
    place.nothing_left(&table, &keys(LAB_FIELDS, &["name", "hanzi", "source"]))?;
    let mut models = Vec::new();
    for table in families {
        family(&reader, table, &citing, &mut models)?;
    }
    Ok(Lab { id: id.into(), name, hanzi, facts, models })
}

fn source(reader: &Reader, id: String, value: Toml) -> Result<Source, Error> {
    let place = Place { reader, name: format!("source {id}") };
    let Toml::Table(mut table) = value else {
        return Err(place.wrong(&id, &value, "a table with title and date"));
    };
    let title = place.required(&mut table, "title")?;
    let date = place.required(&mut table, "date")?;
    let date = date.parse().map_err(|wanted| place.wrong("date", &Toml::String(date), wanted))?;
    let address = place.words(&mut table, "address")?;
    place.nothing_left(&table, &["title", "date", "address"])?;
    Ok(Source { id, title, address, date })
}

/// What a family and a model may say besides the facts.
const FAMILY_KEYS: &[&str] = &["name", "source", "kind", "missing", "model"];
const MODEL_KEYS: &[&str] = &["name", "title", "aliases", "source", "kind", "missing"];

fn family(
    reader: &Reader,
    mut table: Table,
    citing: &Citing,
    models: &mut Vec<Model>,
) -> Result<(), Error> {
    let mut place = Place { reader, name: "a family".into() };
    let name = place.required(&mut table, "name")?;
    place.name = format!("family {name}");
    let citing = place.citing(&mut table, citing)?;
    let kind = place.kind(&mut table)?.unwrap_or(Kind::Model);
    let missing = place.words(&mut table, "missing")?;
    let members = place.tables(&mut table, "model")?;
    let facts = place.facts(&mut table, MODEL_FIELDS, &citing)?;
    place.nothing_left(&table, &keys(MODEL_FIELDS, FAMILY_KEYS))?;
    for member in members {
        let family = Family { name: &name, kind, missing: &missing, facts: &facts };
        models.push(model(reader, member, &citing, &family)?);
    }
    Ok(())
}

/// What models take over from their family.
struct Family<'a> {
    name: &'a str,
    kind: Kind,
    missing: &'a Option<String>,
    facts: &'a Facts,
}

fn model(
    reader: &Reader,
    mut table: Table,
    citing: &Citing,
    family: &Family,
) -> Result<Model, Error> {
    let mut place = Place { reader, name: format!("a model of family {}", family.name) };
    let name = place.required(&mut table, "name")?;
    place.name = format!("model {name}");
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-:".contains(c);
    if !name.chars().all(plain) {
        let wanted = "lower-case letters, digits and `._-:`";
        return Err(place.wrong("name", &Toml::String(name), wanted));
    }
    let citing = place.citing(&mut table, citing)?;
    let title = place.words(&mut table, "title")?;
    let kind = place.kind(&mut table)?.unwrap_or(family.kind);
    let missing = place.words(&mut table, "missing")?.or_else(|| family.missing.clone());
    let aliases = place.names(&mut table, "aliases")?;
    let mut facts = family.facts.clone();
    facts.extend(place.facts(&mut table, MODEL_FIELDS, &citing)?);
    place.nothing_left(&table, &keys(MODEL_FIELDS, MODEL_KEYS))?;
    let repository = match facts.get("hugging_face").map(|fact| &fact.value) {
        Some(Value::Text(id)) => id.split_once('/').map(|(_, name)| name.to_owned()),
        _ => None,
    };
    let title = title.or(repository).unwrap_or_else(|| name.clone());
    // Where no page knows the architecture either, `missing` of a family says nothing new.
    let family = family.name.to_owned();
    let model = Model { name, title, aliases, family, kind, missing, facts };
    fits_together(&place, &model)?;
    Ok(model)
}

/// What no fact alone can show.
fn fits_together(place: &Place, model: &Model) -> Result<(), Error> {
    let found = |key: &str| Toml::String(model.facts[key].value.to_string());
    if model.kind == Kind::Model && !model.facts.contains_key("weights") {
        let nothing = Toml::String("nothing".into());
        return Err(place.wrong("weights", &nothing, "open, api or closed"));
    }
    if let (Some(total), Some(active)) = (model.parameters("total"), model.parameters("active"))
        && active.count > total.count
    {
        return Err(place.wrong("active", &found("active"), "at most the total"));
    }
    let downloads = ["hugging_face", "model_scope", "variants", "gguf"];
    let download = downloads.into_iter().find(|key| model.facts.contains_key(key));
    match download {
        Some(key) if !model.is_open() => {
            Err(place.wrong(key, &found(key), "none where the weights are not open"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Which source stands behind a fact that names none, by its key; [`OTHERWISE`] behind the rest.
type Citing = BTreeMap<String, String>;

/// The key of the source for all fields that have none of their own.
const OTHERWISE: &str = "otherwise";

struct Reader<'a> {
    file: &'a str,
    sources: BTreeMap<String, Arc<Source>>,
}

/// A table of the file, for what errors say.
struct Place<'a> {
    reader: &'a Reader<'a>,
    name: String,
}

impl Place<'_> {
    fn wrong(&self, key: &str, found: &Toml, wanted: impl Into<String>) -> Error {
        Error::Key {
            file: format!("{}.toml", self.reader.file),
            place: self.name.clone(),
            key: key.into(),
            found: found.to_string(),
            wanted: wanted.into(),
        }
    }

    fn words(&self, table: &mut Table, key: &str) -> Result<Option<String>, Error> {
        match table.remove(key) {
            None => Ok(None),
            Some(Toml::String(words)) if !words.trim().is_empty() => Ok(Some(words)),
            Some(other) => Err(self.wrong(key, &other, "words")),
        }
    }

    fn required(&self, table: &mut Table, key: &str) -> Result<String, Error> {
        let nothing = Toml::String("nothing".into());
        self.words(table, key)?.ok_or_else(|| self.wrong(key, &nothing, "words"))
    }

    fn names(&self, table: &mut Table, key: &str) -> Result<Vec<String>, Error> {
        let Some(found) = table.remove(key) else { return Ok(Vec::new()) };
        let list = found.as_array().map(|list| list.iter().map(Toml::as_str));
        let names: Option<Vec<&str>> = list.and_then(Iterator::collect);
        names
            .map(|names| names.into_iter().map(str::to_owned).collect())
            .ok_or_else(|| self.wrong(key, &found, "a list of names"))
    }

    fn kind(&self, table: &mut Table) -> Result<Option<Kind>, Error> {
        let Some(word) = self.words(table, "kind")? else { return Ok(None) };
        let known = Kind::ALL.iter().find(|(name, _)| *name == word);
        known.map(|(_, kind)| Some(*kind)).ok_or_else(|| {
            let names = Kind::ALL.map(|(name, _)| name);
            self.wrong("kind", &Toml::String(word), format!("one of {names:?}"))
        })
    }

    fn table(&self, table: &mut Table, key: &str) -> Result<Table, Error> {
        match table.remove(key) {
            Some(Toml::Table(found)) => Ok(found),
            Some(other) => Err(self.wrong(key, &other, "a table")),
            None => Err(self.wrong(key, &Toml::String("nothing".into()), "a table")),
        }
    }

    fn tables(&self, table: &mut Table, key: &str) -> Result<Vec<Table>, Error> {
        let Some(found) = table.remove(key) else { return Ok(Vec::new()) };
        let Toml::Array(list) = found else {
            return Err(self.wrong(key, &found, "tables"));
        };
        let table = |entry| match entry {
            Toml::Table(table) => Ok(table),
            other => Err(self.wrong(key, &other, "a table")),
        };
        list.into_iter().map(table).collect()
    }

    /// `source = "id"`, or a source for each of some keys: `{ otherwise = "id", context = "id" }`.
    /// What is not said here is as it was around.
    fn citing(&self, table: &mut Table, around: &Citing) -> Result<Citing, Error> {
        let mut citing = around.clone();
        let said = match table.remove("source") {
            None => Table::new(),
            Some(Toml::Table(said)) => said,
            Some(id) => [(OTHERWISE.to_owned(), id)].into_iter().collect(),
        };
        let fields = LAB_FIELDS.iter().chain(MODEL_FIELDS).map(|field| field.key);
        let known: Vec<&str> = fields.chain([OTHERWISE]).collect();
        for (key, id) in said {
            let id = id.as_str().ok_or_else(|| self.wrong("source", &id, "a source"))?;
            if !known.contains(&key.as_str()) {
                let found = Toml::String(key);
                return Err(self.wrong("source", &found, format!("one of {known:?}")));
            }
            self.source("source", id)?;
            citing.insert(key, id.to_owned());
        }
        Ok(citing)
    }

    fn facts(&self, table: &mut Table, fields: &[Field], citing: &Citing) -> Result<Facts, Error> {
        let mut facts = Facts::new();
        for field in fields {
            if let Some(found) = table.remove(field.key) {
                let default = citing.get(field.key).or_else(|| citing.get(OTHERWISE));
                let default = default.map(String::as_str).unwrap_or_default();
                facts.insert(field.key, self.fact(field, found, default)?);
            }
        }
        Ok(facts)
    }

    /// `value`, or `{ value, source, claim, other }`.
    fn fact(&self, field: &Field, found: Toml, default: &str) -> Result<Fact, Error> {
        let value = |found: &Toml| {
            field.form.read(found).map_err(|wanted| self.wrong(field.key, found, wanted))
        };
        let Some(mut table) = found.as_table().filter(|t| t.contains_key("value")).cloned() else {
            let source = self.source(field.key, default)?;
            return Ok(Fact { value: value(&found)?, source, claim: false, others: Vec::new() });
        };
        let stated = table.remove("value").expect("the filter saw it");
        let source = self.words(&mut table, "source")?.unwrap_or_else(|| default.to_owned());
        let claim = match table.remove("claim") {
            None => false,
            Some(Toml::Boolean(claim)) => claim,
            Some(other) => return Err(self.wrong(field.key, &other, "claim = true")),
        };
        let others = match table.remove("other") {
            None => Vec::new(),
            Some(Toml::Array(list)) => list,
            Some(other) => vec![other],
        };
        let others = others
            .into_iter()
            .map(|other| {
                let wanted = "other = { value = …, source = … }";
                let parts = other.as_table().filter(|table| table.len() == 2);
                let parts =
                    parts.and_then(|table| Some((table.get("value")?, table.get("source")?)));
                let (stated, id) = parts.ok_or_else(|| self.wrong(field.key, &other, wanted))?;
                let id = id.as_str().ok_or_else(|| self.wrong(field.key, id, "a source"))?;
                Ok((value(stated)?, self.source(field.key, id)?))
            })
            .collect::<Result<_, Error>>()?;
        self.nothing_left(&table, &["value", "source", "claim", "other"])?;
        Ok(Fact { value: value(&stated)?, source: self.source(field.key, &source)?, claim, others })
    }

    fn source(&self, key: &str, id: &str) -> Result<Arc<Source>, Error> {
        self.reader.sources.get(id).cloned().ok_or_else(|| {
            let found = Toml::String(id.to_owned());
            self.wrong(key, &found, "a source that stands under [sources]")
        })
    }

    fn nothing_left(&self, table: &Table, known: &[&str]) -> Result<(), Error> {
        match table.iter().next() {
            None => Ok(()),
            Some((key, value)) => Err(self.wrong(key, value, format!("one of {known:?}"))),
        }
    }
}

fn keys(fields: &[Field], further: &[&'static str]) -> Vec<&'static str> {
    further.iter().copied().chain(fields.iter().map(|field| field.key)).collect()
}
