//! Where a load takes its tensors from: a checkpoint, or what an earlier load made of it.

use super::Loader;
use crate::ffn::expert_cache::{ExpertCache, Parts};
use crate::ffn::experts::Within;
use baimo_blueprint::{Blueprint, Tensor};
use baimo_kernels::matmul::{
    BlockScales, Matrix, MatrixBuilder, MatrixId, ROWS_TOGETHER, pack_tiles,
};
use baimo_weights::store::{PackedReader, PackedWriter};
use baimo_weights::{Claims, Error, Role, RowSource, Target};
use std::sync::{Arc, Mutex, OnceLock};

/// Where tensors come from.
pub(super) enum Supply<'a> {
    /// Made of a checkpoint's.
    Made { claims: Claims<'a>, target: Target, place: Place<'a> },
    /// As an earlier load made them, in the same order.
    Kept(PackedReader<'a>),
}

/// Where packed matrices go.
pub(super) enum Place<'a> {
    /// Into memory of their own.
    Memory,
    /// Into a file. What the loader gets in their stead has no rows: the decoder comes from the
    /// whole file.
    File(&'a mut PackedWriter),
}

/// Where the tiles of one matrix go.
enum Sink<'a> {
    Memory(MatrixBuilder),
    File(&'a mut PackedWriter),
}

/// The experts of a model, as far as a load has come.
#[derive(Default)]
pub(crate) struct ExpertsSeen {
    /// Of each layer with experts, where each of them lies in the file of packed weights.
    pub parts: Vec<Vec<Parts>>,
    /// What layers look into: set where not all experts may be in memory.
    pub cache: Arc<OnceLock<ExpertCache>>,
}

/// Which tensor a matrix was made of, where products are observed.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub tensor: Tensor,
    /// Which expert or head.
    pub part: Option<usize>,
    pub matrix: MatrixId,
}

impl Supply<'_> {
    /// Ends the load: no tensor is left over.
    pub fn finish(self, blueprint: &Blueprint) -> Result<(), Error> {
        match self {
            Supply::Kept(reader) => reader.finish(),
            Supply::Made { claims, .. } => {
                let waived: Vec<&str> =
                    blueprint.set_aside.iter().map(|aside| aside.pattern.as_str()).collect();
                claims.finish(&waived)
            }
        }
    }
}

