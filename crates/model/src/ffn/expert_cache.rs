//! Which experts are in memory, where not all may be: whole experts of a mapped file within a
//! budget of bytes, brought by a thread of their own.
//!
//! The arithmetic reads the same mapped bytes whether an expert is here or not, so no bit depends
//! on the budget. An expert is absent, on its way or here; one that a step asked for is held until
//! the step lets go of it, and what is held never leaves. Of the others that one leaves first whose
//! uses, counted by the router's choices and aged by those of experts that left before, are fewest:
//! LFU with dynamic aging (Arlitt et al. 2000, "Evaluating content management techniques for web
//! proxy caches").
//!
//! While nobody waits for the thread, it brings what the next layer will likely choose. Such a
//! guess takes the place of experts that are worth no more than one used once, and of none that is
//! held or expected itself; it has no use of its own before it is asked for, so a wrong one is the
//! first to leave, and one on its way is given up for whatever is asked for.

mod ahead;
mod thread;

pub use ahead::{Counts, Guess};

use ahead::Ahead;
use baimo_weights::Error;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Brings and sends away bytes of the file that experts lie in.
pub trait Pages: Send + Sync + 'static {
    /// Begins to bring bytes that [`Pages::bring`] will be asked for.
    fn begin(&self, range: Range<usize>);
    /// Returns when these bytes are in memory.
    ///
    /// # Errors
    /// If they cannot be read.
    fn bring(&self, range: Range<usize>) -> Result<(), Error>;
    /// Lets these bytes leave memory.
    fn send_away(&self, range: Range<usize>);
}

impl Pages for baimo_weights::store::Pages {
    fn begin(&self, range: Range<usize>) {
        baimo_weights::store::Pages::begin(self, range);
    }

    fn bring(&self, range: Range<usize>) -> Result<(), Error> {
        baimo_weights::store::Pages::bring(self, range)
    }

    fn send_away(&self, range: Range<usize>) {
        baimo_weights::store::Pages::send_away(self, range);
    }
}

/// Where the parts of one expert lie in the file.
pub type Parts = Vec<Range<usize>>;

/// Which expert of all: its layer among those with experts, and its number there.
pub type Key = (usize, usize);

/// The experts of a model and which of them are in memory.
pub struct ExpertCache {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    pages: Box<dyn Pages>,
    /// Of each layer with experts, each expert's.
    parts: Vec<Vec<Parts>>,
    budget: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    resident: HashMap<Key, Resident>,
    /// Bytes of all of them.
    bytes: usize,
    /// Work for the thread, in order.
    work: VecDeque<Work>,
    /// The uses of the last expert that left for one that was asked for.
    age: u64,
    ahead: Ahead,
    counts: Counts,
    failure: Option<Error>,
    closed: bool,
}

/// An expert that is here or on its way.
#[derive(Default)]
struct Resident {
    here: bool,
    /// Steps that use it now.
    held: usize,
    uses: u64,
    /// Brought by a guess that no step asked for yet.
    guessed: bool,
}

#[derive(Clone, Copy)]
enum Work {
    Bring(Key),
    SendAway(Key),
}

impl ExpertCache {
    /// A cache of at most `budget` bytes of the experts at `parts`. `None` where it could not hold
    /// two experts, one to meet while the next is on its way; a step needs no more.
    pub fn new(
        pages: Box<dyn Pages>,
        parts: Vec<Vec<Parts>>,
        budget: usize,
    ) -> Option<ExpertCache> {
        let state = Mutex::default();
        let shared = Arc::new(Shared { pages, parts, budget, state, changed: Condvar::new() });
        if budget < ExpertCache::budget_min(&shared.parts) {
            return None;
        }
        let work = shared.clone();
        let thread = std::thread::Builder::new().name("experts".to_owned());
        let thread = thread.spawn(move || work.serve()).ok()?;
        Some(ExpertCache { shared, thread: Some(thread) })
    }

    /// The least budget.
    pub fn budget_min(parts: &[Vec<Parts>]) -> usize {
        2 * parts.iter().flatten().map(|parts| bytes_of(parts)).max().unwrap_or(0)
    }

    /// Cuts `experts` of a layer into rounds of which two fit the budget together.
    pub fn rounds(&self, layer: usize, experts: &[usize]) -> Vec<Range<usize>> {
        let (mut rounds, mut first, mut bytes) = (Vec::new(), 0, 0);
        for (index, expert) in experts.iter().enumerate() {
            let more = bytes_of(&self.shared.parts[layer][*expert]);
            if index > first && bytes + more > self.shared.budget / 2 {
                rounds.push(first..index);
                (first, bytes) = (index, 0);
            }
            bytes += more;
        }
        if first < experts.len() {
            rounds.push(first..experts.len());
        }
        rounds
    }

