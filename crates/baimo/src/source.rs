//! What MODEL names: a Hugging Face folder, a GGUF file or the built-in model.

mod vocabulary;

use crate::fetching::Outlined;
use crate::{builtin, fetching};
use anyhow::{Context, Result, bail};
use baimo_catalog::store::Named;
use baimo_labs::{Blueprint, GgufHeader, GgufTensors, Voice, voices};
use baimo_text::{Template, Tokenizer};
use baimo_weights::gguf::Metadata;
use baimo_weights::{Checkpoint, Target};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use vocabulary::vocabulary;

/// Arrays of the metadata up to this length are read as configuration.
pub(crate) const CONFIG_LENGTH_MAX: usize = 4096;

/// A model on disk, not loaded.
pub struct Source {
    path: PathBuf,
    blueprint: Blueprint,
    /// Absent where a folder holds no weights.
    checkpoint: Option<Checkpoint>,
    /// What the name asks weights to become.
    target: Option<Target>,
    /// Present where only the hub has the weights.
    outlined: Option<Outlined>,
}

impl Source {
    /// A model with its weights.
    ///
    /// # Errors
    /// Where nothing is there, or a file, its configuration or its table of contents is at fault.
    pub fn open(model: &str) -> Result<Source> {
        Ok(Source { target: fetching::target(model)?, ..Source::at(locate(model)?)? })
    }

    /// As [`Source::open`], where it lies.
    ///
    /// # Errors
    /// As there.
    pub fn at(path: PathBuf) -> Result<Source> {
        let checkpoint = Checkpoint::open(&path)?;
        let blueprint = match checkpoint.metadata() {
            Some(metadata) => gguf_blueprint(&checkpoint, metadata)?,
            None => folder_blueprint(&path)?,
        };
        let checkpoint = Some(checkpoint);
        Ok(Source { path, blueprint, checkpoint, target: None, outlined: None })
    }

    /// A model that is not to be run: its folder may hold nothing but `config.json`, and its hub
    /// is asked where it is not here.
    ///
    /// # Errors
    /// As [`Source::open`], and where the hub cannot be asked.
    pub fn describe(model: &str) -> Result<Source> {
        let target = fetching::target(model)?;
        let source = match fetching::outlined(model)? {
            Some(outlined) => {
                let source = Source::described(outlined.outline.path.clone());
                Source { outlined: Some(outlined), ..source.context(model.to_owned())? }
            }
            None => Source::described(locate(model)?)?,
        };
        Ok(Source { target, ..source })
    }

    fn described(path: PathBuf) -> Result<Source> {
        if !path.is_dir() || has_weights(&path) {
            return Source::at(path);
        }
        let blueprint = folder_blueprint(&path)?;
        Ok(Source { path, blueprint, checkpoint: None, target: None, outlined: None })
    }

    /// What weights become while loading: what is asked, else what the name asks for.
    pub fn target(&self, asked: Option<Target>) -> Target {
        asked.or(self.target).unwrap_or(Target::Native)
    }

    /// Whether its name alone says what weights become.
    pub fn target_is_named(&self, asked: Option<Target>) -> bool {
        asked.is_none() && self.target.is_some()
    }

    /// Bytes of its weights at the hub, where nothing of them is here.
    pub fn bytes_at_hub(&self) -> Option<u64> {
        self.outlined.as_ref().map(|outlined| outlined.outline.weight_bytes)
    }

