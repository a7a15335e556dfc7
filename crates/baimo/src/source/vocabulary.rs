//! The tokenizer of a GGUF file, as its metadata has it.

use anyhow::{Context, Result};
use baimo_text::GgufVocabulary;
use baimo_weights::gguf::{Metadata, Value};

/// The tokenizer keys of a GGUF file.
///
/// # Errors
/// Where one is missing without which there is no tokenizer, or has values of another kind.
pub fn vocabulary(metadata: &Metadata) -> Result<GgufVocabulary> {
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let get = |name: &str| metadata.get(&key(name));
    let id = |name: &str| get(name)?.as_u64().and_then(|id| u32::try_from(id).ok());
    let flag = |name: &str| get(name)?.as_bool();
    let text = |name: &str| get(name)?.as_str().map(str::to_owned);
    let strings = |name: &str| metadata.get_strings(&key(name)).map(<[String]>::to_vec);
    let numbers = |name: &str| get(name)?.as_array().map(|array| array.values());
    Ok(GgufVocabulary {
        model: metadata.get_str(&key("model"))?.to_owned(),
        pre: text("pre"),
        tokens: strings("tokens")?,
        scores: numbers("scores").map(|all| all.filter_map(|score| score.as_f32()).collect()),
        token_types: numbers("token_type").map(|all| {
            all.map(|kind| kind.as_i64().and_then(|kind| i32::try_from(kind).ok()).unwrap_or(1))
                .collect()
        }),
        merges: get("merges").is_some().then(|| strings("merges")).transpose()?,
        bos: id("bos_token_id"),
        eos: id("eos_token_id"),
        eot: id("eot_token_id"),
        unknown: id("unknown_token_id"),
        padding: id("padding_token_id"),
        add_bos: flag("add_bos_token"),
        add_eos: flag("add_eos_token"),
        prefix: ids(metadata, "baimo.tokenizer.prefix")?,
        ending: ids(metadata, "baimo.tokenizer.ending")?,
        add_space_prefix: flag("add_space_prefix"),
        remove_extra_whitespaces: flag("remove_extra_whitespaces"),
        precompiled_charsmap: numbers("precompiled_charsmap")
            .map(|all| all.filter_map(|byte| byte.as_i64()).map(|byte| byte as u8).collect()),
        chat_template: metadata
            .get("tokenizer.chat_template")
            .and_then(|template| template.as_str())
            .map(str::to_owned),
    })
}

/// Token ids in a key of ours, where it is there.
fn ids(metadata: &Metadata, key: &str) -> Result<Option<Vec<u32>>> {
    let Some(value) = metadata.get(key) else { return Ok(None) };
    let id = |value: Value| u32::try_from(value.as_u64()?).ok();
    let ids: Option<Vec<u32>> = value.as_array().and_then(|all| all.values().map(id).collect());
    let wrong = || format!("`{key}`: found {:?}, wanted an array of token ids", value.kind());
    ids.map(Some).with_context(wrong)
}
