//! A weight matrix, packed once while loading.

use super::lane::Lane;
use super::layout::{BLOCK, FLOAT_ROWS, pair_bytes, tile_bytes, tile_rows};
use super::pack::pack_row;
use crate::format::{Format, dequantize};
use crate::memory::AlignedBuffer;

/// A weight matrix `[rows, columns]` in the kernels' own layout: about as large as in the file, the
/// same bytes for every instruction set.
pub struct Matrix {
    rows: usize,
    columns: usize,
    format: Format,
    tile_bytes: usize,
    bytes: AlignedBuffer<u8>,
    scales: Option<TileScales>,
}

/// FP8's outer scales: one for each rectangle of weights, rectangles row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockScales {
    /// Rows a scale covers (128 in most checkpoints); the last row of rectangles may be cut.
    pub rows_per_block: usize,
    /// Columns a scale covers, an even number or at least all; the last may be cut.
    pub columns_per_block: usize,
    /// `[ceil(rows / rows_per_block), ceil(columns / columns_per_block)]`, multiplied with weights.
    pub values: Vec<f32>,
}

/// [`BlockScales`] spread over tiles: 16 lanes for each block of columns.
pub(super) struct TileScales {
    pub columns_per_block: usize,
    /// `[tiles, blocks of columns]`
    values: Vec<[f32; FLOAT_ROWS]>,
    blocks: usize,
}

impl TileScales {
    /// The scales of a tile, one entry for each block of columns.
    pub(super) fn tile(&self, tile: usize) -> &[[f32; FLOAT_ROWS]] {
        &self.values[tile * self.blocks..][..self.blocks]
    }

    fn new(rows: usize, columns: usize, source: &BlockScales) -> TileScales {
        let BlockScales { rows_per_block, columns_per_block, ref values } = *source;
        assert!(rows_per_block > 0 && columns_per_block > 0, "a block scale covers weights");
        assert!(
            columns_per_block.is_multiple_of(2) || columns_per_block >= columns,
            "block scales cover an even number of columns"
        );
        let blocks = columns.div_ceil(columns_per_block);
        let wanted = rows.div_ceil(rows_per_block) * blocks;
        assert_eq!(values.len(), wanted, "block scales of [{rows}, {columns}]");
        let spread = (0..rows.div_ceil(FLOAT_ROWS) * blocks).map(|index| {
            let (tile, block) = (index / blocks, index % blocks);
            std::array::from_fn(|lane| {
                let row = (tile * FLOAT_ROWS + lane).min(rows - 1);
                values[row / rows_per_block * blocks + block]
            })
        });
        TileScales { columns_per_block, values: spread.collect(), blocks }
    }
}

impl Matrix {
    /// Begins a matrix `[rows, columns]`; its memory is taken now, its rows come in order.
    ///
    /// # Panics
    /// If a row is not whole blocks of `format`, or the matrix does not fit the address space.
    pub fn builder(format: Format, rows: usize, columns: usize) -> MatrixBuilder {
        let row_bytes = format.row_bytes(columns).unwrap_or_else(|| {
            panic!("{columns} columns are not whole blocks of {}", format.name())
        });
        let tile_bytes = tile_bytes(format, columns);
        let tiles = rows.div_ceil(tile_rows(format));
        let bytes = tiles.checked_mul(tile_bytes).expect("a matrix fits the address space");
        let bytes = AlignedBuffer::zeros(bytes);
        let matrix = Matrix { rows, columns, format, tile_bytes, bytes, scales: None };
        MatrixBuilder { matrix, row_bytes, filled: 0 }
    }

    /// Number of outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of inputs.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The format of its weights.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Bytes of memory it holds.
    pub fn bytes(&self) -> usize {
        let scales = self.scales.as_ref().map_or(0, |scales| scales.values.len() * FLOAT_ROWS * 4);
        self.bytes.len() + scales
    }

