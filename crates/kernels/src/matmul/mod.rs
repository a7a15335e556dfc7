//! `output[t, r] = sum over k of input[t, k] * weights[r, k]`: the one product, for plain layers,
//! for several layers that share an input, and for every expert of a batch.
//!
//! An output is the same, bit for bit, whatever the number of rows beside it, on every instruction
//! set. Float weights take float inputs: each output is one chain of fused multiply-adds along the
//! columns. Quantized weights take inputs in 8 bits (those of 8 bits in 16), with a scale per 32
//! columns (256 for `q4_k`): what shares a scale is summed exactly in integers, the rest in floats
//! along the columns.

mod activations;
#[cfg(target_arch = "x86_64")]
mod ahead;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod codes;
mod lane;
mod layout;
mod matrix;
mod observer;
mod pack;
mod scalar;
mod split;
#[cfg(target_arch = "x86_64")]
mod tiles;

pub use activations::{Activations, InputKind, input_kind};
pub(crate) use activations::{Int8Block, Int8Group, Int16Block};
pub use matrix::{
    BlockScales, LAYOUT_VERSION, Matrix, MatrixBuilder, MatrixId, ROWS_TOGETHER, pack_tiles,
    packed_bytes,
};
pub use observer::{Observer, Seen};

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
use std::cell::RefCell;
use std::iter;
use std::ops::Range;

use crate::activation::Activation;
use crate::lanes::{Lanes, Operation, WIDE, on_wide};
use crate::memory::ask_for_begin;
use crate::{Format, Isa, Kernels};
use layout::{FLOAT_ROWS, QUANTIZED_ROWS, tile_rows};
use split::Split;

/// One matrix times some rows.
pub struct Product<'a> {
    /// `[output columns, input columns]`
    pub weights: &'a Matrix,
    /// What the outputs are multiplied with, if anything.
    pub gate: Option<Gate<'a>>,
    /// The rows, prepared for `weights` and the gate's (see [`Activations::new`]).
    pub input: &'a Activations<'a>,
    /// Which rows of `input`, in the order of the output; all of them if `None`.
    pub input_rows: Option<&'a [u32]>,
    /// `[number of input rows, weights.rows()]`
    pub output: &'a mut [f32],
}

/// Makes a product `activation(gate * input) * (weights * input)`, as SwiGLU has it
/// (arXiv:2002.05202), without storing the two.
#[derive(Clone, Copy)]
pub struct Gate<'a> {
    /// As large and of the same format as the matrix it gates.
    pub weights: &'a Matrix,
    /// Of the gate.
    pub activation: Activation,
}

/// Computes all of `list` in one region; a tile of weights is read once for up to 128 rows.
///
/// # Panics
/// If an output's length, an input's columns, an input row or a gate does not fit.
pub fn products(kernels: &Kernels, list: &mut [Product]) {
    if let Some(observer) = kernels.observer() {
        observer.look(list);
    }
    let jobs: Vec<Job> = list.iter_mut().map(Job::new).collect();
    let split = Split::new(&jobs, kernels.pool.threads());
    kernels.pool.run(split.chunks(), &|chunk| {
        let mut parts = split.of(chunk).peekable();
        while let Some((job, tiles)) = parts.next() {
            // A thread's next chunk is most often the one behind.
            let next = parts.peek().cloned().or_else(|| split.of(chunk + 1).next());
            let elsewhere = next.filter(|next| *next != (job, tiles.end..next.1.end));
            if let Some((next, tiles)) = elsewhere {
                jobs[next].ask_for(tiles.start);
            }
            jobs[job].run(kernels, tiles);
        }
    });
}

/// Input rows computed together: enough to use an unpacked tile often, few enough to stay in cache.
const ROWS_AT_ONCE: usize = 128;

/// Floats of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE_FLOATS: usize = 16;

/// Takes the sums of some tiles: the first's number, then for each of the rows the lanes of all.
type Store<'a, const LANES: usize> = &'a dyn Fn(usize, &[[f32; LANES]]);

/// Tiles of a matrix times rows of the input, on an instruction set.
type Tiles<const LANES: usize> = fn(Isa, &Matrix, Range<usize>, &Activations, &[u32], Store<LANES>);

/// A checked [`Product`] that threads may share.
struct Job<'a> {
    weights: &'a Matrix,
    gate: Option<Gate<'a>>,
    input: &'a Activations<'a>,
    input_rows: Option<&'a [u32]>,
    /// Number of input rows.
    height: usize,
    output: Output<'a>,
}

