//! Normalisation of rows.
//!
//! Sums run in 16 lanes in one fixed order, so a row's result depends on nothing but the row.

mod body;
#[cfg(test)]
mod tests;

use crate::lanes::on_wide;
use crate::{HeadLayout, Kernels};
use body::{LayerNorm, RmsNorm};

/// `out[r] = weight * (x[r] / sqrt(mean(x[r]^2) + eps))` for rows of `cols` numbers, without
/// `weight` the same with ones. (RMSNorm: Zhang and Sennrich, arXiv:1910.07467.)
pub fn rms_norm(
    kernels: &Kernels,
    x: &[f32],
    cols: usize,
    weight: Option<&[f32]>,
    eps: f32,
    out: &mut [f32],
) {
    check_rows(x, cols, weight, out);
    kernels.pool.run_rows(out, cols, &|first, out| {
        let rows = x[first * cols..][..out.len()].chunks_exact(cols);
        for (x, out) in rows.zip(out.chunks_exact_mut(cols)) {
            out.copy_from_slice(x);
            on_wide(kernels.isa, RmsNorm { x: out, weight, eps });
        }
    });
}

/// [`rms_norm`] of every slice of `layout` in `x`, in place: the norm of each query and key head.
pub fn rms_norm_heads(
    kernels: &Kernels,
    x: &mut [f32],
    layout: HeadLayout,
    weight: Option<&[f32]>,
    eps: f32,
) {
    assert!(weight.is_none_or(|w| w.len() == layout.width), "a weight for each number");
    each_head(kernels, x, layout, &|x| on_wide(kernels.isa, RmsNorm { x, weight, eps }));
}

/// [`layer_norm`] of every slice of `layout` in `x`, in place.
pub fn layer_norm_heads(
    kernels: &Kernels,
    x: &mut [f32],
    layout: HeadLayout,
    weight: Option<&[f32]>,
    bias: Option<&[f32]>,
    eps: f32,
) {
    assert!(weight.is_none_or(|w| w.len() == layout.width), "a weight for each number");
    assert!(bias.is_none_or(|b| b.len() == layout.width), "a bias for each number");
    each_head(kernels, x, layout, &|x| on_wide(kernels.isa, LayerNorm { x, weight, bias, eps }));
}

fn each_head(
    kernels: &Kernels,
    x: &mut [f32],
    layout: HeadLayout,
    run: &(dyn Fn(&mut [f32]) + Sync),
) {
    layout.rows(x.len());
    kernels.pool.run_rows(x, layout.row_stride, &|_, rows| {
        for row in rows.chunks_exact_mut(layout.row_stride) {
            (0..layout.heads).for_each(|head| run(layout.of(row, head)));
        }
    });
}

/// `out[r] = (x[r] - mean) / sqrt(variance + eps) * weight + bias` for rows of `cols` numbers.
/// (LayerNorm: Ba, Kiros and Hinton, arXiv:1607.06450; the variance is the biased one.)
pub fn layer_norm(
    kernels: &Kernels,
    x: &[f32],
    cols: usize,
    weight: Option<&[f32]>,
    bias: Option<&[f32]>,
    eps: f32,
    out: &mut [f32],
) {
    check_rows(x, cols, weight, out);
    assert!(bias.is_none_or(|b| b.len() == cols), "a bias for each of {cols} columns");
    kernels.pool.run_rows(out, cols, &|first, out| {
        let rows = x[first * cols..][..out.len()].chunks_exact(cols);
        for (x, out) in rows.zip(out.chunks_exact_mut(cols)) {
            out.copy_from_slice(x);
            on_wide(kernels.isa, LayerNorm { x: out, weight, bias, eps });
        }
    });
}

fn check_rows(x: &[f32], cols: usize, weight: Option<&[f32]>, out: &[f32]) {
    assert!(cols > 0 && x.len().is_multiple_of(cols), "{} is not rows of {cols}", x.len());
    assert_eq!(x.len(), out.len(), "as many numbers out as in");
    assert!(weight.is_none_or(|w| w.len() == cols), "a weight for each of {cols} columns");
}
