//! What goes wrong on the way.

use crate::*;
use baimo_tests_hub::COMMIT;

fn refused(change: impl FnOnce(&mut baimo_tests_hub::Manners)) -> (Place, String) {
    let hub = hub();
    hub.behave(change);
    let place = Place::new(&[&hub]);
    let error = place.pull(&model()).expect_err("a fault").to_string();
    assert!(error.contains("hint"), "{error}");
    assert_eq!(place.find(&model()), None);
    (place, error)
}

#[test]
fn cut_connections_are_taken_up_where_they_ended() {
    let hub = hub();
    hub.behave(|manners| manners.cut = Some(7_001));
    let place = Place::new(&[&hub]);
    let pulled = place.pull(&model()).unwrap();
    assert_whole(&pulled.path);
    // The index is read once before the rest.
    let index = std::fs::metadata(pulled.path.join(PULLED[3])).unwrap().len();
    assert_eq!(hub.sent(), model_bytes(&place) + index);
}

#[test]
fn a_pull_that_is_cut_off_at_ten_points_ends_with_the_same_bytes() {
    let hub = hub();
    let place = Place::new(&[&hub]);
    let total = model_bytes(&place);
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let points = noise(20, seed.as_nanos() as u64);
    let mut interrupted = 0;
    for pair in points.chunks(2) {
        let share = u64::from(u16::from_le_bytes([pair[0], pair[1]]));
        let more = share * (total / 10) / u64::from(u16::MAX);
        let most = hub.sent() + more;
        hub.behave(|manners| manners.dead_after = Some(most));
        interrupted += usize::from(place.pull(&model()).is_err());
        assert_eq!(place.find(&model()), None, "an incomplete model is none");
    }
    assert_eq!(interrupted, 10, "{points:?}");
    hub.behave(|manners| manners.dead_after = None);
    let last = place.pull(&model()).unwrap();
    assert_whole(&last.path);
    assert!(last.fetched < total, "what came before is used: {points:?}");
    assert!(place.blobs().iter().all(|name| !name.contains('.')), "{:?}", place.blobs());
}

#[test]
fn wrong_bytes_are_refused_and_removed() {
    let (place, error) = refused(|manners| manners.corrupt = true);
    assert!(error.contains("found") && error.contains("wanted"), "{error}");
    let blobs = place.blobs();
    // Small files were right; of the large ones nothing has its name, and at most one, which
    // another thread had begun, is still on its way.
    assert!(blobs.iter().all(|name| name.len() == 40 || name.contains('.')), "{blobs:?}");
    assert!(blobs.iter().filter(|name| name.ends_with(".incomplete")).count() <= 1, "{blobs:?}");
}

#[test]
fn wrong_bytes_of_an_earlier_attempt_do_not_stand_in_the_way() {
    let hub = hub();
    hub.behave(|manners| {
        manners.corrupt = true;
        manners.dead_after = Some(250_000);
    });
    let place = Place::new(&[&hub]);
    place.pull(&model()).unwrap_err();
    assert!(place.blobs().iter().any(|name| name.ends_with(".incomplete")));
    hub.behave(|manners| *manners = Default::default());
    assert_whole(&place.pull(&model()).unwrap().path);
}

#[test]
fn wrong_lengths_are_refused_before_a_byte_is_kept() {
    let (_, error) = refused(|manners| manners.short = true);
    assert!(error.contains("299999"), "{error}");
    let (_, error) = refused(|manners| manners.pointers = true);
    assert!(error.contains("wanted"), "{error}");
}

#[test]
fn a_host_without_ranges_gives_whole_files() {
    let hub = hub();
    hub.behave(|manners| manners.whole_only = true);
    let place = Place::new(&[&hub]);
    assert_whole(&place.pull(&model()).unwrap().path);
    // One that breaks off as well cannot be helped, and is told.
    let (_, error) = refused(|manners| {
        manners.whole_only = true;
        manners.cut = Some(100_000);
    });
    assert!(error.contains("whole files"), "{error}");
}

#[test]
fn what_passes_is_waited_for() {
    let hub = hub();
    hub.behave(|manners| manners.statuses = vec![503, 429]);
    let place = Place::new(&[&hub]);
    assert_whole(&place.pull(&model()).unwrap().path);
}