    /// Its architecture.
    pub fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }

    /// Its weights.
    ///
    /// # Errors
    /// Where there are none.
    pub fn checkpoint(&self) -> Result<&Checkpoint> {
        let place = self.path.display();
        self.checkpoint.as_ref().with_context(|| {
            format!("{place}: no weights\nhint: `baimo pull` fetches a whole model")
        })
    }

    /// The `config.json` of a folder.
    ///
    /// # Errors
    /// Where there is none or it is damaged.
    pub fn config(&self) -> Result<Value> {
        config(&self.path)
    }

    /// Bytes of its weights on disk.
    pub fn weight_bytes(&self) -> Option<usize> {
        let checkpoint = self.checkpoint.as_ref()?;
        Some(checkpoint.tensors().map(|tensor| tensor.range.len()).sum())
    }

    /// The type that most bytes of its weights on disk have.
    pub fn weight_type(&self) -> Option<&'static str> {
        let mut bytes: BTreeMap<&str, usize> = BTreeMap::new();
        for tensor in self.checkpoint.as_ref()?.tensors() {
            *bytes.entry(tensor.dtype.name()).or_default() += tensor.range.len();
        }
        bytes.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(name, _)| name)
    }

    /// Its tokenizer.
    ///
    /// # Errors
    /// Where there is none or its files are at fault.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        tokenizer_of(&self.path, self.metadata())
    }

    /// Its chat template: the one it comes with, or ours where its lab ships a program instead.
    ///
    /// # Errors
    /// Where there is none or it does not parse.
    pub fn template(&self) -> Result<Template> {
        let Blueprint { architecture, vocab, .. } = &self.blueprint;
        template_of(&self.path, self.metadata(), architecture, *vocab as u64)
    }

    /// How it speaks, which its architecture and its chat template tell; `None` where that is not
    /// known.
    pub fn voice(&self, template: &Template) -> Option<&'static Voice> {
        voices::voice(&self.blueprint.architecture, Some(&template.source()))
    }

    /// What `generation_config.json` says; nothing where there is none.
    ///
    /// # Errors
    /// Where the file is damaged.
    pub fn generation_config(&self) -> Result<Value> {
        let path = self.path.join("generation_config.json");
        if self.metadata().is_some() || !path.exists() {
            return Ok(Value::Null);
        }
        read_json(&path)
    }

    /// The texts that its makers put before what is embedded, by name, which
    /// `config_sentence_transformers.json` says; none where there is no such file.
    ///
    /// # Errors
    /// Where the file is damaged.
    pub fn embedding_prompts(&self) -> Result<BTreeMap<String, String>> {
        let path = self.path.join("config_sentence_transformers.json");
        if self.metadata().is_some() || !path.exists() {
            return Ok(BTreeMap::new());
        }
        let prompts = read_json(&path)?["prompts"].take();
        let prompts = prompts.as_object().cloned().unwrap_or_default();
        let text = |prompt: Value| prompt.as_str().unwrap_or_default().to_owned();
        Ok(prompts.into_iter().map(|(name, prompt)| (name, text(prompt))).collect())
    }

    /// Refuses token ids that the model has no embedding for.
    ///
    /// # Errors
    /// Names the first such id.
    pub fn check_tokens(&self, ids: &[u32]) -> Result<()> {
        let vocab = self.blueprint.vocab;
        match ids.iter().find(|&&id| id as usize >= vocab) {
            Some(id) => bail!("token id {id}: the vocabulary has ids from 0 to {}", vocab - 1),
            None => Ok(()),
        }
    }

    fn metadata(&self) -> Option<&Metadata> {
        self.checkpoint.as_ref()?.metadata()
    }
}

/// The tokenizer of a model, without a look at its weights or configuration.
///
/// # Errors
/// As [`Source::tokenizer`].
pub fn tokenizer(model: &str) -> Result<Tokenizer> {
    let path = locate(model)?;
    if path.is_dir() {
        return tokenizer_of(&path, None);
    }
    tokenizer_of(&path, Some(metadata_of(&Checkpoint::open(&path)?)?))
}

/// The chat template of a model, likewise.
///
/// # Errors
/// As [`Source::template`].
pub fn template(model: &str) -> Result<Template> {
    let path = locate(model)?;
    if path.is_dir() {
        let config = read_json(&path.join("config.json")).unwrap_or_default();
        let architecture = config["architectures"][0].as_str().unwrap_or_default();
        let vocab = config["vocab_size"].as_u64().unwrap_or_default();
        return template_of(&path, None, architecture, vocab);
    }
    let own = template_of(&path, Some(metadata_of(&Checkpoint::open(&path)?)?), "", 0);
    // Whose template stands in for one that is missing, the whole header tells.
    own.or_else(|error| Source::open(model).map_or(Err(error), |source| source.template()))
}

/// From the metadata of a GGUF file, else from the files of a folder.
fn tokenizer_of(path: &Path, metadata: Option<&Metadata>) -> Result<Tokenizer> {
    Ok(match metadata {
        Some(metadata) => Tokenizer::from_gguf(&vocabulary(metadata)?)?,
        None => Tokenizer::from_folder(path)?,
    })
}

