//! Tiles of quantized weights times several rows: the loops, for any instruction set.
//!
//! A few blocks of a few tiles are unpacked, then used by all rows, and so on along the columns, so
//! that unpacking costs little and what is unpacked stays in the first cache.

use std::array::from_fn;
use std::mem::MaybeUninit;
use std::ops::Range;

use super::activations::Activations;
use super::ahead::{Ahead, TILES_MAX};
use super::layout::{BLOCK, QUANTIZED_ROWS, group};
use super::matrix::Matrix;
use super::{ROWS_AT_ONCE, Store};
use crate::format::Format;

/// How an instruction set multiplies blocks of a format.
///
/// # Safety
/// `unpack` writes the whole block: what calls it takes the block as initialized.
pub(super) unsafe trait Arithmetic {
    /// The format.
    const FORMAT: Format;
    /// Tiles side by side in a vector of sums: 1 or 2.
    const WIDTH: usize;
    /// Vectors of sums that share an input's way into the registers, at most 3 and of 4 tiles.
    const VECTORS: usize;
    /// Most input rows that use a block while it is in registers, up to 8; fewer have a loop of
    /// their own each.
    const ROWS: usize;
    /// Blocks of each tile unpacked at a time: a part of the first cache.
    const UNPACKED: usize = 8;
    /// Columns of a block: 32, or a group's.
    const COLUMNS: usize = BLOCK;
    /// So many columns of `WIDTH` tiles, ready for the dot product.
    type Block: Copy;
    /// As many columns of an input row.
    type Input: 'static;
    /// The sums of `WIDTH` tiles.
    type Sum: Copy;

    /// An input row.
    fn row<'a>(input: &'a Activations, row: u32) -> &'a [Self::Input];

    /// Sums of zero.
    ///
    /// # Safety
    /// The instructions exist.
    unsafe fn zero() -> Self::Sum;

    /// Block `index` of a group, into `block` (all of the group where `COLUMNS` says so).
    ///
    /// # Safety
    /// The instructions exist; each of `begins` is the first byte of a group of the format in a
    /// tile, readable up to and including block `index`; tiles begin on cache lines, and heads and
    /// blocks are multiples of 32 bytes. The second is not used where `WIDTH` is 1.
    unsafe fn unpack(begins: [*const u8; 2], index: usize, block: &mut MaybeUninit<Self::Block>);

    /// Adds the products of some blocks of `T` vectors of rows with the same blocks of `N` input
    /// rows to their sums; asks `ahead` once for every 32 columns.
    ///
    /// # Safety
    /// The instructions exist; every input has as many blocks as there are.
    unsafe fn add<const T: usize, const N: usize>(
        blocks: &[[Self::Block; T]],
        input: &[&[Self::Input]; N],
        sums: [&mut [Self::Sum; N]; T],
        ahead: &mut Ahead,
    );

    /// One tile times one row: the weights pass through the registers once.
    ///
    /// # Safety
    /// The instructions exist; the tile is of as many columns as the input.
    unsafe fn stream(tile: &[u8], input: &[Self::Input]) -> [f32; QUANTIZED_ROWS];

    /// The floats of tile `half` of vectors of sums, each to the first of a row of tiles.
    ///
    /// # Safety
    /// The instructions exist; `half` is below `WIDTH`.
    unsafe fn floats(
        sums: &[Self::Sum],
        half: usize,
        out: &mut [[f32; QUANTIZED_ROWS]],
        tiles: usize,
    );
}

/// How far ahead weights are asked for, in what is unpacked at a time. One costs up to a twelfth.
const UNPACKED_AHEAD: usize = 2;

/// `count`, which the compiler must not know: a loop of that many steps stays a loop, with its sums
/// in registers. Unrolled, all loads move to its front and the registers run out.
#[inline(always)]
pub(super) fn steps(count: usize) -> usize {
    std::hint::black_box(count)
}

/// The element `at` of each row. Loops like this one stand where `from_fn` and `map` would do:
/// their closures have the caller's instructions and they themselves have not, so that the compiler
/// may leave calls in the innermost loop.
///
/// # Safety
/// Every row has it; there is a row.
#[inline(always)]
pub(super) unsafe fn all_at<'a, B, const N: usize>(rows: &[&'a [B]; N], at: usize) -> [&'a B; N] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut all = [rows[0].get_unchecked(at); N];
        for row in 1..N {
            all[row] = rows[row].get_unchecked(at);
        }
        all
    }
}

