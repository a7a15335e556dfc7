//! How many tokens of prompts are computed beside answers, so that answers go on in time.

use std::time::Duration;

/// Fewer are never asked for: a step that reads all weights for them costs about as much as one
/// for a single token.
const LEAST: usize = 16;

/// Measures steps, and says how much of a prompt goes beside answers. A prompt's tokens cost more
/// the deeper they stand, so that no count of them holds answers up for the same time.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// Tokens of prompts beside answers: now, and at most.
    tokens: usize,
    most: usize,
    /// How much longer a step may take for them, where steps without are not slower than that.
    patience: Duration,
    /// How long the last step took that had answers only.
    quiet: Duration,
}

impl Pace {
    pub fn new(most: usize, patience: Duration) -> Pace {
        Pace { tokens: most, most, patience, quiet: Duration::ZERO }
    }

    /// Tokens of prompts that go beside answers.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Learns how long a step with answers took, given its tokens of prompts.
    pub fn took(&mut self, prompt_tokens: usize, time: Duration) {
        if prompt_tokens == 0 {
            self.quiet = time;
            return;
        }
        let more = time.saturating_sub(self.quiet).as_secs_f64().max(1e-9);
        let room = self.patience.max(self.quiet).as_secs_f64();
        let fit = (prompt_tokens as f64 * room / more) as usize;
        // One fast step says little where it had few tokens.
        let least = LEAST.min(self.most);
        self.tokens = fit.clamp(least, self.most).min((self.tokens * 2).max(least));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn deep_prompts_come_in_smaller_pieces() {
        let mut pace = Pace::new(256, ms(100));
        assert_eq!(pace.tokens(), 256);
        pace.took(0, ms(20));
        pace.took(256, ms(420));
        assert_eq!(pace.tokens(), 64);
        pace.took(64, ms(20));
        assert_eq!(pace.tokens(), 128);
        pace.took(128, ms(20_000));
        assert_eq!(pace.tokens(), 16);
    }

    #[test]
    fn beside_slow_answers_a_prompt_takes_as_long_as_they() {
        let mut pace = Pace::new(256, ms(100));
        pace.took(0, ms(500));
        pace.took(100, ms(1500));
        assert_eq!(pace.tokens(), 50);
    }

    #[test]
    fn a_small_bound_holds() {
        let mut pace = Pace::new(3, ms(100));
        pace.took(3, ms(900));
        assert_eq!(pace.tokens(), 3);
    }
}
