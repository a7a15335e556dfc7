//! Packed bytes as they are kept in files: what they must be, and that matrices may lie in them.

use baimo_kernels::format::Format;
use baimo_kernels::matmul::{
    BlockScales, LAYOUT_VERSION, Matrix, ROWS_TOGETHER, pack_tiles, packed_bytes,
};
use baimo_kernels::{SharedBytes, StableBytes};
use std::sync::Arc;

const COLUMNS: usize = 512;
const ROWS: usize = 2 * ROWS_TOGETHER + 3;

/// Rows in which every byte counts.
fn rows(format: Format) -> Vec<u8> {
    let bytes = format.row_bytes(COLUMNS).unwrap() * ROWS;
    (0..bytes).map(|at| (at * 167 + at / 251) as u8).collect()
}

fn packed(format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    pack_tiles(format, COLUMNS, &rows(format), &mut out);
    assert_eq!(packed_bytes(format, ROWS, COLUMNS), Some(out.len()));
    out
}

/// A cache line, on which shared bytes begin.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u8; 64]);

struct Lines(Vec<Line>);

// SAFETY: the lines' heap memory does not move with them, and nobody writes to them once shared. A
// line is its bytes and nothing else.
unsafe impl StableBytes for Lines {
    fn bytes(&self) -> &[u8] {
        let Lines(lines) = self;
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), size_of_val(&lines[..])) }
    }
}

fn shared(bytes: &[u8]) -> SharedBytes {
    let mut lines = vec![Line([0; 64]); bytes.len().div_ceil(64)];
    for (Line(line), bytes) in lines.iter_mut().zip(bytes.chunks(64)) {
        line[..bytes.len()].copy_from_slice(bytes);
    }
    SharedBytes::new(Arc::new(Lines(lines)), 0..bytes.len()).unwrap()
}

fn floats(matrix: &Matrix) -> Vec<u32> {
    let mut row = vec![0.0; matrix.columns()];
    let mut all = Vec::new();
    for index in 0..matrix.rows() {
        matrix.dequantize_row(index, &mut row);
        all.extend(row.iter().map(|value| value.to_bits()));
    }
    all
}

#[test]
fn a_matrix_in_shared_bytes_is_the_one_that_was_packed() {
    for format in Format::ALL {
        let source = rows(format);
        let mut builder = Matrix::builder(format, ROWS, COLUMNS);
        builder.push_rows(&source);
        let own = builder.finish();
        let kept = Matrix::packed(format, [ROWS, COLUMNS], shared(&packed(format)), None).unwrap();
        assert!(floats(&own) == floats(&kept), "{}", format.name());
        // In pieces of whole tiles they are the same.
        let mut builder = Matrix::builder(format, ROWS, COLUMNS);
        let mut tiles = Vec::new();
        for piece in source.chunks(source.len() / ROWS * ROWS_TOGETHER) {
            pack_tiles(format, COLUMNS, piece, &mut tiles);
            builder.push_tiles(piece.len() * ROWS / source.len(), &tiles);
        }
        assert!(floats(&own) == floats(&builder.finish()), "{} in pieces", format.name());
    }
}

#[test]
fn bytes_or_scales_that_do_not_fit_are_refused() {
    let bytes = packed(Format::Q8_0);
    let short = shared(&bytes[..bytes.len() - 64]);
    assert!(Matrix::packed(Format::Q8_0, [ROWS, COLUMNS], short, None).is_none());
    let bytes = shared(&bytes);
    let of = |shape| Matrix::packed(Format::Q8_0, shape, bytes.clone(), None);
    assert!(of([ROWS, COLUMNS]).is_some());
    assert!(of([ROWS, COLUMNS / 2]).is_none());
    assert!(of([ROWS, COLUMNS + 1]).is_none());
    assert!(of([usize::MAX, usize::MAX - 31]).is_none());
    let scales = |values, across| BlockScales {
        rows_per_block: 128,
        columns_per_block: across,
        values: vec![1.0; values],
    };
    let bytes = shared(&packed(Format::F8E4M3));
    let of = |scales: BlockScales| {
        Matrix::packed(Format::F8E4M3, [ROWS, COLUMNS], bytes.clone(), Some(&scales)).is_some()
    };
    assert!(of(scales(4, 128)) && !of(scales(3, 128)) && !of(scales(4, 0)) && !of(scales(5, 127)));
    let bytes = shared(&packed(Format::F32));
    assert!(Matrix::packed(Format::F32, [ROWS, COLUMNS], bytes, Some(&scales(4, 128))).is_none());
}

/// Files of packed weights outlive the program that wrote them. If this fails because a layout was
/// changed, raise [`LAYOUT_VERSION`] and put down the new number.
#[test]
fn packed_bytes_change_with_the_version_of_the_layout_alone() {
    // FNV-1a.
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for format in Format::ALL {
        for byte in packed(format) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
        }
    }
    assert_eq!((LAYOUT_VERSION, hash), (1, 12_581_468_482_822_904_758));
}
