//! The catalog as the command uses it: with the user's own files laid over it, and a row in full.

use anyhow::{Context, Result};
use baimo_catalog::facts::{Catalog, Date, Entry, Fact, Repository, Source, compiled};
use chrono::{DateTime, Datelike, Utc};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The compiled catalog, below what these files say.
pub fn with(files: &[PathBuf]) -> Result<Cow<'static, Catalog>> {
    let mut catalog = Cow::Borrowed(compiled());
    for file in files {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).with_context(|| name.clone())?;
        catalog.to_mut().import(&text, &name, changed(file))?;
    }
    Ok(catalog)
}

/// The day a file was last changed, else today.
fn changed(file: &Path) -> Date {
    let time = std::fs::metadata(file).and_then(|data| data.modified());
    let time = DateTime::<Utc>::from(time.unwrap_or_else(|_| SystemTime::now()));
    Date {
        year: u16::try_from(time.year()).unwrap_or_default(),
        month: u8::try_from(time.month()).ok(),
        day: u8::try_from(time.day()).ok(),
    }
}

/// Tells all that is known of a row.
pub fn show(entry: &Entry, as_json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{:#}", full_json(entry))?;
        return Ok(());
    }
    let (lab, model) = (entry.lab, entry.model);
    writeln!(out, "{} ({}), by {}", model.title, model.name, lab.in_both_scripts())?;
    if !model.aliases.is_empty() {
        writeln!(out, "  also: {}", model.aliases.join(", "))?;
    }
    if let Some(variant) = entry.variant {
        writeln!(out, "  the variant {variant}")?;
    }
    let facts: Vec<_> = model.known().collect();
    let width = facts.iter().map(|(field, _)| field.title.len()).max().unwrap_or_default();
    let mut sources: Vec<&Source> = Vec::new();
    for (field, fact) in &facts {
        let number = citation(&mut sources, &fact.source);
        let claim = if fact.claim { " (claimed)" } else { "" };
        writeln!(out, "  {:width$}  {}{claim} [{number}]", field.title, fact.value)?;
        for (other, source) in &fact.others {
            writeln!(
                out,
                "  {:width$}  elsewhere: {other} [{}]",
                "",
                citation(&mut sources, source)
            )?;
        }
    }
    writeln!(out, "  {:width$}  {}", "runs", runs(entry))?;
    if let Some(pull) = pulled(entry) {
        writeln!(out, "  {:width$}  {pull}", "pull")?;
    }
    writeln!(out, "sources")?;
    for (index, source) in sources.iter().enumerate() {
        let address = source.address.as_deref().map(|a| format!(": {a}")).unwrap_or_default();
        writeln!(out, "  [{}] {}, {}{address}", index + 1, source.title, source.date)?;
    }
    Ok(())
}

/// The number of a source, from 1 in the order of first mention. Names alone do not tell imported
/// files apart.
fn citation<'a>(sources: &mut Vec<&'a Source>, source: &'a Source) -> usize {
    let at = sources.iter().position(|known| *known == source).unwrap_or_else(|| {
        sources.push(source);
        sources.len() - 1
    });
    at + 1
}

fn runs(entry: &Entry) -> String {
    let model = entry.model;
    if let Some(missing) = &model.missing {
        return format!("no; {missing}");
    }
    match model.text("architecture") {
        Some(architecture) if model.runs() => match baimo_labs::checked(architecture) {
            Some((against, _)) => format!("yes; the architecture was checked against {against}"),
            None => "yes".into(),
        },
        Some(architecture) if !baimo_labs::reads(architecture) => {
            format!("no; no page reads {architecture}")
        }
        Some(_) => "no; its weights are not to be had".into(),
        None if model.is_open() => "not known: its architecture is not".into(),
        None => "no; its weights are not to be had".into(),
    }
}

/// Names that can be pulled: the row's own and its variants'.
fn pulled(entry: &Entry) -> Option<String> {
    let model = entry.model;
    entry.hugging_face()?;
    let variants = entry.variants().map(|variant| format!(", {}-{variant}", model.name));
    Some(model.name.clone() + &variants.collect::<String>())
}

fn full_json(entry: &Entry) -> Value {
    let (lab, model) = (entry.lab, entry.model);
    let facts: Map<String, Value> =
        model.known().map(|(field, fact)| (field.key.into(), fact_json(fact))).collect();
    let about_lab: Map<String, Value> =
        lab.known().map(|(field, fact)| (field.key.into(), fact_json(fact))).collect();
    let place = |repository: Option<Repository>| {
        repository.map(|place| json!({ "id": place.id, "stated": place.stated }))
    };
    json!({
        "name": model.name,
        "title": model.title,
        "aliases": model.aliases,
        "family": model.family,
        "kind": model.kind.name(),
        "lab": { "id": lab.id, "name": lab.name, "hanzi": lab.hanzi, "facts": about_lab },
        "variant": entry.variant,
        "runs": model.runs(),
        "missing": model.missing,
        "facts": facts,
        "pull": {
            "hugging_face": place(entry.hugging_face()),
            "model_scope": place(entry.model_scope()),
            "gguf": place(entry.gguf().map(|(here, _)| here)),
        },
    })
}

fn fact_json(fact: &Fact) -> Value {
    let source = |source: &Source| {
        json!({
            "title": source.title,
            "address": source.address,
            "date": source.date.to_string(),
        })
    };
    let others: Vec<Value> = fact
        .others
        .iter()
        .map(|(value, who)| json!({ "value": value.to_json(), "source": source(who) }))
        .collect();
    json!({
        "value": fact.value.to_json(),
        "source": source(&fact.source),
        "claim": fact.claim,
        "others": others,
    })
}
