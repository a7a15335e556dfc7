//! A `config.json` that remembers which of its keys were read.

use crate::composite::Home;
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// Sizes beyond this are absurd for any tensor dimension or count and are refused at the door: a
/// product of two still fits a machine word.
const SIZE_MAX: u64 = (1 << 31) - 1;

/// Keys that describe training, tooling or generation defaults and never change a forward pass.
const WITHOUT_EFFECT: &[&str] = &[
    "_attn_implementation",
    "_name_or_path",
    "architectures",
    "attention_dropout",
    "auto_map",
    "aux_loss_alpha",
    "bos_token_id",
    "dtype",
    "embd_pdrop",
    "eos_token_id",
    "ep_size",
    "hidden_dropout",
    "initializer_range",
    "model_type",
    "output_router_logits",
    "pad_token_id",
    "pretraining_tp",
    "resid_pdrop",
    "router_aux_loss_coef",
    "seq_aux",
    "tokenizer_class",
    "torch_dtype",
    "transformers.js_config",
    "transformers_version",
    "unk_token_id",
    "use_cache",
];

/// A JSON object whose keys are read one by one; [`Config::finish`] refuses what is left over.
#[derive(Debug)]
pub struct Config<'a> {
    path: String,
    object: &'a Map<String, Value>,
    read: RefCell<BTreeSet<&'a str>>,
    /// Usual spellings of keys and this family's own.
    spellings: RefCell<Vec<(&'static str, &'static str)>>,
    /// Where the tensors lie, if not where the family has them.
    home: Cell<Option<Home>>,
}

impl<'a> Config<'a> {
    /// Reads from a whole `config.json`.
    pub fn new(value: &'a Value) -> Result<Config<'a>> {
        match value {
            Value::Object(object) => Ok(Config::at(String::new(), object)),
            other => Err(Error::NotAnObject { found: kind(other) }),
        }
    }

    fn at(path: String, object: &'a Map<String, Value>) -> Config<'a> {
        let (read, spellings, home) = Default::default();
        Config { path, object, read, spellings, home }
    }

    /// From now on this is the configuration of a text model with its tensors at `home`.
    pub fn move_to(&self, home: Home) {
        self.home.set(Some(home));
    }

    /// Where the tensors lie, if not where the family has them.
    pub fn home(&self) -> Option<Home> {
        self.home.get()
    }

    /// From now on, where the first key of a pair is absent, the second is read in its place: the
    /// family's own spelling of a usual key.
    pub fn spell(&self, pairs: &[(&'static str, &'static str)]) {
        self.spellings.borrow_mut().extend(pairs);
    }

    /// The key as this object spells it.
    fn spelled<'k>(&self, key: &'k str) -> &'k str {
        let is_here = |key: &str| self.object.contains_key(key);
        let spellings = self.spellings.borrow();
        let own = spellings.iter().find(|(usual, own)| *usual == key && is_here(own));
        own.filter(|_| !is_here(key)).map_or(key, |(_, own)| own)
    }

