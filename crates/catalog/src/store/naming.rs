//! What users call models: references to hubs, and names of the catalog.

use super::{Error, Hub, Reference};
use crate::facts::{self, Entry};
use baimo_weights::Target;

/// A model that is on a hub, however it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Where it is.
    pub reference: Reference,
    /// What its weights are to become while loading, where the name asks for a quantization that
    /// nobody keeps as files.
    pub target: Option<Target>,
    elsewhere: Elsewhere,
}

/// Where else the files of a model are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Elsewhere {
    /// There.
    Known(Vec<Reference>),
    /// The catalog was not asked.
    NotAsked,
}

impl Named {
    /// What `text` names: `hf:…`, `ms:…`, or a name of the catalog with a quantization behind an
    /// `@` perhaps. `None` where it is neither.
    ///
    /// # Errors
    /// A reference that does not parse; a model of the catalog whose weights nobody can have, or
    /// not in that quantization.
    pub fn read(text: &str) -> Result<Option<Named>, Error> {
        if Reference::is_meant(text) {
            let reference: Reference = text.parse()?;
            let elsewhere = Elsewhere::NotAsked;
            return Ok(Some(Named { reference, target: None, elsewhere }));
        }
        facts::find(text).map(|entry| of_entry(text, &entry)).transpose()
    }

    /// Where else the same files are, as the catalog has it.
    pub fn others(&self) -> Vec<Reference> {
        match &self.elsewhere {
            Elsewhere::Known(others) => others.clone(),
            Elsewhere::NotAsked => twin(&self.reference).into_iter().collect(),
        }
    }

    /// Whether `text` names a model that can be had.
    pub fn is_meant(text: &str) -> bool {
        Reference::is_meant(text) || Named::read(text).is_ok_and(|named| named.is_some())
    }
}

fn of_entry(text: &str, entry: &Entry<'_>) -> Result<Named, Error> {
    let name = &entry.model.name;
    let choice = |found: &str, wanted: &str, hint: String| Error::Choice {
        what: text.to_owned(),
        found: found.to_owned(),
        wanted: wanted.to_owned(),
        hint,
    };
    let files = entry.quantization.as_ref().and_then(|_| entry.gguf());
    let (target, part) = match (&entry.quantization, &files) {
        (Some(asked), None) => {
            let target = asked.parse::<Target>().map_err(|wanted| {
                let types = format!("no GGUF files of {name} that its lab keeps, and {wanted}");
                choice(&types, &format!("{name} in {asked}"), format!(
                    "{name}@q4_k quantizes while loading, `baimo quantize {name}` writes a file \
                     of any type"
                ))
            })?;
            (Some(target), None)
        }
        (asked, _) => (None, asked.clone()),
    };
    let (here, there) = match files {
        Some((here, there)) => (Some(here), there),
        None => (entry.hugging_face(), entry.model_scope()),
    };
    let reference = |hub, id: String| Reference { part: part.clone(), ..Reference::new(hub, &id) };
    let mut all = here
        .map(|here| reference(Hub::HuggingFace, here.id))
        .into_iter()
        .chain(there.map(|there| reference(Hub::ModelScope, there.id)));
    match all.next() {
        Some(reference) => {
            Ok(Named { reference, target, elsewhere: Elsewhere::Known(all.collect()) })
        }
        None => Err(choice(
            "no repository of its weights in the catalog",
            "a model whose weights can be had",
            format!("`baimo show {name}` tells what is known of it"),
        )),
    }
}

/// The same repository on ModelScope. Its bytes are compared with the hashes of Hugging Face, so
/// that a name that nobody has stated does no harm.
fn twin(reference: &Reference) -> Option<Reference> {
    if reference.hub == Hub::ModelScope || reference.revision.is_some() {
        return None;
    }
    let entry = facts::find(&reference.repo)?;
    let is_same = entry.hugging_face().is_some_and(|here| here.id == reference.repo);
    let there = entry.model_scope().filter(|_| is_same)?;
    let part = reference.part.clone();
    Some(Reference { part, ..Reference::new(Hub::ModelScope, &there.id) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Named {
        Named::read(text).unwrap().expect(text)
    }

    #[test]
    fn names_of_the_catalog_lead_to_both_hubs() {
        let named = read("qwen3:0.6b");
        assert_eq!(named.reference.to_string(), "hf:Qwen/Qwen3-0.6B");
        assert_eq!(named.others()[0].to_string(), "ms:Qwen/Qwen3-0.6B");
        let spelled = read("hf:Qwen/Qwen3-0.6B");
        assert_eq!((&spelled.reference, spelled.others()), (&named.reference, named.others()));
    }

    #[test]
    fn a_quantization_leads_to_the_labs_own_files() {
        let named = read("qwen3:8b@Q8_0");
        assert_eq!(named.reference.to_string(), "hf:Qwen/Qwen3-8B-GGUF:q8_0");
        assert_eq!(named.others()[0].part.as_deref(), Some("q8_0"));
    }

    #[test]
    fn other_words_are_no_models() {
        assert_eq!(Named::read("Hello there").unwrap(), None);
        assert!(Named::read("hf:nothing").is_ok() && Named::read("hf:a/b/c").is_err());
        assert!(Named::is_meant("hf:a/b/c") && !Named::is_meant("poem"));
    }

    #[test]
    fn a_commit_has_no_twin() {
        assert_eq!(read("hf:Qwen/Qwen3-0.6B@main").others(), []);
    }

    #[test]
    fn a_quantization_that_nobody_keeps_is_made_while_loading() {
        let named = read("seed-oss:36b@q4_k");
        assert_eq!(named.reference.to_string(), "hf:ByteDance-Seed/Seed-OSS-36B-Instruct");
        assert_eq!((named.target, read("qwen3:8b@q8_0").target), (Some(Target::Q4K), None));
        let error = Named::read("seed-oss:36b@q3_k_m").unwrap_err().to_string();
        assert!(error.contains("@q4_k") && error.contains("baimo quantize"), "{error}");
    }
}