impl<'a> Job<'a> {
    fn new<'p>(product: &'a mut Product<'p>) -> Job<'a>
    where
        'p: 'a,
    {
        let Product { weights, gate, input, input_rows, ref mut output } = *product;
        assert_eq!(weights.columns(), input.columns(), "an input row for each matrix column");
        if let Some(Gate { weights: gate, .. }) = gate {
            let shape = |matrix: &Matrix| (matrix.rows(), matrix.columns(), matrix.format());
            assert_eq!(shape(gate), shape(weights), "a gate for each output");
        }
        let height = input_rows.map_or(input.rows(), <[u32]>::len);
        assert_eq!(output.len(), height * weights.rows(), "outputs of {height} input rows");
        assert!(input.serves(weights.format()), "the input was prepared without this matrix");
        if let Some(rows) = input_rows {
            let last = rows.iter().max().map_or(0, |row| *row as usize + 1);
            assert!(last <= input.rows(), "input row {last} of {}", input.rows());
        }
        assert!(u32::try_from(input.rows()).is_ok(), "rows are numbered in 32 bits");
        let output = Output::new(output, weights.rows());
        Job { weights, gate, input, input_rows, height, output }
    }

    /// Asks for what computing from `tile` on will read first.
    fn ask_for(&self, tile: usize) {
        let gate = self.gate.map(|gate| gate.weights);
        iter::once(self.weights).chain(gate).for_each(|of| ask_for_begin(of.tile(tile)));
    }

    /// Computes the outputs of `tiles` for all input rows.
    fn run(&self, kernels: &Kernels, tiles: Range<usize>) {
        let mut rows = [0u32; ROWS_AT_ONCE];
        for first in (0..self.height).step_by(ROWS_AT_ONCE) {
            let count = ROWS_AT_ONCE.min(self.height - first);
            let rows = &mut rows[..count];
            match self.input_rows {
                Some(chosen) => rows.copy_from_slice(&chosen[first..first + count]),
                None => rows.iter_mut().zip(first..).for_each(|(row, at)| *row = at as u32),
            }
            if self.weights.format().is_quantized() {
                self.rows(kernels, quantized, tiles.clone(), first, rows);
            } else {
                self.rows(kernels, floats, tiles.clone(), first, rows);
            }
        }
    }

    /// The outputs of `range` for `rows`, which go to the output's from `first` on.
    fn rows<const LANES: usize>(
        &self,
        kernels: &Kernels,
        tiles: Tiles<LANES>,
        range: Range<usize>,
        first: usize,
        rows: &[u32],
    ) {
        let (isa, weights, input) = (kernels.isa, self.weights, self.input);
        let out = first..first + rows.len();
        // As many as ever, so that they wait in one place whatever the number of rows.
        let gates = self.gate.map(|_| kernels.floats(TILES_AT_ONCE * ROWS_AT_ONCE * LANES));
        let gates = RefCell::new(gates.unwrap_or_default());
        for first in range.clone().step_by(TILES_AT_ONCE) {
            let group = first..range.end.min(first + TILES_AT_ONCE);
            self.output.expect::<LANES>(out.clone(), group.clone());
            let Some(gate) = &self.gate else {
                let store: Store<LANES> =
                    &|tile, sums| self.output.store(isa, out.clone(), tile, sums);
                tiles(isa, weights, group, input, rows, store);
                continue;
            };
            let place = |tile: usize, count: usize| {
                let start = (tile - first) * rows.len() * LANES;
                start..start + count * LANES
            };
            tiles(isa, gate.weights, group.clone(), input, rows, &|tile, sums| {
                gates.borrow_mut()[place(tile, sums.len())].copy_from_slice(sums.as_flattened());
            });
            tiles(isa, weights, group, input, rows, &|tile, sums| {
                let gates = &mut gates.borrow_mut()[place(tile, sums.len())];
                gate.activation.gate(isa, gates, sums.as_flattened());
                self.output.store(isa, out.clone(), tile, gates.as_chunks::<LANES>().0);
            });
        }
    }
}

/// Tiles whose outputs are asked for at once, and whose gates are kept until what they gate is
/// there: a multiple of what any kernel takes together.
const TILES_AT_ONCE: usize = 12;

/// Numbers that a thread keeps while it computes a product with a gate of that format.
pub fn gate_numbers(format: Format) -> usize {
    TILES_AT_ONCE * ROWS_AT_ONCE * tile_rows(format)
}

fn quantized(
    isa: Isa,
    weights: &Matrix,
    range: Range<usize>,
    input: &Activations,
    rows: &[u32],
    store: Store<QUANTIZED_ROWS>,
) {
    match isa {
        Isa::Scalar => scalar::quantized_tiles(weights, range, input, rows, store),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Avx2` exists only where the instructions were seen.
        Isa::Avx2(_) => unsafe {
            tiles::quantized_tiles::<avx2::Avx2>(weights, range, input, rows, store);
        },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Avx512` exists only where the instructions were seen.
        Isa::Avx512(_) => unsafe {
            tiles::quantized_tiles::<avx512::Avx512>(weights, range, input, rows, store);
        },
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Avx2(_) | Isa::Avx512(_) => unreachable!("they are only detected on x86-64"),
    }
}

