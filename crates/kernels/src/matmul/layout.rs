//! Where each weight lies in a packed matrix. The same for every instruction set.
//!
//! Rows are interleaved in tiles, so that each vector lane is one output and walks along the
//! columns on its own: no sum runs across lanes, and decode streams memory from front to back.
//!
//! A **float tile** is 16 rows; its unit is a pair of columns: 16 values of the even one, 16 of the
//! odd one. In `bf16` the two share 16 words of 32 bits (even low, odd high), so that one shift and
//! one mask make floats of both.
//!
//! A **quantized tile** is 8 rows; its unit is a group of 4 or 8 blocks of 32 columns: first a head
//! with the scales of the whole group (8 rows side by side), then each block's codes. Codes keep
//! their own width. A vector of codes is 4 columns x 8 rows: byte `4 * row + column`; a block is
//! eight of them, and their bits lie in planes of 32 bytes:
//!
//! | bits | planes |
//! |---|---|
//! | 2 | 2 of bit pairs: plane `p` has vectors `4p..4p + 4`, lowest bits first |
//! | 3 | those 2, then 1 of third bits: bit `v` is vector `v`'s |
//! | 4 | 4 of nibbles: plane `p` has vector `2p` low, `2p + 1` high |
//! | 5 | those 4, then 1 of fifth bits: bit `v` is vector `v`'s |
//! | 6 | those 4, then 2 of bit pairs |
//! | 8 | 8 of bytes |

use crate::format::Format;

/// Rows of a tile of floats.
pub(super) const FLOAT_ROWS: usize = 16;
/// Rows of a tile of quantized weights.
pub(super) const QUANTIZED_ROWS: usize = 8;
/// Columns of a block: those that share an activation scale.
pub(super) const BLOCK: usize = 32;
/// Tiles start on cache lines.
pub(super) use crate::memory::LINE;

/// Bytes of a pair of columns of a float tile.
pub(super) const fn pair_bytes(format: Format) -> usize {
    2 * FLOAT_ROWS * format.block_bytes()
}

/// The group of a quantized format.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    /// Blocks of 32 columns in a full group.
    pub blocks: usize,
    /// Bytes before the first block's codes.
    pub head_bytes: usize,
    /// Bits of a code.
    pub code_bits: usize,
}

/// The group of `format`.
///
/// # Panics
/// If `format` is a float.
pub(super) const fn group(format: Format) -> Group {
    let (blocks, head_bytes, code_bits) = match format {
        // f16 scales [4][8]
        Format::Q4_0 | Format::Iq4Nl => (4, 64, 4),
        Format::Q5_0 => (4, 64, 5),
        Format::Q8_0 => (4, 64, 8),
        // f16 scales [4][8], f16 minimums [4][8]
        Format::Q4_1 => (4, 128, 4),
        Format::Q5_1 => (4, 128, 5),
        // f16 scales [4][8], zeros [4][8]
        Format::Int4 => (4, 96, 4),
        // exponents [8][8]
        Format::Mxfp4 => (8, 64, 4),
        // f16 scale [8], f16 minimum [8], the source's 16 scale bytes [16][8]
        Format::Q2K => (8, 160, 2),
        // f16 scale [8], the source's 12 scale bytes [12][8], padding
        Format::Q3K => (8, 128, 3),
        // f16 scale [8], f16 minimum [8], the source's 12 scale bytes [12][8]
        Format::Q4K => (8, 128, 4),
        Format::Q5K => (8, 128, 5),
        // f16 scale [8], signed scales [16][8], padding
        Format::Q6K => (8, 160, 6),
        // f16 scale [8], the source's 6 scale bytes [6][8]
        Format::Iq4Xs => (8, 64, 4),
        Format::F32 | Format::F16 | Format::Bf16 | Format::F8E4M3 => {
            panic!("floats have no groups")
        }
    };
    Group { blocks, head_bytes, code_bits }
}

impl Group {
    /// Bytes of a block's codes.
    pub(super) const fn block_bytes(self) -> usize {
        self.code_bits * BLOCK * QUANTIZED_ROWS / 8
    }

    /// Bytes of a full group.
    pub(super) const fn bytes(self) -> usize {
        self.head_bytes + self.blocks * self.block_bytes()
    }

    /// Bytes of so many columns, whole groups or the last of a tile.
    pub(super) fn bytes_of(self, columns: usize) -> usize {
        self.tile_bytes(columns / BLOCK)
    }

    /// Bytes of a tile of `blocks` blocks of columns, the last group cut short.
    fn tile_bytes(self, blocks: usize) -> usize {
        let rest = match blocks % self.blocks {
            0 => 0,
            rest => self.head_bytes + rest * self.block_bytes(),
        };
        blocks / self.blocks * self.bytes() + rest
    }

    /// Where in a tile the group of block `block` begins, and which of its blocks it is.
    pub(super) fn find(self, block: usize) -> (usize, usize) {
        (block / self.blocks * self.bytes(), block % self.blocks)
    }
}

/// Rows of a tile of `format`.
pub(super) const fn tile_rows(format: Format) -> usize {
    if format.block_len() > 1 { QUANTIZED_ROWS } else { FLOAT_ROWS }
}

/// Bytes of a tile of `columns` columns, whole cache lines.
pub(super) fn tile_bytes(format: Format, columns: usize) -> usize {
    let bytes = if format.is_quantized() {
        group(format).tile_bytes(columns / BLOCK)
    } else {
        columns.div_ceil(2) * pair_bytes(format)
    };
    bytes.next_multiple_of(LINE)
}
