//! Which rows of a matrix, in which order. Rows are whole units of every format, so choosing and
//! reordering them is exact for quantized weights too.

use std::ops::Range;

/// Rows of a matrix, by number, in the order wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows(Order);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Order {
    Range(Range<usize>),
    List(Vec<usize>),
}

/// How the rotated rows of each head change places between the two styles of rotary embedding:
/// *interleaved* turns neighbours `(2i, 2i + 1)`, *half* turns `(i, i + rotary / 2)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowPermutation {
    /// Rows of a head.
    pub head_rows: usize,
    /// Which of them are rotated; the others stay.
    pub rotary: Range<usize>,
    /// What is stored and what is wanted.
    pub direction: Direction,
}

/// From the stored to the wanted style.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Undoes what GGUF converters do to the query and key maps of families whose published
    /// weights are half style and whose GGUF files are interleaved.
    InterleavedToHalf,
    /// The other way round.
    HalfToInterleaved,
}

impl RowPermutation {
    /// Of a head that is rotated as a whole.
    pub fn whole_head(head_rows: usize, direction: Direction) -> RowPermutation {
        RowPermutation { head_rows, rotary: 0..head_rows, direction }
    }

    /// Which stored row of a head is its row `row`.
    fn stored_row(&self, row: usize) -> usize {
        if !self.rotary.contains(&row) {
            return row;
        }
        let half = self.rotary.len() / 2;
        let within = row - self.rotary.start;
        let stored = match self.direction {
            Direction::InterleavedToHalf => within % half * 2 + within / half,
            Direction::HalfToInterleaved => within % 2 * half + within / 2,
        };
        self.rotary.start + stored
    }
}

impl Rows {
    /// The first `count` rows.
    pub fn all(count: usize) -> Rows {
        Rows(Order::Range(0..count))
    }

    /// How many.
    pub fn len(&self) -> usize {
        match &self.0 {
            Order::Range(range) => range.len(),
            Order::List(list) => list.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of the row at `index`.
    pub fn get(&self, index: usize) -> usize {
        match &self.0 {
            Order::Range(range) => {
                assert!(index < range.len(), "row {index} of {}", range.len());
                range.start + index
            }
            Order::List(list) => list[index],
        }
    }

    /// The elements of `values` in this order: what a bias does when its map's rows move.
    pub fn gather(&self, values: &[f32]) -> Vec<f32> {
        (0..self.len()).map(|index| values[self.get(index)]).collect()
    }

    /// Of these, `part`.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn range(&self, part: Range<usize>) -> Rows {
        assert!(part.start <= part.end && part.end <= self.len(), "{part:?} of {}", self.len());
        match &self.0 {
            Order::Range(range) => {
                Rows(Order::Range(range.start + part.start..range.start + part.end))
            }
            Order::List(list) => Rows(Order::List(list[part].to_vec())),
        }
    }

    /// Of these in heads of `head_rows`, `part` of each head.
    ///
    /// # Panics
    /// If they are not whole heads or a head has not so many rows.
    pub fn per_head(&self, head_rows: usize, part: Range<usize>) -> Rows {
        self.check_heads(head_rows);
        assert!(part.start <= part.end && part.end <= head_rows, "{part:?} of {head_rows}");
        let heads = 0..self.len() / head_rows;
        let rows = heads.flat_map(|head| part.clone().map(move |row| head * head_rows + row));
        Rows(Order::List(rows.map(|index| self.get(index)).collect()))
    }

    /// These in heads, each head's rows permuted.
    ///
    /// # Panics
    /// If they are not whole heads, or the rotated rows are no even number within a head.
    pub fn permuted(&self, permutation: &RowPermutation) -> Rows {
        let RowPermutation { head_rows, rotary, .. } = permutation;
        self.check_heads(*head_rows);
        assert!(rotary.start <= rotary.end && rotary.end <= *head_rows, "{permutation:?}");
        assert!(rotary.len().is_multiple_of(2), "{permutation:?}");
        let rows = (0..self.len()).map(|row| {
            let (head, within) = (row / head_rows, row % head_rows);
            self.get(head * head_rows + permutation.stored_row(within))
        });
        Rows(Order::List(rows.collect()))
    }

    fn check_heads(&self, head_rows: usize) {
        let whole = head_rows > 0 && self.len().is_multiple_of(head_rows);
        assert!(whole, "{} rows are no whole heads of {head_rows}", self.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(rows: &Rows) -> Vec<usize> {
        (0..rows.len()).map(|index| rows.get(index)).collect()
    }

    #[test]
    fn interleaved_heads_come_back_to_halves() {
        let permutation = RowPermutation::whole_head(6, Direction::InterleavedToHalf);
        let rows = Rows::all(12).permuted(&permutation);
        assert_eq!(numbers(&rows), [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
    }

    #[test]
    fn the_two_directions_undo_each_other() {
        let rotary = 2..8;
        let there = RowPermutation {
            head_rows: 10,
            rotary: rotary.clone(),
            direction: Direction::HalfToInterleaved,
        };
        let back = RowPermutation { direction: Direction::InterleavedToHalf, ..there.clone() };
        let rows = Rows::all(30).permuted(&there);
        assert_ne!(numbers(&rows), numbers(&Rows::all(30)));
        assert_eq!(numbers(&rows.permuted(&back)), numbers(&Rows::all(30)));
        let values: Vec<f32> = (0..30).map(|value| value as f32).collect();
        assert_eq!(rows.gather(&values)[..4], [0.0, 1.0, 2.0, 5.0]);
        assert_eq!(rows.get(10), 10, "a row that is not rotated stays");
    }

    #[test]
    fn parts_of_heads_and_ranges_compose() {
        let rows = Rows::all(12).per_head(4, 1..3);
        assert_eq!(numbers(&rows), [1, 2, 5, 6, 9, 10]);
        assert_eq!(numbers(&rows.range(2..4)), [5, 6]);
        assert_eq!(numbers(&Rows::all(9).range(3..7).range(1..3)), [4, 5]);
    }
}
