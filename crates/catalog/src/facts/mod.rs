//! Facts of labs and models, each with a source and the date of that source.
//!
//! A file per lab, written in TOML, is compiled in with the labs' pages. What a file may say is
//! the closed list of [`field`]; whatever else it says is an error that names the place. Unknown
//! facts are absent, and contested ones carry the other view.

mod convention;
pub mod field;
mod find;
mod read;
mod select;
mod value;

pub use convention::{Convention, ImportError};
pub use find::{Entry, Repository};
pub use select::Selection;
pub use value::{Date, Parameters, Value};

use field::{Field, LAB_FIELDS, MODEL_FIELDS};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// What is wrong with a file of facts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not TOML.
    #[error("{file}: not TOML: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// Where and why.
        message: String,
    },
    /// A key that is missing, unknown or has a value that does not fit.
    #[error("{file}: {place}: `{key}`: found {found}, wanted {wanted}")]
    Key {
        /// The file.
        file: String,
        /// The lab, family, source or model.
        place: String,
        /// The key.
        key: String,
        /// What stands there.
        found: String,
        /// What should.
        wanted: String,
    },
}

/// Who says something, and when.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// Its short name in the file.
    pub id: String,
    /// What it is.
    pub title: String,
    /// Where it can be read, if it is public.
    pub address: Option<String>,
    /// The day it was published, or that of the version that was read.
    pub date: Date,
}

/// Something known, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it says.
    pub value: Value,
    /// Who says it.
    pub source: Arc<Source>,
    /// Whether it is only claimed: contested, or not found at the lab itself.
    pub claim: bool,
    /// What others say instead.
    pub others: Vec<(Value, Arc<Source>)>,
}

/// Facts by the key of their field.
pub type Facts = BTreeMap<&'static str, Fact>;

/// What a row of the catalog is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A model, or a series whose single models are not known.
    Model,
    /// An application or a service around models.
    Product,
    /// Something that happened at the lab.
    Milestone,
}

impl Kind {
    /// Every kind with its name.
    pub const ALL: [(&'static str, Kind); 3] =
        [("model", Kind::Model), ("product", Kind::Product), ("milestone", Kind::Milestone)];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Model => "model",
            Kind::Product => "product",
            Kind::Milestone => "milestone",
        }
    }
}

/// A row: a model in one size, a product or a milestone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The name it is called by here, such as `family:size`; unique.
    pub name: String,
    /// What its lab calls it.
    pub title: String,
    /// Further names, also unique.
    pub aliases: Vec<String>,
    /// The family it belongs to.
    pub family: String,
    /// What the row is about.
    pub kind: Kind,
    /// What baimo lacks to run it, where that is known.
    pub missing: Option<String>,
    /// What is known of it, its family's facts included.
    pub facts: Facts,
}

/// A lab and its models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lab {
    /// The name of its file without the ending.
    pub id: String,
    /// The name people call it by.
    pub name: String,
    /// The same in Chinese, where it has one.
    pub hanzi: String,
    /// What is known of it.
    pub facts: Facts,
    /// First to last in its file.
    pub models: Vec<Model>,
}

/// All labs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// In the order of their files.
    pub labs: Vec<Lab>,
}

/// The facts that are compiled in.
pub fn compiled() -> &'static Catalog {
    static COMPILED: LazyLock<Catalog> = LazyLock::new(|| {
        // Our own files, which a test reads too: what is wrong with them is our mistake.
        Catalog::read(baimo_labs::FACTS).expect("the compiled facts are in order")
    });
    &COMPILED
}

/// A model of the compiled catalog by any of its names, with what the name says of variant and
/// quantization: see [`Catalog::find`].
pub fn find(name: &str) -> Option<Entry<'static>> {
    compiled().find(name)
}

impl Catalog {
    /// Reads files of facts: pairs of a name without its ending, and the text.
    ///
    /// # Errors
    /// Names the file, the model and the key at fault: what is unknown, missing, malformed, or
    /// called as something else is.
    pub fn read(files: &[(&str, &str)]) -> Result<Catalog, Error> {
        let labs = files.iter().map(|(id, text)| read::lab(id, text)).collect::<Result<_, _>>()?;
        let catalog = Catalog { labs };
        catalog.check_names()?;
        Ok(catalog)
    }

