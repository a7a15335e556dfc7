//! From what people type to a row, a variant and a quantization.

use super::{Catalog, Lab, Model, Value};

/// What a name means.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The lab.
    pub lab: &'a Lab,
    /// The model.
    pub model: &'a Model,
    /// The variant that the name asks for, such as `base`; `None` is the row's own repository.
    pub variant: Option<&'a str>,
    /// What stands behind an `@`, in lower case: the type that weights should have.
    pub quantization: Option<String>,
}

/// Where weights lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// `owner/name`.
    pub id: String,
    /// Whether a source names it; else the name is that of the other hub, under the lab's owner.
    pub stated: bool,
}

impl Catalog {
    /// A row by its name, title or alias, by a repository's name with or without the owner, or by
    /// its name in the API, whatever the case; then behind `-` perhaps a variant of it, and behind
    /// `@` perhaps a quantization: `family:size-base@q4_k`.
    pub fn find(&self, name: &str) -> Option<Entry<'_>> {
        let (name, quantization) = match name.split_once('@') {
            Some((name, quantization)) => (name, Some(quantization.to_lowercase())),
            None => (name, None),
        };
        let name = name.trim();
        let entry = |lab, model, variant| Entry { lab, model, variant, quantization: None };
        let exact = |(lab, model)| is_called(model, name).then(|| entry(lab, model, None));
        let variant = |(lab, model)| Some(entry(lab, model, Some(variant_called(model, name)?)));
        let repository = |(lab, model)| lies_in(model, name).map(|v| entry(lab, model, v));
        let found = self.rows().find_map(exact);
        let found = found.or_else(|| self.rows().find_map(variant));
        let found = found.or_else(|| self.rows().find_map(repository))?;
        Some(Entry { quantization, ..found })
    }

    /// Names that are spelled nearly so, the nearest first.
    pub fn near(&self, name: &str) -> Vec<&str> {
        const SHOWN: usize = 3;
        let name = name.to_lowercase();
        let likeness = |model: &Model| {
            let each =
                model.names().map(|other| strsim::jaro_winkler(&other.to_lowercase(), &name));
            each.fold(0.0, f64::max)
        };
        let mut scored: Vec<_> = self.rows().map(|(_, row)| (likeness(row), &*row.name)).collect();
        scored.retain(|(score, _)| *score > 0.75);
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        scored.into_iter().take(SHOWN).map(|(_, name)| name).collect()
    }
}

fn is_called(model: &Model, name: &str) -> bool {
    let api = model.text("api_model");
    model.names().chain(api).any(|own| own.eq_ignore_ascii_case(name))
}

/// The variants of a model with their repositories; the last may be its GGUF files.
fn variants(model: &Model) -> impl Iterator<Item = (&str, &str)> {
    let listed = match model.facts.get("variants").map(|fact| &fact.value) {
        Some(Value::Named(variants)) => variants.as_slice(),
        _ => &[],
    };
    let listed = listed.iter().map(|(name, id)| (name.as_str(), id.as_str()));
    listed.chain(model.text("gguf").map(|id| ("gguf", id)))
}

fn variant_called<'a>(model: &'a Model, name: &str) -> Option<&'a str> {
    variants(model).map(|(variant, _)| variant).find(|variant| {
        let (wanted, end) = (name.len().checked_sub(variant.len()), format!("-{variant}"));
        let at = wanted.and_then(|at| at.checked_sub(1)).filter(|at| name.is_char_boundary(*at));
        at.is_some_and(|at| {
            let (head, tail) = name.split_at(at);
            tail.eq_ignore_ascii_case(&end) && is_called(model, head)
        })
    })
}

/// Whether one of a model's repositories is called so: the variant, `None` being the row's own.
fn lies_in<'a>(model: &'a Model, name: &str) -> Option<Option<&'a str>> {
    let called = |id: &str| {
        let (_, last) = id.split_once('/').unwrap_or(("", id));
        id.eq_ignore_ascii_case(name) || last.eq_ignore_ascii_case(name)
    };
    let mut own = ["hugging_face", "model_scope"].into_iter().filter_map(|key| model.text(key));
    if own.any(called) {
        return Some(None);
    }
    variants(model).find(|(_, id)| called(id)).map(|(variant, _)| Some(variant))
}

impl Entry<'_> {
    /// Where the weights lie on Hugging Face.
    pub fn hugging_face(&self) -> Option<Repository> {
        let id = match self.variant {
            None => self.model.text("hugging_face")?,
            Some(variant) => self.of_variant(variant)?,
        };
        Some(Repository { id: id.to_owned(), stated: true })
    }

    /// Where the weights lie on ModelScope: as a source states, else under the lab's owner there
    /// by the name they have on Hugging Face.
    pub fn model_scope(&self) -> Option<Repository> {
        if let (None, Some(id)) = (self.variant, self.model.text("model_scope")) {
            return Some(Repository { id: id.to_owned(), stated: true });
        }
        self.on_model_scope(&self.hugging_face()?.id)
    }

    /// Where GGUF files of the model are kept: on Hugging Face, and where the lab itself keeps
    /// them, on ModelScope.
    pub fn gguf(&self) -> Option<(Repository, Option<Repository>)> {
        let id = self.of_variant("gguf")?;
        let there = self.on_model_scope(id);
        Some((Repository { id: id.to_owned(), stated: true }, there))
    }

    /// The names of the row's variants.
    pub fn variants(&self) -> impl Iterator<Item = &str> {
        variants(self.model).map(|(name, _)| name)
    }

    fn of_variant(&self, variant: &str) -> Option<&str> {
        variants(self.model).find(|(name, _)| *name == variant).map(|(_, id)| id)
    }

    /// What a repository of the lab itself is called on ModelScope.
    fn on_model_scope(&self, id: &str) -> Option<Repository> {
        let (owner, name) = id.split_once('/')?;
        let (own, _) = self.model.text("hugging_face")?.split_once('/')?;
        let there = self.lab.text("model_scope_owner").filter(|_| owner == own)?;
        Some(Repository { id: format!("{there}/{name}"), stated: false })
    }
}
