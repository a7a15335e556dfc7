//! Stop strings in a stream of text.

use aho_corasick::{AhoCorasick, MatchKind};

/// Watches streamed text for stop strings, and holds back text that might be the start of one.
#[derive(Debug)]
pub struct StopMatcher {
    stops: Vec<String>,
    matcher: AhoCorasick,
    held: String,
    stopped: bool,
}

/// What a push let through.
#[derive(Debug, PartialEq)]
pub struct StopOutcome {
    /// Text that is safe to show.
    pub text: String,
    /// The stop string that was found, if one was; it and all after it are not shown.
    pub stop: Option<String>,
}

impl StopMatcher {
    /// Watches for any of `stops`; empty strings stop nothing.
    ///
    /// # Panics
    /// If the strings together are gigabytes long.
    pub fn new(stops: &[String]) -> StopMatcher {
        let mut stops: Vec<_> = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        // Of two that begin at one place the shorter is whole first, however the text is cut.
        stops.sort_by_key(String::len);
        let matcher = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(&stops)
            .expect("stop strings fit an automaton");
        StopMatcher { stops, matcher, held: String::new(), stopped: false }
    }

    /// Takes more text. After a stop was found, everything is swallowed.
    pub fn push(&mut self, text: &str) -> StopOutcome {
        if self.stopped {
            return StopOutcome { text: String::new(), stop: None };
        }
        self.held += text;
        let found = self.matcher.find(&self.held).map(|found| (found.start(), found.pattern()));
        let safe = self.safe_length();
        match found {
            // An earlier, longer stop string may still be coming: wait for it to be decided.
            Some((start, pattern)) if start <= safe => {
                self.stopped = true;
                self.held.truncate(start);
                let stop = Some(self.stops[pattern.as_usize()].clone());
                StopOutcome { text: std::mem::take(&mut self.held), stop }
            }
            _ => StopOutcome { text: self.held.drain(..safe).collect(), stop: None },
        }
    }

    /// What was held back, when no more text comes and no stop string was found whole.
    pub fn finish(&mut self) -> StopOutcome {
        let held = std::mem::take(&mut self.held);
        if self.stopped {
            return StopOutcome { text: String::new(), stop: None };
        }
        match self.matcher.find(&held) {
            Some(found) => {
                let stop = self.stops[found.pattern().as_usize()].clone();
                self.stopped = true;
                StopOutcome { text: held[..found.start()].to_owned(), stop: Some(stop) }
            }
            None => StopOutcome { text: held, stop: None },
        }
    }

    /// How much of the held text no stop string can begin in.
    fn safe_length(&self) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let from = self.held.floor_char_boundary(self.held.len().saturating_sub(longest));
        let begins_stop = |at: &usize| {
            let tail = &self.held[*at..];
            self.stops.iter().any(|stop| stop.len() > tail.len() && stop.starts_with(tail))
        };
        let starts = self.held[from..].char_indices().map(|(at, _)| from + at);
        starts.clone().find(begins_stop).unwrap_or(self.held.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(stops: &[String], portions: &[&str]) -> (String, Option<String>) {
        let mut matcher = StopMatcher::new(stops);
        let mut shown = String::new();
        let mut stop = None;
        for portion in portions {
            let outcome = matcher.push(portion);
            shown += &outcome.text;
            stop = stop.or(outcome.stop);
        }
        let outcome = matcher.finish();
        (shown + &outcome.text, stop.or(outcome.stop))
    }

    proptest! {
        #[test]
        fn a_stream_cut_anywhere_stops_at_the_same_place(
            text in "[ab停]{0,24}",
            stops in prop::collection::vec("[ab停]{1,4}", 0..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let one_by_one: Vec<String> = text.chars().map(String::from).collect();
            let one_by_one: Vec<&str> = one_by_one.iter().map(String::as_str).collect();
            let cut = text.floor_char_boundary(cut.index(text.len() + 1));
            let whole = run(&stops, &[&text]);
            prop_assert_eq!(&run(&stops, &one_by_one), &whole);
            prop_assert_eq!(&run(&stops, &[&text[..cut], &text[cut..]]), &whole);
            let first = stops.iter().filter_map(|stop| text.find(stop.as_str())).min();
            prop_assert_eq!(&whole.0, &text[..first.unwrap_or(text.len())]);
            prop_assert_eq!(whole.1.is_some(), first.is_some());
        }
    }

    #[test]
    fn text_that_may_begin_a_stop_is_held_and_given_back_when_it_does_not() {
        let mut matcher = StopMatcher::new(&["\n\nUser:".to_owned()]);
        assert_eq!(matcher.push("Yes.\n\nUs").text, "Yes.");
        assert_eq!(matcher.push("ual").text, "\n\nUsual");
        let outcome = matcher.push("\n\nUser: more");
        assert_eq!(outcome.stop.as_deref(), Some("\n\nUser:"));
        assert_eq!(outcome.text, "");
        assert_eq!(matcher.push("swallowed").text, "");
    }
}
