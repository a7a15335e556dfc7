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

    /// These in heads of `head_rows`, of which the two halves alternate.
    ///
    /// # Panics
    /// If they are not whole heads, or heads have no halves.
    pub fn halves_in_turn(&self, head_rows: usize) -> Rows {
        self.check_heads(head_rows);
        assert!(head_rows.is_multiple_of(2), "heads of {head_rows} rows have no halves");
        let half = head_rows / 2;
        let place = |index: usize| {
            let (head, row) = (index / head_rows, index % head_rows);
            head * head_rows + row / 2 + row % 2 * half
        };
        Rows(Order::List((0..self.len()).map(|index| self.get(place(index))).collect()))
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
    fn parts_of_heads_and_ranges_compose() {
        let rows = Rows::all(12).per_head(4, 1..3);
        assert_eq!(numbers(&rows), [1, 2, 5, 6, 9, 10]);
        assert_eq!(numbers(&rows.range(2..4)), [5, 6]);
        let turned = Rows::all(8).halves_in_turn(4);
        assert_eq!(numbers(&turned), [0, 2, 1, 3, 4, 6, 5, 7]);
        assert_eq!(numbers(&Rows::all(9).range(3..7).range(1..3)), [4, 5]);
    }
}
