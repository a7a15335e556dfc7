//! A model as a GGUF file is going to hold it: which tensors, and what each is made of.

mod folded;

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use baimo_blueprint::{self as blueprint, Blueprint, Fold};

use crate::checkpoint::Checkpoint;
use crate::claims::Claims;
use crate::error::Error;
use crate::gguf::Value;
use crate::importance::Importance;
use crate::names;
use crate::quantize::RowSource;
use crate::rewrite::{Content, write_model};
use crate::tensor::{Dtype, Tensor, TensorInfo};

use folded::Folded;

/// The tensors of a file to be written, and where they come from.
pub struct Draft<'a> {
    checkpoint: &'a Checkpoint,
    claims: RefCell<Claims<'a>>,
    tensors: Vec<TensorInfo>,
    /// What each is made of, where it is not taken from a GGUF file as it is.
    folded: Vec<Folded>,
    layout: Layout<'a>,
}

/// How a GGUF file of a model lays out what the hub has otherwise.
#[derive(Clone, Debug, Default)]
pub struct Layout<'a> {
    /// Of each query and key head, the two numbers of a rotated pair are neighbours.
    pub interleaved_qk: bool,
    /// What the tensors of a layer are called, where not as most: the usual names, and these.
    pub renamed: &'a [(&'a str, &'a str)],
    /// Divisors of rope frequencies, a tensor of their own.
    pub rope_divisors: Option<Vec<f32>>,
}

impl<'a> Draft<'a> {
    /// The tensors of a GGUF checkpoint as they are.
    pub fn of_gguf(checkpoint: &'a Checkpoint) -> Draft<'a> {
        let tensors = checkpoint.tensors().cloned().collect();
        let claims = RefCell::new(Claims::new(checkpoint));
        Draft { checkpoint, claims, tensors, folded: Vec::new(), layout: Layout::default() }
    }

    /// The tensors of a checkpoint from the hub, as a GGUF file lays them out.
    ///
    /// # Errors
    /// If a tensor is missing, of another shape than the Blueprint says, or has no GGUF name; or if
    /// one is left over.
    pub fn of_folder(
        checkpoint: &'a Checkpoint,
        blueprint: &Blueprint,
        layout: Layout<'a>,
    ) -> Result<Draft<'a>, Error> {
        let (tensors, folded) = folded::all(checkpoint, blueprint, &layout)?;
        let claims = RefCell::new(Claims::new(checkpoint));
        Ok(Draft { checkpoint, claims, tensors, folded, layout })
    }

    /// The tensors by their names in the file to be, of the types that they are made of.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor of the file to be that has the columns of what a Blueprint asks for: another than
    /// it asks for where files have several maps in one. `None` where there is none, as where a map
    /// is met turned.
    pub fn map(&self, wanted: &blueprint::Tensor) -> Option<&TensorInfo> {
        let names = match self.folded.is_empty() {
            false => folded::named(wanted, &self.layout).map(|(name, _)| vec![name])?,
            true => names_in_gguf(wanted),
        };
        let find = |name: &String| self.tensors.iter().find(|tensor| tensor.name == *name);
        names.iter().find_map(find)
    }

    /// All numbers of a small tensor of that GGUF name, `None` where there is none.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn floats(&self, name: &str) -> Result<Option<Vec<f32>>, Error> {
        let Some(index) = self.tensors.iter().position(|tensor| tensor.name == name) else {
            return Ok(None);
        };
        match self.folded.get(index) {
            None => Ok(self.checkpoint.stored(name).map(|tensor| tensor.to_f32())),
            Some(folded) => folded.floats(&mut self.claims.borrow_mut()).map(Some),
        }
    }

    /// Writes the file, tensor `n` of type `types[n]`. Where it is known what columns matter, that
    /// decides how their errors are weighed. `progress` is told how many more bytes are written.
    ///
    /// # Errors
    /// If a tensor cannot be read, or the file not be written.
    ///
    /// # Panics
    /// If there is not a type for each tensor, or nothing converts to it.
    pub fn write(
        &self,
        path: &Path,
        metadata: &[(String, Value)],
        types: &[Dtype],
        importance: Option<&Importance>,
        threads: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(), Error> {
        let written =
            |(tensor, dtype): (&TensorInfo, &Dtype)| TensorInfo { dtype: *dtype, ..tensor.clone() };
        assert_eq!(types.len(), self.tensors.len(), "a type for each tensor");
        let tensors: Vec<_> = self.tensors.iter().zip(types).map(written).collect();
        let content = |index: usize| self.content(index, &tensors[index], importance);
        write_model(path, metadata, &tensors, threads, content, progress)
    }

    fn content(
        &self,
        index: usize,
        tensor: &TensorInfo,
        importance: Option<&Importance>,
    ) -> Result<Content<'a>, Error> {
        let sources = match self.folded.get(index) {
            Some(folded) if folded.is_vector() => {
                let values = folded.floats(&mut self.claims.borrow_mut())?;
                return Ok(Content::Floats(values));
            }
            Some(folded) => folded.rows(&mut self.claims.borrow_mut())?,
            None => {
                let stored = self.checkpoint.stored(&tensor.name);
                let stored = stored.expect("listed by the checkpoint");
                if stored.dtype == tensor.dtype {
                    return Ok(Content::Stored(stored));
                }
                matrices(stored).collect()
            }
        };
        let Dtype::Weights(format) = tensor.dtype else {
            unreachable!("{}: tables are taken as stored", tensor.name)
        };
        let weighed = |(index, source): (usize, RowSource<'a>)| {
            let source = source.into_format(format);
            match importance.and_then(|known| known.of(&tensor.name, index)) {
                Some(known) => source.weighed(Arc::<[f32]>::from(known)),
                None => source,
            }
        };
        Ok(Content::Rows(sources.into_iter().enumerate().map(weighed).collect()))
    }
}

/// What files may call a tensor of which a Blueprint takes whole rows, or all of a part that files
/// have apart.
fn names_in_gguf(wanted: &blueprint::Tensor) -> Vec<String> {
    let part = wanted
        .part_of_rows()
        .and_then(|(rows, of)| names::part_of_split(&wanted.name, rows.start == 0, rows.end == of));
    let whole = match wanted.fold {
        Fold::AsStored | Fold::Rows { .. } => Some(wanted.expert_name(0)),
        Fold::PlusOne
        | Fold::UnitRows
        | Fold::UnitColumns
        | Fold::HeadRows { .. }
        | Fold::HeadRowsTransposed { .. } => None,
    };
    let candidates = |name: String| names::gguf_candidates(&name);
    let all = part.into_iter().chain(whole).flat_map(candidates);
    all.map(|candidate| candidate.name).collect()
}

/// The matrices of a stack, one by one, or the one that there is.
fn matrices(tensor: Tensor<'_>) -> impl Iterator<Item = RowSource<'_>> {
    let shape = tensor.shape.clone();
    parted(RowSource::new(tensor), &shape)
}

/// The matrices of a source of this shape.
fn parted<'a>(
    source: RowSource<'a>,
    shape: &[usize],
) -> impl Iterator<Item = RowSource<'a>> + use<'a> {
    let rows = match *shape {
        [_, outputs, _] => outputs,
        _ => source.rows(),
    };
    let count = source.rows().checked_div(rows).unwrap_or(0);
    (0..count).map(move |matrix| source.clone().range(matrix * rows..(matrix + 1) * rows))
}
