//! A checkpoint: the files of one model under one set of names.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use baimo_kernels::format::Format;

use crate::error::{Error, Report, quoted, shape_text};
use crate::gguf::{self, Metadata};
use crate::names::{self, Candidate, Part as TensorPart};
use crate::os::MappedFile;
use crate::parts::Part;
use crate::safetensors;
use crate::tensor::{BlockScales, Dtype, SCALE_BLOCK, Tensor, TensorInfo};

/// What stands behind the name of an FP8 tensor in the name of its scales: of blocks of 128 by 128,
/// or (compressed-tensors) of rows or of the whole matrix.
const SCALES_ENDINGS: [&str; 2] = ["_scale_inv", "_scale"];

/// The tensors of one model: a folder of safetensors files, or a GGUF file with its parts. Opening
/// reads the tables of contents; the tensors stay on disk until they are touched.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    parts: Vec<Part>,
    /// Present for GGUF.
    metadata: Option<Metadata>,
    /// For each tensor of all parts, in order: its part and its place there.
    places: Vec<(usize, usize)>,
    /// From file names to indices of `places`.
    index: HashMap<String, usize>,
}

/// A tensor found: which of all, and which part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub index: usize,
    pub part: TensorPart,
}

impl Checkpoint {
    /// Opens a Hugging Face folder, a `.safetensors` file or a `.gguf` file (of a split model, any
    /// part).
    ///
    /// # Errors
    /// If nothing is there, a part is missing, a file is malformed, or parts contradict each other.
    pub fn open(path: &Path) -> Result<Checkpoint, Error> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
        let (metadata, parts) = if path.is_dir() {
            (None, safetensors::open_folder(path)?)
        } else if extension.eq_ignore_ascii_case("gguf") {
            let (metadata, parts) = gguf::open(path)?;
            (Some(metadata), parts)
        } else if extension.eq_ignore_ascii_case("safetensors") {
            (None, safetensors::open_file(path)?)
        } else {
            let found = if path.exists() { "another kind of file" } else { "nothing" };
            let wanted = "a folder, a .safetensors file or a .gguf file";
            return Err(Report::new(path, "path", found, wanted).missing());
        };
        let mut places = Vec::new();
        let mut index = HashMap::new();
        for (part_number, part) in parts.iter().enumerate() {
            for (number, tensor) in part.tensors.iter().enumerate() {
                let earlier = index.insert(tensor.name.clone(), places.len());
                assert!(earlier.is_none(), "{} twice: the parsers refuse that", tensor.name);
                places.push((part_number, number));
            }
        }
        let checkpoint = Checkpoint { path: path.to_path_buf(), parts, metadata, places, index };
        checkpoint.check_block_scales()?;
        Ok(checkpoint)
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A GGUF checkpoint's metadata; `None` for safetensors.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// Every tensor of every file, by its name in the file.
    pub fn tensors(&self) -> impl Iterator<Item = &TensorInfo> {
        (0..self.places.len()).map(|index| self.info(index))
    }

