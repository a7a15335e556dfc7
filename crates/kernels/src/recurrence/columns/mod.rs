//! A row of a panel of states as one value: 32 numbers side by side, on every instruction set.
//!
//! Columns never meet, so how many registers hold them changes no bit.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

use super::PANEL;
use crate::Isa;
use scalar::Scalar;

/// Arithmetic on rows of a panel. A value of the type proves that the machine has it.
pub(super) trait Columns: Copy {
    /// One number for each column.
    type Row: Copy;
    /// One number for all columns.
    type Factor: Copy;

    /// The same number for all columns.
    fn factor(self, value: f32) -> Self::Factor;
    /// Zeros.
    fn zero(self) -> Self::Row;
    /// Reads a row.
    fn load(self, from: &[f32; PANEL]) -> Self::Row;
    /// Writes a row.
    fn store(self, row: Self::Row, to: &mut [f32; PANEL]);
    /// `a - b`
    fn difference(self, a: Self::Row, b: Self::Row) -> Self::Row;
    /// `row * factor`
    fn scale(self, row: Self::Row, factor: Self::Factor) -> Self::Row;
    /// `row * factor + sum`, rounded once.
    fn add(self, row: Self::Row, factor: Self::Factor, sum: Self::Row) -> Self::Row;
}

/// Something to do with rows of panels.
pub(super) trait Walk {
    /// Does it. Implementations are `#[inline(always)]`.
    fn run<C: Columns>(self, columns: C);
}

/// Runs `walk` with the instructions of `isa`.
pub(super) fn on(isa: Isa, walk: impl Walk) {
    match isa {
        Isa::Scalar => walk.run(Scalar),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(proof) => avx2::run(proof, walk),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(proof) => avx512::run(proof, walk),
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Avx2(_) | Isa::Avx512(_) => unreachable!("they are only detected on x86-64"),
    }
}
