//! How much memory a model takes, part by part.

use super::packing::Packing;
use super::scratch::Scratch;
use super::tape::{Part, Shape, Tape, Weight};
use super::walk::walk;
use baimo_blueprint::{Blueprint, State};
use baimo_kernels::attention::{KvElement, PAGE};
use baimo_model::Caches;
use baimo_weights::store::ALIGNMENT;
use serde::Serialize;

/// What is asked.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The model.
    pub blueprint: &'a Blueprint,
    /// Its weights.
    pub packing: &'a Packing<'a>,
    /// Numbers of cached keys and values.
    pub element: KvElement,
    /// Positions of each sequence, prompt and answer together.
    pub context: usize,
    /// Sequences that run at once.
    pub users: usize,
    /// Threads that compute.
    pub threads: usize,
    /// Rows of a prompt computed at once.
    pub chunk: usize,
    /// Whether packed weights lie in a file that is mapped.
    pub mapped: bool,
    /// Copies of states of fixed size, where somebody keeps them.
    pub copies: Option<Copies>,
}

/// Which copies of states of fixed size are kept, for what begins like an earlier sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copies {
    /// Positions from one to the next.
    pub every: usize,
    /// How many of each sequence beside those, at most.
    pub beside: usize,
    /// Bytes that all of them may take.
    pub bytes_max: usize,
}

/// Memory of a model that runs, in bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Memory {
    /// Packed weights, part by part; those that the model does not have are left out.
    pub weights: Vec<PartBytes>,
    /// Of what weights take, what can be mapped from a file: the system may drop it and read it
    /// again.
    pub weights_mapped: usize,
    /// Of what weights take, what is in this process's own memory in any case.
    pub weights_own: usize,
    /// What is kept for positions and sequences, kind by kind.
    pub states: Vec<StateKind>,
    /// All caches for the positions and sequences that are asked for.
    pub caches: usize,
    /// Results of operations on their way, at their peak.
    pub activations: usize,
    /// Copies of states of fixed size, at most.
    pub snapshots: usize,
    /// The program itself: code's data, stacks, tables.
    pub program: usize,
    /// Beside what is mapped, all of this together.
    pub own: usize,
    /// All of it, with what is mapped.
    pub total: usize,
}

/// Weights of one part of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartBytes {
    /// Which.
    pub part: Part,
    /// Numbers.
    pub parameters: usize,
    /// As packed.
    pub bytes: usize,
    /// The formats they are in, those of most numbers first.
    pub formats: Vec<&'static str>,
}

/// States of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StateKind {
    /// What is kept.
    pub kind: &'static str,
    /// How many layers keep it.
    pub layers: usize,
    /// Bytes for each position.
    pub bytes_per_token: f64,
    /// Bytes for each sequence beside those.
    pub bytes_per_sequence: usize,
    /// Bytes for all positions and sequences.
    pub bytes: usize,
}

/// What the table of a packed file and this process keep of each matrix beside its numbers: a name
/// or two and where they are.
const MATRIX_BYTES: usize = 320;

impl Memory {
    /// Bytes that the program takes without a model: its data, the stacks, the thread pool.
    pub const PROGRAM: usize = 4 << 20;

