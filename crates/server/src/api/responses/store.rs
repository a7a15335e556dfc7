//! Responses that are kept: the latest within a budget of bytes, and those under way unattended.

use super::log::Log;
use super::teller::Teller;
use lru::LruCache;
use serde_json::Value;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Bytes of responses that are kept; those that were longest not asked for go first.
const BYTES_MAX: usize = 256 << 20;
/// What a response takes beside its texts, about.
const TURN_BYTES: usize = 512;

/// Responses that are kept.
#[derive(Debug)]
pub struct Store {
    state: Mutex<State>,
    /// What all turns take, those included that only a later one holds on to.
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
    ids: AtomicU64,
    random: [RandomState; 2],
}

#[derive(Debug)]
struct State {
    running: HashMap<String, Running>,
    turns: LruCache<String, Arc<Turn>>,
    /// Responses by the names of their items.
    items: HashMap<String, String>,
}

/// A response under way that nobody need wait for; dropping it ends it.
#[derive(Debug)]
pub struct Running {
    /// What there is of it.
    pub teller: Arc<Mutex<Teller>>,
    /// Its events, where it can be streamed.
    pub log: Option<Arc<Log>>,
    /// What it is once it has ended.
    pub seed: Seed,
    /// Nothing is ever sent: the other end learns that this one is gone.
    pub alive: oneshot::Sender<()>,
}

/// What a response goes on from and answers.
#[derive(Clone, Debug, Default)]
pub struct Seed {
    /// The response before.
    pub parent: Option<Arc<Turn>>,
    /// The items of the input, without those before.
    pub input: Vec<Value>,
}

/// A response that has ended.
#[derive(Debug)]
pub struct Turn {
    parent: Option<Arc<Turn>>,
    /// JSON of the list of its input's items.
    input: String,
    /// Its JSON.
    response: String,
    log: Option<Arc<Log>>,
    items: Vec<String>,
    taken: usize,
    bytes: Arc<AtomicUsize>,
}

/// What there is of a response.
#[derive(Clone, Debug)]
pub enum Kept {
    /// It is under way.
    Running {
        /// What there is of it.
        teller: Arc<Mutex<Teller>>,
        /// Its events.
        log: Option<Arc<Log>>,
        /// What it goes on from and answers.
        seed: Seed,
    },
    /// It has ended.
    Ended(Arc<Turn>),
}

impl Default for Store {
    fn default() -> Store {
        Store::new(BYTES_MAX)
    }
}

impl Store {
    /// Keeps at most so many bytes.
    pub fn new(bytes_max: usize) -> Store {
        let (running, items) = (HashMap::new(), HashMap::new());
        let state = State { running, turns: LruCache::unbounded(), items };
        Store {
            state: Mutex::new(state),
            bytes: Arc::default(),
            bytes_max,
            ids: AtomicU64::default(),
            random: [RandomState::new(), RandomState::new()],
        }
    }

    /// A name for a response that nobody can guess: who knows it may read the response.
    pub fn id(&self) -> String {
        let count = self.ids.fetch_add(1, Ordering::Relaxed);
        let [first, second] = self.random.each_ref().map(|random| random.hash_one(count));
        format!("resp_{first:016x}{second:016x}")
    }

    /// What there is of a response.
    pub fn get(&self, id: &str) -> Option<Kept> {
        let mut state = self.state();
        if let Some(Running { teller, log, seed, .. }) = state.running.get(id) {
            let (teller, log, seed) = (teller.clone(), log.clone(), seed.clone());
            return Some(Kept::Running { teller, log, seed });
        }
        state.turns.get(id).cloned().map(Kept::Ended)
    }

    /// The response that has ended and has this item, or had it in its input.
    pub fn turn_with(&self, item: &str) -> Option<Arc<Turn>> {
        let mut state = self.state();
        let response = state.items.get(item)?.clone();
        state.turns.get(&response).cloned()
    }

    /// Takes note of a response under way.
    pub fn begin(&self, id: String, running: Running) {
        self.state().running.insert(id, running);
    }

    /// Keeps a response that has ended.
    pub fn keep(&self, id: &str, seed: Seed, response: &Value, log: Option<Arc<Log>>) {
        let turn = Turn::new(seed, response, log, self.bytes.clone());
        let mut state = self.state();
        for item in &turn.items {
            state.items.insert(item.clone(), id.to_owned());
        }
        if let Some(before) = state.turns.put(id.to_owned(), Arc::new(turn)) {
            state.forget(id, &before);
        }
        while self.bytes.load(Ordering::Relaxed) > self.bytes_max {
            let Some((id, turn)) = state.turns.pop_lru() else { break };
            state.forget(&id, &turn);
        }
    }

    /// Keeps a response that was under way and has ended, unless it was removed meanwhile. Who
    /// made it is not told to stop before what is returned is dropped.
    pub fn finish(&self, id: &str) -> Option<oneshot::Sender<()>> {
        let Running { teller, log, seed, alive } = self.state().running.remove(id)?;
        let response = teller.lock().unwrap_or_else(PoisonError::into_inner).response();
        self.keep(id, seed, &response, log);
        Some(alive)
    }

    /// Ends a response that is under way, and keeps what there is of it.
    pub fn cancel(&self, id: &str) {
        let running = self.state().running.remove(id);
        let Some(Running { teller, log, seed, .. }) = running else { return };
        let response = {
            let mut teller = teller.lock().unwrap_or_else(PoisonError::into_inner);
            teller.cancel();
            teller.response()
        };
        if let Some(log) = &log {
            log.end();
        }
        self.keep(id, seed, &response, log);
    }

