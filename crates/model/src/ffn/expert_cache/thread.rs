//! The thread that brings experts: what steps asked for first, then what they may ask for.

use super::{Key, Resident, Shared, State, Work, bytes_of, wait};
use baimo_weights::Error;
use std::ops::Range;
use std::sync::MutexGuard;

impl Shared {
    /// The thread's loop.
    pub(super) fn serve(&self) {
        let mut state = self.lock();
        while !state.closed {
            state = match state.work.pop_front() {
                Some(Work::Bring(key)) => self.bring(state, key),
                Some(Work::SendAway(key)) => {
                    drop(state);
                    self.send_away(self.parts_of(key));
                    self.lock()
                }
                None => match state.begin_guess(self) {
                    Some(key) => self.bring_guess(state, key),
                    None if state.work.is_empty() => {
                        state = wait(&self.changed, state);
                        continue;
                    }
                    None => state,
                },
            };
            self.changed.notify_all();
        }
    }

    /// Brings an expert that a step waits for, the disk already told of the next.
    fn bring<'a>(&'a self, mut state: MutexGuard<'a, State>, key: Key) -> MutexGuard<'a, State> {
        if state.failure.is_some() {
            return state;
        }
        let next = state.work.iter().find_map(|work| match work {
            Work::Bring(key) => Some(*key),
            Work::SendAway(_) => None,
        });
        drop(state);
        for key in [Some(key), next].into_iter().flatten() {
            self.parts_of(key).iter().for_each(|part| self.pages.begin(part.clone()));
        }
        let (parts, mut brought) = (self.parts_of(key), 0);
        let done = parts.iter().try_for_each(|part| {
            self.pages.bring(part.clone())?;
            brought += 1;
            Ok(())
        });
        if done.is_err() {
            self.send_away(&parts[..=brought]);
        }
        state = self.lock();
        match done {
            Ok(()) => {
                state.counts.bytes += bytes_of(parts) as u64;
                state.has_come(key);
            }
            Err(error) => state.failure = Some(error),
        }
        state
    }

    /// Brings an expert part by part, as long as nobody has given it up: the disk is told of all of
    /// it, since most guesses are right; what it read of others is the system's to drop.
    fn bring_guess<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        key: Key,
    ) -> MutexGuard<'a, State> {
        let parts = self.parts_of(key);
        state.counts.bytes += bytes_of(parts) as u64;
        drop(state);
        parts.iter().for_each(|part| self.pages.begin(part.clone()));
        state = self.lock();
        for (index, part) in parts.iter().enumerate() {
            drop(state);
            let done = self.pages.bring(part.clone());
            state = self.lock();
            let is_given_up = state.ahead.bringing != Some(key);
            if let Err(error) = done
                && !is_given_up
            {
                state.guess_failed(self, key, error);
            }
            if state.ahead.bringing != Some(key) {
                drop(state);
                self.send_away(&parts[..=index]);
                return self.lock();
            }
        }
        state.has_come(key);
        state
    }

    fn send_away(&self, parts: &[Range<usize>]) {
        parts.iter().for_each(|part| self.pages.send_away(part.clone()));
    }
}

impl State {
    /// All of an expert is in memory now.
    fn has_come(&mut self, key: Key) {
        self.counts.brought += 1;
        self.ahead.bringing = None;
        if let Some(resident) = self.resident.get_mut(&key) {
            resident.here = true;
        }
    }

    /// A guess cannot be read: that matters only if a step waits for it by now.
    fn guess_failed(&mut self, shared: &Shared, key: Key, error: Error) {
        self.ahead.bringing = None;
        if self.resident[&key].held > 0 {
            self.failure = Some(error);
        } else {
            self.remove(shared, key);
        }
    }

    /// The next guess to be brought. `None` if there is none, or if others have to be sent away
    /// first, which is work then.
    fn begin_guess(&mut self, shared: &Shared) -> Option<Key> {
        while self.failure.is_none()
            && let Some(key) = self.ahead.best()
        {
            let needed = self.bytes + bytes_of(shared.parts_of(key));
            let leaving = match needed.checked_sub(shared.budget) {
                _ if self.resident.contains_key(&key) => None,
                None => Some(Vec::new()),
                Some(bytes) => self.worth_less(shared, bytes),
            };
            match leaving.as_deref() {
                None => self.ahead.drop_best(),
                Some([]) => {
                    let resident =
                        Resident { uses: self.age, guessed: true, ..Resident::default() };
                    self.insert(shared, key, resident);
                    self.ahead.drop_best();
                    self.ahead.bringing = Some(key);
                    self.counts.ahead += 1;
                    return Some(key);
                }
                Some(leaving) => {
                    for key in leaving {
                        self.remove(shared, *key);
                        self.work.push_back(Work::SendAway(*key));
                    }
                    return None;
                }
            }
        }
        None
    }

    /// Experts of so many bytes that are worth less than a good guess: used once at most since the
    /// last one left, and not expected themselves. `None` if there are not so many.
    fn worth_less(&self, shared: &Shared, bytes: usize) -> Option<Vec<Key>> {
        let is_worth_less = |(key, resident): &(&Key, &Resident)| {
            let is_free = resident.here && resident.held == 0;
            is_free && resident.uses <= self.age + 1 && !self.ahead.expects(**key)
        };
        let mut worth_less: Vec<_> = self.resident.iter().filter(is_worth_less).collect();
        worth_less.sort_unstable_by_key(|(key, resident)| (resident.uses, **key));
        let (mut freed, mut leaving) = (0, Vec::new());
        for (key, _) in worth_less {
            if freed >= bytes {
                break;
            }
            freed += bytes_of(shared.parts_of(*key));
            leaving.push(*key);
        }
        (freed >= bytes).then_some(leaving)
    }
}
