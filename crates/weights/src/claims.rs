//! Who asked for which tensor, so that nothing is left over unseen.

use baimo_blueprint as blueprint;

use crate::checkpoint::{Checkpoint, Found};
use crate::error::{Error, Report, quoted, shape_text};
use crate::folds;
use crate::names::{self, Part};
use crate::packed::Packed;
use crate::quantize::RowSource;
use crate::tensor::Tensor;

/// How many names a message lists.
const NAMES_MAX: usize = 4;

/// The tensors of a checkpoint with a tick at each that was asked for.
pub struct Claims<'a> {
    checkpoint: &'a Checkpoint,
    claimed: Vec<Claimed>,
    /// For each tensor that was claimed whole, the name it was asked for by.
    asked_as: Vec<Option<String>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Claimed {
    Nothing,
    Everything,
    /// Two ticks for each matrix of a stack: one for each half of its rows.
    Halves(Vec<bool>),
}

impl<'a> Claims<'a> {
    /// Nothing of `checkpoint` claimed yet.
    pub fn new(checkpoint: &'a Checkpoint) -> Claims<'a> {
        let count = checkpoint.len();
        let claimed = vec![Claimed::Nothing; count];
        Claims { checkpoint, claimed, asked_as: vec![None; count] }
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> &'a Checkpoint {
        self.checkpoint
    }

    /// Claims the tensor of that hub name, if there is one.
    ///
    /// # Errors
    /// If it is there and its shape makes no sense, or it was claimed under another name.
    pub fn find(&mut self, hub_name: &str) -> Result<Option<Tensor<'a>>, Error> {
        let Some(found) = self.checkpoint.find(hub_name) else { return Ok(None) };
        let tensor = self.checkpoint.load(found)?;
        if found.part == Part::Whole {
            self.check_asked_once(found.index, hub_name)?;
        }
        self.mark(found);
        Ok(Some(tensor))
    }

    /// GGUF has one name for what some families call differently. A tensor that answers to two
    /// names of one model would be in the wrong place once.
    fn check_asked_once(&mut self, index: usize, hub_name: &str) -> Result<(), Error> {
        let first = self.asked_as[index].get_or_insert_with(|| hub_name.to_string());
        if first == hub_name {
            return Ok(());
        }
        let subject = format!("tensor {}", quoted(&self.checkpoint.info(index).name));
        let found = format!("taken for {} already", quoted(first));
        let wanted = format!("another one for {}", quoted(hub_name));
        Err(Report::new(self.checkpoint.path(), subject, found, wanted)
            .hint("the file lacks a tensor of this family")
            .mismatch())
    }

