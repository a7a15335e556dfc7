//! What a Hugging Face folder says, in the words of a GGUF file.

use crate::source::{CONFIG_LENGTH_MAX, Source};
use anyhow::{Context, Result};
use baimo_labs::{GgufOutline, GgufTensors, GgufValue};
use baimo_text::{GgufExport, Template};
use baimo_weights::gguf::{self, Array, Kind, Value, Writer};
use baimo_weights::{Draft, Layout};
use std::path::Path;

/// The tensors and the header of the file that a folder becomes.
///
/// # Errors
/// If its architecture is not written, or a part of it cannot be said; if a tensor is missing or
/// left over; if its tokenizer is of a kind that GGUF files do not hold.
pub fn draft<'a>(source: &'a Source, folder: &Path) -> Result<(Draft<'a>, Vec<(String, Value)>)> {
    let blueprint = source.blueprint();
    let config = source.config()?;
    let outline = GgufOutline::new(&config, blueprint)?;
    let layout = Layout {
        interleaved_qk: outline.interleaved_qk,
        renamed: outline.renamed,
        rope_divisors: outline.rope_divisors.clone(),
    };
    let draft = Draft::of_folder(source.checkpoint()?, blueprint, layout)?;
    let stored = |(key, value): &(String, GgufValue)| (key.clone(), stored(value));
    let mut header: Vec<(String, Value)> = outline.pairs.iter().map(stored).collect();
    let name = folder.canonicalize().ok();
    let name = name.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
    if let Some(name) = name {
        header.insert(1, ("general.name".into(), Value::String(name.into_owned())));
    }
    header.extend(vocabulary(folder, blueprint.vocab)?);
    // What a reader of the file will find, by way of the bytes.
    let bytes = Writer::new(Vec::new(), folder, &header, &[])?.finish()?;
    let written = gguf::read(&bytes, folder)?.metadata.to_json(CONFIG_LENGTH_MAX);
    let written = written.as_object().context("GGUF metadata is an object")?;
    outline.check(written, &Tensors(&draft), blueprint)?;
    Ok((draft, header))
}

fn stored(value: &GgufValue) -> Value {
    match value {
        GgufValue::Count(count) => Value::Unsigned(Kind::U32, *count),
        GgufValue::Number(number) => Value::F32(*number),
        GgufValue::Flag(flag) => Value::Bool(*flag),
        GgufValue::Text(text) => Value::String(text.clone()),
    }
}

/// The tensors of the file to be, for the reader of its header.
struct Tensors<'d, 'a>(&'d Draft<'a>);

impl GgufTensors for Tensors<'_, '_> {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let found = self.0.tensors().iter().find(|tensor| tensor.name == name);
        found.map(|tensor| tensor.shape.clone())
    }

    fn floats(&self, name: &str) -> Option<Vec<f32>> {
        self.0.floats(name).ok().flatten()
    }
}

/// The tokenizer's keys; a model without one, such as those of tests, knows its ids alone.
fn vocabulary(folder: &Path, size: usize) -> Result<Vec<(String, Value)>> {
    let GgufExport { vocabulary, unsaid } = match GgufExport::from_folder(folder, size) {
        Ok(export) => export,
        Err(baimo_text::Error::NoTokenizer { .. }) => {
            eprintln!("{}: no tokenizer: the file will have none", folder.display());
            let none = Value::String("no_vocab".into());
            return Ok(vec![("tokenizer.ggml.model".into(), none)]);
        }
        Err(error) => return Err(error).context(folder.display().to_string()),
    };
    for what in unsaid {
        eprintln!("warning: GGUF files cannot say {what}: readers make other tokens of some texts");
    }
    let template = match Template::from_folder(folder) {
        Ok(template) => Some(template.source()),
        Err(baimo_text::Error::NoTemplate { .. }) => None,
        Err(error) => return Err(error).context(folder.display().to_string()),
    };
    let mut pairs = Vec::new();
    let mut put = |name: &str, value: Option<Value>| {
        pairs.extend(value.map(|value| (format!("tokenizer.ggml.{name}"), value)));
    };
    let bytes = |numbers: Vec<[u8; 4]>| numbers.concat();
    let floats = |all: Vec<f32>| {
        Array::Numbers(Kind::F32, bytes(all.into_iter().map(f32::to_le_bytes).collect()))
    };
    let kinds = |all: Vec<i32>| {
        Array::Numbers(Kind::I32, bytes(all.into_iter().map(i32::to_le_bytes).collect()))
    };
    let id = |id: Option<u32>| id.map(|id| Value::Unsigned(Kind::U32, id.into()));
    put("model", Some(Value::String(vocabulary.model)));
    put("pre", vocabulary.pre.map(Value::String));
    put("tokens", Some(Value::Array(Array::Strings(vocabulary.tokens))));
    put("scores", vocabulary.scores.map(floats).map(Value::Array));
    put("token_type", vocabulary.token_types.map(kinds).map(Value::Array));
    put("merges", vocabulary.merges.map(Array::Strings).map(Value::Array));
    put("bos_token_id", id(vocabulary.bos));
    put("eos_token_id", id(vocabulary.eos));
    put("eot_token_id", id(vocabulary.eot));
    put("unknown_token_id", id(vocabulary.unknown));
    put("padding_token_id", id(vocabulary.padding));
    put("add_bos_token", vocabulary.add_bos.map(Value::Bool));
    put("add_eos_token", vocabulary.add_eos.map(Value::Bool));
    put("add_space_prefix", vocabulary.add_space_prefix.map(Value::Bool));
    put("remove_extra_whitespaces", vocabulary.remove_extra_whitespaces.map(Value::Bool));
    let map = |bytes: Vec<u8>| Value::Array(Array::Numbers(Kind::U8, bytes));
    put("precompiled_charsmap", vocabulary.precompiled_charsmap.map(map));
    for (place, ids) in [("prefix", vocabulary.prefix), ("ending", vocabulary.ending)] {
        let ids = ids.map(|ids| bytes(ids.into_iter().map(u32::to_le_bytes).collect()));
        let ids = ids.map(|ids| Value::Array(Array::Numbers(Kind::U32, ids)));
        pairs.extend(ids.map(|ids| (format!("baimo.tokenizer.{place}"), ids)));
    }
    pairs.extend(template.map(|text| ("tokenizer.chat_template".into(), Value::String(text))));
    Ok(pairs)
}
