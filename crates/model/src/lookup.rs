//! Further tables whose rows are added to embeddings.

use crate::batch::Batch;
use baimo_blueprint::LookupBy;
use baimo_kernels::Kernels;
use baimo_kernels::activation::add_scaled;
use baimo_kernels::matmul::Matrix;

/// A table; see [`baimo_blueprint::Lookup`].
pub struct Lookup {
    pub(crate) table: Matrix,
    pub(crate) by: LookupBy,
}

impl Lookup {
    /// Adds a row for each token of the batch to the stream `x`.
    pub(crate) fn add(&self, kernels: &Kernels, batch: &Batch, x: &mut [f32]) {
        let mut found = vec![0.0; x.len()];
        let mut rows = found.chunks_exact_mut(self.table.columns());
        for span in &batch.spans {
            let positions = span.position..span.position + span.rows;
            for (position, row) in positions.zip(rows.by_ref()) {
                let index = match self.by {
                    LookupBy::Kind { lead, given } => {
                        if position < span.opening.lead {
                            lead
                        } else {
                            given
                        }
                    }
                };
                self.table.dequantize_row(index, row);
            }
        }
        add_scaled(kernels, x, &found, 1.0);
    }
}
