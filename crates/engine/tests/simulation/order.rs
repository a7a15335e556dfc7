//! Who runs first.

use crate::remembering::Remembering;
use baimo_engine::layout::lay_out;
use baimo_engine::{
    EventKind, Forward, Limits, PAGE_POSITIONS, Pages, Request, RequestId, Scheduler,
};
use std::collections::BTreeSet;

#[test]
fn older_requests_come_first_also_after_preemption() {
    let limits = Limits { tokens_per_step: 50, tokens_per_span: 20, sequences: 4, context: 1000 };
    // Any two of the requests in full are more than the cache.
    let (pages_total, prompt) = (4, PAGE_POSITIONS);
    let mut pages = Pages::new(pages_total);
    let mut model = Remembering::new(pages_total, limits);
    let mut scheduler = Scheduler::new(limits);
    let mut left: BTreeSet<RequestId> = (0..6)
        .map(|first| {
            let request = Request {
                tokens: vec![first; prompt],
                max_tokens: 2 * PAGE_POSITIONS,
                ..Request::default()
            };
            scheduler.accept(request, None, pages.capacity()).expect("a request that fits")
        })
        .collect();
    let (mut before, mut preemptions) = (BTreeSet::new(), 0);
    while !scheduler.is_idle() {
        let step = scheduler.step(&mut pages);
        let run: Vec<RequestId> = step.work.iter().map(|work| work.request).collect();
        assert!(run.is_sorted_by(|a, b| a < b), "{run:?}");
        assert_eq!(run.first(), left.first(), "the oldest always runs");
        let restarts = step.work.iter().filter(|work| work.position == 0);
        preemptions += restarts.filter(|work| before.contains(&work.request)).count();
        before.extend(run);
        let logits = model.forward(&lay_out(&step)).unwrap();
        for event in scheduler.finish(&step, &logits, &mut pages) {
            if matches!(event.kind, EventKind::Finished { .. }) {
                left.remove(&event.request);
            }
        }
    }
    assert!(preemptions > 3, "{preemptions} preemptions");
}
