//! Byte-pair encoding: one merge loop for every kind of vocabulary.
//!
//! A vocabulary is reduced to one table: which two neighbouring tokens may become which third one,
//! and how early. Files with a merge list (Sennrich et al. 2016) give the order directly; tiktoken
//! files order by the rank of the result; SentencePiece files (Kudo & Richardson 2018) by its
//! score. The rule is the same for all: always the earliest pair, the leftmost where two are equal.

use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Marks a byte that has no token.
pub(crate) const NO_TOKEN: u32 = u32::MAX;

/// Words up to this many symbols are merged by scanning: no allocation, and quicker than a heap.
const SCAN_MAX: usize = 48;

/// What a pair of tokens becomes, and when: lower ranks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merge {
    pub rank: u32,
    pub id: u32,
}

const NEVER: Merge = Merge { rank: u32::MAX, id: NO_TOKEN };

/// The symbols that a word starts as.
#[derive(Debug)]
pub(crate) enum Alphabet {
    /// Bytes are tokens; one that is not is left out, as its vocabulary was trained to.
    Bytes(Box<[u32; 256]>),
    /// Characters are tokens; one that is not becomes its bytes' tokens, else the unknown token.
    Characters {
        ids: FxHashMap<char, u32>,
        bytes: Option<Box<[u32; 256]>>,
        unknown: Option<u32>,
        /// Several unknown characters in a row become one unknown token.
        fuse_unknown: bool,
    },
}

/// A vocabulary ready to encode.
#[derive(Debug)]
pub(crate) struct Bpe {
    pub alphabet: Alphabet,
    pub pairs: FxHashMap<(u32, u32), Merge>,
    /// Words that are tokens as they stand, whatever the merges would make of them.
    pub whole: Option<FxHashMap<Box<[u8]>, u32>>,
}

impl Bpe {
    /// Appends the tokens of `word`, which no merge may cross the ends of.
    pub fn encode(&self, word: &str, out: &mut Vec<u32>) {
        if let Some(id) = self.whole.as_ref().and_then(|whole| whole.get(word.as_bytes())) {
            out.push(*id);
            return;
        }
        let start = out.len();
        self.symbols(word, out);
        if out.len() - start <= SCAN_MAX {
            self.merge_by_scan(out, start);
        } else {
            self.merge_by_heap(out, start);
        }
    }

    fn symbols(&self, word: &str, out: &mut Vec<u32>) {
        match &self.alphabet {
            Alphabet::Bytes(ids) => {
                let ids = word.bytes().map(|byte| ids[byte as usize]);
                out.extend(ids.filter(|id| *id != NO_TOKEN));
            }
            Alphabet::Characters { ids, bytes, unknown, fuse_unknown } => {
                let mut after_unknown = false;
                for character in word.chars() {
                    let known = ids.get(&character);
                    match (known, bytes, unknown) {
                        (Some(id), _, _) => out.push(*id),
                        (None, Some(bytes), _) => {
                            let mut buffer = [0; 4];
                            let encoded = character.encode_utf8(&mut buffer);
                            out.extend(encoded.bytes().map(|byte| bytes[byte as usize]));
                        }
                        (None, None, Some(unknown)) => {
                            if !(after_unknown && *fuse_unknown) {
                                out.push(*unknown);
                            }
                        }
                        (None, None, None) => {}
                    }
                    after_unknown = known.is_none() && bytes.is_none();
                }
            }
        }
    }

    fn pair(&self, left: u32, right: u32) -> Merge {
        self.pairs.get(&(left, right)).copied().unwrap_or(NEVER)
    }

    /// The definition: look for the earliest pair, merge it, look again.
    fn merge_by_scan(&self, out: &mut Vec<u32>, start: usize) {
        let mut merges = [NEVER; SCAN_MAX];
        let mut length = out.len() - start;
        for at in 1..length {
            merges[at - 1] = self.pair(out[start + at - 1], out[start + at]);
        }
        while length > 1 {
            let candidates = &merges[..length - 1];
            let Some((at, best)) = candidates.iter().enumerate().min_by_key(|(_, m)| m.rank) else {
                break;
            };
            if *best == NEVER {
                break;
            }
            out[start + at] = best.id;
            out.remove(start + at + 1);
            merges.copy_within(at + 1..length - 1, at);
            length -= 1;
            if at > 0 {
                merges[at - 1] = self.pair(out[start + at - 1], out[start + at]);
            }
            if at + 1 < length {
                merges[at] = self.pair(out[start + at], out[start + at + 1]);
            }
        }
    }

