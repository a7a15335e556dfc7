//! What a blueprint wants done to a tensor at load.

use std::borrow::Cow;

use baimo_blueprint as blueprint;
use baimo_kernels::format::Format;

use crate::error::{Error, Report, quoted};
use crate::quantize::RowSource;
use crate::tensor::{Dtype, Tensor};

/// A tensor of weights as it is.
pub(crate) fn as_stored(tensor: Tensor<'_>) -> Result<RowSource<'_>, Error> {
    if tensor.format().is_none() {
        let subject = format!("tensor {}", quoted(tensor.name));
        let report = Report::new(tensor.file(), subject, tensor.dtype.name(), "weights");
        return Err(report.mismatch());
    }
    Ok(RowSource::new(tensor))
}

/// `ln(|x|)` of each number; whether all are below zero, or all above.
pub(crate) fn logarithms_of_rates(values: &mut [f32]) -> bool {
    let same = |value: &f32| value.signum() == values[0].signum();
    let one_sign = values.iter().all(same);
    values.iter_mut().for_each(|value| *value = value.abs().ln());
    one_sign && values.iter().all(|value| value.is_finite())
}

/// A tensor of the blueprint's stored shape, folded.
pub(crate) fn fold<'a>(
    tensor: Tensor<'a>,
    wanted: &blueprint::Tensor,
) -> Result<RowSource<'a>, Error> {
    let source = as_stored(by_number(tensor, wanted.fold)?)?;
    match wanted.fold {
        blueprint::Fold::AsStored | blueprint::Fold::PlusOne => Ok(source),
        blueprint::Fold::UnitRows => Ok(source.unit_rows()),
        blueprint::Fold::UnitColumns => Ok(source.unit_columns()),
        blueprint::Fold::Rows { start, .. } => {
            // A row of the fused tensor may itself be many rows of numbers.
            let each = wanted.shape[1..wanted.shape.len().max(2) - 1].iter().product::<usize>();
            Ok(source.range(start * each..(start + wanted.shape[0]) * each))
        }
        blueprint::Fold::HeadRows { start, of } => {
            Ok(source.per_head(of, start..start + wanted.shape[1]))
        }
        blueprint::Fold::HeadRowsTransposed { start, of } => {
            let part = source.per_head(of, start..start + wanted.shape[2]);
            Ok(RowSource::new(transposed(&part, wanted)))
        }
    }
}

/// A vector of which a fold takes a part: a row for each of its numbers.
fn by_number(tensor: Tensor<'_>, fold: blueprint::Fold) -> Result<Tensor<'_>, Error> {
    let takes_rows = match fold {
        blueprint::Fold::AsStored
        | blueprint::Fold::PlusOne
        | blueprint::Fold::UnitRows
        | blueprint::Fold::UnitColumns => false,
        blueprint::Fold::Rows { .. }
        | blueprint::Fold::HeadRows { .. }
        | blueprint::Fold::HeadRowsTransposed { .. } => true,
    };
    let [count] = tensor.shape[..] else { return Ok(tensor) };
    match tensor.format() {
        Some(format) if takes_rows && format.row_bytes(1).is_none() => {
            let subject = format!("tensor {}", quoted(tensor.name));
            Err(Report::new(tensor.file(), subject, format.name(), "plain numbers").mismatch())
        }
        Some(_) if takes_rows => Ok(Tensor { shape: vec![count, 1], ..tensor }),
        Some(_) | None => Ok(tensor),
    }
}

/// Each head `[rows, columns]` turned to `[columns, rows]`; computed whole, in memory. Plain floats
/// keep their format, other formats become f32, since their blocks lie along rows.
fn transposed<'a>(part: &RowSource<'a>, wanted: &blueprint::Tensor) -> Tensor<'a> {
    let [heads, columns, rows] = wanted.shape[..] else {
        panic!("{}: a transposed fold has three dimensions", wanted.name)
    };
    assert_eq!((part.rows(), part.columns()), (heads * rows, columns), "{}", wanted.name);
    let target = match part.format() {
        Format::F16 => Format::F16,
        Format::Bf16 => Format::Bf16,
        _ => Format::F32,
    };
    let width = target.block_bytes();
    let mut data = vec![0; heads * columns * rows * width];
    let mut bytes = Vec::new();
    let source = part.clone().into_format(target);
    for (head, out) in data.chunks_exact_mut((columns * rows * width).max(1)).enumerate() {
        source.read(head * rows..(head + 1) * rows, &mut bytes);
        for (index, element) in bytes.chunks_exact(width).enumerate() {
            let (row, column) = (index / columns, index % columns);
            out[(column * rows + row) * width..][..width].copy_from_slice(element);
        }
    }
    Tensor {
        dtype: Dtype::Weights(target),
        shape: wanted.shape.clone(),
        data: Cow::Owned(data),
        block_scales: None,
        range: None,
        ..part.tensor().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::logarithms_of_rates;

    #[test]
    fn rates_are_all_below_zero_or_all_above() {
        for sign in [1.0, -1.0] {
            let mut rates = [sign, sign * std::f32::consts::E];
            assert!(logarithms_of_rates(&mut rates));
            assert!(rates[0] == 0.0 && (rates[1] - 1.0).abs() < 1e-6, "{rates:?}");
        }
        for mut rates in [[1.0, -1.0], [0.0, 1.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
            assert!(!logarithms_of_rates(&mut rates), "{rates:?}");
        }
    }
}