    /// The names of all tensors, as the files have them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors().map(|tensor| tensor.name.as_str())
    }

    /// The tensor of that hub name; `None` if the checkpoint has none. In GGUF files and stacks of
    /// experts it is found under the name and in the place it has there.
    ///
    /// # Errors
    /// If it is there and its shape makes no sense.
    pub fn tensor(&self, hub_name: &str) -> Result<Option<Tensor<'_>>, Error> {
        self.find(hub_name).map(|found| self.load(found)).transpose()
    }

    /// The tensor of that name in the file, all of it.
    pub fn stored(&self, file_name: &str) -> Option<Tensor<'_>> {
        self.index_of(file_name).map(|index| self.whole(index))
    }

    /// Whether it has the tensor of that hub name.
    pub fn contains(&self, hub_name: &str) -> bool {
        self.find(hub_name).is_some()
    }

    /// The file that holds the tensor of that hub name.
    pub fn file_of(&self, hub_name: &str) -> Option<&Path> {
        let found = self.find(hub_name)?;
        Some(self.file(found.index).path())
    }

    /// Its files, in order.
    pub(crate) fn files(&self) -> impl Iterator<Item = &MappedFile> {
        self.parts.iter().map(|part| &part.file)
    }

    /// Lets all pages of all files leave this process's memory.
    pub fn release(&self) {
        for part in &self.parts {
            part.file.release(0..part.file.bytes().len());
        }
    }

    /// How many tensors it has.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn info(&self, index: usize) -> &TensorInfo {
        let (part, number) = self.places[index];
        &self.parts[part].tensors[number]
    }

    fn file(&self, index: usize) -> &MappedFile {
        &self.parts[self.places[index].0].file
    }

    /// The index of the tensor of that file name.
    pub(crate) fn index_of(&self, file_name: &str) -> Option<usize> {
        self.index.get(file_name).copied()
    }

    pub(crate) fn candidates(&self, hub_name: &str) -> Vec<Candidate> {
        match self.metadata {
            Some(_) => names::gguf_candidates(hub_name),
            None => names::hub_candidates(hub_name),
        }
    }

    pub(crate) fn find(&self, hub_name: &str) -> Option<Found> {
        self.candidates(hub_name)
            .into_iter()
            .find_map(|Candidate { name, part }| Some(Found { index: self.index_of(&name)?, part }))
    }

    /// The index of the block scales that belong to a tensor.
    pub(crate) fn scales_of(&self, index: usize) -> Option<usize> {
        let info = self.info(index);
        if info.dtype != Dtype::Weights(Format::F8E4M3) {
            return None;
        }
        SCALES_ENDINGS.iter().find_map(|ending| self.index_of(&format!("{}{ending}", info.name)))
    }

    pub(crate) fn load(&self, found: Found) -> Result<Tensor<'_>, Error> {
        let whole = self.whole(found.index);
        match found.part {
            TensorPart::Whole => Ok(whole),
            TensorPart::Matrix(expert) => matrix(&whole, expert, 0..1, 1),
            TensorPart::FirstHalf(expert) => matrix(&whole, expert, 0..1, 2),
            TensorPart::SecondHalf(expert) => matrix(&whole, expert, 1..2, 2),
        }
    }

    fn whole(&self, index: usize) -> Tensor<'_> {
        let info = self.info(index);
        let file = self.file(index);
        let block_scales = self.scales_of(index).map(|scales| {
            let (block, shape) = scale_blocks(info, self.info(scales));
            BlockScales { block, shape, values: self.whole(scales).to_f32() }
        });
        Tensor {
            name: &info.name,
            dtype: info.dtype,
            shape: info.shape.clone(),
            data: Cow::Borrowed(&file.bytes()[info.range.clone()]),
            block_scales,
            file,
            range: Some(info.range.clone()),
        }
    }

    /// Every FP8 tensor's scales are floats, one per block.
    fn check_block_scales(&self) -> Result<(), Error> {
        for index in 0..self.len() {
            let Some(scales) = self.scales_of(index) else { continue };
            let (weights, scales_info) = (self.info(index), self.info(scales));
            let subject = format!("tensor {}", quoted(&scales_info.name));
            let report = |found: String, wanted: String| {
                Report::new(self.file(scales).path(), &*subject, found, wanted).mismatch()
            };
            let floats = [Format::F32, Format::F16, Format::Bf16].map(Dtype::Weights);
            if !floats.contains(&scales_info.dtype) {
                let found = scales_info.dtype.name().to_string();
                return Err(report(found, "f32, f16 or bf16".to_string()));
            }
            let ([rows, columns], wanted) = scale_blocks(weights, scales_info);
            let count = |shape: &[usize]| shape.iter().product::<usize>();
            let fits = scales_info.shape == wanted
                // A scale for all may stand in a list, and one for each row in a column or a list.
                || (rows != SCALE_BLOCK[0] && count(&scales_info.shape) == count(&wanted));
            if weights.shape.len() < 2 || !fits {
                let of = shape_text(&weights.shape);
                let wanted = shape_text(&wanted);
                let wanted = format!("{wanted}, one for each {rows}x{columns} block of {of}");
                return Err(report(shape_text(&scales_info.shape), wanted));
            }
        }
        Ok(())
    }
}

