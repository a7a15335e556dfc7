//! Keys and values of a GGUF file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Report, quoted};

/// The type of a number (or string, or array) in a GGUF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 16 bits.
    U16,
    /// Signed, 16 bits.
    I16,
    /// Unsigned, 32 bits.
    U32,
    /// Signed, 32 bits.
    I32,
    /// IEEE 754 binary32.
    F32,
    /// One byte, 0 or 1.
    Bool,
    /// UTF-8 with its length.
    String,
    /// Values of one kind.
    Array,
    /// Unsigned, 64 bits.
    U64,
    /// Signed, 64 bits.
    I64,
    /// IEEE 754 binary64.
    F64,
}

impl Kind {
    /// In the order of their numbers in files.
    pub(super) const ALL: [Kind; 13] = [
        Kind::U8,
        Kind::I8,
        Kind::U16,
        Kind::I16,
        Kind::U32,
        Kind::I32,
        Kind::F32,
        Kind::Bool,
        Kind::String,
        Kind::Array,
        Kind::U64,
        Kind::I64,
        Kind::F64,
    ];

    /// Bytes of a value; `None` for strings and arrays, whose length varies.
    pub(super) fn bytes(self) -> Option<usize> {
        match self {
            Kind::U8 | Kind::I8 | Kind::Bool => Some(1),
            Kind::U16 | Kind::I16 => Some(2),
            Kind::U32 | Kind::I32 | Kind::F32 => Some(4),
            Kind::U64 | Kind::I64 | Kind::F64 => Some(8),
            Kind::String | Kind::Array => None,
        }
    }
}

/// A value of a GGUF file.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An integer that is not negative, of the given kind.
    Unsigned(Kind, u64),
    /// An integer of a signed kind.
    Signed(Kind, i64),
    /// Binary32.
    F32(f32),
    /// Binary64.
    F64(f64),
    /// Truth.
    Bool(bool),
    /// Text.
    String(String),
    /// Many of one kind.
    Array(Array),
}

/// Values of one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Array {
    /// Numbers or truth values, as the file's little-endian bytes.
    Numbers(Kind, Vec<u8>),
    /// Texts.
    Strings(Vec<String>),
    /// Arrays.
    Arrays(Vec<Array>),
}

impl Array {
    /// How many values.
    pub fn len(&self) -> usize {
        match self {
            Array::Numbers(kind, bytes) => bytes.len() / kind.bytes().unwrap_or(1),
            Array::Strings(strings) => strings.len(),
            Array::Arrays(arrays) => arrays.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values one by one.
    pub fn values(&self) -> Box<dyn Iterator<Item = Value> + '_> {
        match self {
            Array::Numbers(kind, bytes) => Box::new(
                bytes
                    .chunks_exact(kind.bytes().unwrap_or(1))
                    .map(|bytes| Value::from_le_bytes(*kind, bytes)),
            ),
            Array::Strings(strings) => Box::new(strings.iter().cloned().map(Value::String)),
            Array::Arrays(arrays) => Box::new(arrays.iter().cloned().map(Value::Array)),
        }
    }
}

impl Value {
    /// A number or truth value from its bytes, as many as its kind has.
    pub(super) fn from_le_bytes(kind: Kind, bytes: &[u8]) -> Value {
        let mut wide = [0; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        let bits = u64::from_le_bytes(wide);
        match kind {
            Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 => Value::Unsigned(kind, bits),
            Kind::I8 => Value::Signed(kind, bits as i8 as i64),
            Kind::I16 => Value::Signed(kind, bits as i16 as i64),
            Kind::I32 => Value::Signed(kind, bits as i32 as i64),
            Kind::I64 => Value::Signed(kind, bits as i64),
            Kind::F32 => Value::F32(f32::from_bits(bits as u32)),
            Kind::F64 => Value::F64(f64::from_bits(bits)),
            Kind::Bool => Value::Bool(bits != 0),
            Kind::String | Kind::Array => unreachable!("not of fixed size"),
        }
    }

    /// The value's kind.
    pub fn kind(&self) -> Kind {
        match self {
            Value::Unsigned(kind, _) | Value::Signed(kind, _) => *kind,
            Value::F32(_) => Kind::F32,
            Value::F64(_) => Kind::F64,
            Value::Bool(_) => Kind::Bool,
            Value::String(_) => Kind::String,
            Value::Array(_) => Kind::Array,
        }
    }

    /// The integer, if it is one and not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::Unsigned(_, value) => Some(*value),
            Value::Signed(_, value) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The integer, if it is one and fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Unsigned(_, value) => i64::try_from(*value).ok(),
            Value::Signed(_, value) => Some(*value),
            _ => None,
        }
    }

