//! Plain Rust: the definition.

use super::{Columns, PANEL};
use std::array::from_fn;

/// Columns one after the other.
#[derive(Clone, Copy)]
pub(super) struct Scalar;

type Row = [f32; PANEL];

impl Columns for Scalar {
    type Row = Row;
    type Factor = f32;

    #[inline(always)]
    fn factor(self, value: f32) -> f32 {
        value
    }

    #[inline(always)]
    fn zero(self) -> Row {
        [0.0; PANEL]
    }

    #[inline(always)]
    fn load(self, from: &Row) -> Row {
        *from
    }

    #[inline(always)]
    fn store(self, row: Row, to: &mut Row) {
        *to = row;
    }

    #[inline(always)]
    fn difference(self, a: Row, b: Row) -> Row {
        from_fn(|column| a[column] - b[column])
    }

    #[inline(always)]
    fn scale(self, row: Row, factor: f32) -> Row {
        row.map(|x| x * factor)
    }

    #[inline(always)]
    fn add(self, row: Row, factor: f32, sum: Row) -> Row {
        from_fn(|column| row[column].mul_add(factor, sum[column]))
    }
}
