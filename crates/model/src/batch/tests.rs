use super::*;

/// Two sequences: three rows from position 62 on, which cross into a second page, and one row.
fn batch() -> Batch {
    Batch {
        tokens: vec![0, 1, 2, 9],
        spans: vec![
            Span {
                first_row: 0,
                rows: 3,
                position: 62,
                prompt: 65,
                opening: Opening::default(),
                before: vec![3; 8],
                pages: vec![4, 0],
                slot: 0,
            },
            Span {
                first_row: 3,
                rows: 1,
                position: 0,
                prompt: 1,
                opening: Opening::default(),
                before: Vec::new(),
                pages: vec![7],
                slot: 1,
            },
        ],
        wanted: vec![2, 3],
        embedded: Vec::new(),
    }
}

#[test]
fn positions_follow_the_spans() {
    let of = Place::causal;
    assert_eq!(batch().places(), [of(62, 65), of(63, 65), of(64, 65), of(0, 1)]);
    batch().check(10);
}

#[test]
fn a_batch_of_nothing_is_sound() {
    Batch::default().check(1);
}

#[test]
#[should_panic(expected = "spans cover all rows")]
fn a_row_outside_every_span_is_our_mistake() {
    let mut batch = batch();
    batch.tokens.push(1);
    batch.check(10);
}

#[test]
#[should_panic(expected = "spans cover the rows one after another")]
fn spans_that_overlap_are_our_mistake() {
    let mut batch = batch();
    batch.spans[1].first_row = 2;
    batch.check(10);
}

#[test]
#[should_panic(expected = "a span has pages for all its rows")]
fn a_missing_page_is_our_mistake() {
    let mut batch = batch();
    batch.spans[0].pages.pop();
    batch.check(10);
}

#[test]
#[should_panic(expected = "what is read in both directions is read at once")]
fn a_cut_prefix_is_our_mistake() {
    let mut batch = batch();
    batch.spans[1].opening.together = 2;
    batch.check(10);
}

#[test]
#[should_panic(expected = "wanted and embedded rows exist")]
fn logits_of_no_row_are_our_mistake() {
    let mut batch = batch();
    batch.wanted.push(4);
    batch.check(10);
}

#[test]
#[should_panic(expected = "tokens are checked where they come in")]
fn a_token_outside_the_vocabulary_is_our_mistake() {
    batch().check(9);
}

#[test]
#[should_panic(expected = "logits are not whole rows")]
fn logits_are_whole_rows() {
    let _ = Logits::new(3, vec![0.0; 4]);
}
