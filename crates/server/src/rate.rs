//! A rate, kept as a bucket that fills steadily and is emptied by what is used.

use std::time::{Duration, Instant};

/// What may be used now. It fills within a minute, and a use may leave it below empty.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// What a full one holds; `None` where there is no limit.
    size: Option<f64>,
    level: f64,
    seen: Instant,
}

impl Bucket {
    /// Full, of so much a minute; 0 is no limit.
    pub fn per_minute(limit: u32, now: Instant) -> Bucket {
        let size = f64::from(limit);
        Bucket { size: (limit > 0).then_some(size), level: size, seen: now }
    }

    /// Takes `amount` out.
    ///
    /// # Errors
    /// How long to wait until there is so much; nothing is taken then.
    pub fn take(&mut self, amount: f64, now: Instant) -> Result<(), Duration> {
        match self.missing(amount, now) {
            Some(wait) => Err(wait),
            None => {
                self.level -= amount;
                Ok(())
            }
        }
    }

    /// How long to wait until it is not empty; `None` where it is not.
    pub fn wait(&mut self, now: Instant) -> Option<Duration> {
        self.missing(f64::MIN_POSITIVE, now)
    }

    /// Takes `amount` out, whether it is there or not.
    pub fn spend(&mut self, amount: f64, now: Instant) {
        self.fill(now);
        self.level -= amount;
    }

    fn missing(&mut self, amount: f64, now: Instant) -> Option<Duration> {
        self.fill(now);
        let size = self.size?;
        let missing = amount - self.level;
        (missing > 0.0).then(|| Duration::from_secs_f64(missing * 60.0 / size))
    }

    fn fill(&mut self, now: Instant) {
        if let Some(size) = self.size {
            let passed = now.saturating_duration_since(self.seen).as_secs_f64();
            self.level = (self.level + passed * size / 60.0).min(size);
        }
        self.seen = self.seen.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_more_is_taken_than_a_full_bucket_and_what_flowed_in(
            limit in 1..100u32,
            steps in prop::collection::vec((0..20_000u64, 1..4u32), 1..200),
        ) {
            let start = Instant::now();
            let mut bucket = Bucket::per_minute(limit, start);
            let (mut now, mut taken) = (start, 0.0);
            for (milliseconds, amount) in steps {
                now += Duration::from_millis(milliseconds);
                if bucket.take(f64::from(amount), now).is_ok() {
                    taken += f64::from(amount);
                }
                let flowed = (now - start).as_secs_f64() * f64::from(limit) / 60.0;
                prop_assert!(taken <= f64::from(limit) + flowed + 1e-6);
            }
        }

        #[test]
        fn who_waits_as_long_as_is_said_is_served(limit in 1..100u32, spent in 0..10_000u32) {
            let now = Instant::now();
            let mut bucket = Bucket::per_minute(limit, now);
            bucket.spend(f64::from(spent), now);
            if let Err(wait) = bucket.take(1.0, now) {
                let later = now + wait + Duration::from_millis(1);
                prop_assert!(bucket.take(1.0, later).is_ok());
            }
        }
    }

    #[test]
    fn without_a_limit_there_is_no_end() {
        let now = Instant::now();
        let mut bucket = Bucket::per_minute(0, now);
        bucket.spend(1e12, now);
        assert_eq!(bucket.wait(now), None);
        assert_eq!(bucket.take(1e12, now), Ok(()));
    }
}
