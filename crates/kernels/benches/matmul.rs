//! Speed of products on two threads: bytes of weights per second for one row, multiply-adds (two
//! operations each) per second for many. Run with `cargo bench -p baimo-kernels --bench matmul`.
//!
//! One row alternates between enough matrices that weights come from memory, not from a cache.

use baimo_kernels::format::quantize;
use baimo_kernels::matmul::{Activations, Matrix, Product, products};
use baimo_kernels::{Format, Kernels};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

const FORMATS: [Format; 8] = [
    Format::F32,
    Format::Bf16,
    Format::F16,
    Format::F8E4M3,
    Format::Q8_0,
    Format::Q4_0,
    Format::Q4K,
    Format::Q6K,
];
const ROWS: usize = 3072;
const COLUMNS: usize = 1024;
const THREADS: usize = 2;
/// More than the last cache of the machines this runs on usually keeps.
const MEMORY: usize = 400 << 20;

fn main() {
    divan::main();
}

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|index| (index * 7919 % 1000) as f32 / 500.0 - 1.0).collect()
}

fn matrix(format: Format) -> Matrix {
    let mut bytes = vec![0x11; format.row_bytes(COLUMNS).expect("whole blocks") * ROWS];
    if format.can_quantize() {
        quantize(format, &values(ROWS * COLUMNS), &mut bytes);
    }
    let mut builder = Matrix::builder(format, ROWS, COLUMNS);
    builder.push_rows(&bytes);
    builder.finish()
}

#[divan::bench(args = FORMATS.map(Format::name))]
fn one_row(bencher: Bencher, name: &str) {
    let format = Format::from_name(name).expect("a name of the list");
    let kernels = Kernels::new(THREADS);
    let first = matrix(format);
    let bytes = first.bytes();
    let copies = (MEMORY / bytes).max(1);
    let weights: Vec<Matrix> = std::iter::once(first)
        .chain(std::iter::repeat_with(|| matrix(format)).take(copies - 1))
        .collect();
    let floats = values(COLUMNS);
    let mut output = vec![0.0; ROWS];
    bencher.counter(BytesCount::new(bytes * weights.len())).bench_local(|| {
        for weights in &weights {
            let input = Activations::new(&kernels, &floats, COLUMNS, [weights]);
            let product = Product { weights, input: &input, input_rows: None, output: &mut output };
            products(&kernels, &mut [product]);
        }
    });
}

#[divan::bench(args = FORMATS.map(Format::name), consts = [2, 4, 8, 128, 512])]
fn rows<const HEIGHT: usize>(bencher: Bencher, name: &str) {
    let format = Format::from_name(name).expect("a name of the list");
    let kernels = Kernels::new(THREADS);
    let weights = matrix(format);
    let floats = values(HEIGHT * COLUMNS);
    let mut output = vec![0.0; HEIGHT * ROWS];
    bencher.counter(ItemsCount::new(2 * HEIGHT * ROWS * COLUMNS)).bench_local(|| {
        let input = Activations::new(&kernels, &floats, COLUMNS, [&weights]);
        let product =
            Product { weights: &weights, input: &input, input_rows: None, output: &mut output };
        products(&kernels, &mut [product]);
    });
}
