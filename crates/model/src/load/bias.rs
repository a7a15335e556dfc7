//! Biases of attention by distance, laid out as the kernel reads them.

use super::Loader;
use baimo_blueprint::RelativeBias;
use baimo_kernels::attention::Bias;
use baimo_weights::Error;
use std::sync::Arc;

impl Loader<'_, '_> {
    /// One that was loaded before is shared.
    pub(super) fn bias(&mut self, bias: &RelativeBias) -> Result<Arc<Bias>, Error> {
        if let Some((_, loaded)) = self.biases.iter().find(|(other, _)| other == bias) {
            return Ok(loaded.clone());
        }
        (self.progress)(bias.table.elements());
        let table = self.floats(&bias.table)?;
        let loaded = Arc::new(laid_out(bias, &table));
        self.biases.push((bias.clone(), loaded.clone()));
        Ok(loaded)
    }
}

/// From `[buckets + relations, heads]`.
fn laid_out(bias: &RelativeBias, table: &[f32]) -> Bias {
    let (heads, reach) = (bias.table.shape[1], bias.distance_max);
    let relations = bias.table.shape[0] - bias.buckets;
    let farthest = reach as isize;
    let of_head = |row: usize, head: usize| table[row * heads + head];
    let distances = |head| (-farthest..=farthest).map(move |far| of_head(bias.bucket(far), head));
    let related = |head| (0..relations).map(move |to| of_head(bias.buckets + to, head));
    Bias {
        reach,
        by_distance: (0..heads).flat_map(distances).collect(),
        across: (0..heads).flat_map(related).collect(),
        relations,
    }
}
