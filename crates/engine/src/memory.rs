//! All that is kept of sequences, and how a sequence that begins like an earlier one finds it.

use crate::chain::Key;
use crate::pages::Pages;
use crate::snapshots::Snapshots;
use crate::spill::{Kind, Spill};
use crate::step::{Place, Refill};
use baimo_model::PAGE_POSITIONS;
use std::collections::VecDeque;

/// Names that wait for their rows to be written to files; the oldest are given up beyond these.
const UNWRITTEN_MAX: usize = 1 << 16;

/// Pages, and copies of slots.
#[derive(Debug)]
pub struct Memory {
    /// Of the caches.
    pub pages: Pages,
    /// Of slots at the ends of pages; `None` for a model that keeps nothing in slots.
    pub snapshots: Option<Snapshots>,
    /// Files of both.
    pub spill: Option<Spill>,
    /// Of sequences that ended, the names of what may not be in files yet.
    unwritten: VecDeque<Key>,
}

/// The beginning of a sequence, as far as it was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Its pages, which are then held once more.
    pub pages: Vec<u32>,
    /// What has to be put back before they can be used.
    pub refills: Vec<Refill>,
}

impl Memory {
    /// Nothing kept yet.
    pub fn new(pages: usize, snapshots: Option<Snapshots>) -> Memory {
        Memory { pages: Pages::new(pages), snapshots, spill: None, unwritten: VecDeque::new() }
    }

    /// Of the first pages under these names, how many somebody holds: a share in them takes no
    /// page from anybody.
    pub fn held(&self, keys: &[Key]) -> usize {
        let page = |key: &Key| self.pages.find(key);
        keys.iter().map_while(page).filter(|&page| self.pages.is_held(page)).count()
    }

    /// Takes the longest beginning that is there, of pages under these names, for the sequence in
    /// `slot`. There must be as many free pages as it has.
    pub fn take(&mut self, keys: &[Key], slot: usize) -> Found {
        self.spill.iter_mut().for_each(Spill::look);
        let mut known = keys.iter().take_while(|key| self.knows(Kind::Page, key)).count();
        // Kept whatever comes of an attempt: pages that have names must have their rows.
        let mut found = Found::default();
        loop {
            if self.snapshots.is_some() {
                let last = keys[..known].iter().rposition(|key| self.knows(Kind::Slot, key));
                known = last.map_or(0, |last| last + 1);
                if let Some(last) = last {
                    // A file that was no good is gone now, and an earlier one is looked for.
                    let Some(bytes) = self.copy_of_slot(&keys[last]) else { continue };
                    found.refills.push(Refill { place: Place::Slot(slot), bytes });
                }
            }
            let reached = self.take_pages(&keys[..known], &mut found);
            if reached == known {
                return found;
            }
            self.pages.release(&mut found.pages);
            known = reached;
        }
    }

    /// Whether there seems to be something of that name.
    fn knows(&self, kind: Kind, key: &Key) -> bool {
        let in_memory = match kind {
            Kind::Page => self.pages.find(key).is_some(),
            Kind::Slot => self.snapshots.as_ref().is_some_and(|snapshots| snapshots.has(key)),
        };
        in_memory || self.spill.as_ref().is_some_and(|spill| spill.has(kind, key))
    }

    fn copy_of_slot(&mut self, key: &Key) -> Option<std::sync::Arc<[u8]>> {
        let snapshots = self.snapshots.as_mut()?;
        if let Some(bytes) = snapshots.find(key) {
            return Some(bytes);
        }
        let bytes = self.spill.as_mut()?.read(Kind::Slot, key)?;
        snapshots.keep(*key, bytes.clone());
        Some(bytes)
    }

    /// Takes pages as long as all are there; says how many.
    fn take_pages(&mut self, keys: &[Key], found: &mut Found) -> usize {
        // Those in memory first: room for the others must not be made of them.
        let there: Vec<Option<u32>> = keys.iter().map(|key| self.pages.find(key)).collect();
        there.iter().flatten().for_each(|&page| self.pages.share(page));
        for (index, key) in keys.iter().enumerate() {
            let page = there[index].or_else(|| self.page_of_file(key, found));
            let Some(page) = page else {
                let mut rest: Vec<u32> = there[index..].iter().flatten().copied().collect();
                self.pages.release(&mut rest);
                return index;
            };
            found.pages.push(page);
        }
        keys.len()
    }

    fn page_of_file(&mut self, key: &Key, found: &mut Found) -> Option<u32> {
        let bytes = self.spill.as_mut()?.read(Kind::Page, key)?;
        let mut held = Vec::new();
        if !self.pages.grow(&mut held, PAGE_POSITIONS) {
            return None;
        }
        let page = held.first_mut()?;
        self.pages.name(page, *key);
        found.refills.push(Refill { place: Place::Page(*page), bytes });
        held.pop()
    }

    /// Remembers that a sequence with pages under these names ended.
    pub fn ended(&mut self, keys: &[Key]) {
        if self.spill.is_some() {
            self.unwritten.extend(keys);
            let over = self.unwritten.len().saturating_sub(UNWRITTEN_MAX);
            self.unwritten.drain(..over);
        }
    }

    /// Writes to files what is in memory of sequences that ended: so much as can be written soon,
    /// or `all`.
    pub fn write_out(&mut self, all: bool, read: impl Fn(Place) -> Vec<u8>) {
        let Some(spill) = &mut self.spill else { return };
        while !self.unwritten.is_empty() {
            if spill.is_busy() {
                if !all {
                    return;
                }
                spill.wait();
            }
            let Some(key) = self.unwritten.pop_front() else { return };
            if let Some(page) = self.pages.find(&key)
                && !spill.keeps(Kind::Page, &key)
            {
                spill.keep(Kind::Page, &key, &read(Place::Page(page)));
            }
            let snapshots = self.snapshots.as_mut();
            if let Some(bytes) = snapshots.and_then(|snapshots| snapshots.find(&key)) {
                spill.keep(Kind::Slot, &key, &bytes);
            }
        }
        if all {
            spill.wait();
        }
    }
}

impl Found {
    /// How many positions.
    pub fn positions(&self) -> usize {
        self.pages.len() * PAGE_POSITIONS
    }
}