    /// Claims the tensor of that hub name.
    ///
    /// # Errors
    /// If there is none, or its shape makes no sense.
    pub fn tensor(&mut self, hub_name: &str) -> Result<Tensor<'a>, Error> {
        self.find(hub_name)?.ok_or_else(|| self.missing(hub_name))
    }

    /// Claims what a blueprint asks for, as rows of its last dimension: for a linear weight
    /// `[outputs, inputs]`, `outputs` rows. `expert` says which, for a name with `{e}`.
    ///
    /// # Errors
    /// If the tensor is missing, of another shape than the blueprint says, or no weights.
    ///
    /// # Panics
    /// If `expert` is given and the name has no `{e}`, or the other way round, or for a fold that
    /// changes numbers: those are for [`Claims::floats`].
    pub fn rows(
        &mut self,
        wanted: &blueprint::Tensor,
        expert: Option<usize>,
    ) -> Result<RowSource<'a>, Error> {
        assert_eq!(wanted.is_per_expert(), expert.is_some(), "{}", wanted.name);
        let Some(expert) = expert else {
            if let Some(source) = self.part_of_split(wanted)? {
                return Ok(source);
            }
            let tensor = self.weights(&wanted.name, &wanted.stored_shape())?;
            return folds::fold(tensor, wanted);
        };
        assert_eq!(wanted.fold, blueprint::Fold::AsStored, "{}: no fold per expert", wanted.name);
        folds::as_stored(self.weights(&wanted.expert_name(expert), &wanted.shape[1..])?)
    }

    /// Claims the tensor of that hub name and shape, or what it was packed in.
    fn weights(&mut self, hub_name: &str, shape: &[usize]) -> Result<Tensor<'a>, Error> {
        if !self.checkpoint.contains(hub_name)
            && let Some(packed) = Packed::find(self.checkpoint, hub_name)?
        {
            for name in packed.names() {
                self.find(&name)?;
            }
            return packed.matrix(shape);
        }
        let mut tensor = self.tensor(hub_name)?;
        // GGUF converters lay some vectors out in groups.
        if let (Some(_), [count]) = (self.checkpoint.metadata(), shape)
            && tensor.shape.iter().try_fold(1, |product: usize, &by| product.checked_mul(by))
                == Some(*count)
        {
            tensor.shape = shape.to_vec();
        }
        shaped(tensor, shape)
    }

    /// Claims what a blueprint asks for, as floats, row-major: norms, biases.
    ///
    /// # Errors
    /// As [`Claims::rows`].
    pub fn floats(&mut self, wanted: &blueprint::Tensor) -> Result<Vec<f32>, Error> {
        let source = self.rows(wanted, None)?;
        let mut values = source.to_f32();
        source.release(0..source.rows());
        // Whoever writes GGUF adds the one.
        if wanted.fold == blueprint::Fold::PlusOne && self.checkpoint.metadata().is_none() {
            values.iter_mut().for_each(|value| *value += 1.0);
        }
        match self.checkpoint.find(&wanted.name) {
            Some(found) if self.checkpoint.metadata().is_some() => {
                let name = &self.checkpoint.info(found.index).name;
                if names::is_rate(name) && !folds::logarithms_of_rates(&mut values) {
                    let subject = format!("tensor {}", quoted(name));
                    let found = "zero, or numbers of both signs";
                    let wanted = "-exp(A_log) or exp(A_log)";
                    let report = Report::new(self.checkpoint.path(), subject, found, wanted);
                    return Err(report.mismatch());
                }
            }
            Some(_) | None => {}
        }
        Ok(values)
    }

    /// GGUF converters split some fused tensors, so that what a blueprint folds out of one lies in
    /// the file already, under a name of its own.
    fn part_of_split(
        &mut self,
        wanted: &blueprint::Tensor,
    ) -> Result<Option<RowSource<'a>>, Error> {
        if self.checkpoint.metadata().is_none() || self.checkpoint.contains(&wanted.name) {
            return Ok(None);
        }
        let Some((rows, of)) = wanted.part_of_rows() else { return Ok(None) };
        let name = names::part_of_split(&wanted.name, rows.start == 0, rows.end == of);
        let Some(mut tensor) = name.map(|name| self.find(&name)).transpose()?.flatten() else {
            return Ok(None);
        };
        // Rows of heads may stand below each other.
        if let (blueprint::Fold::HeadRows { .. }, [heads, rows, columns @ ..]) =
            (wanted.fold, &wanted.shape[..])
            && squeezed(&tensor.shape) == squeezed(&[&[heads * rows], columns].concat())
        {
            tensor.shape = wanted.shape.clone();
        }
        folds::as_stored(shaped(tensor, &wanted.shape)?).map(Some)
    }

    fn mark(&mut self, found: Found) {
        if let Some(scales) = self.checkpoint.scales_of(found.index) {
            self.claimed[scales] = Claimed::Everything;
        }
        let halves = match found.part {
            Part::Whole => {
                self.claimed[found.index] = Claimed::Everything;
                return;
            }
            Part::Matrix(expert) => 2 * expert..2 * expert + 2,
            Part::FirstHalf(expert) => 2 * expert..2 * expert + 1,
            Part::SecondHalf(expert) => 2 * expert + 1..2 * expert + 2,
        };
        let experts = self.checkpoint.info(found.index).shape[0];
        let claimed = &mut self.claimed[found.index];
        if *claimed == Claimed::Nothing {
            *claimed = Claimed::Halves(vec![false; 2 * experts]);
        }
        if let Claimed::Halves(ticks) = claimed {
            ticks[halves].fill(true);
        }
    }

    /// Ends the loading: every tensor was claimed, or is waived by one of the patterns, in which
    /// `*` stands for any characters. Patterns are held against the name in the file and the name
    /// on the hub.
    ///
    /// # Errors
    /// If tensors are left over: the error names the first few.
    pub fn finish(self, waived: &[&str]) -> Result<(), Error> {
        let mut names = Vec::new();
        let mut count = 0_usize;
        for index in 0..self.checkpoint.len() {
            let name = &self.checkpoint.info(index).name;
            let part = match &self.claimed[index] {
                Claimed::Everything => continue,
                Claimed::Halves(ticks) => match ticks.iter().filter(|tick| !**tick).count() {
                    0 => continue,
                    left => format!(" (in part: {left} of {} halves of experts)", ticks.len()),
                },
                Claimed::Nothing => String::new(),
            };
            let hub_name = names::hub_name(name);
            let is_waived = |pattern: &&str| {
                glob(pattern, name) || hub_name.as_ref().is_some_and(|name| glob(pattern, name))
            };
            if waived.iter().any(is_waived) {
                continue;
            }
            count += 1;
            if names.len() < NAMES_MAX {
                names.push(format!("{}{part}", quoted(name)));
            }
        }
        if count == 0 {
            return Ok(());
        }
        let more = if count > names.len() { ", ..." } else { "" };
        let found = format!("{count} tensors the model has no use for: {}{more}", names.join(", "));
        Err(Report::new(self.checkpoint.path(), "tensors", found, "every tensor to be used")
            .hint("config and weights may be of different models")
            .unclaimed())
    }

    fn missing(&self, hub_name: &str) -> Error {
        let subject = format!("tensor {}", quoted(hub_name));
        let candidates = self.checkpoint.candidates(hub_name);
        let mut tried: Vec<String> = candidates.iter().map(|c| quoted(&c.name)).collect();
        tried.dedup();
        let wanted = match tried.as_slice() {
            [] => "a name the GGUF name table has".to_string(),
            tried => tried.join(" or "),
        };
        let found = format!("no such tensor among {}", self.checkpoint.len());
        Report::new(self.checkpoint.path(), subject, found, wanted)
            .hint("config and weights may be of different models")
            .missing()
    }
}

