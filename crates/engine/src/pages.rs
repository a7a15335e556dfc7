//! Who holds which page of the caches, and what lies in those that nobody holds any more.

use crate::chain::Key;
use baimo_model::PAGE_POSITIONS;
use std::collections::{BTreeMap, HashMap};

/// All pages. A page holds [`PAGE_POSITIONS`] positions in every layer: of one sequence, or of all
/// that begin alike.
///
/// A page whose rows are complete can be named by its [`Key`]. It is then never written again, any
/// number of sequences may hold it, and its rows are kept after them until the page is needed.
#[derive(Debug)]
pub struct Pages {
    /// Hold nothing.
    free: Vec<u32>,
    all: Vec<Page>,
    named: HashMap<Key, u32>,
    /// Named pages that nobody holds, by the time since; the first is the first to be given away.
    kept: BTreeMap<u64, u32>,
    /// Counts what happens to pages.
    now: u64,
}

/// What is known of a page.
#[derive(Clone, Copy, Debug, Default)]
struct Page {
    /// How many sequences hold it.
    holders: usize,
    key: Option<Key>,
    /// When its last holder left.
    left: u64,
}

impl Pages {
    /// All of `total` pages are free.
    pub fn new(total: usize) -> Pages {
        let total_u32 = u32::try_from(total).expect("page numbers fit u32");
        Pages {
            free: (0..total_u32).rev().collect(),
            all: vec![Page::default(); total],
            named: HashMap::new(),
            kept: BTreeMap::new(),
            now: 0,
        }
    }

    /// Pages that nobody holds.
    pub fn free(&self) -> usize {
        self.free.len() + self.kept.len()
    }

    /// Of these, pages whose rows may be wanted again.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// All pages.
    pub fn total(&self) -> usize {
        self.all.len()
    }

    /// Positions that all pages together hold.
    pub fn capacity(&self) -> usize {
        self.all.len() * PAGE_POSITIONS
    }

    /// Whether somebody holds a page.
    pub fn is_held(&self, page: u32) -> bool {
        self.all[page as usize].holders > 0
    }

    /// The page of that name.
    pub fn find(&self, key: &Key) -> Option<u32> {
        self.named.get(key).copied()
    }

    /// Gives one more sequence a share in a named page.
    pub fn share(&mut self, page: u32) {
        let entry = &mut self.all[page as usize];
        assert!(entry.key.is_some(), "only a named page is shared");
        if entry.holders == 0 {
            self.kept.remove(&entry.left);
        }
        entry.holders += 1;
    }

    /// Grows `held` until it holds `positions`, with free pages first and then with those that
    /// nobody has held for longest; where there are too few, nothing changes and the answer is
    /// false.
    pub fn grow(&mut self, held: &mut Vec<u32>, positions: usize) -> bool {
        let missing = positions.div_ceil(PAGE_POSITIONS).saturating_sub(held.len());
        if missing > self.free() {
            return false;
        }
        for _ in 0..missing {
            let page = self.free.pop().or_else(|| self.give_away());
            let page = page.expect("as many were counted");
            self.all[page as usize].holders = 1;
            held.push(page);
        }
        true
    }

    /// Forgets what lies in the page that nobody has held for longest.
    fn give_away(&mut self) -> Option<u32> {
        let (_, page) = self.kept.pop_first()?;
        let key = self.all[page as usize].key.take().expect("kept pages have a name");
        self.named.remove(&key);
        Some(page)
    }

    /// Names a page that one sequence holds, whose rows are complete. Where another page has the
    /// same rows, the sequence gets a share in that one for it.
    pub fn name(&mut self, page: &mut u32, key: Key) {
        match self.find(&key) {
            Some(known) if known == *page => (),
            Some(known) => {
                self.share(known);
                let own = std::mem::replace(page, known);
                assert_eq!(self.all[own as usize].holders, 1, "a page is named once");
                self.drop_share(own);
            }
            None => {
                assert_eq!(self.all[*page as usize].key, None, "a page has one name");
                self.all[*page as usize].key = Some(key);
                self.named.insert(key, *page);
            }
        }
    }

