//! What stands beside a tokenizer file: `tokenizer_config.json` and `generation_config.json`.

use crate::added::AddedToken;
use crate::error::{Error, Result, read_json};
use crate::tokenizer::Tokenizer;
use crate::vocabulary::IDS_MAX;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The settings of a folder that change how its tokenizer works.
#[derive(Debug, Default)]
pub(crate) struct FolderConfig {
    /// Where most of this was read, for messages.
    pub file: String,
    /// `tokenizer_class`, without the "Fast" of the compiled variant.
    pub class: Option<String>,
    pub add_bos: Option<bool>,
    pub legacy: Option<bool>,
    /// How many ids before those of text are of images.
    pub image_tokens: Option<u32>,
    /// A setting that changes text before all else, where one is on.
    pub changes: Option<&'static str>,
    /// `added_tokens_decoder`.
    pub added: Vec<AddedToken>,
    /// The texts of `bos_token`, `eos_token` and the like, by those names.
    pub tokens: BTreeMap<String, String>,
    eos_ids: Vec<u32>,
}

impl FolderConfig {
    /// Reads both files; a missing one says nothing.
    pub fn read(folder: &Path) -> Result<FolderConfig> {
        let path = folder.join("tokenizer_config.json");
        let mut config = FolderConfig { file: path.display().to_string(), ..Default::default() };
        if path.exists() {
            config.take(&read_json(&path)?)?;
        }
        let generation = folder.join("generation_config.json");
        if generation.exists() {
            config.eos_ids = ids(&read_json(&generation)?["eos_token_id"]);
        }
        Ok(config)
    }

    fn take(&mut self, json: &Value) -> Result<()> {
        let class = json["tokenizer_class"].as_str();
        self.class = class.map(|class| class.strip_suffix("Fast").unwrap_or(class).to_owned());
        for (key, value) in json.as_object().into_iter().flatten() {
            if let Some(text) = token_text(value).filter(|_| key.ends_with("_token")) {
                self.tokens.insert(key.clone(), text);
            }
        }
        self.add_bos = json["add_bos_token"].as_bool();
        self.legacy = json["legacy"].as_bool();
        self.changes = ["do_lower_case", "remove_space"]
            .into_iter()
            .find(|key| json[*key] == Value::Bool(true));
        self.image_tokens = self.image_tokens_of(&json["num_image_tokens"])?;
        for (id, token) in json["added_tokens_decoder"].as_object().into_iter().flatten() {
            let wrong = |_| {
                Error::malformed(
                    &self.file,
                    format!("added_tokens_decoder has the key {id:?}, wanted a token id"),
                    "take the file from the model's own repository",
                )
            };
            self.added.push(added_token(id.parse().map_err(wrong)?, token));
        }
        Ok(())
    }

    fn image_tokens_of(&self, json: &Value) -> Result<Option<u32>> {
        let count = json.as_u64().and_then(|count| u32::try_from(count).ok());
        match (json, count.filter(|count| (*count as usize) < IDS_MAX)) {
            (Value::Null, _) => Ok(None),
            (_, Some(count)) => Ok(Some(count)),
            (found, None) => Err(Error::malformed(
                &self.file,
                format!("num_image_tokens is {found}, wanted a number less than {IDS_MAX}"),
                "take the file from the model's own repository",
            )),
        }
    }

    /// Fills in what the tokenizer's own file does not say.
    pub fn complete(&self, tokenizer: &mut Tokenizer) {
        let find = |name: &str| tokenizer.special_id(self.tokens.get(name)?);
        let (bos, eos) = (find("bos_token"), find("eos_token"));
        tokenizer.bos = bos.or(tokenizer.bos);
        // The class that Llama's files name adds BOS unless told otherwise.
        let by_class = self.class.as_deref() == Some("LlamaTokenizer");
        if tokenizer.prefix.is_empty() && self.add_bos.unwrap_or(by_class) {
            tokenizer.prefix.extend(tokenizer.bos);
        }
        for id in self.eos_ids.iter().copied().chain(eos) {
            if !tokenizer.eos.contains(&id) {
                tokenizer.eos.push(id);
            }
        }
    }
}

/// An added token as both JSON files describe it.
pub(crate) fn added_token(id: u32, json: &Value) -> AddedToken {
    let flag = |key: &str| json[key].as_bool().unwrap_or(false);
    AddedToken {
        content: json["content"].as_str().unwrap_or_default().to_owned(),
        id,
        special: flag("special"),
        left_strip: flag("lstrip"),
        right_strip: flag("rstrip"),
        single_word: flag("single_word"),
    }
}

/// A token that is given as a string, or as an object with its options.
pub(crate) fn token_text(json: &Value) -> Option<String> {
    json.as_str().or_else(|| json["content"].as_str()).map(str::to_owned)
}

fn ids(json: &Value) -> Vec<u32> {
    let id = |json: &Value| json.as_u64().and_then(|id| u32::try_from(id).ok());
    match json {
        Value::Array(list) => list.iter().filter_map(id).collect(),
        _ => id(json).into_iter().collect(),
    }
}
