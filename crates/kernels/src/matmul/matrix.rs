//! A weight matrix, packed once while loading.

use super::lane::Lane;
use super::layout::{BLOCK, FLOAT_ROWS, QUANTIZED_ROWS, pair_bytes, tile_bytes, tile_rows};
use super::pack::pack_row;
use crate::format::{Format, dequantize};
use crate::memory::{AlignedBuffer, SharedBytes};

/// What the bytes of a packed matrix mean changes with this number: packed bytes that were kept
/// under another one are of no use. A test compares it with what is packed today.
pub const LAYOUT_VERSION: u32 = 1;

/// A weight matrix `[rows, columns]` in the kernels' own layout: about as large as in the file, the
/// same bytes for every instruction set.
pub struct Matrix {
    rows: usize,
    columns: usize,
    format: Format,
    tile_bytes: usize,
    bytes: Bytes,
    scales: Option<TileScales>,
}

/// Which matrix: where its tiles are, which do not move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MatrixId(usize);

/// Whose memory the tiles are in. They begin on a cache line either way.
enum Bytes {
    Own(AlignedBuffer<u8>),
    Shared(SharedBytes),
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Own(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
        }
    }
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

impl BlockScales {
    /// Whether it has a scale for each rectangle of a matrix `[rows, columns]`, and covers an even
    /// number of columns.
    fn fits(&self, rows: usize, columns: usize) -> bool {
        let BlockScales { rows_per_block, columns_per_block, ref values } = *self;
        let even = columns_per_block.is_multiple_of(2) || columns_per_block >= columns;
        rows_per_block > 0
            && columns_per_block > 0
            && even
            && rows.div_ceil(rows_per_block).checked_mul(columns.div_ceil(columns_per_block))
                == Some(values.len())
    }
}

/// [`BlockScales`] spread over tiles: 16 lanes for each block of columns.
pub(super) struct TileScales {
    pub columns_per_block: usize,
    /// `[tiles, blocks of columns]`
    values: Vec<[f32; FLOAT_ROWS]>,
    blocks: usize,
}

impl TileScales {
    /// The blocks of so many columns.
    pub(super) fn blocks(&self, columns: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        let width = self.columns_per_block;
        (0..columns)
            .step_by(width)
            .map(move |begin| begin..columns.min(begin.saturating_add(width)))
    }

    /// The scales of a tile, one entry for each block of columns.
    pub(super) fn tile(&self, tile: usize) -> &[[f32; FLOAT_ROWS]] {
        &self.values[tile * self.blocks..][..self.blocks]
    }

    fn new(rows: usize, columns: usize, source: &BlockScales) -> TileScales {
        let BlockScales { rows_per_block, columns_per_block, ref values } = *source;
        assert!(source.fits(rows, columns), "block scales of [{rows}, {columns}]");
        let blocks = columns.div_ceil(columns_per_block);
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
        let bytes = packed_bytes(format, rows, columns).expect("a matrix fits the address space");
        let bytes = AlignedBuffer::zeros(bytes);
        MatrixBuilder {
            rows,
            columns,
            format,
            tile_bytes,
            bytes,
            scales: None,
            row_bytes,
            filled: 0,
        }
    }