    /// Of a model that computes prompts and answers of all users.
    pub fn of(question: &Question) -> Memory {
        let Question { blueprint, context, users, threads, .. } = *question;
        let scratch = Scratch::default();
        let rows = question.chunk.min(context).max(1);
        let prompt = question.shape(1, rows, context - rows);
        // The second finds the buffers of the first; answers want others.
        let tape = walk(blueprint, question.packing, prompt, &scratch);
        walk(blueprint, question.packing, prompt, &scratch);
        let answer = question.shape(users, 1, context.saturating_sub(1));
        walk(blueprint, question.packing, answer, &scratch);
        let matrices: usize = tape.weights.iter().map(|weight| weight.matrices.count).sum();
        let placed = if question.mapped { Weight::placed } else { |weight: &Weight| weight.packed };
        let packed: usize = tape.weights.iter().map(placed).sum();
        let own = tape.weights.iter().map(|weight| weight.own).sum::<usize>();
        let lead = blueprint.prefix.as_ref().map_or(0, |prefix| prefix.lead.len());
        let pages = (context + lead).div_ceil(PAGE) * users;
        let slot = Caches::bytes_per_slot(blueprint);
        let caches = pages.saturating_mul(Caches::bytes_per_page(blueprint, question.element));
        let caches = caches.saturating_add(users * slot);
        let activations = scratch.peak() + tape.workspace * threads * size_of::<f32>();
        let snapshots = question.copies.map_or(0, |copies| {
            let each = context / copies.every + copies.beside;
            copies.bytes_max.min(slot.saturating_mul(users * each))
        });
        let program = Memory::PROGRAM + matrices * MATRIX_BYTES;
        let weights_own = own + if question.mapped { 0 } else { packed };
        let weights_mapped = if question.mapped { packed } else { 0 };
        let own = weights_own + caches + activations + snapshots + program;
        Memory {
            weights: parts(&tape),
            weights_mapped,
            weights_own,
            states: states(question, pages),
            caches,
            activations,
            snapshots,
            program,
            own,
            total: own.saturating_add(weights_mapped),
        }
    }

    /// Bytes that one more position of one sequence takes.
    pub fn bytes_per_token(&self) -> f64 {
        self.states.iter().map(|state| state.bytes_per_token).sum()
    }
}

impl Question<'_> {
    /// Sequences that advance together.
    pub(super) fn shape(&self, sequences: usize, rows: usize, position: usize) -> Shape {
        let (element, threads) = (self.element, self.threads);
        Shape { sequences, rows, position, wanted: sequences, element, threads }
    }
}

impl Weight {
    /// Numbers.
    pub fn parameters(&self) -> usize {
        self.matrices.rows * self.matrices.columns * self.matrices.count
    }

    /// Bytes of a file, each matrix on pages of its own.
    fn placed(&self) -> usize {
        let count = self.matrices.count.max(1);
        (self.packed / count).next_multiple_of(ALIGNMENT) * count + self.own
    }
}

fn parts(tape: &Tape) -> Vec<PartBytes> {
    let of = |part: Part| {
        let mine = || tape.weights.iter().filter(move |weight| weight.part == part);
        let mut formats: Vec<(usize, &'static str)> = Vec::new();
        for weight in mine() {
            let (name, count) = (weight.matrices.format.name(), weight.parameters());
            match formats.iter_mut().find(|(_, other)| *other == name) {
                Some((sum, _)) => *sum += count,
                None => formats.push((count, name)),
            }
        }
        formats.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        PartBytes {
            part,
            parameters: mine().map(Weight::parameters).sum(),
            bytes: mine().map(|weight| weight.packed + weight.own).sum(),
            formats: formats.into_iter().map(|(_, name)| name).collect(),
        }
    };
    Part::ALL.into_iter().map(of).filter(|part| part.parameters > 0).collect()
}

/// What is kept in so many pages and by all users.
fn states(question: &Question, pages: usize) -> Vec<StateKind> {
    let mut kinds: Vec<StateKind> = Vec::new();
    for state in question.blueprint.states().into_iter().flatten() {
        let bytes = Caches::bytes_of(state, question.element);
        let kind = match state {
            State::Rows { window: None, .. } => "keys and values",
            State::Rows { window: Some(_), .. } => "keys and values of windows",
            State::LatentRows { .. } => "latents",
            State::Fixed { .. } => "recurrent states",
            State::Keys { .. } => "index keys",
            State::Pooled { .. } => "pooled keys",
        };
        let known = kinds.iter().position(|known| known.kind == kind).unwrap_or_else(|| {
            let none = (0.0, 0, 0);
            let (bytes_per_token, bytes_per_sequence, bytes) = none;
            kinds.push(StateKind { kind, layers: 0, bytes_per_token, bytes_per_sequence, bytes });
            kinds.len() - 1
        });
        kinds[known].layers += 1;
        kinds[known].bytes_per_token += bytes.page as f64 / PAGE as f64;
        kinds[known].bytes_per_sequence += bytes.slot;
        kinds[known].bytes += pages * bytes.page + question.users * bytes.slot;
    }
    kinds
}