    /// Every row with its lab.
    pub fn rows(&self) -> impl Iterator<Item = (&Lab, &Model)> {
        self.labs.iter().flat_map(|lab| lab.models.iter().map(move |model| (lab, model)))
    }

    /// That every name means one row.
    fn check_names(&self) -> Result<(), Error> {
        let mut seen: BTreeMap<String, (usize, &str)> = BTreeMap::new();
        for (index, (lab, model)) in self.rows().enumerate() {
            for name in model.names() {
                match seen.insert(name.to_lowercase(), (index, &model.name)) {
                    Some((row, other)) if row != index => {
                        return Err(Error::Key {
                            file: format!("{}.toml", lab.id),
                            place: format!("model {}", model.name),
                            key: "name".into(),
                            found: format!("`{name}`, as model {other} is called already"),
                            wanted: "a name of its own".into(),
                        });
                    }
                    Some(_) | None => {}
                }
            }
        }
        Ok(())
    }
}

impl Lab {
    /// Its name in both scripts.
    pub fn in_both_scripts(&self) -> String {
        format!("{} {}", self.name, self.hanzi).trim_end().to_owned()
    }

    /// What is known, in the order of [`LAB_FIELDS`].
    pub fn known(&self) -> impl Iterator<Item = (&'static Field, &Fact)> {
        in_order(LAB_FIELDS, &self.facts)
    }

    /// The words of a fact.
    pub fn text(&self, key: &str) -> Option<&str> {
        text(&self.facts, key)
    }
}

impl Model {
    /// The name, the title and the aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [&self.name, &self.title].into_iter().chain(&self.aliases).map(String::as_str)
    }

    /// What is known, in the order of [`MODEL_FIELDS`].
    pub fn known(&self) -> impl Iterator<Item = (&'static Field, &Fact)> {
        in_order(MODEL_FIELDS, &self.facts)
    }

    /// The words of a fact.
    pub fn text(&self, key: &str) -> Option<&str> {
        text(&self.facts, key)
    }

    /// When it was released.
    pub fn released(&self) -> Option<Date> {
        match self.facts.get("released")?.value {
            Value::Date(date) => Some(date),
            _ => None,
        }
    }

    /// All its parameters (`total`) or those that each token meets (`active`).
    pub fn parameters(&self, key: &str) -> Option<Parameters> {
        match self.facts.get(key)?.value {
            Value::Parameters(parameters) => Some(parameters),
            _ => None,
        }
    }

    /// Tokens of its context (`context`) or of an answer (`answer`), at most.
    pub fn tokens(&self, key: &str) -> Option<u64> {
        match self.facts.get(key)?.value {
            Value::Tokens(count) => Some(count),
            _ => None,
        }
    }

    /// Out of [`field::MODALITIES`]: what goes in (`input`) or comes out (`output`).
    pub fn modalities(&self, key: &str) -> &[String] {
        match self.facts.get(key).map(|fact| &fact.value) {
            Some(Value::Words(words)) => words,
            _ => &[],
        }
    }

    /// Whether it does something, where that is known.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.facts.get(key)?.value {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    /// Whether anybody can download the weights.
    pub fn is_open(&self) -> bool {
        self.text("weights") == Some("open")
    }

    /// Whether its weights are to be had, a page reads its architecture, and nothing else is
    /// missing.
    pub fn runs(&self) -> bool {
        let is_complete = self.missing.is_none() && self.kind == Kind::Model && self.is_open();
        is_complete && self.text("architecture").is_some_and(baimo_labs::reads)
    }
}

fn in_order<'a>(
    fields: &'static [Field],
    facts: &'a Facts,
) -> impl Iterator<Item = (&'static Field, &'a Fact)> {
    fields.iter().filter_map(|field| Some((field, facts.get(field.key)?)))
}

fn text<'a>(facts: &'a Facts, key: &str) -> Option<&'a str> {
    match &facts.get(key)?.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}
