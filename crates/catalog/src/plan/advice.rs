//! What to change where a model does not fit.

use super::memory::{Memory, Question};
use super::packing::{Packing, Stored};
use super::tape::Part;
use baimo_kernels::attention::KvElement;
use baimo_weights::Target;
use serde::Serialize;

/// Whether a model fits into so many bytes, and what would help.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fit {
    /// Bytes that there are.
    pub available: usize,
    /// Bytes that are missing; zero where it fits.
    pub missing: usize,
    /// What to change, in a sentence each, what costs least first.
    pub advice: Vec<String>,
}

/// Weights that take ever less.
const SMALLER: [Target; 3] = [Target::Q8_0, Target::Q6K, Target::Q4K];

/// Positions below which a shorter context is no advice.
const CONTEXT_MIN: usize = 1024;

impl Fit {
    /// Of a model whose memory is known.
    pub fn of(question: &Question, memory: &Memory, available: usize) -> Fit {
        let missing = memory.total.saturating_sub(available);
        let advice = if missing > 0 { advice(question, memory, available) } else { Vec::new() };
        Fit { available, missing, advice }
    }
}

fn advice(question: &Question, memory: &Memory, available: usize) -> Vec<String> {
    let mut found = Vec::new();
    if question.element == KvElement::F32 {
        let smaller = Memory::of(&Question { element: KvElement::F16, ..*question });
        found.push(told("keep keys and values in half precision: `--kv f16`", &smaller, available));
    }
    if question.element != KvElement::Q8 {
        let smaller = Memory::of(&Question { element: KvElement::Q8, ..*question });
        found.push(told("keep keys and values in 8 bits: `--kv q8`", &smaller, available));
    }
    found.extend(shorter(question, memory, available));
    if question.users > 1 {
        let alone = Memory::of(&Question { users: 1, ..*question });
        found.push(told("serve one user at a time: `--users 1`", &alone, available));
    }
    found.extend(smaller_weights(question, memory, available));
    found.extend(experts_on_disk(memory, available));
    if memory.own <= available {
        let text = "run it all the same: what is mapped is read from the disk again and again, \
                    at the disk's speed";
        found.push(text.to_owned());
    }
    found
}

/// The longest context that fits, where a shorter one is enough.
fn shorter(question: &Question, memory: &Memory, available: usize) -> Option<String> {
    let each = memory.bytes_per_token() * question.users as f64;
    let missing = memory.total.saturating_sub(available) as f64;
    if each <= 0.0 {
        return None;
    }
    let kept = question.context as f64 - missing / each;
    let context = (kept.max(0.0) as usize) / CONTEXT_MIN * CONTEXT_MIN;
    (context >= CONTEXT_MIN).then(|| {
        let shorter = Memory::of(&Question { context, ..*question });
        told(&format!("take a shorter context: `--context {context}`"), &shorter, available)
    })
}

/// The first smaller format with which it fits, else the smallest.
fn smaller_weights(question: &Question, memory: &Memory, available: usize) -> Option<String> {
    let mut best = None;
    for target in SMALLER {
        let stored = match &question.packing.stored {
            Stored::Files(checkpoint) => Stored::Files(checkpoint),
            Stored::Said(said) => Stored::Said(*said),
        };
        let packing = Packing { stored, target };
        let smaller = Memory::of(&Question { packing: &packing, ..*question });
        if smaller.total >= memory.total {
            continue;
        }
        let text = format!("quantize the weights: `--weights {}`", target.name());
        best = Some(told(&text, &smaller, available));
        if smaller.total <= available {
            break;
        }
    }
    best
}

/// A budget for experts, where all else fits.
fn experts_on_disk(memory: &Memory, available: usize) -> Option<String> {
    let experts = memory.weights.iter().find(|part| part.part == Part::Experts)?.bytes;
    let beside = memory.total.saturating_sub(experts);
    (memory.weights_mapped > 0 && beside < available).then(|| {
        format!(
            "leave experts on the disk until they are chosen: `--memory {}M` holds {:.0} % of them",
            available >> 20,
            100.0 * (available - beside) as f64 / experts as f64,
        )
    })
}

fn told(what: &str, memory: &Memory, available: usize) -> String {
    let total = memory.total as f64 / f64::from(1 << 30);
    match memory.total.checked_sub(available) {
        None | Some(0) => format!("{what} takes {total:.2} GiB, which fits"),
        Some(_) => format!("{what} takes {total:.2} GiB, still too much alone"),
    }
}
