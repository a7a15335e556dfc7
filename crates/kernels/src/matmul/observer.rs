//! What matrices are multiplied with, over some time: by it, the errors of quantized weights are
//! weighed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{MatrixId, Product};

/// Sums over every product while it looks on.
#[derive(Debug, Default)]
pub struct Observer {
    seen: Mutex<HashMap<MatrixId, Seen>>,
}

/// What one matrix was multiplied with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Of each column, the sum of the squares of its inputs.
    pub squares: Vec<f64>,
    /// Input rows.
    pub rows: usize,
}

impl Observer {
    /// What that matrix met so far; nothing where it met no row.
    pub fn of(&self, matrix: MatrixId) -> Option<Seen> {
        // Sums are whole between two rows, whoever panicked.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&matrix).cloned()
    }

    /// Adds the inputs of these products, and of the gates beside them.
    pub(super) fn look(&self, list: &[Product]) {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for Product { weights, gate, input, input_rows, .. } in list {
            for matrix in [Some(*weights), gate.map(|gate| gate.weights)].into_iter().flatten() {
                let seen = all.entry(matrix.id()).or_default();
                seen.squares.resize(matrix.columns(), 0.0);
                match input_rows {
                    Some(rows) => rows.iter().for_each(|row| seen.add(input.float_row(*row))),
                    None => (0..input.rows() as u32).for_each(|row| seen.add(input.float_row(row))),
                }
            }
        }
    }
}

impl Seen {
    fn add(&mut self, row: &[f32]) {
        self.rows += 1;
        for (sum, x) in self.squares.iter_mut().zip(row) {
            *sum += f64::from(*x) * f64::from(*x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matmul::{Activations, Gate, Matrix, products};
    use crate::{Format, Kernels, activation::Activation};

    fn matrix(format: Format) -> Matrix {
        let mut builder = Matrix::builder(format, 2, 32);
        builder.push_rows(&vec![0; 2 * format.row_bytes(32).expect("whole blocks")]);
        builder.finish()
    }

    #[test]
    fn chosen_rows_count_for_the_matrix_and_its_gate_alone() {
        let kernels = Kernels::new(1).observing();
        let [weights, gate, other] = [Format::F32, Format::F32, Format::Q8_0].map(matrix);
        let rows: Vec<f32> = (0..96).map(|at| (at / 32) as f32 + 1.0).collect();
        let input = Activations::new(&kernels, &rows, 32, [&weights, &other]);
        let mut outputs = [[0.0; 4], [0.0; 4]];
        let [first, second] = &mut outputs;
        let gate_of = Gate { weights: &gate, activation: Activation::Silu };
        products(
            &kernels,
            &mut [
                Product {
                    weights: &weights,
                    gate: Some(gate_of),
                    input: &input,
                    input_rows: Some(&[0, 2]),
                    output: first,
                },
                Product {
                    weights: &other,
                    gate: None,
                    input: &input,
                    input_rows: Some(&[1, 1]),
                    output: second,
                },
            ],
        );
        let observer = kernels.observer().expect("there is one");
        let wanted = Seen { squares: vec![10.0; 32], rows: 2 };
        assert_eq!(observer.of(weights.id()), Some(wanted.clone()));
        assert_eq!(observer.of(gate.id()), Some(wanted));
        assert_eq!(observer.of(other.id()), Some(Seen { squares: vec![8.0; 32], rows: 2 }));
        assert_eq!(observer.of(matrix(Format::F32).id()), None);
    }
}