    /// Takes all pages of `held` back. Those with a name are kept, the first for longest: without
    /// the pages before it a page cannot be used.
    pub fn release(&mut self, held: &mut Vec<u32>) {
        while let Some(page) = held.pop() {
            self.drop_share(page);
        }
    }

    fn drop_share(&mut self, page: u32) {
        let entry = &mut self.all[page as usize];
        entry.holders = entry.holders.checked_sub(1).expect("a page was released twice");
        if entry.holders > 0 {
            return;
        }
        if entry.key.is_none() {
            return self.free.push(page);
        }
        self.now += 1;
        entry.left = self.now;
        self.kept.insert(self.now, page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> Key {
        Key::from([number; 32])
    }

    /// A sequence's pages under their names, the first number for the first.
    fn kept(pages: &mut Pages, names: &[u8]) -> Vec<u32> {
        let mut held = Vec::new();
        assert!(pages.grow(&mut held, names.len() * PAGE_POSITIONS));
        held.iter_mut().zip(names).for_each(|(page, &name)| pages.name(page, key(name)));
        let numbers = held.clone();
        pages.release(&mut held);
        numbers
    }

    #[test]
    fn what_was_let_go_first_goes_first_and_a_tail_before_its_beginning() {
        let mut pages = Pages::new(5);
        kept(&mut pages, &[1, 2]);
        kept(&mut pages, &[3, 4]);
        assert_eq!((pages.free(), pages.kept()), (5, 4));
        let mut held = Vec::new();
        let mut gone = Vec::new();
        for positions in 1..=5 {
            assert!(pages.grow(&mut held, positions * PAGE_POSITIONS));
            gone.extend(
                (1..=4).find(|name| pages.find(&key(*name)).is_none() && !gone.contains(name)),
            );
        }
        assert_eq!(gone, [2, 1, 4, 3], "the page that held nothing first, then these");
        assert!(!pages.grow(&mut held, 6 * PAGE_POSITIONS));
        pages.release(&mut held);
        assert_eq!((pages.free(), pages.kept()), (5, 0));
    }

    #[test]
    fn a_page_that_somebody_holds_is_not_given_away() {
        let mut pages = Pages::new(2);
        let numbers = kept(&mut pages, &[1, 2]);
        pages.share(numbers[0]);
        let mut held = Vec::new();
        assert!(!pages.grow(&mut held, 2 * PAGE_POSITIONS));
        assert!(pages.grow(&mut held, PAGE_POSITIONS));
        assert_eq!((held[0], pages.find(&key(1))), (numbers[1], Some(numbers[0])));
        pages.share(numbers[0]);
        pages.release(&mut vec![numbers[0]]);
        assert!(pages.is_held(numbers[0]));
        pages.release(&mut vec![numbers[0]]);
        assert_eq!((pages.free(), pages.kept()), (1, 1));
    }

    #[test]
    fn of_two_pages_with_the_same_rows_one_is_enough() {
        let mut pages = Pages::new(3);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        assert!(pages.grow(&mut first, 1) && pages.grow(&mut second, PAGE_POSITIONS + 1));
        pages.name(&mut first[0], key(1));
        pages.name(&mut second[0], key(1));
        assert_eq!((first[0], pages.free()), (second[0], 1));
        pages.release(&mut first);
        assert!(pages.is_held(second[0]));
        pages.release(&mut second);
        assert_eq!((pages.free(), pages.kept()), (3, 1));
    }

    #[test]
    #[should_panic(expected = "released twice")]
    fn nobody_gives_back_what_nobody_holds() {
        let mut pages = Pages::new(1);
        let mut held = Vec::new();
        assert!(pages.grow(&mut held, 1));
        pages.release(&mut held.clone());
        pages.release(&mut held);
    }
}
