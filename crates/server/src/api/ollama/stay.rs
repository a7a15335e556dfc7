//! How long a client wants a model to stay loaded.

use super::request::KeepAlive;
use crate::app::App;
use crate::error::Refusal;
use crate::registry::Keep;
use std::time::Duration;

/// How long a model is to stay loaded after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// As the server has it, or as an earlier request said.
    Unsaid,
    /// From this request on.
    Keep(Keep),
    /// Not at all: it is unloaded after the answer.
    Leave,
}

impl Stay {
    /// As a request says it.
    ///
    /// # Errors
    /// No span of time.
    pub fn new(keep_alive: Option<&KeepAlive>) -> Result<Stay, Refusal> {
        let (seconds, found) = match keep_alive {
            None => return Ok(Stay::Unsaid),
            Some(KeepAlive::Seconds(seconds)) => (Some(*seconds), seconds.to_string()),
            Some(KeepAlive::Text(text)) => (seconds(text), text.clone()),
        };
        match seconds {
            Some(0.0) => Ok(Stay::Leave),
            Some(seconds) if seconds < 0.0 => Ok(Stay::Keep(Keep::Forever)),
            Some(seconds) => {
                // More than can be counted is for ever.
                let time = Duration::try_from_secs_f64(seconds);
                Ok(Stay::Keep(time.map_or(Keep::Forever, Keep::For)))
            }
            None => {
                let message = format!("found `{found}`, wanted seconds or a text like 5m");
                Err(Refusal::field("keep_alive", message))
            }
        }
    }

    /// Takes note of it, when the model is there.
    ///
    /// # Errors
    /// No such model.
    pub async fn begin(self, app: &App, model: &str) -> Result<(), Refusal> {
        match self {
            Stay::Keep(keep) => app.registry.keep(Some(model), keep).await,
            Stay::Unsaid | Stay::Leave => Ok(()),
        }
    }

    /// Unloads the model where that was asked for.
    pub async fn end(self, app: &App, model: &str) {
        if self == Stay::Leave
            && let Err(refusal) = app.registry.unload(model).await
        {
            tracing::warn!(model, "cannot unload: {refusal}");
        }
    }
}

/// A span of time as Go writes it, in seconds.
fn seconds(text: &str) -> Option<f64> {
    let units = [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("h", 3600.0)];
    let units = || units.into_iter().chain([("m", 60.0), ("s", 1.0)]);
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, unit) = rest.split_at(digits);
        let number: f64 = number.parse().ok()?;
        if unit.is_empty() {
            // Without a unit, as a number would be.
            return (sum == 0.0).then_some(sign * number);
        }
        let (name, scale) = units().find(|(name, _)| unit.starts_with(name))?;
        sum += number * scale;
        rest = &unit[name.len()..];
    }
    Some(sign * sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_read_as_go_writes_them() {
        for (text, wanted) in
            [("5m", 300.0), ("1h30m", 5400.0), ("-1", -1.0), ("0", 0.0), ("0s", 0.0), ("2.5", 2.5)]
        {
            assert_eq!(seconds(text), Some(wanted), "{text}");
        }
        for text in ["", "-", "5x", "m", "1h5", "five"] {
            assert_eq!(seconds(text), None, "{text}");
        }
        assert_eq!(seconds("300ms"), Some(0.3));
    }
}