    /// A matrix `[rows, columns]` whose tiles are packed already and lie in `bytes`; FP8 may have
    /// outer scales. Whatever the bytes are, they are some weights. `None` where their number or
    /// that of the scales does not fit.
    pub fn packed(
        format: Format,
        [rows, columns]: [usize; 2],
        bytes: SharedBytes,
        scales: Option<&BlockScales>,
    ) -> Option<Matrix> {
        if packed_bytes(format, rows, columns) != Some(bytes.len()) {
            return None;
        }
        let scales = match scales {
            None => None,
            Some(scales) if format == Format::F8E4M3 && scales.fits(rows, columns) => {
                Some(TileScales::new(rows, columns, scales))
            }
            Some(_) => return None,
        };
        let tile_bytes = tile_bytes(format, columns);
        Some(Matrix { rows, columns, format, tile_bytes, bytes: Bytes::Shared(bytes), scales })
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

    /// Tells it from all other matrices that are in memory with it, wherever it is moved.
    pub fn id(&self) -> MatrixId {
        MatrixId(self.bytes.as_ptr().addr())
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

/// Bytes of a packed matrix `[rows, columns]`; `None` where a row is not whole blocks of `format`
/// or the matrix does not fit the address space.
pub fn packed_bytes(format: Format, rows: usize, columns: usize) -> Option<usize> {
    // Room for the widest padding is asked for, so that nothing below overflows.
    format.row_bytes(columns)?.checked_mul(rows.checked_add(FLOAT_ROWS)?)?.checked_mul(4)?;
    rows.div_ceil(tile_rows(format)).checked_mul(tile_bytes(format, columns))
}

/// Packs rows of `columns` columns, given as they are in a file, into tiles of their own: what
/// [`MatrixBuilder::push_tiles`] and [`Matrix::packed`] take. `out` is cleared first. The rows of a
/// matrix may be packed in pieces of a multiple of [`ROWS_TOGETHER`] rows.
///
/// # Panics
/// If a row is not whole blocks of `format`, or `rows` not whole rows.
pub fn pack_tiles(format: Format, columns: usize, rows: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let row_bytes = format.row_bytes(columns).expect("rows of whole blocks");
    if row_bytes == 0 {
        return;
    }
    assert!(rows.len().is_multiple_of(row_bytes), "rows come whole");
    let (height, tile_bytes) = (tile_rows(format), tile_bytes(format, columns));
    out.resize((rows.len() / row_bytes).div_ceil(height) * tile_bytes, 0);
    for (row, source) in rows.chunks_exact(row_bytes).enumerate() {
        let tile = &mut out[row / height * tile_bytes..][..tile_bytes];
        pack_row(format, source, tile, row % height);
    }
}

/// So many rows are whole tiles of every format.
pub const ROWS_TOGETHER: usize = FLOAT_ROWS;
const _: () = assert!(ROWS_TOGETHER.is_multiple_of(QUANTIZED_ROWS));

/// A [`Matrix`] whose rows are still coming.
pub struct MatrixBuilder {
    rows: usize,
    columns: usize,
    format: Format,
    tile_bytes: usize,
    bytes: AlignedBuffer<u8>,
    scales: Option<TileScales>,
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
        let height = tile_rows(self.format);
        for source in bytes.chunks_exact(self.row_bytes) {
            assert!(self.filled < self.rows, "more than {} rows pushed", self.rows);
            let at = self.filled / height * self.tile_bytes;
            let tile = &mut self.bytes[at..at + self.tile_bytes];
            pack_row(self.format, source, tile, self.filled % height);
            self.filled += 1;
        }
    }

    /// Takes the next rows from [`pack_tiles`].
    ///
    /// # Panics
    /// If the rows before them are not whole tiles, or these are not `rows` that are missing.
    pub fn push_tiles(&mut self, rows: usize, tiles: &[u8]) {
        let height = tile_rows(self.format);
        assert!(self.filled.is_multiple_of(height), "tiles follow whole tiles");
        assert!(rows <= self.rows - self.filled, "more than {} rows pushed", self.rows);
        let at = self.filled / height * self.tile_bytes;
        self.bytes[at..][..rows.div_ceil(height) * self.tile_bytes].copy_from_slice(tiles);
        self.filled += rows;
    }

    /// Gives an FP8 matrix its outer scales; without them all are 1.
    ///
    /// # Panics
    /// If the format is not FP8 or the scales' number does not fit the shape.
    pub fn block_scales(&mut self, scales: &BlockScales) {
        assert_eq!(self.format, Format::F8E4M3, "only FP8 has outer scales");
        self.scales = Some(TileScales::new(self.rows, self.columns, scales));
    }

    /// The matrix, its last tile filled up with zero rows.
    ///
    /// # Panics
    /// If rows are missing.
    pub fn finish(self) -> Matrix {
        let MatrixBuilder { rows, columns, format, tile_bytes, bytes, scales, .. } = self;
        assert!(self.filled == rows || self.row_bytes == 0, "{} of {rows} rows", self.filled);
        Matrix { rows, columns, format, tile_bytes, bytes: Bytes::Own(bytes), scales }
    }
}
