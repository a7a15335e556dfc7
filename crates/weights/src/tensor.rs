//! What a checkpoint holds: named arrays of numbers.

use std::borrow::Cow;
use std::ops::Range;

use baimo_kernels::format::{self, Format};

use crate::os::MappedFile;

/// Rows and columns of weights that share one scale in a block-scaled FP8 checkpoint
/// (arXiv:2412.19437, section 3.3.2).
pub(crate) const SCALE_BLOCK: [usize; 2] = [128, 128];

/// What the bytes of a tensor are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// Weights, in a format that arithmetic knows.
    Weights(Format),
    /// 64-bit integers: a table, not weights.
    I64,
    /// 32-bit integers.
    I32,
    /// Bytes.
    U8,
    /// Bytes that are 0 or 1.
    Bool,
}

impl Dtype {
    /// The name in messages: `bf16`, `q4_k`, `i64`.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::Weights(format) => format.name(),
            Dtype::I64 => "i64",
            Dtype::I32 => "i32",
            Dtype::U8 => "u8",
            Dtype::Bool => "bool",
        }
    }

    /// Bytes of a row of `columns` elements; `None` if they are no whole blocks or overflow.
    pub fn row_bytes(self, columns: usize) -> Option<usize> {
        match self {
            Dtype::Weights(format) => format.row_bytes(columns),
            Dtype::I64 => columns.checked_mul(8),
            Dtype::I32 => columns.checked_mul(4),
            Dtype::U8 | Dtype::Bool => Some(columns),
        }
    }

    /// Bytes of a tensor of `shape`; `None` if its rows are no whole blocks or the size overflows.
    pub fn bytes(self, shape: &[usize]) -> Option<usize> {
        let (columns, outer) = shape.split_last().map_or((1, shape), |(last, rest)| (*last, rest));
        let rows = outer.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim))?;
        self.row_bytes(columns)?.checked_mul(rows)
    }
}

/// One entry of a checkpoint's table of contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// The name as the file has it.
    pub name: String,
    /// What the bytes are.
    pub dtype: Dtype,
    /// Row-major, outermost first: a linear weight is `[outputs, inputs]` (GGUF stores the
    /// reverse).
    pub shape: Vec<usize>,
    /// Where the bytes lie in the file.
    pub range: Range<usize>,
}

/// Scales outside an FP8 tensor: one for each block of each matrix; a weight is its FP8 value times
/// its block's scale.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockScales {
    /// Rows and columns of a block: 128 of each, or a row, or a whole matrix.
    pub block: [usize; 2],
    /// `[.., ceil(outputs / rows of a block), ceil(inputs / columns of a block)]`.
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Vec<f32>,
}

/// A tensor of a checkpoint. The bytes stay in the mapped file unless a fold had to compute them.
#[derive(Clone, Debug)]
pub struct Tensor<'a> {
    /// The name as the file has it.
    pub name: &'a str,
    /// What the bytes are.
    pub dtype: Dtype,
    /// Row-major, outermost first.
    pub shape: Vec<usize>,
    /// The numbers, little-endian, not aligned.
    pub data: Cow<'a, [u8]>,
    /// For FP8: the scales of its blocks, where the checkpoint has them.
    pub block_scales: Option<BlockScales>,
    /// The file it was found in.
    pub(crate) file: &'a MappedFile,
    /// Where `data` lies in that file; `None` for computed data.
    pub(crate) range: Option<Range<usize>>,
}

impl Tensor<'_> {
    /// How many rows it has: the product of all dimensions but the last; none if the rows are
    /// empty, however many the shape says.
    pub fn rows(&self) -> usize {
        match self.shape.split_last() {
            Some((0, _)) => 0,
            Some((_, outer)) => outer.iter().product(),
            None => 1,
        }
    }

    /// Elements of a row: the last dimension, 1 for a scalar.
    pub fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// The file it was found in.
    pub fn file(&self) -> &std::path::Path {
        self.file.path()
    }

    /// The weights' format; `None` for a table of integers.
    pub fn format(&self) -> Option<Format> {
        match self.dtype {
            Dtype::Weights(format) => Some(format),
            Dtype::I64 | Dtype::I32 | Dtype::U8 | Dtype::Bool => None,
        }
    }

    /// Lets the tensor's pages leave memory; reading `data` again brings them back.
    pub fn release(&self) {
        self.release_bytes(0..self.data.len());
    }

    /// Likewise those of a part of its bytes.
    pub(crate) fn release_bytes(&self, part: Range<usize>) {
        if let Some(file) = &self.range {
            self.file.release(file.start + part.start..file.start + part.end);
        }
    }

    /// The bytes of row `row`.
    pub(crate) fn row(&self, row: usize) -> &[u8] {
        let bytes = self.dtype.row_bytes(self.columns()).expect("checked when the file was read");
        &self.data[row * bytes..][..bytes]
    }

    /// Row `row` as floats, block scales applied. `out`: `[columns]`.
    ///
    /// # Panics
    /// If the tensor is a table of integers or `out` is not one row.
    pub fn dequantize_row(&self, row: usize, out: &mut [f32]) {
        let format = self.format().expect("a row of weights was asked of a table of integers");
        format::dequantize(format, self.row(row), out);
        let Some(scales) = &self.block_scales else { return };
        let columns = scales.block[1];
        for (values, scale) in out.chunks_mut(columns).zip(self.scales_of_row(scales, row)) {
            for value in values {
                *value *= scale;
            }
        }
    }

    /// The scales along row `row`. Each matrix of a stack starts a block of its own.
    pub(crate) fn scales_of_row<'s>(&self, scales: &'s BlockScales, row: usize) -> &'s [f32] {
        let outputs = self.shape[self.shape.len() - 2];
        let [rows, columns] = scales.block;
        let across = self.columns().div_ceil(columns);
        let down = outputs.div_ceil(rows);
        let block = row / outputs * down + row % outputs / rows;
        &scales.values[block * across..][..across]
    }

    /// All of it as floats, row-major.
    ///
    /// # Panics
    /// If the tensor is a table of integers.
    pub fn to_f32(&self) -> Vec<f32> {
        let columns = self.columns();
        let mut values = vec![0.0; self.rows() * columns];
        if columns > 0 {
            for (row, out) in values.chunks_exact_mut(columns).enumerate() {
                self.dequantize_row(row, out);
            }
        }
        values
    }
}
