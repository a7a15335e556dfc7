//! Products of every format: fast versions against the scalar definition, and that against `f64`.

use baimo_kernels::activation::{Activation, gated};
use baimo_kernels::format::{dequantize, quantize};
use baimo_kernels::matmul::{Activations, BlockScales, Gate, Matrix, Product, products};
use baimo_kernels::{Format, Isa, Kernels};
use proptest::prelude::*;

fn scalar() -> Kernels {
    Kernels::on(Isa::Scalar, 1)
}

/// Every instruction set of this machine, on two threads.
fn all() -> Vec<Kernels> {
    Isa::available().into_iter().map(|isa| Kernels::on(isa, 2)).collect()
}

/// Numbers that look random, from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// In -1..1, with a bell's shape.
    fn float(&mut self) -> f32 {
        let parts = (0..3).map(|_| (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0);
        parts.sum::<f32>() / 3.0
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }
}

/// Weights as in a file: random bytes where any bits are fine, with scales of a usual size.
fn file_bytes(format: Format, rows: usize, columns: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = vec![0; format.row_bytes(columns).unwrap() * rows];
    if format.can_quantize() {
        quantize(format, &random.floats(rows * columns), &mut bytes);
        return bytes;
    }
    bytes.fill_with(|| random.bits() as u8);
    for block in bytes.chunks_mut(format.block_bytes()) {
        match format {
            Format::F8E4M3 => block[0] = if block[0] & 0x7f == 0x7f { 0 } else { block[0] },
            // An f16 scale comes first.
            _ => quantize(Format::F16, &[random.float() * 0.01], &mut block[..2]),
        }
    }
    bytes
}

fn matrix(format: Format, rows: usize, columns: usize, bytes: &[u8]) -> Matrix {
    let mut builder = Matrix::builder(format, rows, columns);
    // In uneven pieces, as a reader would bring them.
    let piece = builder.row_bytes() * 5;
    bytes.chunks(piece).for_each(|rows| builder.push_rows(rows));
    builder.finish()
}

fn product(kernels: &Kernels, weights: &Matrix, floats: &[f32]) -> Vec<f32> {
    let input = Activations::new(kernels, floats, weights.columns(), [weights]);
    let mut output = vec![f32::NAN; input.rows() * weights.rows()];
    let one = Product { weights, gate: None, input: &input, input_rows: None, output: &mut output };
    products(kernels, &mut [one]);
    output
}

fn same_bits(left: &[f32], right: &[f32]) -> bool {
    let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    left.len() == right.len() && left.iter().zip(right).all(same)
}

/// Columns that end inside a group of blocks, or inside a pair.
fn odd_columns(format: Format, seed: usize) -> usize {
    match format.block_len() {
        1 => 1 + seed % 300,
        32 => 32 * (1 + seed % 11),
        _ => 256 * (1 + seed % 3),
    }
}

#[test]
fn every_format_comes_back_from_the_packed_layout_bit_for_bit() {
    let mut random = Random(1);
    for format in Format::ALL {
        for (rows, seed) in [(1, 0), (7, 5), (19, 10), (33, 259)] {
            let columns = odd_columns(format, seed);
            let bytes = file_bytes(format, rows, columns, &mut random);
            let matrix = matrix(format, rows, columns, &bytes);
            for (row, source) in bytes.chunks(bytes.len() / rows).enumerate() {
                let (mut found, mut wanted) = (vec![0.0; columns], vec![0.0; columns]);
                matrix.dequantize_row(row, &mut found);
                dequantize(format, source, &mut wanted);
                assert!(same_bits(&found, &wanted), "{} row {row}", format.name());
            }
        }
    }
}

#[test]
fn a_packed_matrix_is_hardly_larger_than_the_file() {
    for format in Format::ALL {
        let (rows, columns) = (64, 1024);
        let file = format.row_bytes(columns).unwrap() * rows;
        let mut packed = Matrix::builder(format, rows, columns);
        packed.push_rows(&vec![0; file]);
        let packed = packed.finish().bytes();
        assert!(packed <= file + file / 20, "{}: {packed} against {file}", format.name());
    }
}