/// The tensor in the shape asked for. Dimensions of 1 may come or go: GGUF converters drop them.
fn shaped<'a>(tensor: Tensor<'a>, shape: &[usize]) -> Result<Tensor<'a>, Error> {
    if squeezed(&tensor.shape) != squeezed(shape) {
        let subject = format!("tensor {}", quoted(tensor.name));
        let found = format!("shape {}", shape_text(&tensor.shape));
        return Err(Report::new(tensor.file(), subject, found, shape_text(shape))
            .hint("config and weights may be of different sizes of the model")
            .mismatch());
    }
    Ok(Tensor { shape: shape.to_vec(), ..tensor })
}

fn squeezed(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|&dimension| dimension != 1).collect()
}

/// Whether `text` is `pattern` with any characters for each `*`.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(head) else { return false };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return left.ends_with(piece);
        }
        let Some(at) = left.find(piece) else { return false };
        left = &left[at + piece.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, wanted) in [
            ("rope_freqs.weight", "rope_freqs.weight", true),
            ("rope_freqs.weight", "rope_freqs.weight2", false),
            ("*.inv_freq", "model.layers.0.self_attn.rotary_emb.inv_freq", true),
            ("model.layers.61.*", "model.layers.61.eh_proj.weight", true),
            ("model.layers.61.*", "model.layers.6.eh_proj.weight", false),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
            ("*", "", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(glob(pattern, text), wanted, "{pattern} {text}");
        }
    }
}
