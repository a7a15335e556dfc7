//! What cached rows are found by again: a hash of all that they depend on.
//!
//! A row depends on the tokens up to its own, and on little else: see [`Lengths`] and [`Opening`].
//! So the rows of a page are named by a hash of the page's tokens, of the name of the page before,
//! and so on down to a seed of all else. The hash is a cryptographic one: nobody can make a prompt
//! that finds the rows of another.

use baimo_model::{Lengths, Opening, PAGE_POSITIONS};
use std::fmt;

/// The name of what is kept of a sequence up to the end of one of its pages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 32]);

impl Key {
    /// That of no page yet, of a sequence that begins with `given`.
    pub fn seed(lengths: &Lengths, opening: &Opening, given: &[u32]) -> Key {
        // All rows see what is read in both directions, so the whole of it.
        let Opening { lead, together, gap, starts, relations } = opening;
        let mut hasher = blake3::Hasher::new();
        let mut list = |numbers: &mut dyn ExactSizeIterator<Item = usize>| {
            hasher.update(&(numbers.len() as u64).to_le_bytes());
            numbers.for_each(|number| {
                hasher.update(&(number as u64).to_le_bytes());
            });
        };
        list(&mut lengths.of_prompt(given.len()).into_iter());
        list(&mut [*lead, *together].into_iter());
        list(&mut gap.iter().copied());
        list(&mut starts.iter().copied());
        list(&mut relations.iter().copied());
        list(&mut given[..*together].iter().map(|&token| token as usize));
        Key(hasher.finalize().into())
    }

    /// That of the page after, which holds `tokens`.
    #[must_use]
    pub fn then(&self, tokens: &[u32]) -> Key {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        tokens.iter().for_each(|token| {
            hasher.update(&token.to_le_bytes());
        });
        Key(hasher.finalize().into())
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Key {
    fn from(bytes: [u8; 32]) -> Key {
        Key(bytes)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The keys of a sequence's whole pages, as far as its tokens go.
#[derive(Clone, Debug)]
pub struct Chain {
    seed: Key,
    keys: Vec<Key>,
}

impl Chain {
    /// Without a page yet.
    pub fn new(seed: Key) -> Chain {
        Chain { seed, keys: Vec::new() }
    }

    /// The keys of all whole pages of `tokens`, which begin with the tokens of the last call.
    pub fn of(&mut self, tokens: &[u32]) -> &[Key] {
        let (pages, _) = tokens.as_chunks::<PAGE_POSITIONS>();
        for page in &pages[self.keys.len().min(pages.len())..] {
            let before = self.keys.last().unwrap_or(&self.seed);
            self.keys.push(before.then(page));
        }
        &self.keys[..pages.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(tokens: &[u32]) -> Key {
        Key::seed(&Lengths::default(), &Opening::default(), tokens)
    }

    #[test]
    fn a_chain_that_grew_is_the_chain_of_all() {
        let tokens: Vec<u32> = (0..1000).collect();
        let whole = Chain::new(seed(&tokens)).of(&tokens).to_vec();
        assert_eq!(whole.len(), 1000 / PAGE_POSITIONS);
        let mut grown = Chain::new(seed(&tokens));
        for length in [0, 1, 63, 64, 65, 500, 1000] {
            assert_eq!(grown.of(&tokens[..length]), &whole[..length / PAGE_POSITIONS]);
        }
    }

    #[test]
    fn a_page_has_another_name_after_another_beginning() {
        let tokens = [1; 4 * PAGE_POSITIONS];
        let keys = Chain::new(seed(&tokens)).of(&tokens).to_vec();
        let different: std::collections::BTreeSet<&Key> = keys.iter().collect();
        assert_eq!(different.len(), 4, "equal tokens at other positions");
        let mut other = tokens;
        other[3] = 2;
        let changed = Chain::new(seed(&other)).of(&other).to_vec();
        assert!(keys.iter().zip(&changed).all(|(a, b)| a != b));
    }

    #[test]
    fn what_is_read_in_both_directions_is_in_every_name() {
        let opening = Opening { together: 100, ..Opening::default() };
        let mut tokens: Vec<u32> = (0..200).collect();
        let lengths = Lengths::default();
        let name = |tokens: &[u32], opening: &Opening| Key::seed(&lengths, opening, tokens);
        let (before, causal) = (name(&tokens, &opening), name(&tokens, &Opening::default()));
        assert_ne!(before, causal);
        tokens[150] = 7;
        assert_eq!(name(&tokens, &opening), before);
        tokens[99] = 7;
        assert_ne!(name(&tokens, &opening), before);
        assert_eq!(name(&tokens, &Opening::default()), causal);
    }
}