#[test]
fn every_format_is_near_the_product_of_its_weights_in_double_precision() {
    let mut random = Random(2);
    let (rows, height) = (21, 3);
    for format in Format::ALL {
        let columns = 512;
        let bytes = file_bytes(format, rows, columns, &mut random);
        let matrix = matrix(format, rows, columns, &bytes);
        let floats = random.floats(height * columns);
        let found = product(&scalar(), &matrix, &floats);
        for (row, source) in bytes.chunks(bytes.len() / rows).enumerate() {
            let mut weights = vec![0.0; columns];
            dequantize(format, source, &mut weights);
            for (line, input) in floats.chunks(columns).enumerate() {
                let terms =
                    || weights.iter().zip(input).map(|(w, x)| f64::from(*w) * f64::from(*x));
                let wanted: f64 = terms().sum();
                // Rounding of float sums, and half a step of each block's largest input: 127 steps,
                // or 32767 for weights of 8 bits; a block of `q4_k` has 256 columns.
                let mut allowed = 1e-5 * terms().map(f64::abs).sum::<f64>();
                if format.is_quantized() {
                    let steps = if format == Format::Q8_0 { 32767.0 } else { 127.0 };
                    let shared = if format == Format::Q4K { 256 } else { 32 };
                    for (weights, input) in weights.chunks(shared).zip(input.chunks(shared)) {
                        let largest = input.iter().fold(0.0f32, |most, x| most.max(x.abs()));
                        let sum: f64 = weights.iter().map(|w| f64::from(w.abs())).sum();
                        allowed += sum * f64::from(largest) * 0.5001 / steps;
                    }
                }
                let error = (f64::from(found[line * rows + row]) - wanted).abs();
                assert!(error <= allowed, "{}: {error} against {allowed}", format.name());
            }
        }
    }
}

#[test]
fn a_row_alone_equals_the_same_row_among_many() {
    let mut random = Random(3);
    for kernels in all() {
        for format in Format::ALL {
            let columns = odd_columns(format, 8);
            let bytes = file_bytes(format, 40, columns, &mut random);
            let matrix = matrix(format, 40, columns, &bytes);
            let floats = random.floats(70 * columns);
            let together = product(&kernels, &matrix, &floats);
            for (row, input) in floats.chunks(columns).enumerate() {
                let alone = product(&kernels, &matrix, input);
                assert!(same_bits(&alone, &together[row * 40..][..40]), "{}", format.name());
            }
        }
    }
}

#[test]
fn fp8_block_scales_multiply_their_own_rectangle() {
    let mut random = Random(4);
    let (rows, columns) = (40, 200);
    let bytes = file_bytes(Format::F8E4M3, rows, columns, &mut random);
    for (rows_per_block, columns_per_block) in [(128, 128), (16, 64), (7, 30), (1, 200), (40, 999)]
    {
        let wide = columns.div_ceil(columns_per_block);
        let values = random.floats(rows.div_ceil(rows_per_block) * wide);
        let mut builder = Matrix::builder(Format::F8E4M3, rows, columns);
        builder.push_rows(&bytes);
        builder.block_scales(&BlockScales {
            rows_per_block,
            columns_per_block,
            values: values.clone(),
        });
        let matrix = builder.finish();
        let input = random.floats(6 * columns);
        let wanted = product(&scalar(), &matrix, &input);
        for kernels in all() {
            assert!(same_bits(&product(&kernels, &matrix, &input), &wanted));
            assert!(same_bits(&product(&kernels, &matrix, &input[..columns]), &wanted[..rows]));
        }
        for row in 0..rows {
            let (mut found, mut plain) = (vec![0.0; columns], vec![0.0; columns]);
            matrix.dequantize_row(row, &mut found);
            dequantize(Format::F8E4M3, &bytes[row * columns..][..columns], &mut plain);
            for column in 0..columns {
                let block = row / rows_per_block * wide + column / columns_per_block;
                assert_eq!(found[column], plain[column] * values[block]);
            }
            let exact: f64 =
                found.iter().zip(&input).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
            let size: f64 = found.iter().map(|w| f64::from(w.abs())).sum();
            assert!((f64::from(wanted[row]) - exact).abs() <= 1e-5 * size);
        }
    }
}

