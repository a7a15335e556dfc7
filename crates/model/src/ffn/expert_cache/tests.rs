mod guesses;

use super::*;
use baimo_weights::Error;
use std::collections::HashSet;

const EXPERTS: usize = 6;

/// What a file would have in memory, and how much that was at most.
#[derive(Default)]
struct Told {
    here: HashSet<usize>,
    most: usize,
    brought: usize,
}

#[derive(Clone, Default)]
struct Fake {
    told: Arc<Mutex<Told>>,
    /// Fails at the byte.
    broken: Option<usize>,
}

impl Pages for Fake {
    fn begin(&self, _: Range<usize>) {}

    fn bring(&self, range: Range<usize>) -> Result<(), Error> {
        let mut told = self.told.lock().unwrap();
        told.brought += range.len();
        told.here.extend(range.clone());
        told.most = told.most.max(told.here.len());
        if self.broken.is_some_and(|byte| range.contains(&byte)) {
            let source = std::io::Error::other("a bad sector");
            return Err(Error::Io { file: "disk".into(), action: "read", source });
        }
        Ok(())
    }

    fn send_away(&self, range: Range<usize>) {
        let mut told = self.told.lock().unwrap();
        range.for_each(|byte| assert!(told.here.remove(&byte), "byte {byte} was not here"));
    }
}

/// Two layers of experts of two parts, of 8 to 14 bytes.
fn parts() -> Vec<Vec<Parts>> {
    let mut at = 0;
    let mut part = |bytes: usize| {
        at += bytes;
        at - bytes..at
    };
    let mut layer = || (0..EXPERTS).map(|expert| vec![part(3), part(5 + expert)]).collect();
    vec![layer(), layer()]
}

fn cache(fake: &Fake, budget: usize) -> ExpertCache {
    ExpertCache::new(Box::new(fake.clone()), parts(), budget).expect("room for two")
}

fn random(seed: &mut u64, below: usize) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) as usize % below
}

#[test]
fn whatever_is_asked_for_comes_and_stays_while_held_within_the_budget() {
    for (seed, budget) in (0..60).zip([26, 40, 70, 1000].into_iter().cycle()) {
        let (fake, mut seed) = (Fake::default(), seed);
        let cache = cache(&fake, budget);
        let here = |layer: usize, experts: &[usize]| {
            let told = fake.told.lock().unwrap();
            let bytes = experts.iter().flat_map(|expert| parts()[layer][*expert].clone()).flatten();
            bytes.into_iter().all(|byte| told.here.contains(&byte))
        };
        for step in 0..30 {
            let layer = step % 2;
            let experts: Vec<usize> = (0..EXPERTS).filter(|_| random(&mut seed, 2) == 0).collect();
            let rounds = cache.rounds(layer, &experts);
            assert_eq!(rounds.iter().cloned().flatten().count(), experts.len());
            let of = |round: usize| rounds.get(round).map_or(&[][..], |run| &experts[run.clone()]);
            assert!(cache.ask(layer, of(0)));
            for round in 0..rounds.len() {
                assert!(cache.ask(layer, of(round + 1)));
                assert!(cache.wait(layer, of(round)));
                assert!(here(layer, of(round)), "seed {seed}, step {step}");
                assert!(cache.bytes() <= budget);
                cache.let_go(layer, of(round));
            }
        }
        assert!(fake.told.lock().unwrap().most <= budget);
    }
}

#[test]
fn experts_that_are_used_again_and_again_outlast_those_used_once() {
    let fake = Fake::default();
    let cache = cache(&fake, 40);
    let meet = |expert: usize| {
        assert!(cache.ask(0, &[expert]) && cache.wait(0, &[expert]));
        cache.let_go(0, &[expert]);
    };
    (0..5).for_each(|_| meet(0));
    (1..5).for_each(meet);
    let brought = fake.told.lock().unwrap().brought;
    meet(0);
    assert_eq!(fake.told.lock().unwrap().brought, brought, "still here");
    meet(1);
    assert!(fake.told.lock().unwrap().brought > brought, "gone since");
}

#[test]
fn what_cannot_be_read_is_told_once_and_holds_nobody_up() {
    let broken = parts()[0][3][1].start;
    let fake = Fake { broken: Some(broken), ..Fake::default() };
    let cache = cache(&fake, 70);
    assert!(cache.ask(0, &[2, 3]));
    assert!(!cache.wait(0, &[2, 3]));
    assert!(!cache.ask(0, &[1]), "nothing more before somebody was told");
    cache.let_go(0, &[2, 3]);
    let failure = cache.failure().expect("a failure").to_string();
    assert!(failure.contains("bad sector"), "{failure}");
    assert!(cache.failure().is_none());
    // The others are none the worse for it.
    assert!(cache.ask(0, &[1, 4]) && cache.wait(0, &[1, 4]));
    cache.let_go(0, &[1, 4]);
}

#[test]
fn a_budget_that_cannot_hold_two_experts_is_refused() {
    let new = |budget| ExpertCache::new(Box::new(Fake::default()), parts(), budget);
    assert_eq!(ExpertCache::budget_min(&parts()), 26);
    assert!(new(25).is_none() && new(26).is_some());
}
