//! What is pulled, and that it is all of it.

use crate::*;
use baimo_tests_hub::COMMIT;
use std::ops::Range;

#[test]
fn a_model_is_pulled_whole_and_then_found_without_the_hub() {
    let (hub, files) = (hub(), Hub::start());
    fill(&files);
    hub.behave(|manners| manners.redirect = Some(files.endpoint()));
    let place = Place::new(&[&hub]);
    assert_eq!(place.find(&model()), None);
    let pulled = place.pull(&model()).unwrap();
    assert_whole(&pulled.path);
    assert_eq!(pulled.fetched, model_bytes(&place));
    assert!(pulled.path.ends_with(format!("{}/snapshots/{COMMIT}", folder_name())));
    assert_eq!(place.find(&model()), Some(pulled.path.clone()));
    assert_eq!(place.find(&format!("hf:{REPO}@{COMMIT}")), Some(pulled.path.clone()));
    // Again: the hub is asked what there is, and no file of it.
    let (before, seen) = (hub.sent() + files.sent(), hub.seen().len());
    assert_eq!(place.pull(&model()).unwrap().fetched, 0);
    assert_eq!((hub.sent() + files.sent(), hub.seen().len()), (before, seen + 2));
}

#[test]
fn pieces_are_asked_for_at_once_and_only_once() {
    let hub = hub();
    let place = Place::new(&[&hub]);
    place.pull(&model()).unwrap();
    let shard = PULLED[1];
    let mut parts: Vec<Range<usize>> = hub
        .seen()
        .iter()
        .filter(|seen| seen.path.ends_with(shard))
        .map(|seen| seen.range.map(|(first, last)| first..last.unwrap() + 1).unwrap())
        .collect();
    parts.sort_by_key(|part| part.start);
    let wanted: Vec<Range<usize>> = (0..6).map(|at| at * 50_000..(at + 1) * 50_000).collect();
    // The first piece may have been probed as well.
    assert_eq!(parts, wanted);
}

#[test]
fn trees_of_many_pages_are_read_to_the_end() {
    let hub = hub();
    hub.behave(|manners| manners.page = Some(2));
    let place = Place::new(&[&hub]);
    assert_whole(&place.pull(&model()).unwrap().path);
}

#[test]
fn a_quantization_is_pulled_with_all_its_parts() {
    let hub = Hub::start();
    let name = |kind: &str, part: usize| format!("{kind}/m-{kind}-0000{part}-of-00002.gguf");
    for (kind, seed) in [("Q8_0", 10), ("Q4_K_M", 20)] {
        for part in [1, 2] {
            hub.put("o/ggufs", &name(kind, part), noise(30_000, seed + part as u64));
        }
    }
    let place = Place::new(&[&hub]);
    let pulled = place.pull("hf:o/ggufs:q8_0").unwrap();
    assert!(pulled.path.ends_with(name("Q8_0", 1)), "{pulled:?}");
    assert!(pulled.path.with_file_name("m-Q8_0-00002-of-00002.gguf").exists());
    assert!(!pulled.path.parent().unwrap().with_file_name("Q4_K_M").exists());
    assert_eq!(place.find("hf:o/ggufs:q8_0"), Some(pulled.path));
    assert_eq!(place.find("hf:o/ggufs:q4_k"), None);
}

#[test]
fn the_other_hub_gives_models_too() {
    let hub = hub();
    let place = Place::new(&[&hub]);
    let reference = format!("ms:{REPO}");
    let pulled = place.pull(&reference).unwrap();
    assert_whole(&pulled.path);
    // Where its own library looks.
    let wanted = place.settings.modelscope.join("owner--model-1.5/snapshots/master");
    assert_eq!(pulled.path, wanted);
    assert_eq!(place.find(&reference), Some(pulled.path));
    assert_eq!(place.pull(&reference).unwrap().fetched, 0);
}

#[test]
fn files_that_another_program_put_there_are_not_fetched_again() {
    let hub = hub();
    let place = Place::new(&[&hub]);
    let snapshot = place.settings.modelscope.join("owner--model-1.5/snapshots/master");
    std::fs::create_dir_all(&snapshot).unwrap();
    // One is right, one has the right length and other bytes.
    std::fs::write(snapshot.join(PULLED[1]), noise(SHARD_BYTES, 1)).unwrap();
    std::fs::write(snapshot.join(PULLED[2]), noise(SHARD_BYTES, 9)).unwrap();
    let pulled = place.pull(&format!("ms:{REPO}")).unwrap();
    assert_whole(&pulled.path);
    assert_eq!(pulled.fetched, model_bytes(&place) - SHARD_BYTES as u64);
}