    /// Writes row `row` as floats: an embedding look-up. The bits equal those of
    /// [`dequantize`] on the row as it came (times the block scale in FP8).
    ///
    /// # Panics
    /// If there is no such row or `out` is not `columns` long.
    pub fn dequantize_row(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.rows, "row {row} of a matrix with {} rows", self.rows);
        assert_eq!(out.len(), self.columns, "a row has as many elements as there are columns");
        let tile = self.tile(row / tile_rows(self.format));
        let lane = row % tile_rows(self.format);
        if self.format.is_quantized() {
            for (block, out) in out.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
                *out = Lane::new(self.format, tile, block, lane).dequantized();
            }
            return;
        }
        for (column, out) in out.iter_mut().enumerate() {
            *out = float_at(self.format, tile, column, lane);
        }
        if let Some(scales) = &self.scales {
            let scales_of_tile = scales.tile(row / FLOAT_ROWS);
            for (out, scale) in out.chunks_mut(scales.columns_per_block).zip(scales_of_tile) {
                out.iter_mut().for_each(|value| *value *= scale[lane]);
            }
        }
    }

    pub(super) fn tiles(&self) -> usize {
        self.rows.div_ceil(tile_rows(self.format))
    }

    pub(super) fn tile_bytes(&self) -> usize {
        self.tile_bytes
    }

    /// The bytes of a tile, beginning on a cache line.
    pub(super) fn tile(&self, tile: usize) -> &[u8] {
        &self.bytes[tile * self.tile_bytes..][..self.tile_bytes]
    }

    pub(super) fn scales(&self) -> Option<&TileScales> {
        self.scales.as_ref()
    }
}

/// The float in column `column`, lane `lane` of a tile.
pub(super) fn float_at(format: Format, tile: &[u8], column: usize, lane: usize) -> f32 {
    let size = format.block_bytes();
    let pair = &tile[column / 2 * pair_bytes(format)..];
    let at = match format {
        Format::Bf16 => lane * 4 + column % 2 * 2,
        _ => (column % 2 * FLOAT_ROWS + lane) * size,
    };
    let mut value = [0.0];
    dequantize(format, &pair[at..at + size], &mut value);
    value[0]
}

/// A [`Matrix`] whose rows are still coming.
pub struct MatrixBuilder {
    matrix: Matrix,
    row_bytes: usize,
    filled: usize,
}

impl MatrixBuilder {
    /// Bytes of a row as [`push_rows`](MatrixBuilder::push_rows) takes it.
    pub fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// Packs the next rows, given as they are in a file: any number of whole rows.
    ///
    /// # Panics
    /// If `bytes` is not whole rows or more than are missing.
    pub fn push_rows(&mut self, bytes: &[u8]) {
        if self.row_bytes == 0 {
            assert!(bytes.is_empty(), "rows without columns have no bytes");
            return;
        }
        assert!(bytes.len().is_multiple_of(self.row_bytes), "rows come whole");
        let matrix = &mut self.matrix;
        let height = tile_rows(matrix.format);
        for source in bytes.chunks_exact(self.row_bytes) {
            assert!(self.filled < matrix.rows, "more than {} rows pushed", matrix.rows);
            let at = self.filled / height * matrix.tile_bytes;
            let tile = &mut matrix.bytes[at..at + matrix.tile_bytes];
            pack_row(matrix.format, source, tile, self.filled % height);
            self.filled += 1;
        }
    }

    /// Gives an FP8 matrix its outer scales; without them all are 1.
    ///
    /// # Panics
    /// If the format is not FP8 or the scales' number does not fit the shape.
    pub fn block_scales(&mut self, scales: &BlockScales) {
        let Matrix { rows, columns, format, .. } = self.matrix;
        assert_eq!(format, Format::F8E4M3, "only FP8 has outer scales");
        self.matrix.scales = Some(TileScales::new(rows, columns, scales));
    }

    /// The matrix, its last tile filled up with zero rows.
    ///
    /// # Panics
    /// If rows are missing.
    pub fn finish(self) -> Matrix {
        let rows = self.matrix.rows;
        assert!(self.filled == rows || self.row_bytes == 0, "{} of {rows} rows", self.filled);
        self.matrix
    }
}
