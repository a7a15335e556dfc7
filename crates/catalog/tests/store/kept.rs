//! What is kept, and how one gets rid of it.

use crate::*;
use baimo_tests_hub::COMMIT;
use std::fs;

/// A commit before the one that the hub has.
const OLD: &str = "89abcdef0123456789abcdef0123456789abcdef";

#[test]
fn what_is_here_is_listed_with_its_bytes() {
    let hub = hub();
    hub.put("o/ggufs", "a-Q8_0.gguf", noise(30_000, 5));
    let place = Place::new(&[&hub]);
    place.pull(&model()).unwrap();
    place.pull("hf:o/ggufs").unwrap();
    place.pull(&format!("ms:{REPO}")).unwrap();
    let kept = place.store().kept();
    let names: Vec<String> = kept.iter().map(|one| one.reference.to_string()).collect();
    assert_eq!(names, ["hf:o/ggufs", &model(), &format!("ms:{REPO}")]);
    let models = |at: usize| kept[at].models.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(models(0), ["hf:o/ggufs:a-Q8_0.gguf"]);
    assert_eq!(models(1), [model()]);
    assert_eq!(models(2), [format!("ms:{REPO}")]);
    assert_eq!(kept[1].revisions, ["main"]);
    let more = kept[1].bytes - model_bytes(&place);
    assert!(more < 1000, "a branch's name: {more}");
    assert_eq!(kept[1].partial_bytes, 0);
}

#[test]
fn what_is_not_whole_is_listed_as_that() {
    let hub = hub();
    hub.behave(|manners| manners.dead_after = Some(200_000));
    let place = Place::new(&[&hub]);
    place.pull(&model()).unwrap_err();
    let kept = place.store().kept();
    assert!(kept[0].models.is_empty() && kept[0].partial_bytes > 0, "{kept:?}");
}

#[test]
fn a_model_is_removed_with_all_that_is_its_own() {
    let hub = hub();
    hub.put("o/other", "a.gguf", noise(30_000, 5));
    let place = Place::new(&[&hub]);
    place.pull(&model()).unwrap();
    place.pull("hf:o/other").unwrap();
    let removal = place.store().removal(&model().parse().unwrap()).unwrap();
    assert!(removal.bytes() >= 609_000);
    removal.carry_out().unwrap();
    assert_eq!(place.find(&model()), None);
    assert!(!place.settings.hugging_face.join(folder_name()).exists());
    assert!(place.find("hf:o/other").is_some());
    let error = place.store().removal(&model().parse().unwrap()).unwrap_err().to_string();
    assert!(error.contains("list --local"), "{error}");
}

#[test]
fn a_part_is_removed_and_the_rest_stays() {
    let hub = Hub::start();
    hub.put("o/ggufs", "a-Q8_0.gguf", noise(30_000, 5));
    hub.put("o/ggufs", "a-Q4_K_M.gguf", noise(20_000, 6));
    let place = Place::new(&[&hub]);
    place.pull("hf:o/ggufs:q8_0").unwrap();
    place.pull("hf:o/ggufs:q4_k_m").unwrap();
    let removal = place.store().removal(&"hf:o/ggufs:q8_0".parse().unwrap()).unwrap();
    assert_eq!(removal.carry_out().unwrap(), 30_000);
    assert_eq!(place.find("hf:o/ggufs:q8_0"), None);
    let left = place.find("hf:o/ggufs:q4_k_m").unwrap();
    assert!(fs::read(left).unwrap() == noise(20_000, 6));
}

#[test]
fn prune_takes_what_no_branch_needs_and_nothing_else() {
    let hub = hub();
    let place = Place::new(&[&hub]);
    let pulled = place.pull(&model()).unwrap();
    assert_eq!(place.store().unused().items, []);
    let root = place.settings.hugging_face.join(folder_name());
    // A snapshot of an older commit that shares a file, bytes of nobody, and a broken download.
    let (old, shared) = (root.join("snapshots").join(OLD), "config.json");
    fs::create_dir_all(&old).unwrap();
    let link = fs::read_link(pulled.path.join(shared)).unwrap();
    let orphan = root.join("blobs").join("a".repeat(64));
    fs::write(&orphan, noise(5_000, 1)).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(link, old.join(shared)).unwrap();
        let target = format!("../../blobs/{}", "b".repeat(64));
        std::os::unix::fs::symlink(target, old.join("weights")).unwrap();
    }
    let older = root.join("blobs").join("b".repeat(64));
    fs::write(&older, noise(6_000, 1)).unwrap();
    let partial = root.join("blobs").join(format!("{}.12345678.incomplete", "c".repeat(64)));
    fs::write(&partial, noise(7_000, 1)).unwrap();
    let removal = place.store().unused();
    assert_eq!(removal.bytes(), 18_000);
    removal.carry_out().unwrap();
    for gone in [&old, &orphan, &older, &partial] {
        assert!(fs::symlink_metadata(gone).is_err(), "{gone:?}");
    }
    assert_whole(&pulled.path);
    assert_eq!(place.find(&format!("hf:{REPO}@{COMMIT}")), Some(pulled.path));
}

#[test]
fn nothing_is_taken_from_under_a_pull() {
    let hub = hub();
    hub.behave(|manners| manners.pace = Some(300_000));
    let place = Place::new(&[&hub]);
    std::thread::scope(|scope| {
        let pulling = scope.spawn(|| place.pull(&model()).unwrap());
        while hub.sent() < 100_000 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let removal = place.store().unused();
        assert_eq!(removal.items, []);
        assert_eq!(removal.busy, [model()]);
        assert!(place.store().removal(&model().parse().unwrap()).is_err());
        drop(removal);
        assert_whole(&pulling.join().unwrap().path);
    });
}

#[test]
fn what_a_crash_left_on_its_way_to_its_place_is_nobodys() {
    let hub = hub();
    let place = Place::new(&[&hub]);
    let snapshot = place.pull(&model()).unwrap().path;
    let root = place.settings.hugging_face.join(folder_name());
    // A name that was being written keeps no old commit.
    let (branch, link) = (root.join("refs/.main.7.0.tmp"), snapshot.join(".config.json.7.1.tmp"));
    fs::write(&branch, OLD).unwrap();
    fs::create_dir(root.join("snapshots").join(OLD)).unwrap();
    fs::copy(snapshot.join("config.json"), &link).unwrap();
    assert_eq!(place.store().kept()[0].revisions, ["main", OLD]);
    place.store().unused().carry_out().unwrap();
    assert!(!branch.exists() && !link.exists() && !root.join("snapshots").join(OLD).exists());
    assert_whole(&snapshot);
}
