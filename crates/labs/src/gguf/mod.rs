//! From a GGUF header to the `config.json` that the checkpoint once had, so that one page serves
//! both.

mod config;
pub(crate) mod families;
pub(crate) mod fused;
pub(crate) mod hybrid;
mod joined;
pub(crate) mod recurrent;
mod same;
pub(crate) mod windowed;
mod write;

pub use write::{GgufOutline, GgufValue};

use crate::common::aside;
use crate::error::{Error, Result};
use crate::{Config, Family, LABS};
use baimo_blueprint::{Blueprint, Mixer, RopeScaling, RopeStyle, Softmax};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

/// How GGUF files of a family are read.
#[derive(Clone, Copy, Debug)]
pub struct Gguf {
    /// `general.architecture`.
    pub architecture: &'static str,
    /// Whether a file of that architecture is of this family.
    pub fits: fn(&GgufHeader) -> bool,
    /// Adds what the family's keys need beyond the usual ones.
    pub config: fn(&GgufHeader, &mut Map<String, Value>),
    /// Changes what converters laid out anew.
    pub adapt: fn(&GgufHeader, &mut Blueprint),
    /// Converters reordered the rows of each query and key head so that the two numbers of a
    /// rotated pair are neighbours.
    pub interleaved_qk: bool,
    /// Present where such files are written here, too: which tensors of a layer they call otherwise
    /// than most, as their usual names and these.
    pub written: Option<&'static [(&'static str, &'static str)]>,
}

impl Gguf {
    /// Nothing beyond the usual keys.
    pub const fn plain(architecture: &'static str) -> Gguf {
        Gguf {
            architecture,
            fits: |_| true,
            config: |_, _| (),
            adapt: |_, _| (),
            interleaved_qk: false,
            written: None,
        }
    }

    /// Such files are written here, too, with the usual names.
    pub const fn written(self) -> Gguf {
        Gguf { written: Some(&[]), ..self }
    }

    /// Converters make files of another family's architecture, whose page reads them.
    pub const fn read_as(architecture: &'static str) -> Gguf {
        Gguf { fits: |_| false, ..Gguf::plain(architecture) }
    }
}

/// What a header's reader may ask of the file's tensors, by their GGUF names.
pub trait GgufTensors {
    /// Row-major.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;
    /// All numbers of a small tensor.
    fn floats(&self, name: &str) -> Option<Vec<f32>>;
}

/// The header of a GGUF file as JSON, which remembers the keys that were read.
pub struct GgufHeader<'a> {
    architecture: &'a str,
    metadata: &'a Map<String, Value>,
    tensors: &'a dyn GgufTensors,
    read: RefCell<BTreeSet<String>>,
}

/// Lists with an item for each layer end here: more layers are refused in any case.
const LAYERS_MAX: u64 = 4096;

/// The tensor of rope divisors.
const DIVISORS: &str = "rope_freqs.weight";

/// Keys that say again what other keys or the tensors say.
const SAID_ELSEWHERE: &[&str] =
    &["attention.value_length", "vocab_size", "rope.scaling.finetuned", "tensor_data_layout"];

