//! The store against a hub of this machine.

mod faults;
mod kept;
mod mirrors;
mod pulling;

use baimo_catalog::store::{Error, Event, Manner, Pulled, Reference, Settings, Store, Token};
use baimo_tests_hub::{Hub, SHARDS, noise};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;
use tempfile::TempDir;

/// The repository of most tests.
const REPO: &str = "owner/model-1.5";
/// The bytes of its two shards.
const SHARD_BYTES: usize = 300_000;

/// A hub with one model in two shards.
fn hub() -> Hub {
    let hub = Hub::start();
    fill(&hub);
    hub
}

fn fill(hub: &Hub) {
    hub.put_model(REPO, SHARD_BYTES);
    hub.put(REPO, "README.md", "words");
    hub.put(REPO, "tokenizer.json", noise(9_000, 3));
    hub.put(REPO, "pytorch_model.bin", noise(SHARD_BYTES, 4));
}

/// The names of what is pulled of it.
const PULLED: [&str; 5] =
    ["config.json", SHARDS[0], SHARDS[1], "model.safetensors.index.json", "tokenizer.json"];

/// A cache of its own, and hubs that it asks.
struct Place {
    folder: TempDir,
    settings: Settings,
    notes: Mutex<Vec<String>>,
}

impl Place {
    fn new(hubs: &[&Hub]) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(&|_| None);
        settings.hugging_face = folder.path().join("hf");
        settings.modelscope = folder.path().join("ms");
        settings.endpoints = hubs.iter().map(|hub| hub.endpoint()).collect();
        settings.modelscope_endpoint = settings.endpoints[0].clone();
        settings.manner = Manner {
            piece_bytes: 50_000,
            tries: 3,
            pause: Duration::from_millis(2),
            record: Duration::ZERO,
            compare_bytes: 100_000,
            ..Manner::default()
        };
        Place { folder, settings, notes: Mutex::default() }
    }

    fn store(&self) -> Store {
        Store::new(self.settings.clone())
    }

    fn pull(&self, text: &str) -> Result<Pulled, Error> {
        self.pull_or(text, &[])
    }

    fn pull_or(&self, text: &str, others: &[Reference]) -> Result<Pulled, Error> {
        let (store, reference) = (self.store(), text.parse::<Reference>()?);
        let watch = |event: Event<'_>| {
            if let Event::Note(text) = event {
                self.notes.lock().unwrap().push(text.to_owned());
            }
        };
        store.pull(&store.plan(&reference, others, &watch)?, &watch)
    }

    fn notes(&self) -> String {
        self.notes.lock().unwrap().join("\n")
    }

    fn find(&self, text: &str) -> Option<std::path::PathBuf> {
        self.store().find(&text.parse().unwrap())
    }

    /// All files below the cache that hold bytes of models, whole or not.
    fn blobs(&self) -> Vec<String> {
        let blobs = self.settings.hugging_face.join(folder_name()).join("blobs");
        let entries = std::fs::read_dir(blobs).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn folder_name() -> String {
    format!("models--{}", REPO.replace('/', "--"))
}

fn model() -> String {
    format!("hf:{REPO}")
}

/// Asserts that a folder has the whole model and nothing else.
fn assert_whole(folder: &Path) {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, PULLED);
    let shard = |number| std::fs::read(folder.join(PULLED[number])).unwrap();
    assert!(shard(1) == noise(SHARD_BYTES, 1) && shard(2) == noise(SHARD_BYTES, 2));
    assert!(std::fs::read(folder.join("tokenizer.json")).unwrap() == noise(9_000, 3));
}

/// Bytes of what is pulled.
fn model_bytes(place: &Place) -> u64 {
    let store = place.store();
    store.plan(&model().parse().unwrap(), &[], &|_| ()).unwrap().bytes()
}

fn token(text: &str) -> Option<Token> {
    Token::new(text)
}
