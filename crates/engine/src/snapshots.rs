//! What sequences had in their slots at the ends of pages.

use crate::chain::Key;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Copies of slots within a budget of bytes; what was used longest ago goes first.
#[derive(Debug)]
pub struct Snapshots {
    by_key: HashMap<Key, (u64, Arc<[u8]>)>,
    by_use: BTreeMap<u64, Key>,
    /// Of all copies.
    bytes: usize,
    bytes_max: usize,
    /// Counts uses.
    now: u64,
}

impl Snapshots {
    /// None yet, and never more than so many bytes.
    pub fn new(bytes_max: usize) -> Snapshots {
        let (by_key, by_use) = (HashMap::new(), BTreeMap::new());
        Snapshots { by_key, by_use, bytes: 0, bytes_max, now: 0 }
    }

    /// Bytes of all copies.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is one of that name.
    pub fn has(&self, key: &Key) -> bool {
        self.by_key.contains_key(key)
    }

    /// The one of that name, which is then in use.
    pub fn find(&mut self, key: &Key) -> Option<Arc<[u8]>> {
        let (used, bytes) = self.by_key.get_mut(key)?;
        self.now += 1;
        self.by_use.remove(used);
        self.by_use.insert(self.now, *key);
        *used = self.now;
        Some(bytes.clone())
    }

    /// Keeps a copy, at the cost of older ones; one larger than the whole budget is not kept.
    pub fn keep(&mut self, key: Key, bytes: Arc<[u8]>) {
        if bytes.len() > self.bytes_max {
            return;
        }
        self.forget(&key);
        while self.bytes + bytes.len() > self.bytes_max {
            let oldest = *self.by_use.values().next().expect("what takes bytes is listed");
            self.forget(&oldest);
        }
        self.now += 1;
        self.bytes += bytes.len();
        self.by_use.insert(self.now, key);
        self.by_key.insert(key, (self.now, bytes));
    }

    /// Drops the one of that name.
    pub fn forget(&mut self, key: &Key) {
        if let Some((used, bytes)) = self.by_key.remove(key) {
            self.by_use.remove(&used);
            self.bytes -= bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let key = |number| Key::from([number; 32]);
        let bytes = |count: usize| Arc::from(vec![count as u8; count]);
        let mut snapshots = Snapshots::new(10);
        (1..=3).for_each(|number| snapshots.keep(key(number), bytes(3)));
        assert_eq!(snapshots.find(&key(1)).as_deref(), Some(&[3, 3, 3][..]));
        snapshots.keep(key(4), bytes(4));
        let left = [1, 2, 3, 4].map(|number| snapshots.has(&key(number)));
        assert_eq!((left, snapshots.bytes()), ([true, false, true, true], 10));
        snapshots.keep(key(5), bytes(11));
        assert_eq!((snapshots.has(&key(5)), snapshots.bytes()), (false, 10));
        snapshots.keep(key(4), bytes(1));
        assert_eq!(snapshots.bytes(), 7);
        [1, 2, 3, 4].iter().for_each(|number| snapshots.forget(&key(*number)));
        assert_eq!(snapshots.bytes(), 0);
    }
}