/// Likewise; else the one that the architecture's first voice has, which may ask for the size of
/// the vocabulary and for the name that the configuration was released under.
fn template_of(
    path: &Path,
    metadata: Option<&Metadata>,
    architecture: &str,
    vocab: u64,
) -> Result<Template> {
    let own = match metadata {
        Some(metadata) => Template::from_gguf(&vocabulary(metadata)?),
        None => Template::from_folder(path),
    };
    let ours = || voices::voice(architecture, None)?.template;
    match own {
        Err(baimo_text::Error::NoTemplate { name, available }) => match ours() {
            Some(source) => {
                let config = read_json(&path.join("config.json")).unwrap_or_default();
                let released = config["_name_or_path"].as_str().unwrap_or_default().to_owned();
                let vocab = ("vocab_size".to_owned(), vocab.to_string());
                let variables = [vocab, ("name".to_owned(), released)];
                Ok(Template::new([(name, source.to_owned())].into(), variables.into())?)
            }
            None => Err(baimo_text::Error::NoTemplate { name, available }.into()),
        },
        own => Ok(own?),
    }
}

fn metadata_of(checkpoint: &Checkpoint) -> Result<&Metadata> {
    let path = checkpoint.path().display();
    checkpoint.metadata().with_context(|| format!("{path}: weights alone have no tokenizer"))
}

/// The name of the built-in model; a folder of that name is `./poet`.
pub const BUILT_IN: &str = "poet";

/// The model where none is named: what BAIMO_MODEL says, else the built-in one.
pub fn default_model() -> String {
    let named = std::env::var("BAIMO_MODEL").ok().filter(|name| !name.is_empty());
    named.unwrap_or_else(|| BUILT_IN.to_owned())
}

/// Whether `model` is built in or names a place on this machine.
pub fn is_place(model: &str) -> bool {
    model == BUILT_IN || Path::new(model).exists()
}

/// Whether a lone argument is meant as a model rather than a prompt: something lies there, or it is
/// spelled like a path or a name.
pub fn looks_like_a_model(text: &str) -> bool {
    let spelled = text.ends_with(".gguf") || text.starts_with(['/', '.', '~']);
    is_place(text) || (spelled && !text.contains(' ')) || Named::is_meant(text)
}

pub(crate) fn locate(model: &str) -> Result<PathBuf> {
    if model == BUILT_IN {
        return builtin::folder();
    }
    let path = PathBuf::from(model);
    if path.exists() {
        return Ok(path);
    }
    if let Some(path) = fetching::located(model)? {
        return Ok(path);
    }
    bail!(
        "{model}: no such file or folder\nhint: MODEL is a folder with config.json, a .gguf file, \
         hf:OWNER/REPO, ms:OWNER/REPO, a name of the catalog, or `poet` (built in)"
    )
}

fn has_weights(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| {
        let name = name.to_string_lossy();
        name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json")
    })
}

fn folder_blueprint(folder: &Path) -> Result<Blueprint> {
    if !folder.is_dir() {
        bail!("{}: weights without config.json\nhint: give the whole folder", folder.display());
    }
    let path = folder.join("config.json");
    baimo_labs::blueprint(&config(folder)?).with_context(|| path.display().to_string())
}

fn config(folder: &Path) -> Result<Value> {
    let path = folder.join("config.json");
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    baimo_labs::parse(&String::from_utf8_lossy(&bytes))
        .with_context(|| format!("{}: not JSON, or cut short", path.display()))
}

fn read_json(path: &Path) -> Result<Value> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{}: not JSON, or cut short", path.display()))
}

/// A GGUF file's tensors for the reader of its header.
struct Tensors<'a>(&'a Checkpoint);

impl GgufTensors for Tensors<'_> {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.tensors().find(|tensor| tensor.name == name).map(|tensor| tensor.shape.clone())
    }

    fn floats(&self, name: &str) -> Option<Vec<f32>> {
        let tensor = self.0.tensor(name).ok().flatten()?;
        tensor.format().is_some().then(|| tensor.to_f32())
    }
}

fn gguf_blueprint(checkpoint: &Checkpoint, metadata: &Metadata) -> Result<Blueprint> {
    let json = metadata.to_json(CONFIG_LENGTH_MAX);
    let object = json.as_object().context("GGUF metadata is an object")?;
    let tensors = Tensors(checkpoint);
    let header = GgufHeader::new(object, &tensors);
    header
        .and_then(|header| header.blueprint())
        .with_context(|| checkpoint.path().display().to_string())
}