    /// Removes a response, ending it if it is under way; whether there was one.
    pub fn remove(&self, id: &str) -> bool {
        let mut state = self.state();
        let running = state.running.remove(id);
        if let Some(log) = running.as_ref().and_then(|running| running.log.as_ref()) {
            log.end();
        }
        match state.turns.pop(id) {
            Some(turn) => {
                state.forget(id, &turn);
                true
            }
            None => running.is_some(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forgets whose a turn's items were, as far as no other has them as well.
    fn forget(&mut self, id: &str, turn: &Turn) {
        for item in &turn.items {
            if self.items.get(item).is_some_and(|response| response == id) {
                self.items.remove(item);
            }
        }
    }
}

impl Turn {
    fn new(seed: Seed, response: &Value, log: Option<Arc<Log>>, bytes: Arc<AtomicUsize>) -> Turn {
        let named = |item: &Value| item["id"].as_str().map(str::to_owned);
        let output = response["output"].as_array().into_iter().flatten();
        let items: Vec<String> = seed.input.iter().chain(output).filter_map(named).collect();
        let input = Value::from(seed.input).to_string();
        let response = response.to_string();
        let names: usize = items.iter().map(|item| item.len() + 128).sum();
        let logged = log.as_ref().map_or(0, |log| log.bytes());
        let taken = TURN_BYTES + input.len() + response.len() + names + logged;
        bytes.fetch_add(taken, Ordering::Relaxed);
        Turn { parent: seed.parent, input, response, log, items, taken, bytes }
    }

    /// The response, as JSON.
    pub fn response(&self) -> &str {
        &self.response
    }

    /// Its events, where it can be streamed.
    pub fn log(&self) -> Option<&Arc<Log>> {
        self.log.as_ref()
    }

    /// The items of its input, without those before.
    pub fn input(&self) -> Vec<Value> {
        serde_json::from_str(&self.input).unwrap_or_default()
    }

    fn output(&self) -> Vec<Value> {
        let mut response: Value = serde_json::from_str(&self.response).unwrap_or_default();
        match response["output"].take() {
            Value::Array(output) => output,
            _ => Vec::new(),
        }
    }

    /// Its items and those of its input, by name.
    pub fn items(&self) -> HashMap<String, Value> {
        let all = [self.input(), self.output()].concat().into_iter();
        all.filter_map(|item| Some((item["id"].as_str()?.to_owned(), item))).collect()
    }

    /// What it went on from.
    pub fn parent(&self) -> Option<&Arc<Turn>> {
        self.parent.as_ref()
    }

    /// All items up to its last, from the first response on.
    pub fn history(self: &Arc<Turn>) -> Vec<Value> {
        let turns = std::iter::successors(Some(self), |turn| turn.parent.as_ref());
        let mut turns: Vec<&Arc<Turn>> = turns.collect();
        turns.reverse();
        turns.into_iter().flat_map(|turn| [turn.input(), turn.output()].concat()).collect()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.taken, Ordering::Relaxed);
        // One after the other: a long conversation would take the stack if each dropped the next.
        let mut next = self.parent.take();
        while let Some(mut turn) = next.and_then(Arc::into_inner) {
            next = turn.parent.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn keep(store: &Store, parent: Option<&str>, text: &str) -> String {
        let parent = parent.map(|id| match store.get(id) {
            Some(Kept::Ended(turn)) => turn,
            found => panic!("{found:?}"),
        });
        let id = store.id();
        let input = vec![json!({ "id": format!("in_{id}"), "text": text })];
        let output = json!([{ "id": format!("out_{id}"), "text": text }]);
        store.keep(&id, Seed { parent, input }, &json!({ "output": output }), None);
        id
    }

    fn taken(store: &Store) -> usize {
        store.bytes.load(Ordering::Relaxed)
    }

    #[test]
    fn a_conversation_is_whole_after_its_first_response_was_removed() {
        let store = Store::default();
        let first = keep(&store, None, "a");
        let second = keep(&store, Some(&first), "b");
        assert!(store.remove(&first) && !store.remove(&first));
        let Some(Kept::Ended(turn)) = store.get(&second) else { panic!("it was kept") };
        let texts: Vec<Value> = turn.history().iter().map(|item| item["text"].clone()).collect();
        assert_eq!(texts, ["a", "a", "b", "b"]);
        let named = format!("out_{second}");
        assert_eq!(store.turn_with(&named).unwrap().items()[&named]["text"], "b");
        assert!(store.turn_with(&format!("out_{first}")).is_none());
    }

    #[test]
    fn bytes_are_bounded_also_by_one_long_conversation() {
        let store = Store::new(100 * 1024);
        let mut last = keep(&store, None, "first");
        for _ in 0..1000 {
            let again = if store.get(&last).is_some() { Some(last.as_str()) } else { None };
            last = keep(&store, again, &"x".repeat(100));
            assert!(taken(&store) <= 100 * 1024);
        }
        let state = store.state();
        assert!(state.items.len() <= 2 * state.turns.len());
    }

    #[test]
    fn a_very_long_conversation_is_dropped_without_a_deep_stack() {
        let store = Store::default();
        let mut last = keep(&store, None, "");
        for _ in 0..100_000 {
            let next = keep(&store, Some(&last), "");
            store.remove(&last);
            last = next;
        }
        store.remove(&last);
        assert_eq!(taken(&store), 0);
    }

    #[test]
    fn names_differ_and_do_not_follow_from_each_other() {
        let store = Store::default();
        let (first, second) = (store.id(), store.id());
        assert_ne!(first[..20], second[..20]);
        assert_eq!(first.len(), 37);
    }
}
