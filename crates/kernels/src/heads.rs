//! Where the heads of each token lie in a buffer.

/// Slices of `width` numbers, `heads` in each row of `row_stride`: those of head `h` in row `r`
/// begin at `r * row_stride + start + h * head_stride`. So a part of every head (rotary
/// dimensions behind others), or heads inside a buffer of q, k and v, are worked on in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLayout {
    /// Numbers from one row (token) to the next.
    pub row_stride: usize,
    /// Where the first head's slice begins in its row.
    pub start: usize,
    /// Heads in a row.
    pub heads: usize,
    /// Numbers from one head to the next.
    pub head_stride: usize,
    /// Numbers in a slice.
    pub width: usize,
}

impl HeadLayout {
    /// Rows of `heads` whole heads of `dim` and nothing else.
    pub fn packed(heads: usize, dim: usize) -> HeadLayout {
        HeadLayout { row_stride: heads * dim, start: 0, heads, head_stride: dim, width: dim }
    }

    /// How many rows a buffer of `len` numbers has; slices must fit into a row.
    pub(crate) fn rows(&self, len: usize) -> usize {
        let end = self.start + self.heads.saturating_sub(1) * self.head_stride + self.width;
        assert!(end <= self.row_stride, "heads end at {end} in a row of {}", self.row_stride);
        assert!(len.is_multiple_of(self.row_stride), "{len} is not rows of {}", self.row_stride);
        len / self.row_stride
    }

    /// The slice of one head in `row`, a slice of `row_stride` numbers.
    #[inline(always)]
    pub(crate) fn of<'a>(&self, row: &'a mut [f32], head: usize) -> &'a mut [f32] {
        &mut row[self.start + head * self.head_stride..][..self.width]
    }
}
