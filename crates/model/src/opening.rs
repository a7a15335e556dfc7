//! Where a [`Prefix`] lies in one sequence.

use baimo_blueprint::{Prefix, PrefixEnd, Segments, Standing};

/// How the beginning of a sequence is read, where it is not causal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// Rows that stand before what the sequence was given.
    pub lead: usize,
    /// So many first positions all rows see, those among them too: they are computed at once.
    pub together: usize,
    /// Where all that follows them stands; at its own position without.
    pub gap: Option<usize>,
    /// Where its segments begin, ascending from 0; it is all one without any.
    pub starts: Vec<usize>,
    /// `[starts, starts]`: the relation of each row's segment to each key's.
    pub relations: Vec<usize>,
}

/// A prompt falls into more segments than are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManySegments {
    /// Segments of the prompt.
    pub found: usize,
    /// As many as there may be.
    pub most: usize,
}

/// Any two of so many segments are related.
const SEGMENTS_MAX: usize = 64;

impl Opening {
    /// That of a prompt, which is without the lead.
    ///
    /// # Errors
    /// Where the prompt has too many segments.
    pub fn of(prefix: &Prefix, prompt: &[u32]) -> Result<Opening, TooManySegments> {
        let lead = prefix.lead.len();
        let find = |token| prompt.iter().position(|&other| other == token);
        let end = match prefix.end {
            PrefixEnd::Prompt => prompt.len(),
            PrefixEnd::Before(token) => find(token).unwrap_or(prompt.len()),
            PrefixEnd::BeforeLast(token) => {
                prompt.iter().rposition(|&other| other == token).unwrap_or(prompt.len())
            }
        };
        let met = prefix.gaps.iter().find_map(|gap| Some((gap.written, find(gap.token)?)));
        let gap = met.and_then(|(written, position)| match written {
            Standing::Onward => None,
            Standing::InGap => Some(lead + position),
        });
        let (starts, relations) = match prefix.segments {
            None => (Vec::new(), Vec::new()),
            Some(rule) => segments(rule, lead, prompt)?,
        };
        Ok(Opening { lead, together: lead + end, gap, starts, relations })
    }

    /// What is counted along the sequence at a position.
    pub fn standing(&self, position: usize) -> usize {
        self.gap.filter(|_| position >= self.together).unwrap_or(position)
    }

    /// How many positions it is behind what is read in both directions; zero within.
    pub fn written(&self, position: usize) -> usize {
        (position + 1).saturating_sub(self.together)
    }
}

/// Where segments begin, and how any two are related.
fn segments(
    rule: Segments,
    lead: usize,
    prompt: &[u32],
) -> Result<(Vec<usize>, Vec<usize>), TooManySegments> {
    match rule {
        Segments::Kinds { kinds, lead: of_lead, given } => {
            let relation = |row: usize, key: usize| row * kinds + key;
            let of_row = |row| [of_lead, given].map(|key| relation(row, key));
            Ok((vec![0, lead], [of_lead, given].map(of_row).concat()))
        }
        Segments::Tree { start, depth_max } => {
            let begins = prompt.iter().enumerate().filter(|(_, token)| **token == start);
            let starts: Vec<usize> = begins.map(|(position, _)| lead + position).collect();
            let found = starts.len();
            if found > SEGMENTS_MAX {
                return Err(TooManySegments { found, most: SEGMENTS_MAX });
            }
            let relation = |row, key| {
                let (up, down) = steps(row, key);
                up * depth_max + down
            };
            let of_row = |row| (0..found).map(move |key| relation(row, key));
            Ok((starts, (0..found).flat_map(of_row).collect()))
        }
    }
}

/// Steps up from one segment of a tree and down to another.
fn steps(row: usize, key: usize) -> (usize, usize) {
    let depth = |segment: usize| match segment {
        0 => 0,
        _ => 2 - segment % 2,
    };
    let child = |segment: usize| segment.div_ceil(2);
    let above = match child(row) == child(key) {
        true => depth(row).min(depth(key)),
        false => 0,
    };
    (depth(row) - above, depth(key) - above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use baimo_blueprint::Gap;

    fn prefix() -> Prefix {
        let gap = |token, written| Gap { token, written };
        Prefix {
            lead: 100..103,
            end: PrefixEnd::Before(9),
            gaps: vec![gap(7, Standing::InGap), gap(8, Standing::Onward)],
            segments: None,
        }
    }

    fn opening(prefix: &Prefix, prompt: &[u32]) -> Opening {
        Opening::of(prefix, prompt).expect("few segments")
    }

    #[test]
    fn what_follows_the_first_start_stands_in_the_first_gap() {
        let opening = opening(&prefix(), &[1, 7, 2, 9, 4, 9, 7]);
        let wanted = Opening { lead: 3, together: 6, gap: Some(4), ..Opening::default() };
        assert_eq!(opening, wanted);
        let standing: Vec<usize> = (3..9).map(|position| opening.standing(position)).collect();
        assert_eq!(standing, [3, 4, 5, 4, 4, 4]);
        let written: Vec<usize> = (3..9).map(|position| opening.written(position)).collect();
        assert_eq!(written, [0, 0, 0, 1, 2, 3]);
    }

    #[test]
    fn a_gap_that_is_left_behind_lets_positions_count_on() {
        let opening = opening(&prefix(), &[8, 2, 9, 3]);
        assert_eq!((opening.together, opening.gap), (5, None));
        assert_eq!((opening.standing(6), opening.written(6)), (6, 2));
    }

    #[test]
    fn a_prompt_without_a_start_is_read_whole() {
        assert_eq!(opening(&prefix(), &[1, 2]).together, 5);
        let whole = Prefix { end: PrefixEnd::Prompt, ..prefix() };
        assert_eq!(opening(&whole, &[1, 9, 2]).together, 6);
    }

    #[test]
    fn the_lead_is_a_segment_of_its_kind() {
        let segments = Some(Segments::Kinds { kinds: 10, lead: 1, given: 4 });
        let opening = opening(&Prefix { segments, ..prefix() }, &[1, 2]);
        assert_eq!((opening.starts, opening.relations), (vec![0, 3], vec![11, 14, 41, 44]));
    }

    #[test]
    fn keys_and_values_are_related_by_the_steps_between_them() {
        let segments = Some(Segments::Tree { start: 6, depth_max: 8 });
        let prefix = Prefix { lead: 0..0, end: PrefixEnd::BeforeLast(6), segments, ..prefix() };
        // The root, a key, its value, another key, its value.
        let read = opening(&prefix, &[6, 1, 6, 1, 1, 6, 1, 6, 6, 2]);
        assert_eq!((read.starts, read.together), (vec![0, 2, 5, 7, 8], 8));
        let wanted = [
            [0, 1, 2, 1, 2],
            [8, 0, 1, 9, 10],
            [16, 8, 0, 17, 18],
            [8, 9, 10, 0, 1],
            [16, 17, 18, 8, 0],
        ];
        assert_eq!(read.relations, wanted.concat());
        let many = Opening::of(&prefix, &[6; 65]);
        assert_eq!(many, Err(TooManySegments { found: 65, most: 64 }));
    }

    #[test]
    fn of_a_causal_sequence_all_is_written() {
        let causal = Opening::default();
        assert_eq!((causal.standing(5), causal.written(5)), (5, 6));
    }
}
