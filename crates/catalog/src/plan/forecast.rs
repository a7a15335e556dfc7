//! How fast a model will be, by the length of what is in its cache.

use super::chips::{COMPUTING, Chip, READING};
use super::machine::Machine;
use super::memory::{Memory, Question};
use super::scratch::Scratch;
use super::tape::{Part, Shape, Tape};
use super::walk::walk;
use baimo_kernels::Format;
use serde::Serialize;
use std::collections::BTreeMap;

/// Where a model is to run.
#[derive(Clone, Debug)]
pub enum Host {
    /// A machine that was measured.
    Measured(Box<Machine>),
    /// A chip by its sheet.
    Sheet(Box<Chip>),
}

/// What is foreseen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// Of which machine.
    pub machine: String,
    /// What the figures rest on.
    pub basis: String,
    /// Positions in the cache upwards.
    pub points: Vec<Point>,
}

/// Speed and memory where so many positions are in the cache of each user.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Positions in the cache.
    pub context: usize,
    /// Tokens of a prompt a second; absent where the sheet does not tell.
    pub prompt_tokens_per_second: Option<f64>,
    /// Tokens of answers a second, those of all users together.
    pub answer_tokens_per_second: Option<f64>,
    /// Bytes of memory in all.
    pub memory: usize,
}

/// Seconds by the names of kinds of operations.
pub type Kinds = BTreeMap<String, f64>;

impl Host {
    /// Seconds of a pass of that shape.
    pub fn seconds(&self, question: &Question, shape: &Shape) -> Option<f64> {
        let tape = tape(question, shape);
        match self {
            Host::Measured(machine) => Some(machine.seconds(&tape, shape)),
            Host::Sheet(chip) => chip.seconds(&tape, shape),
        }
    }

    /// Tokens a second of a prompt's next piece behind so many positions.
    pub fn prompt(&self, question: &Question, position: usize) -> Option<f64> {
        let rows = question.chunk;
        Some(rows as f64 / self.seconds(question, &question.shape(1, rows, position))?)
    }

    /// Tokens a second of all users' answers behind so many positions.
    pub fn answer(&self, question: &Question, position: usize) -> Option<f64> {
        let shape = question.shape(question.users, 1, position);
        Some(question.users as f64 / self.seconds(question, &shape)?)
    }

    /// Seconds of a pass by kinds of operations, where that is known: to see what a forecast rests
    /// on.
    pub fn by_kind(&self, question: &Question, rows: usize, position: usize) -> Kinds {
        let Host::Measured(machine) = self else { return Kinds::new() };
        let shape = question.shape(1, rows, position);
        let tape = tape(question, &shape);
        let mut kinds = Kinds::new();
        let seconds = machine.by_operation(&tape, &shape);
        for (operation, seconds) in tape.operations.iter().zip(seconds) {
            *kinds.entry(operation.kind()).or_default() += seconds;
        }
        kinds
    }

    /// Speed and memory at contexts up to the one that is asked for.
    pub fn forecast(&self, question: &Question) -> Forecast {
        let (machine, basis) = match self {
            Host::Measured(machine) => {
                let Machine { name, date, threads, instructions, .. } = &**machine;
                let basis = format!("measured {date}, {threads} threads, {instructions}");
                (name.clone(), basis)
            }
            Host::Sheet(chip) => {
                let [reading, computing] = [READING, COMPUTING].map(|share| 100.0 * share);
                let basis = format!(
                    "its sheet: {reading:.0} % of its bandwidth and {computing:.0} % of its \
                     operations are assumed to be reached; not measured"
                );
                (chip.what.clone(), basis)
            }
        };
        let point = |context: usize| Point {
            context,
            prompt_tokens_per_second: self.prompt(question, context),
            answer_tokens_per_second: self.answer(question, context),
            memory: Memory::of(&Question { context: context.max(1), ..*question }).total,
        };
        Forecast { machine, basis, points: contexts(question.context).map(point).collect() }
    }
}

/// What a pass of that shape does.
pub fn tape(question: &Question, shape: &Shape) -> Tape {
    walk(question.blueprint, question.packing, *shape, &Scratch::default())
}

/// The formats that the model's weights are computed in.
pub fn formats(question: &Question) -> Vec<Format> {
    let mut formats = Vec::new();
    for weight in tape(question, &question.shape(1, 1, 0)).weights {
        let format = weight.matrices.format;
        if weight.part != Part::Vectors && !formats.contains(&format) {
            formats.push(format);
        }
    }
    formats
}

/// Zero, some powers of two, and the last.
fn contexts(last: usize) -> impl Iterator<Item = usize> {
    let between = (10..usize::BITS).map(|power| 1 << power).take_while(move |&at| at < last);
    std::iter::once(0).chain(between).chain([last])
}

#[cfg(test)]
mod tests {
    use super::contexts;

    #[test]
    fn contexts_go_from_nothing_to_what_was_asked() {
        assert_eq!(contexts(5000).collect::<Vec<_>>(), [0, 1024, 2048, 4096, 5000]);
        assert_eq!(contexts(1024).collect::<Vec<_>>(), [0, 1024]);
        assert_eq!(contexts(1).collect::<Vec<_>>(), [0, 1]);
    }
}
