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
/// Matrices that rows meet one after the other: in a model each has left the nearest caches when it
/// is met again.
const APART: usize = 8;
/// So many rows drive matrices out of the nearest caches by themselves.
const MANY: usize = 128;
/// Bytes of weights that one row meets, again and again.
const SIZES: [usize; 7] = [16 << 20, 48 << 20, 80 << 20, 112 << 20, 160 << 20, 256 << 20, MEMORY];
/// Formats that are measured at all sizes; of the others, bytes take as long as those of the first.
const SIZED: [Format; 3] = [Format::Q8_0, Format::Q4K, Format::Bf16];

/// What products cost.
pub(super) struct Products {
    /// For each format, seconds for each weight of a matrix in cache, by rows.
    pub cached: BTreeMap<String, Vec<Cost>>,
    /// For some formats, seconds for each weight and one row, by the bytes that are read.
    pub streamed: BTreeMap<String, Vec<Cost>>,
}

/// Measures `formats` and the first of [`SIZED`]; a region takes `region` seconds beside its work.
pub(super) fn measure(kernels: &Kernels, formats: &[Format], region: f64) -> Products {
    let mut all = Products { cached: BTreeMap::new(), streamed: BTreeMap::new() };
    let floats = numbers(HEIGHTS[HEIGHTS.len() - 1] * COLUMNS);
    let others = formats.iter().copied().filter(|&format| format != SIZED[0]);
    for format in SIZED.into_iter().take(1).chain(others) {
        let all_of: Vec<Matrix> = (0..APART).map(|_| matrix(format, ROWS, COLUMNS)).collect();
        let first = &all_of[0];
        let cost = |height: usize| {
            let list: Vec<&Matrix> =
                all_of.iter().take(if height < MANY { APART } else { 2 }).collect();
            let seconds = multiply(kernels, &list, &floats[..height * COLUMNS], region);
            Cost { rows: height as f64, seconds }
        };
        all.cached.insert(format.name().to_owned(), HEIGHTS.map(cost).to_vec());
        if !SIZED.contains(&format) {
            continue;
        }
        // Of any format: all read the same memory, one after the other.
        let most = MEMORY / first.bytes();
        let many: Vec<Matrix> = (0..most).map(|_| matrix(format, ROWS, COLUMNS)).collect();
        let cost = |&bytes: &usize| {
            let list: Vec<&Matrix> = many[..(bytes / first.bytes()).min(most)].iter().collect();
            let seconds = multiply(kernels, &list, &floats[..COLUMNS], region);
            Cost { rows: bytes as f64, seconds }
        };
        all.streamed.insert(format.name().to_owned(), SIZES.iter().map(cost).collect());
    }
    all
}

/// Some weights: kernels take all as long.
pub(super) fn matrix(format: Format, rows: usize, columns: usize) -> Matrix {
    let row = format.row_bytes(columns).expect("whole blocks of every format");
    let mut builder = Matrix::builder(format, rows, columns);
    let mut tiles = Vec::new();
    const TOGETHER: usize = 16;
    pack_tiles(format, columns, &vec![0x11; TOGETHER * row], &mut tiles);
    for _ in 0..rows / TOGETHER {
        builder.push_tiles(TOGETHER, &tiles);
    }
    builder.finish()
}

/// Seconds for each weight of all the products, a region each, without preparing the inputs.
fn multiply(kernels: &Kernels, list: &[&Matrix], floats: &[f32], region: f64) -> f64 {
    let input = Activations::new(kernels, floats, COLUMNS, list.first().copied());
    let mut outputs = vec![vec![0.0; input.rows() * ROWS]; 2];
    let spent = seconds(|| {
        for (index, weights) in list.iter().enumerate() {
            let (output, input) = (&mut outputs[index % 2][..], &input);
            products(
                kernels,
                &mut [Product { weights, gate: None, input, input_rows: None, output }],
            );
        }
    });
    let each = spent / list.len() as f64;
    (each - region).max(each / 2.0) / (ROWS * COLUMNS) as f64
}