/// An instruction set's arithmetic for every format.
pub(super) trait Arithmetics {
    /// Inputs in 8 bits, for format number `F` of [`Format::ALL`].
    type Int8<const F: usize>: Arithmetic;
    /// Inputs in 8 bits with a scale for 256 columns.
    type Q4K: Arithmetic;
    /// Inputs in 16 bits.
    type Int16: Arithmetic;
}

/// As `scalar::quantized_tiles`, bit for bit.
///
/// # Safety
/// The machine has the instructions of `A`.
pub(super) unsafe fn quantized_tiles<A: Arithmetics>(
    weights: &Matrix,
    tiles: Range<usize>,
    input: &Activations,
    rows: &[u32],
    store: Store<QUANTIZED_ROWS>,
) {
    // The format becomes a constant: everything below is compiled once for each.
    let run = match weights.format() {
        Format::Q4_0 => run::<A::Int8<{ Format::Q4_0 as usize }>>,
        Format::Q4_1 => run::<A::Int8<{ Format::Q4_1 as usize }>>,
        Format::Q5_0 => run::<A::Int8<{ Format::Q5_0 as usize }>>,
        Format::Q5_1 => run::<A::Int8<{ Format::Q5_1 as usize }>>,
        Format::Q8_0 => run::<A::Int16>,
        Format::Q2K => run::<A::Int8<{ Format::Q2K as usize }>>,
        Format::Q3K => run::<A::Int8<{ Format::Q3K as usize }>>,
        Format::Q4K => run::<A::Q4K>,
        Format::Q5K => run::<A::Int8<{ Format::Q5K as usize }>>,
        Format::Q6K => run::<A::Int8<{ Format::Q6K as usize }>>,
        Format::Iq4Nl => run::<A::Int8<{ Format::Iq4Nl as usize }>>,
        Format::Iq4Xs => run::<A::Int8<{ Format::Iq4Xs as usize }>>,
        Format::Mxfp4 => run::<A::Int8<{ Format::Mxfp4 as usize }>>,
        Format::Int4 => run::<A::Int8<{ Format::Int4 as usize }>>,
        Format::F32 | Format::F16 | Format::Bf16 | Format::F8E4M3 => {
            unreachable!("floats have tiles of their own")
        }
    };
    // SAFETY: the caller's promise.
    unsafe { run(weights, tiles, input, rows, store) }
}

/// # Safety
/// The machine has the instructions of `A`.
unsafe fn run<A: Arithmetic>(
    weights: &Matrix,
    tiles: Range<usize>,
    input: &Activations,
    rows: &[u32],
    store: Store<QUANTIZED_ROWS>,
) {
    // SAFETY: the caller's promise; `Product` was checked to have inputs for all columns.
    unsafe {
        if let [row] = *rows {
            let input = A::row(input, row);
            tiles.for_each(|tile| store(tile, &[A::stream(weights.tile(tile), input)]));
            return;
        }
        for first in tiles.clone().step_by(A::VECTORS * A::WIDTH) {
            let tiles = first..tiles.end.min(first + A::VECTORS * A::WIDTH);
            match tiles.len().div_ceil(A::WIDTH) {
                3 => many::<A, 3>(weights, tiles, input, rows, store),
                2 => many::<A, 2>(weights, tiles, input, rows, store),
                _ => many::<A, 1>(weights, tiles, input, rows, store),
            }
        }
    }
}

