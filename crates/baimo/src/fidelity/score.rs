//! How far one distribution over the next token is from another, and what a text says of that.

use serde_json::{Value, json};

/// Standard errors to each side of a mean that hold it in 95 of 100 texts, were chunks independent
/// and many.
const INTERVAL: f64 = 1.96;

/// What one position showed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Position {
    /// `-ln` of what each model gave the token that came.
    pub surprise: [f64; 2],
    /// The Kullback-Leibler divergence of the second distribution from the first, in nats.
    pub divergence: f64,
    /// Whether both have the same likeliest token.
    pub same: bool,
}

impl Position {
    /// Of both models' logits after a token, and the token that came next.
    pub fn new(logits: [&[f32]; 2], next: u32) -> Position {
        let [p, q] = logits.map(Distribution::new);
        let pairs = p.logits.iter().zip(q.logits);
        let divergence = pairs.map(|(a, b)| {
            let (a, b) = (f64::from(*a) - p.sum, f64::from(*b) - q.sum);
            // A token that is impossible at first adds nothing.
            if a == f64::NEG_INFINITY { 0.0 } else { a.exp() * (a - b) }
        });
        Position {
            // Rounding may leave it below zero by a hair.
            divergence: divergence.sum::<f64>().max(0.0),
            surprise: [&p, &q].map(|d| d.sum - f64::from(d.logits[next as usize])),
            same: p.best == q.best,
        }
    }
}

/// Logits with what makes probabilities of them.
struct Distribution<'a> {
    logits: &'a [f32],
    /// The logarithm of the sum of their exponentials.
    sum: f64,
    best: usize,
}

impl Distribution<'_> {
    fn new(logits: &[f32]) -> Distribution<'_> {
        let pairs = logits.iter().enumerate();
        let (best, most) = pairs.fold((0, f32::NEG_INFINITY), |best, (index, logit)| {
            if *logit > best.1 { (index, *logit) } else { best }
        });
        let most = f64::from(most);
        let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - most).exp()).sum();
        Distribution { logits, sum: most + sum.ln(), best }
    }
}

/// A mean, and half the width of its interval where more than one chunk tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The mean.
    pub value: f64,
    /// To each side of it.
    pub half: Option<f64>,
}

impl Mean {
    /// Of a number of each position: the means of chunks, which have equally many, show how far it
    /// varies, as neighbours in a text are alike.
    fn new(chunks: &[Vec<Position>], of: impl Fn(&Position) -> f64) -> Mean {
        let mean = |chunk: &Vec<Position>| chunk.iter().map(&of).sum::<f64>() / chunk.len() as f64;
        let means: Vec<f64> = chunks.iter().map(mean).collect();
        let count = means.len() as f64;
        let value = means.iter().sum::<f64>() / count;
        let squares: f64 = means.iter().map(|mean| (mean - value).powi(2)).sum();
        let half = (means.len() > 1).then(|| INTERVAL * (squares / (count - 1.0) / count).sqrt());
        Mean { value, half }
    }

    /// `0.0123 ± 0.0004`.
    pub fn text(self, digits: usize) -> String {
        match self.half {
            Some(half) => format!("{:.digits$} ± {half:.digits$}", self.value),
            None => format!("{:.digits$}", self.value),
        }
    }

    fn scaled(self, by: f64) -> Mean {
        Mean { value: self.value * by, half: self.half.map(|half| half * by) }
    }

    fn json(self) -> Value {
        match self.half {
            Some(half) => {
                json!({ "value": self.value, "low": self.value - half, "high": self.value + half })
            }
            None => json!({ "value": self.value }),
        }
    }
}

/// What a text showed.
pub struct Report {
    /// Of each model: `exp` of the mean surprise. Its interval is that of the surprise, to the
    /// first order.
    pub perplexity: [Mean; 2],
    /// The logarithm of the second perplexity over the first.
    pub ratio: Mean,
    /// The mean divergence.
    pub divergence: Mean,
    /// The divergence that so many in a thousand positions do not exceed.
    pub divergence_at: Vec<(usize, f64)>,
    /// In percent of positions.
    pub same: Mean,
}

