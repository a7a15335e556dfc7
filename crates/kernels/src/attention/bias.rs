//! Learned numbers that are added to scores by where row and key stand
//! (arXiv:1910.10683, section 2.1), with text in segments told apart.

use super::AttentionSpan;

/// What is added to a score.
#[derive(Clone, Debug, PartialEq)]
pub struct Bias {
    /// Distances that are told apart, either way; what is farther counts as so far.
    pub reach: usize,
    /// `[heads, 2 * reach + 1]`, for row and key in one segment: first the key farthest before.
    pub by_distance: Vec<f32>,
    /// `[heads, relations]`, for row and key in different segments.
    pub across: Vec<f32>,
    /// How many relations of two segments there are.
    pub relations: usize,
}

/// The segments of a sequence; without any it is all one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segments<'a> {
    /// Where each begins, ascending from 0.
    pub starts: &'a [usize],
    /// `[starts, starts]`: the relation of each row's segment to each key's.
    pub relations: &'a [usize],
}

impl<'a> Segments<'a> {
    /// The number of the segment of a position.
    fn at(&self, position: usize) -> usize {
        self.starts.partition_point(|&start| start <= position).saturating_sub(1)
    }
}

/// What is added to the scores of one row and head in one page.
pub(super) struct RowBias<'a> {
    /// `[2 * reach + 1]`
    by_distance: &'a [f32],
    /// `[relations]`
    across: &'a [f32],
    segments: Segments<'a>,
    /// The row's segment.
    own: usize,
    /// The row's position.
    position: usize,
    /// The first position of the page.
    start: usize,
}

impl Bias {
    /// Checks that there is a number for every score: our own mistake where not.
    pub(super) fn check(&self, heads: usize, spans: &[AttentionSpan]) {
        let distances = 2 * self.reach + 1;
        assert_eq!(self.by_distance.len(), heads * distances, "{heads} heads, {distances} each");
        assert_eq!(self.across.len(), heads * self.relations, "{} relations", self.relations);
        for Segments { starts, relations } in spans.iter().map(|span| span.segments) {
            assert_eq!(relations.len(), starts.len() * starts.len(), "a relation of any two");
            assert!(relations.iter().all(|&relation| relation < self.relations), "{relations:?}");
        }
    }

    /// That of a row at `position` in the page that begins at `start`.
    pub(super) fn of_row<'a>(
        &'a self,
        head: usize,
        position: usize,
        start: usize,
        segments: Segments<'a>,
    ) -> RowBias<'a> {
        let distances = 2 * self.reach + 1;
        RowBias {
            by_distance: &self.by_distance[head * distances..][..distances],
            across: &self.across[head * self.relations..][..self.relations],
            segments,
            own: segments.at(position),
            position,
            start,
        }
    }
}

impl RowBias<'_> {
    /// What is added to the score of a slot.
    pub fn at(&self, slot: usize) -> f32 {
        let (reach, key) = (self.by_distance.len() / 2, self.start + slot);
        let segment = self.segments.at(key);
        if segment == self.own {
            let before = self.position.saturating_sub(key).min(reach);
            let behind = key.saturating_sub(self.position).min(reach);
            return self.by_distance[reach - before + behind];
        }
        let count = self.segments.starts.len();
        self.across[self.segments.relations[self.own * count + segment]]
    }
}
