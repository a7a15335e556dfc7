//! `baimo serve`: models behind HTTP.

use crate::args::{Loading, Serve};
use crate::run::{SPAN, sampling, stop_tokens};
use crate::session::{self, CacheSize};
use crate::source::{self, Source};
use anyhow::{Context, Result, bail};
use baimo_engine::{KvElement, Limits};
use baimo_server::{About, Config, Loaded, Served};
use baimo_text::Template;
use std::path::{Path, PathBuf};

/// Positions of a sequence where nothing is said: memory is taken only as it is used.
const CONTEXT: usize = 32768;

/// Serves until it is told to stop.
pub fn run(arguments: &Serve) -> Result<()> {
    let config = config(arguments);
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
        // What cannot be served at all is told before the first request.
        Source::open(model)?;
        if served.iter().any(|other| other.name == name) {
            bail!("two models would be called `{name}`\nhint: NAME=MODEL gives another name");
        }
        let plan = Plan::new(model, arguments, &config);
        served.push(Served { name, load: Box::new(move || plan.load()) });
    }
    let names: Vec<String> = served.iter().map(|served| served.name.clone()).collect();
    baimo_server::serve(config, served, |address| {
        eprintln!("serving {} at http://{address}", names.join(", "));
    })
}

fn config(arguments: &Serve) -> Config {
    let mut config = Config::default();
    config.host = arguments.host.unwrap_or(config.host);
    config.port = arguments.port.unwrap_or(config.port);
    config.sequences = arguments.sequences.unwrap_or(config.sequences);
    config.waiting = arguments.waiting.unwrap_or(config.waiting);
    config
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
    template: Option<PathBuf>,
    sequences: usize,
}

impl Plan {
    fn new(model: &str, arguments: &Serve, config: &Config) -> Plan {
        Plan {
            model: model.to_owned(),
            loading: arguments.loading.clone(),
            element: arguments.kv,
            context: arguments.context,
            cache: arguments.cache_tokens,
            template: arguments.chat_template.clone(),
            sequences: config.sequences,
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
            quantization: self.loading.weights.name().to_owned(),
            context,
            context_trained: blueprint.context,
            vocab: blueprint.vocab,
            hidden: blueprint.hidden,
        };
        let limits = Limits {
            tokens_per_step: SPAN,
            tokens_per_span: SPAN,
            sequences: self.sequences,
            context,
            ..Limits::default()
        };
        Ok(Loaded {
            sampling: sampling(&Default::default(), &generation),
            stop_tokens: stop_tokens(&tokenizer, &generation, voice),
            tokenizer,
            template,
            voice,
            about,
            engine: session::engine(runner, limits),
        })
    }
}

/// A chat template out of a file.
fn template(path: &Path) -> Result<Template> {
    let named = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(named)?;
    Template::new([("default".to_owned(), text)].into(), Default::default()).with_context(named)
}