#[test]
fn a_header_is_read_without_the_rest() {
    let hub = hub();
    let place = Place::new(&[&hub]);
    let store = place.store();
    let remote = store.remote(&model().parse().unwrap(), &[], &|_| ()).unwrap();
    let bytes = remote.read(PULLED[1], 1000..1600).unwrap();
    assert_eq!(bytes, noise(SHARD_BYTES, 1)[1000..1600]);
    assert_eq!(hub.sent(), 600);
    let end = SHARD_BYTES as u64;
    assert_eq!(remote.read(PULLED[1], end - 5..end + 5).unwrap().len(), 5);
    assert!(remote.read_file("config.json").unwrap().starts_with(b"{"));
    let (files, opened) = remote.chosen().unwrap();
    assert_eq!((files.len(), opened), (PULLED.len(), None));
    hub.behave(|manners| manners.whole_only = true);
    assert_eq!(remote.read(PULLED[1], 1000..1600).unwrap(), bytes);
}

#[test]
fn two_stores_that_pull_at_once_fetch_every_byte_once() {
    let hub = hub();
    hub.behave(|manners| manners.pace = Some(2_000_000));
    let place = Place::new(&[&hub]);
    let wanted = model_bytes(&place);
    let pulled = std::thread::scope(|scope| {
        let all = [(); 3].map(|()| scope.spawn(|| place.pull(&model()).unwrap()));
        all.map(|one| one.join().unwrap())
    });
    pulled.iter().for_each(|one| assert_whole(&one.path));
    assert_eq!(pulled.iter().map(|one| one.fetched).sum::<u64>(), wanted);
}

#[test]
fn nobody_is_asked_offline() {
    let hub = hub();
    let mut place = Place::new(&[&hub]);
    place.settings.offline = true;
    let error = place.pull(&model()).unwrap_err().to_string();
    assert!(error.contains("HF_HUB_OFFLINE") && error.contains("baimo pull"), "{error}");
    assert!(hub.seen().is_empty());
}

#[test]
fn the_head_of_a_gguf_file_is_laid_out_around_a_hole() {
    use baimo_weights::{Checkpoint, Dtype, Format, TensorInfo, gguf};
    let hub = hub();
    let place = Place::new(&[&hub]);
    let made = place.folder.path().join("made.gguf");
    let tensor = |name: &str, count: usize| {
        let dtype = Dtype::Weights(Format::F32);
        TensorInfo { name: name.into(), dtype, shape: vec![count], range: 0..4 * count }
    };
    let (large, small) = (noise(24 << 20, 1), noise(256, 2));
    let tensors = [
        (tensor("blk.0.ffn_up.weight", 6 << 20), &large[..]),
        (tensor("rope_freqs.weight", 64), &small[..]),
    ];
    let words = |count: usize| (0..count).map(|number| format!("word {number}")).collect();
    // A vocabulary that is longer than what is read at first.
    let pairs = [("words".to_owned(), gguf::Value::Array(gguf::Array::Strings(words(600_000))))];
    gguf::write(&made, &pairs, &tensors).unwrap();
    let bytes = std::fs::read(&made).unwrap();
    hub.put("o/ggufs", "sub/m-Q8_0.gguf", bytes.clone());
    let store = place.store();
    let remote = store.remote(&"hf:o/ggufs:q8_0".parse().unwrap(), &[], &|_| ()).unwrap();
    let outline = remote.outline(&place.folder.path().join("outline")).unwrap();
    assert_eq!(outline.weight_bytes, bytes.len() as u64);
    assert!(hub.sent() < 17 << 20, "{}", hub.sent());
    let (laid, whole) =
        (Checkpoint::open(&outline.path).unwrap(), Checkpoint::open(&made).unwrap());
    assert_eq!(laid.metadata().unwrap().pairs(), whole.metadata().unwrap().pairs());
    assert!(laid.tensors().eq(whole.tensors()));
    assert_eq!(laid.stored("rope_freqs.weight").unwrap().data, small);
    assert!(laid.stored("blk.0.ffn_up.weight").unwrap().data.iter().all(|byte| *byte == 0));
    hub.put("o/ggufs", "sub/m-Q8_0.gguf", noise(9 << 20, 3));
    let remote = store.remote(&"hf:o/ggufs".parse().unwrap(), &[], &|_| ()).unwrap();
    let error = remote.outline(place.folder.path()).unwrap_err().to_string();
    assert!(error.contains("m-Q8_0.gguf") && error.contains("GGUF"), "{error}");
}