#[test]
fn many_products_in_one_region_equal_each_on_its_own() {
    let mut random = Random(5);
    let columns = 512;
    let formats = [Format::Q4K, Format::Bf16, Format::Q6K, Format::Q8_0, Format::F32];
    let experts: Vec<Matrix> = (0..11)
        .map(|expert| {
            let (format, rows) = (formats[expert % formats.len()], 1 + 13 * expert);
            let bytes = file_bytes(format, rows, columns, &mut random);
            matrix(format, rows, columns, &bytes)
        })
        .collect();
    let floats = random.floats(9 * columns);
    for kernels in all() {
        let input = Activations::new(&kernels, &floats, columns, &experts);
        // Expert `e` gets `e` rows (so one gets none), some of them twice.
        let chosen: Vec<Vec<u32>> =
            (0..experts.len()).map(|e| (0..e).map(|row| (row * 5 % 9) as u32).collect()).collect();
        let mut outputs: Vec<Vec<f32>> =
            experts.iter().zip(&chosen).map(|(e, c)| vec![f32::NAN; e.rows() * c.len()]).collect();
        let mut list: Vec<Product> = Vec::new();
        for ((weights, rows), output) in experts.iter().zip(&chosen).zip(&mut outputs) {
            list.push(Product {
                weights,
                gate: None,
                input: &input,
                input_rows: Some(rows),
                output,
            });
        }
        products(&kernels, &mut list);
        for ((weights, rows), output) in experts.iter().zip(&chosen).zip(&outputs) {
            for (row, output) in rows.iter().zip(output.chunks(weights.rows())) {
                let alone = &floats[*row as usize * columns..][..columns];
                assert!(same_bits(output, &product(&kernels, weights, alone)));
            }
        }
    }
}

#[test]
fn a_gated_product_is_the_two_products_and_the_gate_bit_for_bit() {
    let mut random = Random(11);
    let activation = Activation::Silu;
    for (seed, format) in Format::ALL.into_iter().enumerate() {
        let (rows, columns) = (8 * 13 + seed, odd_columns(format, seed));
        let bytes = [0; 2].map(|_| file_bytes(format, rows, columns, &mut random));
        let [gate, weights] = bytes.map(|bytes| matrix(format, rows, columns, &bytes));
        for height in [1, 2, 130] {
            let floats = random.floats(height * columns);
            for kernels in all() {
                let [gates, up] = [&gate, &weights].map(|map| product(&kernels, map, &floats));
                let mut apart = vec![0.0; up.len()];
                gated(&kernels, activation, &gates, &up, &mut apart);
                let input = Activations::new(&kernels, &floats, columns, [&weights]);
                let mut output = vec![f32::NAN; up.len()];
                let gate = Some(Gate { weights: &gate, activation });
                let (weights, output_of) = (&weights, &mut output);
                let list =
                    Product { weights, gate, input: &input, input_rows: None, output: output_of };
                products(&kernels, &mut [list]);
                assert!(same_bits(&output, &apart), "{} at {height}", format.name());
            }
        }
    }
}