/// Rows and columns that share a scale, and the shape that gives the scales.
fn scale_blocks(weights: &TensorInfo, scales: &TensorInfo) -> ([usize; 2], Vec<usize>) {
    let mut shape = weights.shape.clone();
    let first = shape.len().saturating_sub(2);
    let [outputs, inputs] = shape[first..] else { return (SCALE_BLOCK, shape) };
    let block = match scales.name.ends_with(SCALES_ENDINGS[0]) {
        true => SCALE_BLOCK,
        false if scales.shape.iter().all(|&size| size == 1) => [outputs.max(1), inputs.max(1)],
        false => [1, inputs.max(1)],
    };
    for (size, block) in shape[first..].iter_mut().zip(block) {
        *size = size.div_ceil(block);
    }
    (block, shape)
}

/// Of matrix `expert` of a stack `[experts, outputs, inputs]` with its rows cut in `of` equal
/// shares, the shares `which`.
fn matrix<'a>(
    stack: &Tensor<'a>,
    expert: usize,
    which: Range<usize>,
    of: usize,
) -> Result<Tensor<'a>, Error> {
    let refuse = |wanted: String| {
        let subject = format!("tensor {}", quoted(stack.name));
        let found = format!("shape {}", shape_text(&stack.shape));
        Report::new(stack.file.path(), subject, found, wanted).mismatch()
    };
    let [experts, outputs, _] = stack.shape[..] else {
        return Err(refuse("a stack [experts, outputs, inputs]".to_string()));
    };
    if expert >= experts {
        return Err(refuse(format!("expert {expert}")));
    }
    if !outputs.is_multiple_of(of) {
        return Err(refuse(format!("rows that can be cut in {of}")));
    }
    let (data, range) = (&stack.data, &stack.range);
    let (Cow::Borrowed(data), Some(range)) = (data, range) else {
        unreachable!("a stack is taken from the file as it is")
    };
    let share = data.len() / experts / of;
    let bytes = (expert * of + which.start) * share..(expert * of + which.end) * share;
    let rows = which.start * (outputs / of)..which.end * (outputs / of);
    let block_scales = match &stack.block_scales {
        None => None,
        Some(scales) => Some(
            scales_of_rows(scales, expert, rows, outputs)
                .ok_or_else(|| refuse("shares of whole blocks of scales".to_string()))?,
        ),
    };
    Ok(Tensor {
        shape: vec![outputs / of * which.len(), stack.columns()],
        data: Cow::Borrowed(&data[bytes.clone()]),
        block_scales,
        range: Some(range.start + bytes.start..range.start + bytes.end),
        ..stack.clone()
    })
}

/// The scales of some rows of a matrix of `outputs` rows in a stack; none where the rows cut a
/// block.
fn scales_of_rows(
    scales: &BlockScales,
    matrix: usize,
    rows: Range<usize>,
    outputs: usize,
) -> Option<BlockScales> {
    let &[_, down, across] = &scales.shape[..] else { return None };
    let height = scales.block[0];
    let starts_block = |row: usize| row == outputs || row.is_multiple_of(height);
    let blocks = match down {
        1 => 0..1,
        _ if starts_block(rows.start) && starts_block(rows.end) => {
            rows.start / height..rows.end.div_ceil(height)
        }
        _ => return None,
    };
    let first = matrix * down + blocks.start;
    Some(BlockScales {
        block: scales.block,
        shape: vec![blocks.len(), across],
        values: scales.values[first * across..(first + blocks.len()) * across].to_vec(),
    })
}
