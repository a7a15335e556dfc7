//! Products of every weight format at several heights.

use super::super::machine::Cost;
use super::{MEMORY, numbers, seconds};
use baimo_kernels::matmul::{Activations, Matrix, Product, pack_tiles, products};
use baimo_kernels::{Format, Kernels};
use std::collections::BTreeMap;

const ROWS: usize = 2048;
const COLUMNS: usize = 1024;
/// Rows that meet a matrix.
const HEIGHTS: [usize; 8] = [1, 2, 4, 8, 16, 32, 128, 512];
/// Bytes that are read at least for one row.
const STREAMED: usize = MEMORY / 2;

/// For each format, seconds for each weight of a matrix in cache, and for one row of weights that
/// come from memory.
pub(super) fn measure(kernels: &Kernels) -> (BTreeMap<String, Vec<Cost>>, BTreeMap<String, f64>) {
    let (mut all, mut streamed) = (BTreeMap::new(), BTreeMap::new());
    let floats = numbers(HEIGHTS[HEIGHTS.len() - 1] * COLUMNS);
    // Of any format: all read the same memory, one after the other.
    for format in Format::ALL {
        let first = matrix(format);
        let cost = |height: usize| {
            let list = vec![&first; (32 / height).max(1)];
            let weights = (list.len() * ROWS * COLUMNS) as f64;
            let seconds = multiply(kernels, &list, &floats[..height * COLUMNS]);
            Cost { rows: height as f64, seconds: seconds / weights }
        };
        all.insert(format.name().to_owned(), HEIGHTS.map(cost).to_vec());
        let copies = STREAMED / first.bytes();
        let many: Vec<Matrix> = (0..copies).map(|_| matrix(format)).collect();
        let list: Vec<&Matrix> = many.iter().collect();
        let seconds = multiply(kernels, &list, &floats[..COLUMNS]);
        streamed.insert(format.name().to_owned(), seconds / (copies * ROWS * COLUMNS) as f64);
    }
    (all, streamed)
}

/// Some weights: kernels take all as long.
fn matrix(format: Format) -> Matrix {
    let row = format.row_bytes(COLUMNS).expect("whole blocks of every format");
    let mut builder = Matrix::builder(format, ROWS, COLUMNS);
    let mut tiles = Vec::new();
    const TOGETHER: usize = 16;
    pack_tiles(format, COLUMNS, &vec![0x11; TOGETHER * row], &mut tiles);
    for _ in 0..ROWS / TOGETHER {
        builder.push_tiles(TOGETHER, &tiles);
    }
    builder.finish()
}

/// Seconds of all the products, a region each, without preparing the inputs.
fn multiply(kernels: &Kernels, list: &[&Matrix], floats: &[f32]) -> f64 {
    let input = Activations::new(kernels, floats, COLUMNS, list.first().copied());
    let mut output = vec![0.0; input.rows() * ROWS];
    seconds(|| {
        for weights in list {
            let (output, input) = (&mut output[..], &input);
            products(
                kernels,
                &mut [Product { weights, gate: None, input, input_rows: None, output }],
            );
        }
    })
}