impl<'a> Loader<'a, '_> {
    /// A vector.
    pub(super) fn floats(&mut self, tensor: &Tensor) -> Result<Vec<f32>, Error> {
        let name = name_of(tensor, None);
        match &mut self.supply {
            Supply::Kept(reader) => reader.floats(&name, tensor.elements()),
            Supply::Made { claims, place, .. } => {
                let values = claims.floats(tensor)?;
                if let Place::File(writer) = place {
                    writer.floats(&name, &values)?;
                }
                Ok(values)
            }
        }
    }

    /// One matrix `[outputs, inputs]`.
    pub(super) fn matrix(&mut self, tensor: &Tensor, role: Role) -> Result<Matrix, Error> {
        let (columns, outer) = tensor.shape.split_last().expect("a matrix has columns");
        let shape = [outer.iter().product(), *columns];
        self.take(tensor, None, shape, role, |claims| claims.rows(tensor, None))
    }

    /// A matrix for each expert of `[experts, outputs, inputs]`, stored one by one or, where the
    /// name knows no expert, as one stack.
    pub(super) fn experts(&mut self, tensor: &Tensor) -> Result<Vec<Matrix>, Error> {
        if !tensor.is_per_expert() {
            return self.heads(tensor);
        }
        let shape = [tensor.shape[1], tensor.shape[2]];
        let expert = |expert| {
            let source = |claims: &mut Claims<'a>| claims.rows(tensor, Some(expert));
            self.take(tensor, Some(expert), shape, Role::Linear, source)
        };
        (0..tensor.shape[0]).map(expert).collect()
    }

    /// What a layer whose gates, ups and downs of `count` experts were just taken needs to meet
    /// them within a budget.
    pub(super) fn within(&mut self, count: usize) -> Within {
        let layer = self.experts.parts.len();
        if let Supply::Kept(reader) = &self.supply {
            let ranges = reader.ranges_since(reader.position() - 3 * count);
            let of_expert =
                |expert: usize| (0..3).map(|part| ranges[part * count + expert].clone()).collect();
            let parts = (0..count).map(of_expert);
            self.experts.parts.push(parts.collect());
        }
        Within { cache: self.experts.cache.clone(), layer }
    }

    /// A matrix for each head of a folded `[heads, outputs, inputs]`.
    pub(super) fn heads(&mut self, tensor: &Tensor) -> Result<Vec<Matrix>, Error> {
        let [heads, outputs, inputs] = tensor.shape[..] else { panic!("heads of {tensor:?}") };
        // Of a stack that a fold computes, the heads are made once.
        let mut whole = None;
        let head = |head| {
            let source = |claims: &mut Claims<'a>| {
                if whole.is_none() {
                    whole = Some(claims.rows(tensor, None)?);
                }
                let whole: &RowSource<'a> = whole.as_ref().expect("set above");
                Ok(whole.clone().range(head * outputs..(head + 1) * outputs))
            };
            self.take(tensor, Some(head), [outputs, inputs], Role::Linear, source)
        };
        (0..heads).map(head).collect()
    }

    /// The matrix of that shape which is `part` of `tensor`.
    fn take(
        &mut self,
        tensor: &Tensor,
        part: Option<usize>,
        shape: [usize; 2],
        role: Role,
        source: impl FnOnce(&mut Claims<'a>) -> Result<RowSource<'a>, Error>,
    ) -> Result<Matrix, Error> {
        let name = name_of(tensor, part);
        let matrix = match &mut self.supply {
            Supply::Kept(reader) => {
                let matrix = reader.matrix(&name, shape)?;
                (self.progress)(shape[0] * shape[1]);
                self.bytes += matrix.bytes();
                matrix
            }
            Supply::Made { claims, target, .. } => {
                let source = source(claims)?;
                let format =
                    baimo_weights::target_format(*target, source.format(), source.columns(), role);
                self.pack(&name, source.into_format(format))?
            }
        };
        if self.kernels.observer().is_some() {
            self.observed.push(Observed { tensor: tensor.clone(), part, matrix: matrix.id() });
        }
        Ok(matrix)
    }

    /// Packs all rows of a source, each thread a chunk at a time.
    fn pack(&mut self, name: &str, source: RowSource) -> Result<Matrix, Error> {
        let (format, rows, columns) = (source.format(), source.rows(), source.columns());
        let scales = source.block_scales().map(|scales| BlockScales {
            rows_per_block: scales.block[0],
            columns_per_block: scales.block[1],
            values: scales.values,
        });
        let mut sink = match &mut self.supply {
            Supply::Made { place: Place::File(writer), .. } => {
                writer.matrix(name, format, [rows, columns], scales.as_ref())?;
                Sink::File(writer)
            }
            Supply::Made { place: Place::Memory, .. } | Supply::Kept(_) => {
                let mut builder = Matrix::builder(format, rows, columns);
                if let Some(scales) = &scales {
                    builder.block_scales(scales);
                }
                Sink::Memory(builder)
            }
        };
        let threads = self.kernels.pool.threads();
        let chunks: Vec<Mutex<[Vec<u8>; 2]>> = (0..threads).map(|_| Mutex::default()).collect();
        let step = source.chunk_rows().next_multiple_of(ROWS_TOGETHER);
        for first in (0..rows).step_by(step * threads) {
            let rows_of = |chunk: usize| {
                let end = |chunk: usize| (first + chunk * step).min(rows);
                end(chunk)..end(chunk + 1)
            };
            self.kernels.pool.run(threads, &|chunk| {
                let [read, packed] = &mut *chunks[chunk].lock().expect("no chunk panics");
                source.read(rows_of(chunk), read);
                pack_tiles(format, columns, read, packed);
            });
            for (chunk, packed) in chunks.iter().enumerate() {
                let [_, packed] = &*packed.lock().expect("no chunk panics");
                match &mut sink {
                    // The last rows may leave nothing for the last threads.
                    _ if packed.is_empty() => {}
                    Sink::Memory(builder) => builder.push_tiles(rows_of(chunk).len(), packed),
                    Sink::File(writer) => writer.tiles(packed)?,
                }
            }
            let end = rows_of(threads - 1).end;
            source.release(first..end);
            (self.progress)((end - first) * columns);
        }
        let matrix = match sink {
            Sink::Memory(builder) => builder.finish(),
            Sink::File(_) => Matrix::builder(format, 0, columns).finish(),
        };
        self.bytes += matrix.bytes();
        Ok(matrix)
    }
}

/// What a tensor, or a part of it, is kept as.
fn name_of(tensor: &Tensor, part: Option<usize>) -> String {
    let Tensor { name, fold, .. } = tensor;
    match part {
        None => format!("{name} {fold:?}"),
        Some(part) => format!("{name} {fold:?} {part}"),
    }
}
