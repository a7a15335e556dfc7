//! `baimo serve`: models behind HTTP.

use crate::args::{Loading, Serve};
use crate::run::{SPAN, sampling, stop_tokens};
use crate::session::{self, CacheSize};
use crate::settings::Settings;
use crate::source::{self, Source};
use crate::{cache, fetching};
use anyhow::{Context, Result, bail};
use baimo_engine::{Engine, KvElement, Limits, Runner, Spill};
use baimo_server::keys::KeyHash;
use baimo_server::{About, Config, Loaded, Served};
use baimo_text::Template;
use baimo_weights::Target;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Positions of a sequence where nothing is said: memory is taken only as it is used.
const CONTEXT: usize = 32768;

/// Serves until it is told to stop.
pub(crate) fn run(arguments: &Serve) -> Result<()> {
    if arguments.hash_key {
        return hash_key();
    }
    let settings = Settings::new(arguments)?;
    if arguments.print_config {
        return Ok(std::io::stdout().write_all(settings.printed().as_bytes())?);
    }
    let served = models(&settings.serve, &settings.server)?;
    let names: Vec<String> = served.iter().map(|served| served.name.clone()).collect();
    let scheme = if settings.server.tls.is_some() { "https" } else { "http" };
    baimo_server::serve(settings.server, served, |address| {
        eprintln!("serving {} at {scheme}://{address}", names.join(", "));
    })
}

/// The models that are named, each loaded when it is asked for.
///
/// # Errors
/// What cannot be served at all is told now; two models of one name are refused.
pub fn models(arguments: &Serve, config: &Config) -> Result<Vec<Served>> {
    let mut models = arguments.models.clone();
    if models.is_empty() {
        models.push(source::default_model());
    }
    let mut served: Vec<Served> = Vec::with_capacity(models.len());
    for model in &models {
        let (name, model) = match model.split_once('=') {
            Some((name, model)) => (name.to_owned(), model),
            None => (name(model), model.as_str()),
        };
        fetching::ensure(model, arguments.loading.yes)?;
        // What cannot be served at all is told before the first request.
        Source::open(model)?;
        if served.iter().any(|other| other.name == name) {
            bail!("two models would be called `{name}`\nhint: NAME=MODEL gives another name");
        }
        let plan = Plan::new(model, arguments, config);
        served.push(Served { name, load: Box::new(move || plan.load()) });
    }
    Ok(served)
}

/// Prints the hash of a key that is read, so that the key itself need not stand in a file.
fn hash_key() -> Result<()> {
    let mut key = String::new();
    std::io::stdin().read_to_string(&mut key)?;
    if key.trim().is_empty() {
        bail!("found no key on stdin, wanted one line\nhint: echo KEY | baimo serve --hash-key");
    }
    Ok(writeln!(std::io::stdout(), "{}", KeyHash::of(key.trim()))?)
}

/// What clients call a model where nobody says: its folder's or file's name.
fn name(model: &str) -> String {
    let path = Path::new(model);
    let name = path.file_name().map_or_else(|| model.into(), |name| name.to_string_lossy());
    name.strip_suffix(".gguf").unwrap_or(&name).to_owned()
}

/// How one model is to be loaded.
struct Plan {
    model: String,
    loading: Loading,
    element: KvElement,
    context: Option<usize>,
    cache: Option<usize>,
    prefix_disk: Option<usize>,
    template: Option<PathBuf>,
    sequences: usize,
    waiting: usize,
}

impl Plan {
    fn new(model: &str, arguments: &Serve, config: &Config) -> Plan {
        Plan {
            model: model.to_owned(),
            loading: arguments.loading.clone(),
            element: arguments.kv.unwrap_or(KvElement::F16),
            context: arguments.context,
            cache: arguments.cache_tokens,
            prefix_disk: arguments.prefix_disk,
            template: arguments.chat_template.clone(),
            sequences: config.sequences,
            waiting: config.waiting,
        }
    }

    fn load(&self) -> Result<Loaded> {
        let source = Source::open(&self.model)?;
        let tokenizer = source.tokenizer()?;
        let template = match &self.template {
            Some(path) => Some(template(path)?),
            None => source.template().ok(),
        };
        let voice = template.as_ref().and_then(|template| source.voice(template));
        let generation = source.generation_config()?;
        let blueprint = source.blueprint();
        let context = self.context.unwrap_or(blueprint.context.min(CONTEXT));
        let positions = self.cache.unwrap_or(context * 2).max(context);
        let element = self.element;
        let size = CacheSize { positions, sequences: self.sequences, shared: true, element };
        let runner = session::load(&source, &self.loading, size).context(self.model.clone())?;
        let about = About {
            architecture: blueprint.architecture.clone(),
            parameters: blueprint.count().parameters as u64,
            weight_bytes: runner.decoder().weight_bytes() as u64,
            quantization: match source.target(self.loading.weights) {
                Target::Native => source.weight_type().unwrap_or_default().to_owned(),
                target => target.name().to_owned(),
            },
            context,
            context_trained: blueprint.context,
            vocab: blueprint.vocab,
            hidden: blueprint.hidden,
        };
        let limits = Limits {
            tokens_per_step: SPAN,
            tokens_per_span: SPAN,
            sequences: self.sequences,
            waiting: self.waiting,
            context,
            ..Limits::default()
        };
        Ok(Loaded {
            sampling: sampling(&Default::default(), &generation),
            stop_tokens: stop_tokens(&tokenizer, &generation, voice),
            tokenizer,
            prompts: source.embedding_prompts()?,
            template,
            voice,
            about,
            engine: self.engine(&source, runner, limits)?,
        })
    }

    /// An engine that keeps what it computes on disk as well, where that is wanted.
    fn engine(&self, source: &Source, runner: Runner, limits: Limits) -> Result<Engine<Runner>> {
        let Some(bytes) = self.prefix_disk.filter(|&bytes| bytes > 0) else {
            return Ok(session::engine(runner, limits));
        };
        let recipe = format!("{} {}", source.target(self.loading.weights).name(), runner.layout());
        let model = cache::packed_weights(None)?.key(source.checkpoint()?, &recipe)?;
        let spill = Spill::open(&cache::prefixes(), model.to_string(), bytes as u64)?;
        Ok(session::engine(runner, limits).with_spill(spill))
    }
}

/// A chat template out of a file.
fn template(path: &Path) -> Result<Template> {
    let named = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(named)?;
    Template::new([("default".to_owned(), text)].into(), Default::default()).with_context(named)
}
