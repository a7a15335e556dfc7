//! Which facts there are, and the form of each: the closed list that files are checked against.

use super::value::Value;
use crate::store::is_name;

/// What a field's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Words.
    Text,
    /// An address that starts with `https://`.
    Link,
    /// A [`Date`](super::Date).
    Date,
    /// A number of [`Parameters`](super::Parameters).
    Parameters,
    /// A whole number of tokens above zero.
    Tokens,
    /// A list out of [`MODALITIES`].
    Modalities,
    /// One of [`ACCESS`].
    Access,
    /// `true` or `false`.
    Flag,
    /// `owner/name` on a hub.
    Repository,
    /// Names of variants, each with its `owner/name`.
    Variants,
}

/// What goes into a model or comes out of it. `vectors` come out of models for embeddings,
/// `scores` out of rerankers and reward models, `actions` out of models for robots.
pub const MODALITIES: &[&str] =
    &["text", "image", "audio", "video", "music", "3d", "vectors", "scores", "actions"];

/// Who can have the weights. `open`: anybody downloads them, whatever the licence. `api`: the lab
/// serves them. `closed`: neither, as in a lab's own application.
pub const ACCESS: &[&str] = &["open", "api", "closed"];

/// A field: its key, its form, and what people call it.
#[derive(Debug)]
pub struct Field {
    /// The key in the files and in JSON.
    pub key: &'static str,
    /// The form of its value.
    pub form: Form,
    /// What `show` calls it.
    pub title: &'static str,
}

const fn field(key: &'static str, form: Form, title: &'static str) -> Field {
    Field { key, form, title }
}

/// What is known of a lab.
pub const LAB_FIELDS: &[Field] = &[
    field("house", Form::Text, "house"),
    field("city", Form::Text, "city"),
    field("country", Form::Text, "country"),
    field("site", Form::Link, "site"),
    field("api", Form::Link, "API"),
    field("key", Form::Text, "key of the API in"),
    field("model_scope_owner", Form::Text, "ModelScope owner"),
];

/// What is known of a model.
pub const MODEL_FIELDS: &[Field] = &[
    field("about", Form::Text, "about"),
    field("released", Form::Date, "released"),
    field("total", Form::Parameters, "parameters"),
    field("active", Form::Parameters, "active"),
    field("context", Form::Tokens, "context"),
    field("answer", Form::Tokens, "longest answer"),
    field("input", Form::Modalities, "input"),
    field("output", Form::Modalities, "output"),
    field("thinks", Form::Flag, "thinks"),
    field("calls", Form::Flag, "calls tools"),
    field("weights", Form::Access, "weights"),
    field("licence", Form::Text, "licence"),
    field("architecture", Form::Text, "architecture"),
    field("hugging_face", Form::Repository, "Hugging Face"),
    field("model_scope", Form::Repository, "ModelScope"),
    field("variants", Form::Variants, "variants"),
    field("gguf", Form::Repository, "GGUF"),
    field("api_model", Form::Text, "name in the API"),
    field("report", Form::Link, "report"),
    field("page", Form::Link, "page"),
];

impl Form {
    /// A value of this form.
    ///
    /// # Errors
    /// What was wanted.
    pub fn read(self, found: &toml::Value) -> Result<Value, String> {
        let text = |wanted: &str| found.as_str().ok_or_else(|| wanted.to_owned());
        match self {
            Form::Text => match text("words")?.trim() {
                "" => Err("words".to_owned()),
                words => Ok(Value::Text(words.to_owned())),
            },
            Form::Link => {
                let wanted = "an address that starts with https://";
                let link = text(wanted)?;
                let rest = link.strip_prefix("https://").filter(|rest| rest.contains('.'));
                match rest.is_some_and(|rest| !rest.contains(char::is_whitespace)) {
                    true => Ok(Value::Text(link.to_owned())),
                    false => Err(wanted.to_owned()),
                }
            }
            Form::Date => Ok(Value::Date(text("a date as text, such as \"2025-04\"")?.parse()?)),
            Form::Parameters => {
                Ok(Value::Parameters(text("parameters as text, such as \"0.6B\"")?.parse()?))
            }
            Form::Tokens => found
                .as_integer()
                .and_then(|count| u64::try_from(count).ok())
                .filter(|count| *count > 0)
                .map(Value::Tokens)
                .ok_or_else(|| "a whole number of tokens above zero".to_owned()),
            Form::Modalities => words(found, MODALITIES).map(Value::Words),
            Form::Access => {
                let wanted = || format!("one of {ACCESS:?}");
                let word = found.as_str().filter(|word| ACCESS.contains(word));
                word.map(|word| Value::Text(word.to_owned())).ok_or_else(wanted)
            }
            Form::Flag => {
                found.as_bool().map(Value::Flag).ok_or_else(|| "true or false".to_owned())
            }
            Form::Repository => repository(found).map(Value::Text),
            Form::Variants => {
                let table = found.as_table().ok_or("a table of variants")?;
                let pair = |(name, id)| repository(id).map(|id| (String::clone(name), id));
                table.iter().map(pair).collect::<Result<_, _>>().map(Value::Named)
            }
        }
    }
}

fn words(found: &toml::Value, known: &[&str]) -> Result<Vec<String>, String> {
    let wanted = || format!("a list out of {known:?}, none twice");
    let list = found.as_array().ok_or_else(wanted)?;
    let mut words: Vec<String> = Vec::new();
    for entry in list {
        let word = entry.as_str().filter(|word| known.contains(word)).ok_or_else(wanted)?;
        if words.iter().any(|other| other == word) {
            return Err(wanted());
        }
        words.push(word.to_owned());
    }
    if words.is_empty() { Err(wanted()) } else { Ok(words) }
}

/// `owner/name` of letters, digits and `._-`, as the hubs allow.
fn repository(found: &toml::Value) -> Result<String, String> {
    found
        .as_str()
        .filter(|id| {
            id.split_once('/').is_some_and(|(owner, name)| is_name(owner) && is_name(name))
        })
        .map(str::to_owned)
        .ok_or_else(|| "owner/name on a hub".to_owned())
}