    /// The value of a key, which is now read; `null` counts as absent.
    fn get(&self, key: &str) -> Option<&'a Value> {
        let (key, value) = self.object.get_key_value(self.spelled(key))?;
        self.read.borrow_mut().insert(key);
        Some(value).filter(|value| !value.is_null())
    }

    /// Whether the key is there and not `null`.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The key with the path that leads to it.
    pub fn key(&self, key: &str) -> String {
        format!("{}{}", self.path, self.spelled(key))
    }

    fn typed<T>(
        &self,
        key: &str,
        wanted: &'static str,
        of: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match of(value) {
            Some(found) => Ok(Some(found)),
            None => Err(Error::WrongType { key: self.key(key), found: excerpt(value), wanted }),
        }
    }

    fn required<T>(&self, key: &str, wanted: &'static str, found: Option<T>) -> Result<T> {
        found.ok_or_else(|| Error::Missing { key: self.key(key), wanted })
    }

    /// A whole number above zero, where there is one.
    pub fn size_option(&self, key: &str) -> Result<Option<usize>> {
        self.typed(key, SIZE, |value| match value.as_u64() {
            Some(size) if (1..=SIZE_MAX).contains(&size) => usize::try_from(size).ok(),
            _ => None,
        })
    }

    /// A whole number above zero.
    pub fn size(&self, key: &str) -> Result<usize> {
        self.required(key, SIZE, self.size_option(key)?)
    }

    /// A whole number above zero, or a list with one for each layer: that of `layer`.
    pub fn size_at(&self, key: &str, layer: usize) -> Result<usize> {
        let found = self.typed(key, "a size or a list of sizes", |value| {
            let value = value.as_array().map_or(Some(value), |list| list.get(layer))?;
            let size = value.as_u64().filter(|size| (1..=SIZE_MAX).contains(size))?;
            usize::try_from(size).ok()
        })?;
        self.required(key, SIZE, found)
    }

    /// A whole number above zero, or `default` where the key is absent.
    pub fn size_or(&self, key: &str, default: usize) -> Result<usize> {
        Ok(self.size_option(key)?.unwrap_or(default))
    }

    /// A whole number, zero allowed, or `default` where the key is absent.
    pub fn count_or(&self, key: &str, default: usize) -> Result<usize> {
        let found = self.typed(key, "a whole number", |value| match value.as_u64() {
            Some(count) if count <= SIZE_MAX => usize::try_from(count).ok(),
            _ => None,
        })?;
        Ok(found.unwrap_or(default))
    }

    /// A whole number, zero allowed; none where the key is absent or -1, for "to the end".
    pub fn index_option(&self, key: &str) -> Result<Option<usize>> {
        let found = self.typed(key, "a whole number or -1", |value| match value.as_i64() {
            Some(index @ -1..) => Some(usize::try_from(index).ok()),
            Some(_) | None => None,
        })?;
        Ok(found.flatten())
    }

    /// `count`, which was read from `key`, where no more than `max` make sense.
    pub fn at_most(&self, key: &str, count: usize, max: usize) -> Result<usize> {
        match count <= max {
            true => Ok(count),
            false => Err(self.unsupported(key, format!("at most {max}"))),
        }
    }

    /// A finite number, where there is one.
    pub fn float_option(&self, key: &str) -> Result<Option<f64>> {
        self.typed(key, NUMBER, Value::as_f64)
    }

    /// A finite number.
    pub fn float(&self, key: &str) -> Result<f64> {
        self.required(key, NUMBER, self.float_option(key)?)
    }

    /// A finite number, or `default` where the key is absent.
    pub fn float_or(&self, key: &str, default: f64) -> Result<f64> {
        Ok(self.float_option(key)?.unwrap_or(default))
    }

    /// A number above zero, or `default` where the key is absent.
    pub fn positive_or(&self, key: &str, default: f64) -> Result<f64> {
        match self.float_or(key, default)? {
            number if number > 0.0 => Ok(number),
            _ => Err(self.unsupported(key, "a number above zero")),
        }
    }

    /// A number, or a list with one for each layer: that of `layer`. Absent where it is null.
    pub fn float_at(&self, key: &str, layer: usize) -> Result<Option<f64>> {
        let found = self.typed(key, "a number or a list of numbers", |value| {
            let value = value.as_array().map_or(Some(value), |list| list.get(layer))?;
            if value.is_null() { Some(None) } else { value.as_f64().map(Some) }
        })?;
        Ok(found.flatten())
    }

    /// True or false, or `default` where the key is absent.
    pub fn flag_or(&self, key: &str, default: bool) -> Result<bool> {
        Ok(self.typed(key, "true or false", Value::as_bool)?.unwrap_or(default))
    }

    /// Of a list of lists of true and false, one for each layer, that of `layer`; empty where there
    /// is none.
    pub fn flags_at(&self, key: &str, layer: usize) -> Result<Vec<bool>> {
        let list = self.typed(key, "a list of true and false for each layer", |value| {
            value.as_array()?.get(layer)?.as_array()?.iter().map(Value::as_bool).collect()
        })?;
        Ok(list.unwrap_or_default())
    }

    /// A string, where there is one.
    pub fn text_option(&self, key: &str) -> Result<Option<&'a str>> {
        self.typed(key, "a string", Value::as_str)
    }

    /// A list of whole numbers, empty where the key is absent.
    pub fn counts(&self, key: &str) -> Result<Vec<usize>> {
        let list = self.typed(key, "a list of whole numbers", |value| {
            value.as_array()?.iter().map(|item| item.as_u64().map(|count| count as usize)).collect()
        })?;
        Ok(list.unwrap_or_default())
    }

    /// A list of numbers, empty where the key is absent.
    pub fn floats(&self, key: &str) -> Result<Vec<f64>> {
        let list = self.typed(key, "a list of numbers", |value| {
            value.as_array()?.iter().map(Value::as_f64).collect()
        })?;
        Ok(list.unwrap_or_default())
    }

    /// A list of strings, empty where the key is absent.
    pub fn texts(&self, key: &str) -> Result<Vec<&'a str>> {
        let list = self.typed(key, "a list of strings", |value| {
            value.as_array()?.iter().map(Value::as_str).collect()
        })?;
        Ok(list.unwrap_or_default())
    }

    /// A list of strings, or the letters of one string, empty where the key is absent.
    pub fn words(&self, key: &str) -> Result<Vec<String>> {
        let list = self.typed(key, "a list of strings or letters", |value| match value {
            Value::String(letters) => Some(letters.chars().map(String::from).collect()),
            _ => value.as_array()?.iter().map(|word| Some(word.as_str()?.to_owned())).collect(),
        })?;
        Ok(list.unwrap_or_default())
    }

    /// The first string of a list, where there is one.
    pub fn first_text(&self, key: &str) -> Option<String> {
        self.get(key)?.as_array()?.first()?.as_str().map(str::to_owned)
    }

    /// A nested object, where there is one.
    pub fn part(&self, key: &str) -> Result<Option<Config<'a>>> {
        let object = self.typed(key, "an object", Value::as_object)?;
        Ok(object.map(|object| Config::at(format!("{}.", self.key(key)), object)))
    }

    /// The keys of the object.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.object.keys().map(String::as_str)
    }

    /// Demands that a key, where it is present, holds the one value the page implements.
    pub fn only(&self, key: &str, wanted: impl Into<Value>) -> Result<()> {
        let wanted = wanted.into();
        match self.get(key) {
            Some(found) if *found != wanted => Err(self.unsupported(key, wanted.to_string())),
            _ => Ok(()),
        }
    }

    /// The error for a key whose value this engine does not do.
    pub fn unsupported(&self, key: &str, wanted: impl Into<String>) -> Error {
        let found = self.object.get(self.spelled(key)).map_or("absent".into(), excerpt);
        Error::Unsupported { key: self.key(key), found, wanted: wanted.into() }
    }

    /// Marks keys as known to have no effect here.
    pub fn waive(&self, keys: &[&str]) {
        keys.iter().for_each(|key| {
            self.get(key);
        });
    }

    /// The keys nobody read, with their paths.
    pub fn unread(&self) -> Vec<String> {
        let read = self.read.borrow();
        self.object
            .keys()
            .filter(|key| !read.contains(key.as_str()))
            .filter(|key| !WITHOUT_EFFECT.contains(&key.as_str()))
            .map(|key| self.key(key))
            .collect()
    }

    /// Refuses keys that nobody read.
    pub fn finish(&self, architecture: &str) -> Result<()> {
        match self.unread() {
            unread if unread.is_empty() => Ok(()),
            unread => Err(Error::Unread {
                architecture: architecture.to_owned(),
                keys: unread.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", "),
            }),
        }
    }
}

const SIZE: &str = "a whole number from 1 to 2147483647";
const NUMBER: &str = "a number";

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The value as JSON, cut so that an error stays a line.
fn excerpt(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