#[test]
fn a_wait_that_is_asked_for_is_granted_within_reason() {
    let hub = hub();
    hub.behave(|manners| {
        manners.statuses = vec![429];
        manners.retry_after = Some(1);
    });
    let place = Place::new(&[&hub]);
    let start = std::time::Instant::now();
    place.pull(&model()).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    let (_, error) = refused(|manners| {
        manners.statuses = vec![429; 9];
        manners.retry_after = Some(100_000);
    });
    assert!(error.contains("429"), "{error}");
}

#[test]
fn what_never_passes_is_told_after_some_tries() {
    let (_, error) = refused(|manners| manners.refuse = Some(502));
    assert!(error.contains("502") && error.contains("goes on where it stopped"), "{error}");
}

#[test]
fn a_gated_model_tells_how_to_get_in() {
    let (_, error) = refused(|manners| {
        manners.authorization = Some("Bearer right".to_owned());
        manners.error_code = Some("GatedRepo".to_owned());
    });
    assert!(error.contains("without a token") && error.contains("HF_TOKEN"), "{error}");
}

#[test]
fn a_missing_model_file_or_revision_is_told() {
    let hub = hub();
    let place = Place::new(&[&hub]);
    let told = |text: &str| place.pull(text).unwrap_err().to_string();
    assert!(told("hf:owner/none").contains("404"));
    assert!(told(&format!("hf:{REPO}:none.gguf")).contains("none.gguf"));
    let revision = told(&format!("hf:{REPO}@q4_k_m"));
    assert!(revision.contains(&format!("hf:{REPO}:q4_k_m")), "{revision}");
    hub.behave(|manners| manners.refuse = Some(403));
    assert!(told(&model()).contains("403"));
}

#[test]
fn a_token_is_shown_to_its_hub_only_and_never_told() {
    let (hub, files) = (hub(), Hub::start());
    fill(&files);
    hub.behave(|manners| {
        manners.authorization = Some("Bearer hf_secret".to_owned());
        manners.redirect = Some(files.endpoint());
    });
    let mut place = Place::new(&[&hub]);
    place.settings.token = token("hf_secret");
    assert_whole(&place.pull(&model()).unwrap().path);
    assert!(hub.seen().iter().all(|seen| seen.authorization.is_some()));
    assert!(files.seen().len() >= 2);
    assert!(files.seen().iter().all(|seen| seen.authorization.is_none()));
    // Nor is it in an error, of the hub or of the other host.
    for status in [401, 403, 404, 500] {
        let place = Place { settings: place.settings.clone(), ..Place::new(&[&hub]) };
        files.behave(|manners| manners.statuses = vec![status; 99]);
        hub.behave(|manners| manners.error_code = Some("hf_secret".to_owned()));
        let mut other = Place { settings: place.settings.clone(), ..Place::new(&[&hub]) };
        other.settings.hugging_face = other.folder.path().join("other");
        let error = format!("{:?} {0}", other.pull(&model()).unwrap_err());
        assert!(!error.contains("hf_secret") && !error.contains("signature"), "{error}");
    }
}

#[test]
fn a_signed_address_that_expires_is_asked_for_again() {
    let (hub, files) = (hub(), Hub::start());
    fill(&files);
    hub.behave(|manners| manners.redirect = Some(files.endpoint()));
    files.behave(|manners| manners.statuses = vec![403]);
    let place = Place::new(&[&hub]);
    // The first address fails before it is known to be good: that is a refusal.
    place.pull(&model()).unwrap_err();
    files.behave(|manners| {
        manners.cut = Some(40_000);
        manners.statuses = Vec::new();
    });
    assert_whole(&place.pull(&model()).unwrap().path);
}

#[test]
fn a_disk_without_room_is_told_before_a_byte_is_fetched() {
    let hub = Hub::start();
    hub.put("o/r", "m.gguf", noise(20_000, 1));
    let place = Place::new(&[&hub]);
    let error = Error::Space { folder: "cache".into(), free: 5_000_000, wanted: 7_000_000_000 };
    let text = error.to_string();
    assert!(text.contains("5.00 MB") && text.contains("7.00 GB") && text.contains("prune"));
    place.pull("hf:o/r").unwrap();
}

#[test]
fn a_file_that_cannot_be_written_leaves_no_model() {
    let hub = hub();
    let place = Place::new(&[&hub]);
    // Where the cache should be lies a file.
    std::fs::write(&place.settings.hugging_face, "in the way").unwrap();
    let error = place.pull(&model()).unwrap_err().to_string();
    assert!(error.contains("hf"), "{error}");
    std::fs::remove_file(&place.settings.hugging_face).unwrap();
    assert!(place.pull(&model()).unwrap().path.ends_with(COMMIT));
}
