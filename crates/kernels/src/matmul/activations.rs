//! The inputs of products: rows of floats, and the same rows as integers for quantized weights.

use std::sync::Mutex;

use super::layout::BLOCK;
use super::matrix::Matrix;
use super::scalar;
use crate::format::Format;
use crate::{Isa, Kernels, Lent};

/// Input rows `[rows, columns]`, quantized at most once for all matrices that take them: query, key
/// and value; gate and up; every expert.
pub struct Activations<'a> {
    floats: &'a [f32],
    rows: usize,
    columns: usize,
    int8: Option<Lent<Int8Block>>,
    int8_groups: Option<Lent<Int8Group>>,
    int16: Option<Lent<Int16Block>>,
}

/// How a format takes its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// As they are.
    Floats,
    /// In 8 bits: rounding them costs less than weights of 6 bits and fewer did.
    Int8,
    /// In 8 bits with one scale for 256 columns, for weights whose own scale is for as many and
    /// whose small scales are integers: the whole group is then summed in integers.
    Int8Groups,
    /// In 16 bits: in 8, rounding the inputs would cost more than rounding the weights did.
    Int16,
}

/// How `format` takes its inputs.
pub const fn input_kind(format: Format) -> InputKind {
    match format {
        Format::F32 | Format::F16 | Format::Bf16 | Format::F8E4M3 => InputKind::Floats,
        Format::Q8_0 => InputKind::Int16,
        Format::Q4K => InputKind::Int8Groups,
        Format::Q4_0
        | Format::Q4_1
        | Format::Q5_0
        | Format::Q5_1
        | Format::Q2K
        | Format::Q3K
        | Format::Q5K
        | Format::Q6K
        | Format::Iq4Nl
        | Format::Iq4Xs
        | Format::Mxfp4
        | Format::Int4 => InputKind::Int8,
    }
}

impl InputKind {
    /// Columns that are kept together, and the bytes they take with their scale and sums.
    pub const fn block(self) -> (usize, usize) {
        match self {
            InputKind::Floats => (1, size_of::<f32>()),
            InputKind::Int8 => (BLOCK, size_of::<Int8Block>()),
            InputKind::Int8Groups => (GROUP, size_of::<Int8Group>()),
            InputKind::Int16 => (BLOCK, size_of::<Int16Block>()),
        }
    }
}

/// 32 columns of a row in 8 bits: `value = scale * code`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub(crate) struct Int8Block {
    /// -127..=127.
    pub codes: [i8; BLOCK],
    /// The largest magnitude / 127; NaN if a value was NaN.
    pub scale: f32,
    /// The sums of codes 0..16 and 16..32.
    pub sums: [i16; 2],
    /// `scale` times the sum of all codes: what a minimum that all weights share is multiplied by.
    pub share: f32,
}

impl Int8Block {
    const ZERO: Int8Block = Int8Block { codes: [0; BLOCK], scale: 0.0, sums: [0; 2], share: 0.0 };

    /// Codes `4v..4v + 4`, the first lowest.
    ///
    /// # Safety
    /// `v` is below 8.
    #[inline]
    pub(super) unsafe fn four(&self, v: usize) -> i32 {
        // SAFETY: the caller's promise.
        let four = unsafe { self.codes.as_chunks::<4>().0.get_unchecked(v) };
        i32::from_le_bytes(four.map(i8::cast_unsigned))
    }

    /// The sums of the first and the second half, the first lowest.
    #[inline]
    pub(super) fn two_sums(&self) -> i32 {
        two_words(self.sums)
    }

    /// The sum of the codes of part `part` of `parts`, 1 or 2.
    #[inline]
    pub(super) fn sum(&self, part: usize, parts: usize) -> i32 {
        let [low, high] = self.sums.map(i32::from);
        if parts == 1 { low + high } else { [low, high][part] }
    }

    /// `scale` times the same sum.
    #[inline]
    pub(super) fn share(&self, part: usize, parts: usize) -> f32 {
        if parts == 1 { self.share } else { self.scale * self.sum(part, parts) as f32 }
    }

    /// Writes the share of the sums and the scale that are there.
    #[inline]
    pub(super) fn set_share(&mut self) {
        self.share = self.scale * self.sum(0, 1) as f32;
    }
}

