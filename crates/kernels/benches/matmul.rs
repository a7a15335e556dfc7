//! Speed of products on two threads: bytes of weights per second for one row, multiply-adds (two
//! operations each) per second for many. Run with `cargo bench -p baimo-kernels --bench matmul`;
//! after the rest, or alone with `-- shares`, comes a table of shares of what the machine gives.
//!
//! One row alternates between enough matrices that weights come from memory, not from a cache.

use baimo_kernels::format::quantize;
use baimo_kernels::limits::{Memory, Operations};
use baimo_kernels::matmul::{Activations, Matrix, Product, products};
use baimo_kernels::{Format, Kernels};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use std::time::Instant;

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
    // Of the words that cargo passes, the ones that are no flags choose benchmarks.
    let words: Vec<String> = std::env::args().skip(1).collect();
    let chosen: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let measures = words.iter().any(|word| word == "--bench");
    if chosen != ["shares"] {
        divan::main();
    }
    if measures && (chosen.is_empty() || chosen == ["shares"]) {
        shares();
    }
}

/// Prints what every format reaches, as a share of the machine's limits of the same minute: one row
/// of a pure read; more of products in registers, of the kind the format's inputs take.
fn shares() {
    let kernels = Kernels::new(THREADS);
    let memory = Memory::new(&kernels, MEMORY);
    let limits = Operations::measure(&kernels);
    let giga = |rate: f64| rate / 1e9;
    println!("\n{THREADS} threads, {}; GB/s of one row, else GOP/s", kernels.isa.name());
    println!(
        "limits: read {:.1}, float {:.1}, 16-bit {:.1}, 8-bit {:.1}",
        giga(best(|| memory.read(&kernels))),
        giga(limits.float),
        giga(limits.int16),
        giga(limits.int8),
    );
    println!("{:>8}{:>16}{:>16}{:>16}{:>16}", "format", 1, 8, 128, 512);
    for format in Format::ALL {
        let copies = matrices(format);
        let read = best(|| memory.read(&kernels));
        let bytes: usize = copies.iter().map(Matrix::bytes).sum();
        let rate = best(|| bytes as f64 / seconds(&kernels, &copies, 1));
        print!("{:>8}{}", format.name(), cell(rate, read));
        let limit = match format {
            Format::Q8_0 => limits.int16,
            _ if format.is_quantized() => limits.int8,
            _ => limits.float,
        };
        for height in [8, 128, 512] {
            let operations = 2.0 * (height * ROWS * COLUMNS) as f64;
            let rate = best(|| operations / seconds(&kernels, &copies[..1], height));
            print!("{}", cell(rate, limit));
        }
        println!();
    }
}

fn cell(rate: f64, limit: f64) -> String {
    format!("{:>8.1} ({:>3.0} %)", rate / 1e9, 100.0 * rate / limit)
}

/// The best of a few rates, after one that warms up.
fn best(rate: impl Fn() -> f64) -> f64 {
    rate();
    (0..5).map(|_| rate()).fold(0.0, f64::max)
}

/// Seconds of a product of `height` rows with each of `weights`.
fn seconds(kernels: &Kernels, weights: &[Matrix], height: usize) -> f64 {
    let floats = values(height * COLUMNS);
    let mut output = vec![0.0; height * ROWS];
    let start = Instant::now();
    for weights in weights {
        let input = Activations::new(kernels, &floats, COLUMNS, [weights]);
        let product =
            Product { weights, gate: None, input: &input, input_rows: None, output: &mut output };
        products(kernels, &mut [product]);
    }
    start.elapsed().as_secs_f64()
}

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|index| (index * 7919 % 1000) as f32 / 500.0 - 1.0).collect()
}

fn matrix(format: Format) -> Matrix {
    packed(format, &bytes(format))
}

fn bytes(format: Format) -> Vec<u8> {
    let mut bytes = vec![0x11; format.row_bytes(COLUMNS).expect("whole blocks") * ROWS];
    if format.can_quantize() {
        quantize(format, &values(ROWS * COLUMNS), &mut bytes);
    }
    bytes
}

fn packed(format: Format, bytes: &[u8]) -> Matrix {
    let mut builder = Matrix::builder(format, ROWS, COLUMNS);
    builder.push_rows(bytes);
    builder.finish()
}

/// So many equal ones that they fill [`MEMORY`].
fn matrices(format: Format) -> Vec<Matrix> {
    let bytes = bytes(format);
    let first = packed(format, &bytes);
    let copies = (MEMORY / first.bytes()).max(1);
    std::iter::once(first).chain((1..copies).map(|_| packed(format, &bytes))).collect()
}

#[divan::bench(args = FORMATS.map(Format::name))]
fn one_row(bencher: Bencher, name: &str) {
    let format = Format::from_name(name).expect("a name of the list");
    let kernels = Kernels::new(THREADS);
    let weights = matrices(format);
    let bytes = weights.iter().map(Matrix::bytes).sum::<usize>();
    let floats = values(COLUMNS);
    let mut output = vec![0.0; ROWS];
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        for weights in &weights {
            let input = Activations::new(&kernels, &floats, COLUMNS, [weights]);
            let product = Product {
                weights,
                gate: None,
                input: &input,
                input_rows: None,
                output: &mut output,
            };
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
        let product = Product {
            weights: &weights,
            gate: None,
            input: &input,
            input_rows: None,
            output: &mut output,
        };
        products(&kernels, &mut [product]);
    });
}
