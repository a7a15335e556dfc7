//! Which bytes of a file are there.

use std::ops::Range;

/// Ascending ranges that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// Adds a range, which may overlap what is there.
    pub(super) fn add(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let first = self.0.partition_point(|known| known.end < range.start);
        let last = self.0.partition_point(|known| known.start <= range.end);
        let merged = match self.0.get(first..last) {
            Some([known, ..]) => known.start.min(range.start)..self.0[last - 1].end.max(range.end),
            Some([]) | None => range,
        };
        self.0.splice(first..last, [merged]);
    }

    /// Bytes in all.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// What is missing of the first `size` bytes, in pieces of at most `piece_max`.
    pub(super) fn missing(&self, size: u64, piece_max: u64) -> Vec<Range<u64>> {
        let ends = self.0.iter().map(|range| range.end);
        let starts = self.0.iter().map(|range| range.start.min(size)).chain([size]);
        let gaps = [0].into_iter().chain(ends).zip(starts);
        let pieces = |(start, end): (u64, u64)| {
            let starts = (start..end).step_by(usize::try_from(piece_max).unwrap_or(usize::MAX));
            starts.map(move |at| at..end.min(at.saturating_add(piece_max)))
        };
        gaps.flat_map(pieces).collect()
    }

    /// As pairs, to be written down.
    pub(super) fn pairs(&self) -> Vec<[u64; 2]> {
        self.0.iter().map(|range| [range.start, range.end]).collect()
    }

    /// What [`Ranges::pairs`] gave; `None` where it is no such thing or exceeds `size`.
    pub(super) fn from_pairs(pairs: &[[u64; 2]], size: u64) -> Option<Ranges> {
        let rises = pairs.iter().all(|[start, end]| start < end && *end <= size);
        let apart = pairs.windows(2).all(|pair| pair[0][1] < pair[1][0]);
        (rises && apart).then(|| Ranges(pairs.iter().map(|[start, end]| *start..*end).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_are_the_set_of_what_was_added(
            added in prop::collection::vec((0u64..60, 0u64..12), 0..12),
            piece in 1u64..9,
        ) {
            let (mut ranges, mut set) = (Ranges::default(), [false; 80]);
            for (start, length) in added {
                ranges.add(start..start + length);
                (start..start + length).for_each(|at| set[at as usize] = true);
            }
            prop_assert_eq!(ranges.count(), set.iter().filter(|there| **there).count() as u64);
            let missing = ranges.missing(80, piece);
            let lengths = missing.iter().map(|range| range.end - range.start);
            prop_assert!(lengths.clone().all(|length| (1..=piece).contains(&length)));
            let missing: Vec<u64> = missing.into_iter().flatten().collect();
            let wanted: Vec<u64> = (0..80).filter(|at| !set[*at as usize]).collect();
            prop_assert_eq!(missing, wanted);
            prop_assert_eq!(Ranges::from_pairs(&ranges.pairs(), 80), Some(ranges));
        }

        #[test]
        fn pairs_that_are_read_are_sound(
            pairs in prop::collection::vec([0u64..40, 0u64..40], 0..6),
        ) {
            if let Some(ranges) = Ranges::from_pairs(&pairs, 30) {
                let mut again = Ranges::default();
                ranges.0.iter().for_each(|range| again.add(range.clone()));
                prop_assert_eq!(&again, &ranges);
                prop_assert!(ranges.count() <= 30);
            }
        }
    }
}