/// 256 columns of a row in 8 bits: `value = scale * code`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub(crate) struct Int8Group {
    /// -127..=127.
    pub codes: [[i8; BLOCK]; GROUP / BLOCK],
    /// The sums of each 32 codes.
    pub sums: [i16; GROUP / BLOCK],
    /// The largest magnitude / 127; NaN if a value was NaN.
    pub scale: f32,
}

/// Columns of an [`Int8Group`].
pub(super) const GROUP: usize = 256;

impl Int8Group {
    const ZERO: Int8Group =
        Int8Group { codes: [[0; BLOCK]; GROUP / BLOCK], sums: [0; GROUP / BLOCK], scale: 0.0 };

    /// Codes `4v..4v + 4` of block `block`, the first lowest.
    ///
    /// # Safety
    /// Both are below 8.
    #[inline]
    pub(super) unsafe fn four(&self, block: usize, v: usize) -> i32 {
        // SAFETY: the caller's promise.
        let four = unsafe { self.codes.get_unchecked(block).as_chunks::<4>().0.get_unchecked(v) };
        i32::from_le_bytes(four.map(i8::cast_unsigned))
    }

    /// The sums of blocks `2 * pair` and the next, the first lowest.
    #[inline]
    pub(super) fn two_sums(&self, pair: usize) -> i32 {
        two_words(self.sums.as_chunks::<2>().0[pair])
    }
}

/// 32 columns of a row in 16 bits: `value = scale * code`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub(crate) struct Int16Block {
    /// -32767..=32767; of each four columns the first and third come before the second and fourth,
    /// as the bytes of a weight word fall apart into even and odd ones.
    pub codes: [i16; BLOCK],
    /// The largest magnitude / 32767; NaN if a value was NaN.
    pub scale: f32,
}

impl Int16Block {
    const ZERO: Int16Block = Int16Block { codes: [0; BLOCK], scale: 0.0 };

    /// Codes `2 * pair` and the next, the first lowest.
    ///
    /// # Safety
    /// `pair` is below 16.
    #[inline]
    pub(super) unsafe fn pair(&self, pair: usize) -> i32 {
        // SAFETY: the caller's promise.
        two_words(*unsafe { self.codes.as_chunks::<2>().0.get_unchecked(pair) })
    }

    /// Where the code of `column` stands.
    pub(super) const fn place(column: usize) -> usize {
        const ORDER: [usize; 4] = [0, 2, 1, 3];
        column / 4 * 4 + ORDER[column % 4]
    }
}