    /// The same result in `n log n`: a page without a space is one word to some vocabularies.
    fn merge_by_heap(&self, out: &mut Vec<u32>, start: usize) {
        let mut chain = Chain::new(out.split_off(start));
        let mut queue = BinaryHeap::new();
        for left in 0..chain.links.len() - 1 {
            self.offer(&mut queue, &chain, left);
        }
        while let Some(Reverse(Candidate { left, pair, id, .. })) = queue.pop() {
            if chain.pair_at(left) != Some(pair) {
                continue; // one of the two was merged with its other neighbour since
            }
            chain.join(left, id);
            self.offer(&mut queue, &chain, left);
            if let Some(before) = chain.links[left].before {
                self.offer(&mut queue, &chain, before);
            }
        }
        out.extend(chain.links.iter().filter(|link| link.id != NO_TOKEN).map(|link| link.id));
    }

    fn offer(&self, queue: &mut BinaryHeap<Reverse<Candidate>>, chain: &Chain, left: usize) {
        if let Some(pair) = chain.pair_at(left)
            && let Some(Merge { rank, id }) = self.pairs.get(&pair).copied()
        {
            queue.push(Reverse(Candidate { rank, left, pair, id }));
        }
    }
}

/// A merge that may happen. The order of the fields is the order of merging; `pair` tells later
/// whether the entry is still true.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    rank: u32,
    left: usize,
    pair: (u32, u32),
    id: u32,
}

/// A word's symbols, linked, so that joining two moves nothing.
struct Chain {
    links: Vec<Link>,
}

struct Link {
    id: u32,
    before: Option<usize>,
    after: Option<usize>,
}

impl Chain {
    fn new(ids: Vec<u32>) -> Chain {
        let last = ids.len() - 1;
        let link = |(at, id): (usize, u32)| Link {
            id,
            before: at.checked_sub(1),
            after: (at < last).then_some(at + 1),
        };
        Chain { links: ids.into_iter().enumerate().map(link).collect() }
    }

    fn pair_at(&self, left: usize) -> Option<(u32, u32)> {
        let Link { id, after, .. } = self.links[left];
        (id != NO_TOKEN).then_some(())?;
        Some((id, self.links[after?].id))
    }

    fn join(&mut self, left: usize, id: u32) {
        let right = self.links[left].after.expect("a pair has a right side");
        let after = self.links[right].after;
        self.links[right].id = NO_TOKEN;
        self.links[left].id = id;
        self.links[left].after = after;
        if let Some(after) = after {
            self.links[after].before = Some(left);
        }
    }
}

/// All pairs that make a token, for vocabularies that rank tokens and have no merge list.
///
/// `tokens` are `(id, bytes, rank)`; `cuts` says where a token may be cut in two.
pub(crate) fn pairs_by_rank<'a>(
    tokens: impl Iterator<Item = (u32, &'a [u8], u32)> + Clone,
    cuts: impl Fn(&[u8], usize) -> bool,
) -> FxHashMap<(u32, u32), Merge> {
    let ids: FxHashMap<&[u8], u32> = tokens.clone().map(|(id, bytes, _)| (bytes, id)).collect();
    let mut pairs = FxHashMap::default();
    for (id, bytes, rank) in tokens {
        for cut in (1..bytes.len()).filter(|cut| cuts(bytes, *cut)) {
            if let (Some(left), Some(right)) = (ids.get(&bytes[..cut]), ids.get(&bytes[cut..])) {
                pairs.insert((*left, *right), Merge { rank, id });
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Letters a to d, and tokens made of them, ranked by their place.
    fn toy(tokens: &[&str]) -> Bpe {
        let mut bytes = Box::new([NO_TOKEN; 256]);
        for (id, byte) in (b'a'..=b'd').enumerate() {
            bytes[byte as usize] = id as u32;
        }
        let letters = ["a", "b", "c", "d"];
        let all: Vec<_> = letters.iter().chain(tokens).enumerate().collect();
        let ranked = all.iter().map(|(id, t)| (*id as u32, t.as_bytes(), *id as u32));
        let pairs = pairs_by_rank(ranked, |_, _| true);
        Bpe { alphabet: Alphabet::Bytes(bytes), pairs, whole: None }
    }

    #[test]
    fn the_earliest_pair_goes_first_and_of_equals_the_leftmost() {
        let bpe = toy(&["bc", "ab", "aa", "aaa"]);
        let encode = |word| {
            let mut out = Vec::new();
            bpe.encode(word, &mut out);
            out
        };
        assert_eq!(encode("abc"), [0, 4]);
        assert_eq!(encode("aaaaa"), [6, 7]);
    }

    proptest! {
        #[test]
        fn a_heap_and_a_scan_merge_alike(
            word in "[abcd]{2,48}",
            tokens in prop::collection::btree_set("[abcd]{2,4}", 0..40),
        ) {
            let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
            let bpe = toy(&tokens);
            let mut scanned = vec![99];
            bpe.symbols(&word, &mut scanned);
            let mut heaped = scanned.clone();
            bpe.merge_by_scan(&mut scanned, 1);
            bpe.merge_by_heap(&mut heaped, 1);
            prop_assert_eq!(scanned, heaped);
        }
    }
}