fn floats(
    isa: Isa,
    weights: &Matrix,
    range: Range<usize>,
    input: &Activations,
    rows: &[u32],
    store: Store<FLOAT_ROWS>,
) {
    match isa {
        Isa::Scalar => scalar::float_tiles(weights, range, input, rows, store),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Avx2` exists only where the instructions were seen.
        Isa::Avx2(_) => unsafe { avx2::float_tiles(weights, range, input, rows, store) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Avx512` exists only where the instructions were seen.
        Isa::Avx512(_) => unsafe { avx512::float_tiles(weights, range, input, rows, store) },
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Avx2(_) | Isa::Avx512(_) => unreachable!("they are only detected on x86-64"),
    }
}

/// `[height, width]` floats that chunks write side by side.
struct Output<'a> {
    start: *mut f32,
    len: usize,
    width: usize,
    _borrow: std::marker::PhantomData<&'a mut [f32]>,
}

// SAFETY: threads write through `store` only, each its own tiles' columns: `Split` gives every tile
// to exactly one chunk and the pool runs every chunk once. The buffer outlives the `Job` (borrowed
// mutably for 'a), and floats may be written from any thread.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    fn new(buffer: &'a mut [f32], width: usize) -> Output<'a> {
        let (start, len) = (buffer.as_mut_ptr(), buffer.len());
        Output { start, len, width, _borrow: std::marker::PhantomData }
    }

    /// Asks for the cache lines that `store` will write: the columns of `tiles` in `rows`. They
    /// come while the sums are made; a store would wait for each.
    fn expect<const LANES: usize>(&self, rows: Range<usize>, tiles: Range<usize>) {
        #[cfg(target_arch = "x86_64")]
        for row in rows {
            let columns = tiles.start * LANES..self.width.min(tiles.end * LANES);
            for column in columns.step_by(LINE_FLOATS) {
                let line = self.start.wrapping_add(row * self.width + column);
                // SAFETY: a prefetch has no effect that a program could see, at any address.
                unsafe { _mm_prefetch::<_MM_HINT_ET0>(line.cast()) };
            }
        }
    }

    /// Writes the columns of some tiles, the first of which is `tile`, in `rows`; `sums` has the
    /// tiles of a row side by side. Lanes beyond the last column are dropped.
    fn store<const LANES: usize>(
        &self,
        isa: Isa,
        rows: Range<usize>,
        tile: usize,
        sums: &[[f32; LANES]],
    ) {
        let (column, each) = (tile * LANES, sums.len() / rows.len() * LANES);
        let lanes = each.min(self.width - column);
        if rows.len() == 1 {
            let out = self.part(rows.start, column, lanes);
            // Of a constant size: a call for each tile would cost as much as the copy.
            if let Ok(out) = <&mut [f32; LANES]>::try_from(&mut *out) {
                *out = sums[0];
                return;
            }
            return out.copy_from_slice(&sums.as_flattened()[..lanes]);
        }
        let sums = sums.as_flattened().chunks_exact(each);
        on_wide(isa, StoreRows { output: self, rows, column, lanes, sums });
    }

    /// So many of a row's columns from `column` on.
    #[expect(clippy::mut_from_ref, reason = "disjoint parts of one mutable borrow")]
    #[inline(always)]
    fn part(&self, row: usize, column: usize, lanes: usize) -> &mut [f32] {
        let at = row * self.width + column;
        assert!(at + lanes <= self.len, "tiles lie inside the output");
        // SAFETY: in bounds by the assertion; no other thread touches these columns (see `Sync`
        // above), a thread drops them before it asks for others, and nobody reads before the region
        // has ended.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), lanes) }
    }
}

/// [`Output::store`] of several rows, in vectors as large as there are.
struct StoreRows<'a, 'b> {
    output: &'a Output<'b>,
    rows: Range<usize>,
    column: usize,
    lanes: usize,
    sums: std::slice::ChunksExact<'a, f32>,
}

impl Operation<WIDE> for StoreRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<WIDE>>(self, lanes: L) {
        for (row, sums) in self.rows.zip(self.sums) {
            let out = self.output.part(row, self.column, self.lanes);
            let (vectors, rest) = out.as_chunks_mut::<WIDE>();
            let (sums, last) = sums[..self.lanes].as_chunks::<WIDE>();
            for (out, sums) in vectors.iter_mut().zip(sums) {
                lanes.store(lanes.load(sums), out);
            }
            if !rest.is_empty() {
                rest.copy_from_slice(last);
            }
        }
    }
}
