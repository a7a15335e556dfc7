use super::*;
use std::time::{Duration, Instant};

/// Brings a part whenever it is let.
#[derive(Clone, Default)]
struct Slow {
    fake: Fake,
    gate: Arc<(Mutex<Gate>, Condvar)>,
}

#[derive(Default)]
struct Gate {
    /// Parts in the order in which they began.
    begun: Vec<Range<usize>>,
    open: bool,
}

impl Slow {
    fn open(&self) {
        self.gate.0.lock().unwrap().open = true;
        self.gate.1.notify_all();
    }

    fn begun(&self) -> Vec<Range<usize>> {
        self.gate.0.lock().unwrap().begun.clone()
    }
}

impl Pages for Slow {
    fn begin(&self, _: Range<usize>) {}

    fn bring(&self, range: Range<usize>) -> Result<(), Error> {
        let mut gate = self.gate.0.lock().unwrap();
        gate.begun.push(range.clone());
        drop(self.gate.1.wait_while(gate, |gate| !gate.open).unwrap());
        self.fake.bring(range)
    }

    fn send_away(&self, range: Range<usize>) {
        self.fake.send_away(range);
    }
}

fn best(expert: usize) -> Guess {
    Guess { expert, rank: 0 }
}

/// Lets guesses of three ranks prove right again and again, so that further ones are brought.
fn trust(cache: &ExpertCache, layer: usize) {
    let ahead = &mut cache.shared.lock().ahead;
    for rank in (0..3).cycle().take(60) {
        ahead.expect(layer, &[Guess { expert: 0, rank }], |_| true);
        ahead.judge(layer, &[0], &mut Counts::default());
    }
}

fn until(what: impl Fn() -> bool) {
    let begin = Instant::now();
    while !what() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it never happens");
        std::thread::yield_now();
    }
}

/// Until no guess waits or is on its way.
fn until_guessed(cache: &ExpertCache) {
    until(|| {
        let state = cache.shared.lock();
        state.ahead.best().is_none() && state.ahead.bringing.is_none()
    });
}

fn meet(cache: &ExpertCache, layer: usize, experts: &[usize]) {
    cache.chose(layer, experts);
    assert!(cache.ask(layer, experts) && cache.wait(layer, experts));
    cache.let_go(layer, experts);
}

#[test]
fn an_expected_expert_is_here_when_it_is_asked_for() {
    let fake = Fake::default();
    let cache = cache(&fake, 70);
    trust(&cache, 1);
    cache.expect(1, &[best(2), Guess { expert: 3, rank: 3 }]);
    until_guessed(&cache);
    assert_eq!(cache.bytes(), 10, "nothing is known of the fourth rank yet");
    meet(&cache, 1, &[2]);
    let counts = cache.counts();
    assert_eq!((counts.asked, counts.here), (1, 1));
    assert_eq!((counts.ahead, counts.used, counts.brought, counts.bytes), (1, 1, 1, 10));
    assert_eq!((counts.guessed, counts.right), (2, 1));
    assert_eq!(fake.told.lock().unwrap().brought, 10);
}

#[test]
fn guesses_are_brought_while_more_than_half_of_them_are_right() {
    let mut ahead = Ahead::default();
    let mut counts = Counts::default();
    let mut is_brought = |chosen: usize| {
        ahead.expect(1, &[best(2)], |_| true);
        let is_brought = ahead.best().is_some();
        ahead.judge(1, &[chosen], &mut counts);
        is_brought
    };
    assert!(!is_brought(2), "nothing is known yet");
    assert!((0..100).all(|_| is_brought(2)));
    let wrong = (0..100).filter(|_| is_brought(3)).count();
    assert!((10..60).contains(&wrong), "{wrong} wrong guesses");
    let right = (0..100).filter(|_| !is_brought(2)).count();
    assert!((10..60).contains(&right), "{right} right guesses");
    assert_eq!((counts.guessed, counts.right), (301, 201));
}

#[test]
fn what_is_asked_for_comes_before_what_is_expected() {
    let slow = Slow::default();
    let cache = ExpertCache::new(Box::new(slow.clone()), parts(), 70).expect("room for two");
    trust(&cache, 1);
    assert!(cache.ask(0, &[0]));
    until(|| slow.begun().len() == 1);
    cache.expect(1, &[best(2)]);
    assert!(cache.ask(0, &[1]));
    slow.open();
    assert!(cache.wait(0, &[0, 1]));
    until_guessed(&cache);
    let parts = parts();
    let order = [&parts[0][0], &parts[0][1], &parts[1][2]].map(Vec::clone).concat();
    assert_eq!(slow.begun(), order);
    cache.let_go(0, &[0, 1]);
}

#[test]
fn a_guess_on_its_way_makes_room_for_what_is_asked_for() {
    let slow = Slow::default();
    let cache = ExpertCache::new(Box::new(slow.clone()), parts(), 26).expect("room for two");
    trust(&cache, 1);
    cache.expect(1, &[best(5)]);
    until(|| slow.begun().len() == 1);
    assert!(cache.ask(0, &[4, 5]));
    assert_eq!(cache.bytes(), 25);
    slow.open();
    assert!(cache.wait(0, &[4, 5]));
    let told = slow.fake.told.lock().unwrap();
    assert_eq!((told.here.len(), told.brought), (25, 25 + 3), "a part of the guess was read");
    assert!(told.most <= 26);
    drop(told);
    cache.let_go(0, &[4, 5]);
}