/// A pair of words for every lane of a vector, the first lowest.
#[inline]
fn two_words([low, high]: [i16; 2]) -> i32 {
    i32::from(low) & 0xffff | i32::from(high) << 16
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
        Activations::with_room(kernels, floats, floats.len() / columns.max(1), columns, for_weights)
    }

    /// [`Activations::new`] with room for `rows_max` rows, so that others, of more rows up to that,
    /// can use its memory again.
    ///
    /// # Panics
    /// As there, and if there are more rows.
    pub fn with_room<'m>(
        kernels: &Kernels,
        floats: &'a [f32],
        rows_max: usize,
        columns: usize,
        for_weights: impl IntoIterator<Item = &'m Matrix>,
    ) -> Activations<'a> {
        assert!(columns > 0 && floats.len().is_multiple_of(columns), "activation rows come whole");
        let (mut int8, mut int8_groups, mut int16) = (false, false, false);
        for weights in for_weights {
            assert_eq!(weights.columns(), columns, "weights take rows as long as these");
            match input_kind(weights.format()) {
                InputKind::Floats => (),
                InputKind::Int8 => int8 = true,
                InputKind::Int8Groups => int8_groups = true,
                InputKind::Int16 => int16 = true,
            }
        }
        let rows = floats.len() / columns;
        let (most, len) = (rows_max * columns, floats.len());
        let int8 = int8.then(|| {
            let mut blocks = kernels.int8.lend(most / BLOCK, Int8Block::ZERO);
            blocks.shorten(len / BLOCK);
            quantize_rows(kernels, floats, rows, blocks, to_int8)
        });
        let int8_groups = int8_groups.then(|| {
            let mut groups = kernels.int8_groups.lend(most / GROUP, Int8Group::ZERO);
            groups.shorten(len / GROUP);
            quantize_rows(kernels, floats, rows, groups, to_int8_groups)
        });
        let int16 = int16.then(|| {
            let mut blocks = kernels.int16.lend(most / BLOCK, Int16Block::ZERO);
            blocks.shorten(len / BLOCK);
            quantize_rows(kernels, floats, rows, blocks, to_int16)
        });
        Activations { floats, rows, columns, int8, int8_groups, int16 }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Whether it was prepared for weights of `format`.
    pub(super) fn serves(&self, format: Format) -> bool {
        match input_kind(format) {
            InputKind::Floats => true,
            InputKind::Int8 => self.int8.is_some(),
            InputKind::Int8Groups => self.int8_groups.is_some(),
            InputKind::Int16 => self.int16.is_some(),
        }
    }

    pub(super) fn float_row(&self, row: u32) -> &[f32] {
        &self.floats[row as usize * self.columns..][..self.columns]
    }

    pub(super) fn int8_row(&self, row: u32) -> &[Int8Block] {
        self.blocks_of::<_, BLOCK>(self.int8.as_ref(), row)
    }

    pub(super) fn int8_groups_row(&self, row: u32) -> &[Int8Group] {
        self.blocks_of::<_, GROUP>(self.int8_groups.as_ref(), row)
    }

    pub(super) fn int16_row(&self, row: u32) -> &[Int16Block] {
        self.blocks_of::<_, BLOCK>(self.int16.as_ref(), row)
    }

    /// A row of blocks of `COLUMNS` columns.
    fn blocks_of<'b, Block, const COLUMNS: usize>(
        &self,
        all: Option<&'b Lent<Block>>,
        row: u32,
    ) -> &'b [Block] {
        let all = all.expect("products checks that the input serves the weights");
        let blocks = self.columns / COLUMNS;
        &all[row as usize * blocks..][..blocks]
    }
}

fn quantize_rows<Block: Copy + Send>(
    kernels: &Kernels,
    floats: &[f32],
    rows: usize,
    mut blocks: Lent<Block>,
    quantize: fn(Isa, &[f32], &mut [Block]),
) -> Lent<Block> {
    if rows < PARALLEL_ROWS || kernels.pool.threads() == 1 {
        quantize(kernels.isa, floats, &mut blocks);
        return blocks;
    }
    let columns = floats.len() / blocks.len();
    let blocks_per_chunk = blocks.len().div_ceil(kernels.pool.threads() * 4);
    // Each chunk is locked once, by the one thread that gets it: a proof for the compiler.
    let chunks: Vec<_> = floats
        .chunks(blocks_per_chunk * columns)
        .zip(blocks.chunks_mut(blocks_per_chunk))
        .map(Mutex::new)
        .collect();
    kernels.pool.run(chunks.len(), &|chunk| {
        let mut chunk = chunks[chunk].lock().expect("no chunk panics");
        let (floats, blocks) = &mut *chunk;
        quantize(kernels.isa, floats, blocks);
    });
    drop(chunks);
    blocks
}

/// 32 floats for each block.
fn to_int8(isa: Isa, floats: &[f32], out: &mut [Int8Block]) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Avx2` or `Avx512` exists only where the instructions were seen.
        Isa::Avx2(_) | Isa::Avx512(_) => unsafe { super::avx2::to_int8(floats, out) },
        _ => scalar::to_int8(floats, out),
    }
}

/// 256 floats for each group.
fn to_int8_groups(isa: Isa, floats: &[f32], out: &mut [Int8Group]) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Avx2` or `Avx512` exists only where the instructions were seen.
        Isa::Avx2(_) | Isa::Avx512(_) => unsafe { super::avx2::to_int8_groups(floats, out) },
        _ => scalar::to_int8_groups(floats, out),
    }
}

/// 32 floats for each block.
fn to_int16(isa: Isa, floats: &[f32], out: &mut [Int16Block]) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Avx2` or `Avx512` exists only where the instructions were seen.
        Isa::Avx2(_) | Isa::Avx512(_) => unsafe { super::avx2::to_int16(floats, out) },
        _ => scalar::to_int16(floats, out),
    }
}