    /// Asks for experts of a layer, each once, and holds them; what has to leave for them, leaves.
    /// `false` where experts could not be brought before (see [`ExpertCache::failure`]): then none
    /// is held.
    ///
    /// # Panics
    /// If more is held than two rounds.
    pub fn ask(&self, layer: usize, experts: &[usize]) -> bool {
        let mut state = self.shared.lock();
        if state.failure.is_some() {
            return false;
        }
        // Those that are here already must not leave for the others.
        for key in experts.iter().map(|expert| (layer, *expert)) {
            let State { resident, counts, age, .. } = &mut *state;
            counts.asked += 1;
            if let Some(resident) = resident.get_mut(&key) {
                resident.held += 1;
                resident.uses = resident.uses.max(*age) + 1;
                counts.here += u64::from(resident.here);
                counts.used += u64::from(std::mem::take(&mut resident.guessed));
            }
        }
        for key in experts.iter().map(|expert| (layer, *expert)) {
            if state.resident.contains_key(&key) {
                continue;
            }
            let bytes = bytes_of(self.shared.parts_of(key));
            while state.bytes + bytes > self.shared.budget {
                state.evict(&self.shared);
            }
            let uses = state.age + 1;
            state.insert(&self.shared, key, Resident { held: 1, uses, ..Resident::default() });
            state.work.push_back(Work::Bring(key));
        }
        drop(state);
        self.shared.changed.notify_all();
        true
    }

    /// Waits until experts that were asked for are here; `false` if they cannot be brought.
    pub fn wait(&self, layer: usize, experts: &[usize]) -> bool {
        let mut state = self.shared.lock();
        loop {
            let here = |expert: &usize| {
                state.resident.get(&(layer, *expert)).is_some_and(|resident| resident.here)
            };
            if state.failure.is_some() {
                return false;
            }
            if experts.iter().all(here) {
                return true;
            }
            state = wait(&self.shared.changed, state);
        }
    }

    /// Lets go of experts that were asked for.
    pub fn let_go(&self, layer: usize, experts: &[usize]) {
        let mut state = self.shared.lock();
        for expert in experts {
            let resident = state.resident.get_mut(&(layer, *expert)).expect("held, so resident");
            resident.held -= 1;
        }
    }

    /// Says that a layer will likely choose these experts, best guesses first, in place of what was
    /// said before. They come while nobody waits, if guesses of their rank have been good and room
    /// is found; no answer depends on it, and what cannot be read is forgotten.
    pub fn expect(&self, layer: usize, guesses: &[Guess]) {
        let mut state = self.shared.lock();
        let State { ahead, resident, .. } = &mut *state;
        ahead.expect(layer, guesses, |key| !resident.contains_key(&key));
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Says what a layer chose, before it is asked for: what was expected of it is judged, and a
    /// wrong guess on its way is given up.
    pub fn chose(&self, layer: usize, experts: &[usize]) {
        let mut state = self.shared.lock();
        let State { ahead, counts, resident, .. } = &mut *state;
        ahead.judge(layer, experts, counts);
        let is_wrong = |key: &Key| key.0 == layer && !experts.contains(&key.1);
        let wrong = ahead.bringing.filter(is_wrong).filter(|key| resident[key].held == 0);
        if let Some(key) = wrong {
            state.remove(&self.shared, key);
        }
    }

    /// What became of experts since the beginning.
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// Why experts could not be brought, if so; asked for once, it is forgotten and experts may be
    /// asked for again.
    pub fn failure(&self) -> Option<Error> {
        let mut state = self.shared.lock();
        let failure = state.failure.take()?;
        // Those on their way never came.
        state.work.retain(|work| matches!(work, Work::SendAway(_)));
        let lost: Vec<Key> =
            state.resident.iter().filter(|(_, r)| !r.here).map(|(k, _)| *k).collect();
        for key in lost {
            state.remove(&self.shared, key);
        }
        Some(failure)
    }

    /// Bytes of the experts that are here or on their way.
    pub fn bytes(&self) -> usize {
        self.shared.lock().bytes
    }
}

impl Drop for ExpertCache {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

impl State {
    /// Sends away the expert of the fewest uses that nobody holds; a guess on its way goes first.
    fn evict(&mut self, shared: &Shared) {
        let bringing = self.ahead.bringing;
        let free = self.resident.iter().filter(|(key, resident)| {
            resident.held == 0 && (resident.here || Some(**key) == bringing)
        });
        let least = free.min_by_key(|(key, resident)| (resident.here, resident.uses, **key));
        let (key, here, uses) = least
            .map(|(key, resident)| (*key, resident.here, resident.uses))
            .expect("two rounds fit");
        self.remove(shared, key);
        if here {
            self.age = self.age.max(uses);
            self.work.push_back(Work::SendAway(key));
        }
    }

    fn insert(&mut self, shared: &Shared, key: Key, resident: Resident) {
        self.resident.insert(key, resident);
        self.bytes += bytes_of(shared.parts_of(key));
    }

    fn remove(&mut self, shared: &Shared, key: Key) {
        self.resident.remove(&key);
        self.bytes -= bytes_of(shared.parts_of(key));
        // The thread sends away what it has of it.
        self.ahead.bringing = self.ahead.bringing.filter(|bringing| *bringing != key);
    }
}

impl Shared {
    fn parts_of(&self, (layer, expert): Key) -> &Parts {
        &self.parts[layer][expert]
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the state as it was between two statements: still sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes_of(parts: &[Range<usize>]) -> usize {
    parts.iter().map(Range::len).sum()
}

fn wait<'a>(changed: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    changed.wait(state).unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
