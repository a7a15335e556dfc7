//! The models that are served, loaded when they are asked for.

use crate::config::Config;
use crate::error::Refusal;
use crate::metrics::Metrics;
use crate::model::{About, Caps, Model, Worker};
use crate::thoughts::Thoughts;
use axum::http::StatusCode;
use baimo_engine::{Engine, Runner, Sampling};
use baimo_text::voice::Voice;
use baimo_text::{Template, Tokenizer};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Mutex;

/// A model, loaded, with an engine that nobody drives yet.
pub struct Loaded {
    /// Words to tokens and back.
    pub tokenizer: Tokenizer,
    /// Its chat format; `None` for a model that only continues text.
    pub template: Option<Template>,
    /// How it speaks, where that is known.
    pub voice: Option<&'static Voice>,
    /// What its makers recommend.
    pub sampling: Sampling,
    /// Tokens that end an answer.
    pub stop_tokens: Vec<u32>,
    /// What there is to tell of it.
    pub about: About,
    /// Texts that its makers put before what is embedded, by name: `query`, `document`, ...
    pub prompts: BTreeMap<String, String>,
    /// Its engine.
    pub engine: Engine<Runner>,
}

/// Loads a model; called again after it was unloaded.
pub type Load = Box<dyn Fn() -> anyhow::Result<Loaded> + Send + Sync>;

/// A model that can be served.
pub struct Served {
    /// What clients call it.
    pub name: String,
    /// Loads it.
    pub load: Load,
}

/// All models that can be served, in the order they were named.
#[derive(Debug)]
pub struct Registry {
    entries: Vec<Entry>,
    places: usize,
    caps: Caps,
    metrics: Arc<Metrics>,
    thoughts: Arc<Thoughts>,
    normalize_headers: bool,
}

struct Entry {
    served: Served,
    state: Mutex<State>,
    known_since: u64,
}

#[derive(Default)]
struct State {
    model: Option<Arc<Model>>,
    used: Option<Instant>,
    keep: Option<Keep>,
}

/// How long a model stays loaded after its last request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Until it is unloaded by name.
    Forever,
    /// So long.
    For(Duration),
}

impl fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.debug_struct("Entry").field("name", &self.served.name).finish_non_exhaustive()
    }
}

/// A model as a list tells of it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What clients call it.
    pub name: String,
    /// Seconds since 1970 when the server began to offer it.
    pub created: u64,
    /// What there is to tell, while it is loaded.
    pub about: Option<About>,
    /// Requests under way.
    pub requests: usize,
}

impl Registry {
    /// Of `served`, set up as `config` says.
    pub fn new(served: Vec<Served>, config: &Config, metrics: Arc<Metrics>) -> Registry {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let known_since = now.unwrap_or_default().as_secs();
        let entry = |served| Entry { served, state: Mutex::default(), known_since };
        let caps = Caps {
            prompt_tokens: config.prompt_tokens_max,
            answer_tokens: config.answer_tokens_max,
        };
        Registry {
            entries: served.into_iter().map(entry).collect(),
            places: config.places(),
            caps,
            metrics,
            thoughts: Arc::default(),
            normalize_headers: config.normalize_headers,
        }
    }