#[test]
fn the_largest_codes_and_inputs_do_not_overflow() {
    let columns = 256;
    for format in Format::ALL.into_iter().filter(|format| format.is_quantized()) {
        for byte in [0x00, 0x7f, 0x80, 0xff] {
            let mut bytes = vec![byte; format.row_bytes(columns).unwrap() * 8];
            // Scales that are numbers: f16 0x2c2c is 0.065.
            let fields: &[usize] = match format {
                Format::Q2K => &[80, 82],
                Format::Q3K => &[108],
                Format::Q6K => &[208],
                Format::Q4_1 | Format::Q5_1 | Format::Q4K | Format::Q5K => &[0, 2],
                Format::Mxfp4 => &[],
                _ => &[0],
            };
            for block in bytes.chunks_mut(format.block_bytes()) {
                fields.iter().for_each(|at| block[*at..at + 2].fill(0x2c));
                if format == Format::Mxfp4 {
                    block[0] = 120;
                }
            }
            let matrix = matrix(format, 8, columns, &bytes);
            for sign in [1.0, -1.0] {
                // All inputs become 127, or as many -127 as 127.
                let floats: Vec<f32> =
                    (0..6 * columns).map(|k| if k % 3 == 0 { sign } else { 1.0 }).collect();
                let wanted = product(&scalar(), &matrix, &floats);
                let mut weights = vec![0.0; columns];
                matrix.dequantize_row(0, &mut weights);
                let terms = weights.iter().zip(&floats);
                let exact: f64 = terms.map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                let size: f64 = weights.iter().map(|w| f64::from(w.abs())).sum();
                let error = (f64::from(wanted[0]) - exact).abs();
                assert!(error <= 1e-5 * size, "{} {byte}: {error}", format.name());
                for kernels in all() {
                    let found = product(&kernels, &matrix, &floats);
                    assert!(same_bits(&found, &wanted), "{} {byte}", format.name());
                }
            }
        }
    }
}

#[test]
fn infinite_and_nan_inputs_reach_the_outputs_of_their_own_row_only() {
    let mut random = Random(6);
    for format in Format::ALL {
        let bytes = file_bytes(format, 16, 256, &mut random);
        let matrix = matrix(format, 16, 256, &bytes);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut floats = random.floats(2 * 256);
            floats[256 + 70] = bad;
            for kernels in all() {
                let output = product(&kernels, &matrix, &floats);
                assert!(output[..16].iter().all(|value| value.is_finite()), "{}", format.name());
                let spoiled = output[16..].iter().filter(|value| !value.is_finite()).count();
                // An infinity may meet a weight or a sum of zero.
                assert!(spoiled > 8, "{}: {spoiled} for {bad}", format.name());
            }
        }
    }
}

#[test]
fn an_empty_list_and_an_input_without_rows_are_fine() {
    let mut random = Random(7);
    let bytes = file_bytes(Format::Q8_0, 8, 32, &mut random);
    let matrix = matrix(Format::Q8_0, 8, 32, &bytes);
    for kernels in all() {
        products(&kernels, &mut []);
        assert!(product(&kernels, &matrix, &[]).is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_instruction_set_gives_the_bits_of_the_definition(
        seed in any::<u64>(),
        shape in any::<u16>(),
        rows in 1usize..40,
        height in prop::sample::select(vec![1usize, 2, 3, 4, 5, 6, 7, 8, 17, 65]),
    ) {
        let mut random = Random(seed);
        for format in Format::ALL {
            let columns = odd_columns(format, usize::from(shape));
            let bytes = file_bytes(format, rows, columns, &mut random);
            let matrix = matrix(format, rows, columns, &bytes);
            let floats = random.floats(height * columns);
            let wanted = product(&scalar(), &matrix, &floats);
            for kernels in all() {
                let found = product(&kernels, &matrix, &floats);
                prop_assert!(same_bits(&found, &wanted), "{}", format.name());
            }
        }
    }

    #[test]
    fn hostile_bytes_and_inputs_give_the_same_bits_and_no_panic(
        bytes in prop::collection::vec(any::<u8>(), 9 * 256 * 4),
        inputs in prop::collection::vec(any::<u32>(), 256 * 6),
    ) {
        let floats: Vec<f32> = inputs.into_iter().map(f32::from_bits).collect();
        for format in Format::ALL {
            let matrix = matrix(format, 9, 256, &bytes[..format.row_bytes(256).unwrap() * 9]);
            let wanted = product(&scalar(), &matrix, &floats);
            for kernels in all() {
                let found = product(&kernels, &matrix, &floats);
                prop_assert!(same_bits(&found, &wanted), "{}", format.name());
            }
        }
    }
}
