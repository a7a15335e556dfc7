//! A pass being written down.

use super::packing::Formats;
use super::scratch::{Element, Lent, Scratch};
use super::tape::{Matrices, Operation, Part, Product, Shape, Tape, Weight, Work};
use baimo_blueprint::{Linear, Norm, NormKind, Tensor};
use baimo_kernels::Format;
use baimo_kernels::attention::KvLayout;
use baimo_kernels::matmul::{InputKind, gate_numbers, input_kind, packed_bytes};
use baimo_weights::Role;
use std::cell::{Cell, RefCell};

/// A pass being written down: [`super::walk`] goes through the Blueprint as the decoder does.
pub(super) struct Pass<'a> {
    pub shape: Shape,
    pub formats: Formats<'a>,
    pub scratch: Scratch,
    pub tape: RefCell<Tape>,
    pub part: Cell<Part>,
    /// Positions that rows of the last layer with an indexer choose.
    pub chosen: Cell<Option<usize>>,
    /// What the last layer with keys and values of its own caches.
    pub kept: Cell<Option<KvLayout>>,
    /// Tensors that several layers have together.
    pub shared: RefCell<Vec<Tensor>>,
}

/// A linear map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Map {
    pub matrices: Matrices,
    pub biased: bool,
}

impl Pass<'_> {
    pub fn rows(&self) -> usize {
        self.shape.total()
    }

    pub fn floats(&self, len: usize) -> Lent {
        self.scratch.lend(Element::Float, len)
    }

    pub fn does(&self, operation: Operation) {
        self.tape.borrow_mut().operations.push(operation);
    }

    pub fn works(&self, work: Work, numbers: usize) {
        self.does(Operation::Numbers(work, numbers));
    }

    /// Whether a tensor is met for the first time.
    pub fn is_first(&self, tensor: &Tensor) -> bool {
        let mut shared = self.shared.borrow_mut();
        let is_first = !shared.contains(tensor);
        if is_first {
            shared.push(tensor.clone());
        }
        is_first
    }

    /// Every thread keeps so many numbers from one operation to the next.
    pub fn keep_for_threads(&self, numbers: usize) {
        let mut tape = self.tape.borrow_mut();
        tape.workspace = tape.workspace.max(numbers);
    }

    /// Runs `walk` while weights are of `part`.
    pub fn within<T>(&self, part: Part, walk: impl FnOnce() -> T) -> T {
        let before = self.part.replace(part);
        let result = walk();
        self.part.set(before);
        result
    }

    /// Matrices of a tensor `[.., outputs, inputs]`, of which the first dimensions count alike ones
    /// where `count` is more than one.
    pub fn matrices(&self, tensor: &Tensor, role: Role, count: usize) -> Matrices {
        let format = self.formats.of(tensor, role);
        let (columns, outer) = tensor.shape.split_last().expect("a matrix has columns");
        let rows = outer.iter().product::<usize>() / count.max(1);
        let matrices = Matrices { format, rows, columns: *columns, count };
        let packed = packed_bytes(format, rows, *columns).unwrap_or(usize::MAX / 2);
        let scales = if format == Format::F8E4M3 {
            rows.next_multiple_of(16) * columns.div_ceil(128) * size_of::<f32>()
        } else {
            0
        };
        self.tape.borrow_mut().weights.push(Weight {
            part: self.part.get(),
            matrices,
            packed: packed.saturating_mul(count),
            own: scales * count,
        });
        matrices
    }

    /// A vector, kept as so many numbers.
    pub fn vector(&self, kept: usize) {
        let matrices = Matrices { format: Format::F32, rows: 1, columns: kept, count: 1 };
        let own = kept * size_of::<f32>();
        let part = Part::Vectors;
        self.tape.borrow_mut().weights.push(Weight { part, matrices, packed: 0, own });
    }

    pub fn map(&self, linear: &Linear, role: Role) -> Map {
        let matrices = self.matrices(&linear.weight, role, 1);
        linear.bias.iter().for_each(|bias| self.vector(bias.elements()));
        Map { matrices, biased: linear.bias.is_some() }
    }

    /// What products with these formats make of inputs of so many numbers, once for all.
    pub fn inputs(&self, numbers: usize, formats: impl IntoIterator<Item = Format>) -> Vec<Lent> {
        let asked: Vec<InputKind> = formats.into_iter().map(input_kind).collect();
        let kinds = [
            (InputKind::Int8, Element::Int8, Work::Int8),
            (InputKind::Int8Groups, Element::Int8Groups, Work::Int8),
            (InputKind::Int16, Element::Int16, Work::Int16),
        ];
        let wanted = kinds.into_iter().filter(|(kind, ..)| asked.contains(kind));
        let lend = |(kind, element, work): (InputKind, _, _)| {
            self.works(work, numbers);
            self.scratch.lend(element, numbers / kind.block().0)
        };
        wanted.map(lend).collect()
    }

    /// Products in one region.
    pub fn products(&self, list: Vec<Product>) {
        let gated = list.iter().filter(|product| product.gated);
        let gates = gated.map(|product| gate_numbers(product.matrices.format)).max();
        let each = gates.map_or(0, |_| self.shape.threads);
        let _kept: Vec<Lent> = (0..each).map(|_| self.floats(gates.unwrap_or(0))).collect();
        self.does(Operation::Products(list));
    }

    /// All rows through several maps at once.
    pub fn apply_all(&self, rows: usize, maps: &[Map]) -> Vec<Lent> {
        let columns = maps[0].matrices.columns;
        let formats = maps.iter().map(|map| map.matrices.format);
        let _inputs = self.inputs(rows * columns, formats);
        let outputs: Vec<Lent> =
            maps.iter().map(|map| self.floats(rows * map.matrices.rows)).collect();
        self.products(maps.iter().map(|map| Product::of(map.matrices, rows)).collect());
        for map in maps.iter().filter(|map| map.biased) {
            self.works(Work::Copy, rows * map.matrices.rows);
        }
        outputs
    }

    pub fn apply(&self, rows: usize, map: Map) -> Lent {
        self.apply_all(rows, &[map]).pop().expect("an output for each map")
    }

    /// Takes the weights of a norm.
    pub fn norm_weights(&self, norm: &Norm) {
        let weighted = norm.weight.is_some() || norm.times.is_some() || norm.scale != 1.0;
        if weighted {
            self.vector(norm.weight.as_ref().map_or(norm.width, Tensor::elements));
        }
        match &norm.kind {
            NormKind::Rms => (),
            NormKind::Layer { bias } => bias.iter().for_each(|bias| self.vector(bias.elements())),
        }
    }

    /// A norm of so many numbers.
    pub fn norm(&self, norm: &Norm, numbers: usize) -> Lent {
        self.norm_weights(norm);
        let out = self.floats(numbers);
        self.works(Work::Norm, numbers);
        out
    }

    /// A norm in place, of each head's slice.
    pub fn head_norm(&self, norm: &Norm, numbers: usize) {
        self.norm_weights(norm);
        self.works(Work::HeadNorm, numbers);
    }
}