    /// The names, in order.
    pub fn names(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.served.name.clone()).collect()
    }

    /// The model of that name, the first where none is named; loaded if it is not.
    ///
    /// # Errors
    /// No such model, or it cannot be loaded.
    pub async fn get(self: &Arc<Self>, name: Option<&str>) -> Result<Arc<Model>, Refusal> {
        let index = self.index(name)?;
        let mut state = self.entries[index].state.lock().await;
        state.used = Some(Instant::now());
        match state.model.as_ref().filter(|model| !model.worker.has_ended()) {
            Some(model) => Ok(model.clone()),
            None => {
                state.model = None;
                let registry = self.clone();
                let loading = tokio::task::spawn_blocking(move || registry.load(index));
                let loaded = loading.await.map_err(|error| Refusal::internal(error.to_string()))?;
                let model = loaded.map_err(|error| {
                    let message = format!("cannot load the model: {error:#}");
                    tracing::error!(model = self.entries[index].served.name, "{message}");
                    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "model_not_loaded", message)
                })?;
                state.model = Some(model.clone());
                Ok(model)
            }
        }
    }

    /// Forgets the weights and caches of a model once its last answer has ended; false where it was
    /// not loaded.
    ///
    /// # Errors
    /// No such model.
    pub async fn unload(&self, name: &str) -> Result<bool, Refusal> {
        let mut state = self.entries[self.index(Some(name))?].state.lock().await;
        Ok(state.model.take().is_some())
    }

    /// Waits until loaded models have on disk what they keep there; each no longer than `patience`.
    pub async fn flush(&self, patience: Duration) {
        for entry in &self.entries {
            let model = entry.state.lock().await.model.clone();
            let Some(model) = model else { continue };
            let flushed = tokio::task::spawn_blocking(move || model.worker.flush(patience));
            // It fails where the thread of the model does, which is at its end already.
            let _ = flushed.await;
        }
    }

    /// How long a model stays loaded from now on, whatever the others do.
    ///
    /// # Errors
    /// No such model.
    pub async fn keep(&self, name: Option<&str>, keep: Keep) -> Result<(), Refusal> {
        let index = self.index(name)?;
        self.entries[index].state.lock().await.keep = Some(keep);
        Ok(())
    }

    /// Unloads what nobody has asked for as long as it is to be kept: as it was said of a model,
    /// else `idle`. A request under way counts from its end, as far as this is called often.
    pub fn unload_idle(&self, idle: Keep) {
        for entry in &self.entries {
            // Who holds it is loading or asking for it.
            let Ok(mut state) = entry.state.try_lock() else { continue };
            let Some(model) = &state.model else { continue };
            if model.worker.requests() > 0 {
                state.used = Some(Instant::now());
                continue;
            }
            let rests = |time| state.used.is_none_or(|used| used.elapsed() >= time);
            let is_over = match state.keep.unwrap_or(idle) {
                Keep::Forever => false,
                Keep::For(time) => rests(time),
            };
            if is_over {
                tracing::info!(model = entry.served.name, "unloaded after a rest");
                state.model = None;
            }
        }
    }

    /// All models, without loading any.
    pub async fn list(&self) -> Vec<Listed> {
        let mut list = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            // While a model is being loaded, it is not there yet.
            let model = entry.state.try_lock().ok().and_then(|state| state.model.clone());
            list.push(Listed {
                name: entry.served.name.clone(),
                created: entry.known_since,
                about: model.as_ref().map(|model| model.about.clone()),
                requests: model.as_ref().map_or(0, |model| model.worker.requests()),
            });
        }
        list
    }

    fn index(&self, name: Option<&str>) -> Result<usize, Refusal> {
        let Some(name) = name.filter(|name| !name.is_empty() && *name != "default") else {
            return Ok(0);
        };
        // Ollama's clients say the newest of a model like this.
        let bare = name.strip_suffix(":latest").unwrap_or(name);
        let found = self.entries.iter().position(|entry| entry.served.name == bare);
        found.ok_or_else(|| Refusal::no_model(name, &self.names()))
    }

    fn load(&self, index: usize) -> anyhow::Result<Arc<Model>> {
        let Served { name, load } = &self.entries[index].served;
        let begun = Instant::now();
        let loaded = load()?;
        tracing::info!(model = name, seconds = begun.elapsed().as_secs_f64(), "loaded");
        let watch = self.metrics.watch(name);
        Ok(Arc::new(Model {
            name: name.clone(),
            tokenizer: Arc::new(loaded.tokenizer),
            template: loaded.template,
            voice: loaded.voice,
            sampling: loaded.sampling,
            stop_tokens: loaded.stop_tokens,
            about: loaded.about,
            prompts: loaded.prompts,
            worker: Worker::start(loaded.engine, self.places, watch),
            spoken: OnceLock::new(),
            written: OnceLock::new(),
            caps: self.caps,
            thoughts: self.thoughts.clone(),
            normalize_headers: self.normalize_headers,
        }))
    }
}
