//! What GGUF files make of a checkpoint from the hub: other names, experts in stacks, rows in
//! another order, some maps cut apart.

use std::collections::{HashMap, HashSet};

use baimo_blueprint::{Blueprint, Fold, Mixer, RopeStyle, Tensor};
use baimo_kernels::format::Format;

use super::{Layout, parted};
use crate::checkpoint::Checkpoint;
use crate::claims::Claims;
use crate::error::{Error, Report, quoted};
use crate::mixture::is_quantizable;
use crate::names;
use crate::quantize::RowSource;
use crate::tensor::{Dtype, TensorInfo};

/// A tensor of the file to be.
pub(super) struct Folded {
    shape: Vec<usize>,
    source: Source,
}

enum Source {
    /// What the Blueprint takes from the checkpoint. Where it is turned, of so many rows a head.
    Tensor { tensor: Tensor, turned: Option<usize> },
    /// Numbers that the checkpoint has not.
    Floats(Vec<f32>),
}

impl Folded {
    /// Whether it is a vector and written in f32.
    pub fn is_vector(&self) -> bool {
        self.shape.len() == 1
    }

    /// All of its numbers.
    pub fn floats(&self, claims: &mut Claims) -> Result<Vec<f32>, Error> {
        match &self.source {
            Source::Floats(values) => Ok(values.clone()),
            Source::Tensor { tensor, turned } => {
                let values = claims.floats(tensor)?;
                let Some(head) = turned else { return Ok(values) };
                let order = crate::rows::Rows::all(values.len()).halves_in_turn(*head);
                Ok((0..values.len()).map(|index| values[order.get(index)]).collect())
            }
        }
    }

    /// Its matrices.
    pub fn rows<'a>(&self, claims: &mut Claims<'a>) -> Result<Vec<RowSource<'a>>, Error> {
        let Source::Tensor { tensor, turned } = &self.source else {
            unreachable!("numbers that the checkpoint has not are vectors")
        };
        if tensor.is_per_expert() {
            return (0..tensor.shape[0]).map(|expert| claims.rows(tensor, Some(expert))).collect();
        }
        let source = claims.rows(tensor, None)?;
        let source = match turned {
            Some(head) => source.halves_in_turn(*head),
            None => source,
        };
        Ok(parted(source, &self.shape).collect())
    }
}

/// Every tensor of the file, in the order of the layers.
pub(super) fn all(
    checkpoint: &Checkpoint,
    blueprint: &Blueprint,
    layout: &Layout,
) -> Result<(Vec<TensorInfo>, Vec<Folded>), Error> {
    let turned = if layout.interleaved_qk { turned(blueprint) } else { HashMap::new() };
    let mut claims = Claims::new(checkpoint);
    let (mut infos, mut all, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for tensor in blueprint.tensors() {
        let (name, tensor) = named(tensor, layout).ok_or_else(|| no_name(checkpoint, tensor))?;
        if !seen.insert(name.clone()) {
            continue;
        }
        let turned = turned.get(&tensor.name).copied();
        let shape = shape(&name, &tensor);
        let folded = Folded { shape: shape.clone(), source: Source::Tensor { tensor, turned } };
        // Asked for now, so that all that is wrong is known before anything is written.
        let natural = match folded.is_vector() {
            true => {
                folded.floats(&mut claims)?;
                Format::F32
            }
            false => folded.rows(&mut claims)?.first().map_or(Format::F32, RowSource::format),
        };
        let mut info = TensorInfo { name, dtype: Dtype::Weights(natural), shape, range: 0..0 };
        if !is_quantizable(&info) {
            info.dtype = Dtype::Weights(Format::F32);
        }
        infos.push(info);
        all.push(folded);
    }
    let waived: Vec<&str> = blueprint.set_aside.iter().map(|it| it.pattern.as_str()).collect();
    claims.finish(&waived)?;
    if let Some(divisors) = &layout.rope_divisors {
        let (name, shape) = ("rope_freqs.weight".to_owned(), vec![divisors.len()]);
        let dtype = Dtype::Weights(Format::F32);
        infos.push(TensorInfo { name, dtype, shape: shape.clone(), range: 0..0 });
        all.push(Folded { shape, source: Source::Floats(divisors.clone()) });
    }
    Ok((infos, all))
}

fn no_name(checkpoint: &Checkpoint, tensor: &Tensor) -> Error {
    let subject = format!("tensor {}", quoted(&tensor.name));
    Report::new(checkpoint.path(), subject, "a name without a GGUF name", "a known one")
        .hint("convert the model with llama.cpp's converter, then quantize that file")
        .mismatch()
}

/// The queries and keys whose rotated pairs lie half a head apart, by their names, with the rows of
/// a head.
fn turned(blueprint: &Blueprint) -> HashMap<String, usize> {
    let mut all = HashMap::new();
    for mixer in blueprint.layers.iter().flat_map(|layer| layer.mixers()) {
        let Mixer::Softmax(mixer) = mixer else { continue };
        if mixer.rope.as_ref().is_none_or(|rope| rope.style != RopeStyle::Half) {
            continue;
        }
        for map in [&mixer.q, &mixer.k] {
            for tensor in [Some(&map.weight), map.bias.as_ref()].into_iter().flatten() {
                all.insert(tensor.name.clone(), mixer.qk_dim);
            }
        }
    }
    all
}

/// The GGUF name, and the tensor as it is written: a fused one whole, where files have it whole.
pub(super) fn named(tensor: &Tensor, layout: &Layout) -> Option<(String, Tensor)> {
    let whole = names::gguf_candidates(&tensor.expert_name(0)).into_iter().next();
    let name = match (&tensor.fold, whole) {
        (Fold::AsStored | Fold::PlusOne | Fold::UnitRows | Fold::UnitColumns, whole) => whole?.name,
        (Fold::Rows { .. }, Some(whole)) => {
            let stored = Tensor::new(tensor.name.clone(), tensor.stored_shape());
            return Some((renamed(whole.name, layout), stored));
        }
        (Fold::Rows { .. }, None)
        | (Fold::HeadRows { .. } | Fold::HeadRowsTransposed { .. }, _) => {
            let (rows, of) = tensor.part_of_rows()?;
            let part = names::part_of_split(&tensor.name, rows.start == 0, rows.end == of)?;
            names::gguf_candidates(&part).into_iter().next()?.name
        }
    };
    Some((renamed(name, layout), tensor.clone()))
}

fn renamed(name: String, layout: &Layout) -> String {
    let Some((block, inner)) = name.rsplit_once('.').and_then(|(stem, ending)| {
        let (block, inner) = stem.rsplit_once('.')?;
        let (_, own) = layout.renamed.iter().find(|(usual, _)| *usual == inner)?;
        Some((block.to_owned(), format!("{own}.{ending}")))
    }) else {
        return name;
    };
    format!("{block}.{inner}")
}

/// Heads that were cut apart keep a dimension of their own where files have matrices of each.
fn shape(name: &str, tensor: &Tensor) -> Vec<usize> {
    let own = tensor.is_per_expert()
        || ["_exps.", "attn_k_b.", "attn_v_b."].iter().any(|part| name.contains(part));
    match tensor.shape[..] {
        [heads, rows, columns] if !own => vec![heads * rows, columns],
        _ => tensor.shape.clone(),
    }
}