/// In thousandths: the median and the tail.
const PARTS: [usize; 5] = [500, 900, 990, 999, 1000];

impl Report {
    /// Of chunks with equally many positions.
    pub fn new(chunks: &[Vec<Position>]) -> Report {
        let perplexity = [0, 1].map(|model: usize| {
            let surprise = Mean::new(chunks, |position| position.surprise[model]);
            let value = surprise.value.exp();
            Mean { value, half: surprise.half.map(|half| half * value) }
        });
        let mut divergences: Vec<f64> =
            chunks.iter().flatten().map(|position| position.divergence).collect();
        divergences.sort_by(f64::total_cmp);
        Report {
            perplexity,
            ratio: Mean::new(chunks, |position| position.surprise[1] - position.surprise[0]),
            divergence: Mean::new(chunks, |position| position.divergence),
            divergence_at: PARTS.map(|part| (part, at(&divergences, part))).to_vec(),
            same: Mean::new(chunks, |position| f64::from(position.same)).scaled(100.0),
        }
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let [median, p90, p99, p999, max] =
            [0, 1, 2, 3, 4].map(|part: usize| self.divergence_at[part].1);
        json!({
            "perplexity": self.perplexity.map(Mean::json),
            "ln_perplexity_ratio": self.ratio.json(),
            "kl": {
                "mean": self.divergence.json(),
                "median": median, "p90": p90, "p99": p99, "p99_9": p999, "max": max,
            },
            "same_top_percent": self.same.json(),
            "interval": "95 %: 1.96 standard errors of the chunks' means",
        })
    }
}

/// What `part` thousandths of sorted numbers do not exceed; between two of them in proportion.
fn at(sorted: &[f64], part: usize) -> f64 {
    let place = (sorted.len() - 1) as f64 * part as f64 / 1000.0;
    let (low, share) = (place.floor() as usize, place.fract());
    let high = sorted[(low + 1).min(sorted.len() - 1)];
    sorted[low] + share * (high - sorted[low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_pair_of_distributions_has_its_divergence() {
        // Of (3/4, 1/4) from itself, and of (1/2, 1/2) from it.
        let p = [3f32.ln() + 5.0, 5.0];
        let same = Position::new([&p, &p], 0);
        assert!(same.divergence < 1e-12 && same.same);
        assert!((same.surprise[0] - (4.0f64 / 3.0).ln()).abs() < 1e-6);
        let other = Position::new([&p, &[-2.0, -2.0]], 1);
        let wanted = 0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln();
        assert!((other.divergence - wanted).abs() < 1e-6, "{other:?}");
        assert!((other.surprise[1] - 2f64.ln()).abs() < 1e-12);
        assert!(!Position::new([&p, &[0.0, 1.0]], 0).same);
    }

    #[test]
    fn an_impossible_token_adds_nothing() {
        let p = [0.0, f32::NEG_INFINITY];
        assert_eq!(Position::new([&p, &[0.0, 0.0]], 0).divergence, 2f64.ln());
    }

    #[test]
    fn means_and_parts_are_those_of_the_numbers() {
        let position = |divergence: f64| Position {
            divergence,
            surprise: [divergence, 2.0 * divergence],
            same: divergence < 2.5,
        };
        let chunks = [[1.0, 3.0], [2.0, 6.0]].map(|pair| pair.map(position).to_vec());
        let report = Report::new(&chunks);
        assert_eq!(report.divergence.value, 3.0);
        // The means 2 and 4 have a standard error of 1.
        assert!((report.divergence.half.expect("two chunks") - 1.96).abs() < 1e-12);
        let wanted = [(500, 2.5), (900, 5.1), (990, 5.91), (999, 5.991), (1000, 6.0)];
        for ((part, found), (of, value)) in report.divergence_at.iter().zip(wanted) {
            assert!(*part == of && (found - value).abs() < 1e-12, "{part} {found} {value}");
        }
        assert_eq!(report.perplexity[1].value, 6f64.exp());
        assert_eq!(report.same.value, 50.0);
        assert_eq!(Report::new(&chunks[..1]).divergence.half, None);
    }
}
