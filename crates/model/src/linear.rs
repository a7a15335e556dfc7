//! Linear maps with their weights.

use baimo_kernels::matmul::{Activations, Gate, Matrix, Product, products};
use baimo_kernels::{Floats, Kernels};

/// `y = weight · x + bias`.
pub struct Linear {
    /// `[outputs, inputs]`.
    pub weight: Matrix,
    /// `[outputs]`.
    pub bias: Option<Vec<f32>>,
}

impl Linear {
    /// Maps every row of `x`.
    pub fn apply(&self, kernels: &Kernels, x: &[f32]) -> Floats {
        let [y] = apply_all(kernels, x, [self]);
        y
    }
}

/// Maps every row of `x` by a matrix alone, multiplied with a gate if there is one.
pub fn apply(kernels: &Kernels, x: &[f32], weights: &Matrix, gate: Option<Gate>) -> Floats {
    let input = Activations::new(kernels, x, weights.columns(), [weights]);
    let mut output = kernels.floats(input.rows() * weights.rows());
    products(
        kernels,
        &mut [Product { weights, gate, input: &input, input_rows: None, output: &mut output }],
    );
    output
}

/// Maps every row of `x` by several maps at once: one parallel region, and `x` is quantized once.
pub fn apply_all<const N: usize>(kernels: &Kernels, x: &[f32], maps: [&Linear; N]) -> [Floats; N] {
    let mut outputs = apply_each(kernels, x, &maps).into_iter();
    maps.map(|_| outputs.next().expect("an output for each map"))
}

/// [`apply_all`] for any number of maps, at least one.
pub fn apply_each(kernels: &Kernels, x: &[f32], maps: &[&Linear]) -> Vec<Floats> {
    let columns = maps[0].weight.columns();
    let rows = x.len() / columns;
    let input = Activations::new(kernels, x, columns, maps.iter().map(|map| &map.weight));
    let mut outputs: Vec<Floats> =
        maps.iter().map(|map| kernels.floats(rows * map.weight.rows())).collect();
    let mut list: Vec<Product> = maps
        .iter()
        .zip(&mut outputs)
        .map(|(map, output)| Product {
            weights: &map.weight,
            gate: None,
            input: &input,
            input_rows: None,
            output,
        })
        .collect();
    products(kernels, &mut list);
    drop(list);
    for (map, output) in maps.iter().zip(&mut outputs) {
        if let Some(bias) = &map.bias {
            for row in output.chunks_exact_mut(bias.len()) {
                row.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
            }
        }
    }
    outputs
}