    /// The number, if it is a float.
    pub fn as_f32(&self) -> Option<f32> {
        match self {
            Value::F32(value) => Some(*value),
            Value::F64(value) => Some(*value as f32),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(value) = self { Some(*value) } else { None }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::String(value) = self { Some(value) } else { None }
    }

    /// The array, if it is one.
    pub fn as_array(&self) -> Option<&Array> {
        if let Value::Array(value) = self { Some(value) } else { None }
    }

    /// As JSON. An array of more than `elements_max` values becomes `{"elided": its length}`.
    pub fn to_json(&self, elements_max: usize) -> serde_json::Value {
        match self {
            Value::Unsigned(_, value) => (*value).into(),
            Value::Signed(_, value) => (*value).into(),
            // Widened by its digits: 1e-6 stays 1e-6. NaN and infinity have no JSON number.
            Value::F32(value) => match value.to_string().parse::<f64>() {
                Ok(wide) if wide.is_finite() => wide.into(),
                _ => value.to_string().into(),
            },
            Value::F64(value) if value.is_finite() => (*value).into(),
            Value::F64(value) => value.to_string().into(),
            Value::Bool(value) => (*value).into(),
            Value::String(value) => value.as_str().into(),
            Value::Array(array) if array.len() > elements_max => {
                serde_json::json!({ "elided": array.len() })
            }
            Value::Array(array) => {
                array.values().map(|value| value.to_json(elements_max)).collect()
            }
        }
    }

    /// For messages.
    pub(super) fn short_text(&self) -> String {
        const ELEMENTS_MAX: usize = 4;
        const CHARACTERS_MAX: usize = 60;
        let text = self.to_json(ELEMENTS_MAX).to_string();
        let text: String = text.chars().take(CHARACTERS_MAX).collect();
        format!("{:?} {text}", self.kind())
    }
}

/// All keys and values of a GGUF checkpoint (of its first part, if it has several).
#[derive(Clone, Debug)]
pub struct Metadata {
    file: PathBuf,
    pairs: Vec<(String, Value)>,
    index: HashMap<String, usize>,
}

impl Metadata {
    pub(super) fn new(
        file: &Path,
        pairs: Vec<(String, Value)>,
        index: HashMap<String, usize>,
    ) -> Metadata {
        Metadata { file: file.to_path_buf(), pairs, index }
    }

    /// The keys and values in the order of the file.
    pub fn pairs(&self) -> &[(String, Value)] {
        &self.pairs
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.index.get(key).map(|&index| &self.pairs[index].1)
    }

    /// The text at `key`.
    ///
    /// # Errors
    /// If the key is missing or its value of another kind; so for all that follow.
    pub fn get_str(&self, key: &str) -> Result<&str, Error> {
        self.get_as(key, Value::as_str, "a string")
    }

    /// The integer at `key`, of any integer kind, not negative.
    pub fn get_u64(&self, key: &str) -> Result<u64, Error> {
        self.get_as(key, Value::as_u64, "an integer that is not negative")
    }

    /// The float at `key`.
    pub fn get_f32(&self, key: &str) -> Result<f32, Error> {
        self.get_as(key, Value::as_f32, "a float")
    }

    /// The truth value at `key`.
    pub fn get_bool(&self, key: &str) -> Result<bool, Error> {
        self.get_as(key, Value::as_bool, "a bool")
    }

    /// The array at `key`.
    pub fn get_array(&self, key: &str) -> Result<&Array, Error> {
        self.get_as(key, Value::as_array, "an array")
    }

    /// The texts at `key`.
    pub fn get_strings(&self, key: &str) -> Result<&[String], Error> {
        let strings = |value: &'_ Value| matches!(value, Value::Array(Array::Strings(_)));
        let array =
            self.get_as(key, |value| strings(value).then_some(value), "an array of strings")?;
        match array {
            Value::Array(Array::Strings(strings)) => Ok(strings),
            _ => unreachable!("just matched"),
        }
    }

    /// As a JSON object; arrays of more than `elements_max` values become `{"elided": length}`.
    pub fn to_json(&self, elements_max: usize) -> serde_json::Value {
        let pairs = self.pairs.iter();
        pairs.map(|(key, value)| (key.clone(), value.to_json(elements_max))).collect()
    }

    fn get_as<'a, T>(
        &'a self,
        key: &str,
        convert: impl Fn(&'a Value) -> Option<T>,
        wanted: &str,
    ) -> Result<T, Error> {
        let subject = format!("key {}", quoted(key));
        let Some(value) = self.get(key) else {
            return Err(Report::new(&self.file, subject, "no such key", wanted).missing());
        };
        convert(value)
            .ok_or_else(|| Report::new(&self.file, subject, value.short_text(), wanted).mismatch())
    }
}