/// The tiles of `T` vectors of sums; the last vector may have one tile less.
///
/// # Safety
/// The machine has the instructions of `A`.
unsafe fn many<A: Arithmetic, const T: usize>(
    weights: &Matrix,
    tiles: Range<usize>,
    input: &Activations,
    rows: &[u32],
    store: Store<QUANTIZED_ROWS>,
) {
    let shape = const { group(A::FORMAT) };
    let blocks = input.columns() / A::COLUMNS;
    // A tile that is not there is one that is, computed twice.
    let begins: [[*const u8; 2]; T] = from_fn(|vector| {
        let first = tiles.start + vector * A::WIDTH;
        [first, (first + 1).min(tiles.end - 1)].map(|tile| weights.tile(tile).as_ptr())
    });
    let mut unpacked: [[MaybeUninit<A::Block>; T]; 8] =
        [const { [const { MaybeUninit::uninit() }; T] }; 8];
    let mut sums = [const { [const { MaybeUninit::uninit() }; ROWS_AT_ONCE] }; T];
    // SAFETY: the caller's promise.
    let mut sums = sums.each_mut().map(|sums| begin(sums, rows.len(), unsafe { A::zero() }));
    for first in (0..blocks).step_by(A::UNPACKED) {
        let unpacked = &mut unpacked[..A::UNPACKED.min(blocks - first)];
        for (offset, unpacked) in unpacked.iter_mut().enumerate() {
            let (at, index) = shape.find((first + offset) * (A::COLUMNS / BLOCK));
            for (unpacked, begins) in unpacked.iter_mut().zip(begins) {
                // SAFETY: each tile has this block: `layout::tile_bytes` counted the same groups.
                unsafe { A::unpack(begins.map(|begin| begin.add(at)), index, unpacked) };
            }
        }
        // SAFETY: all of the slice was just written.
        let unpacked = unsafe { &*(&raw const *unpacked as *const [[A::Block; T]]) };
        let columns = unpacked.len() * A::COLUMNS;
        let (start, _) = shape.find(first * A::COLUMNS / BLOCK);
        let asks = rows.len().div_ceil(A::ROWS) * columns / BLOCK;
        let bytes = shape.bytes_of(columns);
        let place = start + UNPACKED_AHEAD * bytes..start + (UNPACKED_AHEAD + 1) * bytes;
        let mut ahead = Ahead::new(weights, tiles.clone(), place, asks);
        // SAFETY: the caller's promise.
        unsafe { all_rows::<A, T>(unpacked, first, input, rows, &mut sums, &mut ahead) };
    }
    // Side by side, so that whole cache lines are written.
    let mut out = [const { MaybeUninit::uninit() }; TILES_MAX * ROWS_AT_ONCE];
    let out = begin(&mut out, tiles.len() * rows.len(), [0.0; QUANTIZED_ROWS]);
    for number in 0..tiles.len() {
        let sums = &*sums[number / A::WIDTH];
        // SAFETY: the caller's promise.
        unsafe { A::floats(sums, number % A::WIDTH, &mut out[number..], tiles.len()) };
    }
    store(tiles.start, out);
}

/// The first `count` elements, all `value`; the others, for rows that are not there, stay as they
/// are.
fn begin<T: Copy>(place: &mut [MaybeUninit<T>], count: usize, value: T) -> &mut [T] {
    let place = &mut place[..count];
    place.iter_mut().for_each(|place| _ = place.write(value));
    // SAFETY: all of the slice was just written.
    unsafe { &mut *(&raw mut *place as *mut [T]) }
}

/// Takes the rows in as large parts as the registers hold.
///
/// # Safety
/// The machine has the instructions of `A`; the inputs have the `unpacked` blocks from `first` on.
unsafe fn all_rows<A: Arithmetic, const T: usize>(
    unpacked: &[[A::Block; T]],
    first: usize,
    input: &Activations,
    rows: &[u32],
    sums: &mut [&mut [A::Sum]; T],
    ahead: &mut Ahead,
) {
    let part = |row: u32| &A::row(input, row)[first..first + unpacked.len()];
    let mut at = 0;
    while at < rows.len() {
        // SAFETY: the caller's promise.
        at += unsafe {
            match (rows.len() - at).min(A::ROWS) {
                8 => some_rows::<A, T, 8>(unpacked, &rows[at..], part, sums, at, ahead),
                7 => some_rows::<A, T, 7>(unpacked, &rows[at..], part, sums, at, ahead),
                6 => some_rows::<A, T, 6>(unpacked, &rows[at..], part, sums, at, ahead),
                5 => some_rows::<A, T, 5>(unpacked, &rows[at..], part, sums, at, ahead),
                4 => some_rows::<A, T, 4>(unpacked, &rows[at..], part, sums, at, ahead),
                3 => some_rows::<A, T, 3>(unpacked, &rows[at..], part, sums, at, ahead),
                2 => some_rows::<A, T, 2>(unpacked, &rows[at..], part, sums, at, ahead),
                _ => some_rows::<A, T, 1>(unpacked, &rows[at..], part, sums, at, ahead),
            }
        };
    }
}

/// Goes on with the sums of the first `N` of `rows`, which stand from `at` on; how many they are.
///
/// # Safety
/// As for [`all_rows`].
#[inline]
unsafe fn some_rows<'a, A: Arithmetic, const T: usize, const N: usize>(
    unpacked: &[[A::Block; T]],
    rows: &[u32],
    part: impl Fn(u32) -> &'a [A::Input],
    sums: &mut [&mut [A::Sum]; T],
    at: usize,
    ahead: &mut Ahead,
) -> usize {
    let input: [&[A::Input]; N] = from_fn(|row| part(rows[row]));
    let sums = sums.each_mut().map(|sums| {
        sums[at..].first_chunk_mut::<N>().expect("there are as many sums as rows at once")
    });
    // SAFETY: the caller's promise; the inputs are cut to the blocks.
    unsafe { A::add::<T, N>(unpacked, &input, sums, ahead) };
    N
}
