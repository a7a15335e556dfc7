//! Several hosts for one model.

use crate::*;
use baimo_catalog::store::Hub as HubKind;

/// An endpoint where nobody answers.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Bytes of shards that a hub was asked for.
fn shards_asked(hub: &Hub) -> usize {
    hub.seen().iter().filter(|seen| seen.path.contains("-of-")).count()
}

#[test]
fn the_faster_host_is_asked() {
    let (slow, fast) = (hub(), hub());
    slow.behave(|manners| manners.pace = Some(400_000));
    let place = Place::new(&[&slow, &fast]);
    assert_whole(&place.pull(&model()).unwrap().path);
    // One request to compare them.
    assert!(shards_asked(&slow) <= 1 && shards_asked(&fast) > 10, "{}", place.notes());
    assert!(place.notes().contains("fetching from 127.0.0.1"));
}

#[test]
fn a_mirror_with_wrong_bytes_is_left_for_one_that_has_them() {
    let (slow, wrong) = (hub(), hub());
    slow.behave(|manners| manners.pace = Some(2_000_000));
    for change in [0, 1, 2] {
        wrong.behave(|manners| {
            manners.corrupt = change == 0;
            manners.short = change == 1;
            manners.refuse = (change == 2).then_some(404);
        });
        let place = Place::new(&[&slow, &wrong]);
        assert_whole(&place.pull(&model()).unwrap().path);
    }
}

#[test]
fn a_mirror_that_dies_is_left() {
    let (slow, dying) = (hub(), hub());
    slow.behave(|manners| manners.pace = Some(2_000_000));
    dying.behave(|manners| manners.dead_after = Some(400_000));
    let place = Place::new(&[&slow, &dying]);
    let pulled = place.pull(&model()).unwrap();
    assert_whole(&pulled.path);
    assert!(place.notes().contains("going on with"), "{}", place.notes());
    assert_eq!(pulled.fetched, model_bytes(&place));
}

#[test]
fn a_hub_that_cannot_be_reached_is_replaced_by_its_mirror_without_the_token() {
    let mirror = hub();
    let mut place = Place::new(&[&mirror]);
    place.settings.endpoints.insert(0, nobody());
    place.settings.token = token("hf_secret");
    assert_whole(&place.pull(&model()).unwrap().path);
    assert!(place.notes().contains("is believed"), "{}", place.notes());
    assert!(mirror.seen().iter().all(|seen| seen.authorization.is_none()));
}

#[test]
fn no_mirror_hears_of_a_model_that_is_not_for_everybody() {
    let (hub, mirror) = (hub(), hub());
    hub.behave(|manners| manners.authorization = Some("Bearer hf_secret".to_owned()));
    let mut place = Place::new(&[&hub, &mirror]);
    place.settings.token = token("hf_secret");
    assert_whole(&place.pull(&model()).unwrap().path);
    assert_eq!(mirror.seen(), []);
}

#[test]
fn the_other_hub_gives_the_bytes_that_this_one_names() {
    let (slow, other) = (hub(), hub());
    slow.behave(|manners| manners.pace = Some(400_000));
    let mut place = Place::new(&[&slow]);
    place.settings.modelscope_endpoint = other.endpoint();
    let twin = Reference::new(HubKind::ModelScope, REPO);
    let pulled = place.pull_or(&model(), std::slice::from_ref(&twin)).unwrap();
    assert_whole(&pulled.path);
    assert!(pulled.path.starts_with(&place.settings.hugging_face));
    assert!(other.sent() >= 2 * SHARD_BYTES as u64 && shards_asked(&slow) <= 1);
    // Where nobody tells of the model here, it is that of the other hub, and lies there.
    place.settings.endpoints = vec![nobody()];
    place.settings.hugging_face = place.folder.path().join("empty");
    let pulled = place.pull_or(&model(), &[twin]).unwrap();
    assert!(pulled.path.starts_with(&place.settings.modelscope));
}

#[test]
fn nobody_at_all_is_told() {
    let mut place = Place::new(&[&hub()]);
    place.settings.endpoints = vec![nobody(), nobody()];
    let first = place.settings.endpoints[0].trim_start_matches("http://").to_owned();
    let error = place.pull(&model()).unwrap_err().to_string();
    assert!(error.contains(&first) && error.contains("HF_ENDPOINT"), "{error}");
}
