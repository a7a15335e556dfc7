//! The inputs of products: rows of floats, and the same rows in 8 bits for quantized weights.

use std::sync::Mutex;

use super::layout::BLOCK;
use super::matrix::Matrix;
use super::scalar;
use crate::{Isa, Kernels};

/// Input rows `[rows, columns]`, quantized at most once for all matrices that take them: query, key
/// and value; gate and up; every expert.
pub struct Activations<'a> {
    floats: &'a [f32],
    rows: usize,
    columns: usize,
    int8: Option<Vec<Int8Block>>,
}

/// 32 columns of a row in 8 bits: `value = scale * code`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub(super) struct Int8Block {
    /// -127..=127.
    pub codes: [i8; BLOCK],
    /// The largest magnitude / 127; NaN if a value was NaN.
    pub scale: f32,
    /// The sums of codes 0..16 and 16..32.
    pub sums: [i16; 2],
}

impl Int8Block {
    const ZERO: Int8Block = Int8Block { codes: [0; BLOCK], scale: 0.0, sums: [0; 2] };
}

/// Rows below which another thread costs more than it saves.
const PARALLEL_ROWS: usize = 8;

impl<'a> Activations<'a> {
    /// Takes rows of `columns` floats and prepares them for `for_weights`.
    ///
    /// # Panics
    /// If `floats` is not whole rows or a matrix has another number of columns.
    pub fn new<'m>(
        kernels: &Kernels,
        floats: &'a [f32],
        columns: usize,
        for_weights: impl IntoIterator<Item = &'m Matrix>,
    ) -> Activations<'a> {
        assert!(columns > 0 && floats.len().is_multiple_of(columns), "activation rows come whole");
        let mut quantized = false;
        for weights in for_weights {
            assert_eq!(weights.columns(), columns, "weights take rows as long as these");
            quantized |= weights.format().is_quantized();
        }
        let rows = floats.len() / columns;
        let int8 = quantized.then(|| quantize_rows(kernels, floats, rows));
        Activations { floats, rows, columns, int8 }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Whether it was prepared for quantized weights.
    pub(super) fn is_quantized(&self) -> bool {
        self.int8.is_some()
    }

    pub(super) fn float_row(&self, row: u32) -> &[f32] {
        &self.floats[row as usize * self.columns..][..self.columns]
    }

    pub(super) fn int8_row(&self, row: u32) -> &[Int8Block] {
        let blocks = self.columns / BLOCK;
        let int8 = self.int8.as_ref().expect("products checks that they were quantized");
        &int8[row as usize * blocks..][..blocks]
    }
}

fn quantize_rows(kernels: &Kernels, floats: &[f32], rows: usize) -> Vec<Int8Block> {
    let mut int8 = vec![Int8Block::ZERO; floats.len() / BLOCK];
    if rows < PARALLEL_ROWS || kernels.pool.threads() == 1 {
        quantize(kernels.isa, floats, &mut int8);
        return int8;
    }
    let blocks_per_chunk = int8.len().div_ceil(kernels.pool.threads() * 4);
    // Each chunk is locked once, by the one thread that gets it: a proof for the compiler.
    let chunks: Vec<_> = floats
        .chunks(blocks_per_chunk * BLOCK)
        .zip(int8.chunks_mut(blocks_per_chunk))
        .map(Mutex::new)
        .collect();
    kernels.pool.run(chunks.len(), &|chunk| {
        let mut chunk = chunks[chunk].lock().expect("no chunk panics");
        let (floats, int8) = &mut *chunk;
        quantize(kernels.isa, floats, int8);
    });
    drop(chunks);
    int8
}

/// 32 floats for each block.
fn quantize(isa: Isa, floats: &[f32], out: &mut [Int8Block]) {
    match isa {
        Isa::Scalar => scalar::quantize(floats, out),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Avx2` exists only where the instructions were seen.
        Isa::Avx2(_) => unsafe { super::avx2::quantize(floats, out) },
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Avx2(_) => scalar::quantize(floats, out),
    }
}