impl<'a> GgufHeader<'a> {
    /// A header of `general.*`, `{architecture}.*` and other metadata, and the tensors behind it.
    ///
    /// # Errors
    /// Where `general.architecture` is missing.
    pub fn new(
        metadata: &'a Map<String, Value>,
        tensors: &'a dyn GgufTensors,
    ) -> Result<GgufHeader<'a>> {
        let architecture = metadata.get("general.architecture").and_then(Value::as_str);
        let architecture = architecture.ok_or_else(|| Error::Missing {
            key: "general.architecture".into(),
            wanted: "the name of the architecture",
        })?;
        Ok(GgufHeader { architecture, metadata, tensors, read: RefCell::default() })
    }

    /// The value of `{architecture}.{key}`.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        let full = format!("{}.{key}", self.architecture);
        let value = self.metadata.get(&full)?;
        self.read.borrow_mut().insert(full);
        Some(value)
    }

    /// The number at `{architecture}.{key}`.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.get(key)?.as_f64()
    }

    /// The whole numbers at `{architecture}.{key}`: one for each layer, or one for all.
    pub fn counts(&self, key: &str) -> Option<Vec<u64>> {
        match self.get(key)? {
            Value::Array(list) => list.iter().map(whole).collect(),
            one => Some(vec![whole(one)?]),
        }
    }

    /// The whole number at `{architecture}.{key}`.
    pub fn count(&self, key: &str) -> Option<u64> {
        self.get(key)?.as_u64()
    }

    /// The numbers of its layers, without those that predict further tokens.
    pub fn layers(&self) -> Range<u64> {
        let blocks = self.count("block_count").unwrap_or(0);
        0..blocks.saturating_sub(self.count("nextn_predict_layers").unwrap_or(0)).min(LAYERS_MAX)
    }

    /// Whether the file has a tensor.
    pub fn has_tensor(&self, name: &str) -> bool {
        self.tensors.shape(name).is_some()
    }

    fn family(&self) -> Result<(&'static Family, Gguf)> {
        LABS.iter()
            .flat_map(|lab| lab.families)
            .filter_map(|family| family.gguf.map(|gguf| (family, gguf)))
            .find(|(_, gguf)| gguf.architecture == self.architecture && (gguf.fits)(self))
            .ok_or_else(|| crate::unknown(self.architecture))
    }

    /// The Blueprint of the file.
    ///
    /// # Errors
    /// Names the architecture that has no page, or the metadata key that is missing, of the wrong
    /// type, or not read.
    pub fn blueprint(&self) -> Result<Blueprint> {
        let (family, gguf) = self.family()?;
        let page = crate::family(family.architecture).expect("a family with GGUF files has a page");
        let config = self.config(family, &gguf)?;
        let mut blueprint = crate::of_this_world(page(&Config::new(&config)?)?)?;
        if gguf.interleaved_qk {
            let ropes = softmax_mixers(&mut blueprint).filter_map(|mixer| mixer.rope.as_mut());
            ropes.for_each(|rope| rope.style = RopeStyle::Interleaved);
        }
        (gguf.adapt)(self, &mut blueprint);
        self.join(&mut blueprint);
        self.divide(&mut blueprint)?;
        self.finish()?;
        Ok(blueprint)
    }

    /// Some scalings are in the file only as the divisors they come to, for the layers without a
    /// window. Where their ropes are shorter than a head, the last divisors are 1.
    fn divide(&self, blueprint: &mut Blueprint) -> Result<()> {
        for name in [config::SHORT, config::LONG].into_iter().filter(|name| self.has_tensor(name)) {
            blueprint.set_aside.push(aside(name, "divisors of rope frequencies, taken in above"));
        }
        let Some(by) = self.tensors.floats(DIVISORS) else { return Ok(()) };
        let mixers = softmax_mixers(blueprint).filter(|mixer| mixer.window.is_none());
        for rope in mixers.filter_map(|mixer| mixer.rope.as_mut()) {
            let pairs = rope.dim / 2;
            if by.len() < pairs || by[pairs..].iter().any(|divisor| *divisor != 1.0) {
                return Err(Error::Unsupported {
                    key: DIVISORS.into(),
                    found: format!("{} numbers", by.len()),
                    wanted: format!("{pairs}, one for each rotated pair"),
                });
            }
            rope.scaling = RopeScaling::Divided { by: by[..pairs].to_vec() };
        }
        blueprint.set_aside.push(aside(DIVISORS, "divisors of rope frequencies, taken in above"));
        Ok(())
    }

    /// Refuses keys of the architecture that nobody read.
    fn finish(&self) -> Result<()> {
        let prefix = format!("{}.", self.architecture);
        let read = self.read.borrow();
        let unread: Vec<String> = self
            .metadata
            .keys()
            .filter(|key| !read.contains(*key))
            .filter(|key| {
                key.strip_prefix(&prefix).is_some_and(|key| !SAID_ELSEWHERE.contains(&key))
            })
            .map(|key| format!("`{key}`"))
            .collect();
        match unread.is_empty() {
            true => Ok(()),
            false => Err(Error::Unread {
                architecture: self.architecture.to_owned(),
                keys: unread.join(", "),
            }),
        }
    }
}

/// A whole number, or a flag as 0 or 1.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_bool().map(u64::from))
}

/// The mixers of plain attention.
fn softmax_mixers(blueprint: &mut Blueprint) -> impl Iterator<Item = &mut Softmax> {
    blueprint.layers.iter_mut().flat_map(|layer| layer.mixers_mut()).filter_map(|mixer| match mixer
    {
        Mixer::Softmax(mixer) => Some(mixer),
        Mixer::Reuse(_) | Mixer::Latent(_) | Mixer::Recurrent(_) => None,
    })
}