#[test]
fn a_guess_on_its_way_stays_if_it_is_right_and_is_given_up_if_not() {
    for chosen in [5, 2] {
        let slow = Slow::default();
        let cache = ExpertCache::new(Box::new(slow.clone()), parts(), 70).expect("room for two");
        trust(&cache, 1);
        cache.expect(1, &[best(5)]);
        until(|| slow.begun().len() == 1);
        cache.chose(1, &[chosen]);
        assert!(cache.ask(1, &[chosen]));
        slow.open();
        assert!(cache.wait(1, &[chosen]));
        cache.let_go(1, &[chosen]);
        let counts = cache.counts();
        assert_eq!((counts.used, counts.brought), (u64::from(chosen == 5), 1));
        assert_eq!(cache.bytes(), slow.fake.told.lock().unwrap().here.len());
        assert_eq!(cache.bytes(), 8 + chosen);
    }
}

#[test]
fn no_guess_takes_the_place_of_what_is_held_used_often_or_expected_itself() {
    let fake = Fake::default();
    let cache = cache(&fake, 26);
    trust(&cache, 1);
    let guess = |others: &[Guess]| {
        cache.expect(1, &[&[best(5)], others].concat());
        until_guessed(&cache);
        cache.counts().ahead
    };
    assert!(cache.ask(1, &[2, 3]) && cache.wait(1, &[2, 3]));
    assert_eq!(guess(&[]), 0, "both are held");
    cache.let_go(1, &[2, 3]);
    assert_eq!(guess(&[best(2), best(3)]), 0, "both are expected");
    (0..3).for_each(|_| meet(&cache, 1, &[2, 3]));
    assert_eq!(guess(&[]), 0, "both are used often");
    meet(&cache, 0, &[0]);
    // The first took the place of an expert of four uses: one such more is worth as much as it.
    assert_eq!(guess(&[]), 1);
    assert!(cache.bytes() <= 26 && fake.told.lock().unwrap().most <= 26);
    assert_eq!(cache.bytes(), 8 + 13);
}

#[test]
fn a_wrong_guess_leaves_first() {
    let fake = Fake::default();
    let cache = cache(&fake, 40);
    trust(&cache, 1);
    meet(&cache, 1, &[0, 1]);
    cache.expect(1, &[best(5)]);
    until_guessed(&cache);
    assert_eq!(cache.bytes(), 8 + 9 + 13);
    meet(&cache, 1, &[2, 3]);
    let brought = fake.told.lock().unwrap().brought;
    meet(&cache, 1, &[0, 1]);
    assert_eq!(fake.told.lock().unwrap().brought, brought, "they are still here");
}

#[test]
fn a_guess_that_cannot_be_read_is_forgotten() {
    let broken = parts()[1][3][1].start;
    let fake = Fake { broken: Some(broken), ..Fake::default() };
    let cache = cache(&fake, 70);
    trust(&cache, 1);
    cache.expect(1, &[best(3)]);
    until_guessed(&cache);
    assert!(cache.failure().is_none());
    assert_eq!(cache.bytes(), 0);
    until(|| fake.told.lock().unwrap().here.is_empty());
    // Who needs it is told.
    cache.chose(1, &[3]);
    assert!(cache.ask(1, &[3]) && !cache.wait(1, &[3]));
    cache.let_go(1, &[3]);
    assert!(cache.failure().is_some());
}

/// Steps of one layer with guesses at `other` in between, right and wrong.
fn steps(cache: &ExpertCache, fake: &Fake, layer: usize, other: usize, seed: &mut u64) {
    for _ in 0..40 {
        let experts: Vec<usize> = (0..EXPERTS).filter(|_| random(seed, 3) == 0).collect();
        let run = cache.rounds(layer, &experts).into_iter().next().unwrap_or(0..0);
        let experts = &experts[run];
        cache.chose(layer, experts);
        assert!(cache.ask(layer, experts));
        if random(seed, 4) > 0 {
            let rank = random(seed, 3);
            let guesses = (0..rank + 1).map(|rank| Guess { expert: random(seed, EXPERTS), rank });
            cache.expect(other, &guesses.collect::<Vec<_>>());
            if random(seed, 2) == 0 {
                std::thread::yield_now();
            }
        }
        assert!(cache.wait(layer, experts));
        let told = fake.told.lock().unwrap();
        let mut bytes = experts.iter().flat_map(|expert| parts()[layer][*expert].clone()).flatten();
        assert!(bytes.all(|byte| told.here.contains(&byte)));
        drop(told);
        cache.let_go(layer, experts);
    }
}

#[test]
fn guesses_of_several_at_once_hold_nobody_up_and_stay_within_the_budget() {
    for (seed, budget) in (0..200).zip([26, 40, 70].into_iter().cycle()) {
        let fake = Fake::default();
        let cache = cache(&fake, budget);
        (0..2).for_each(|layer| trust(&cache, layer));
        std::thread::scope(|scope| {
            for layer in 0..2 {
                let (cache, fake) = (&cache, &fake);
                let mut seed = 2 * seed + layer as u64;
                scope.spawn(move || steps(cache, fake, layer, 1 - layer, &mut seed));
            }
        });
        assert!(fake.told.lock().unwrap().most <= budget);
        assert!(cache.bytes() <= budget && cache.failure().is_none());
    }
}
