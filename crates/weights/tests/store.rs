//! Packed weights that are kept in files: found again, and never trusted.

use baimo_kernels::format::Format;
use baimo_kernels::matmul::{BlockScales, pack_tiles};
use baimo_weights::store::{Key, Origin, PackedFile};
use baimo_weights::{Checkpoint, Dtype, Error, Store, TensorInfo, safetensors};
use proptest::prelude::*;
use std::fs::File;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

const SHAPE: [usize; 2] = [40, 64];

fn checkpoint(folder: &Path, fill: u8) -> Checkpoint {
    let path = folder.join(format!("{fill}.safetensors"));
    let info = TensorInfo {
        name: "w".to_owned(),
        dtype: Dtype::Weights(Format::F32),
        shape: vec![2],
        range: 0..0,
    };
    safetensors::write(&path, &[(info, &[fill; 8])]).unwrap();
    Checkpoint::open(&path).unwrap()
}

fn tiles(format: Format) -> Vec<u8> {
    let row_bytes = format.row_bytes(SHAPE[1]).unwrap();
    let rows: Vec<u8> = (0..row_bytes * SHAPE[0]).map(|at| at as u8).collect();
    let mut out = Vec::new();
    pack_tiles(format, SHAPE[1], &rows, &mut out);
    out
}

fn scales() -> BlockScales {
    BlockScales { rows_per_block: 32, columns_per_block: 32, values: vec![1.0, 2.0, 3.0, 4.0] }
}

/// A vector, a quantized matrix and one with outer scales.
fn write(store: &Store, key: &Key) {
    let mut writer = store.begin(key, &Origin::default(), 0).unwrap();
    writer.floats("norm", &[1.0, -2.0, 3.0]).unwrap();
    writer.matrix("q8", Format::Q8_0, SHAPE, None).unwrap();
    let bytes = tiles(Format::Q8_0);
    bytes.chunks(1000).for_each(|piece| writer.tiles(piece).unwrap());
    writer.matrix("f8", Format::F8E4M3, SHAPE, Some(&scales())).unwrap();
    writer.tiles(&tiles(Format::F8E4M3)).unwrap();
    let (_, keeping) = writer.finish().unwrap();
    keeping.wait().unwrap();
}

/// Whatever the file is, reading it gives tensors or an error.
fn read(file: &PackedFile) -> Result<(), Error> {
    let mut reader = file.reader();
    assert_eq!(reader.floats("norm", 3)?, [1.0, -2.0, 3.0]);
    let mut row = vec![0.0; SHAPE[1]];
    for (name, format) in [("q8", Format::Q8_0), ("f8", Format::F8E4M3)] {
        let matrix = reader.matrix(name, SHAPE)?;
        assert_eq!(matrix.format(), format);
        matrix.dequantize_row(SHAPE[0] - 1, &mut row);
    }
    reader.finish()
}

#[test]
fn what_was_kept_is_found_by_its_key_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("kept"));
    let [one, two] = [1, 2].map(|fill| checkpoint(folder.path(), fill));
    let key = store.key(&one, "recipe").unwrap();
    assert!(store.open(&key).is_none() && store.bytes().is_none());
    write(&store, &key);
    let file = store.open(&key).unwrap();
    read(&file).unwrap();
    assert_eq!(store.bytes(), Some(file.bytes()));
    assert_eq!(store.key(&one, "recipe").unwrap(), key);
    for other in [store.key(&two, "recipe").unwrap(), store.key(&one, "other").unwrap()] {
        assert!(other != key && store.open(&other).is_none());
        // Not even under the other's name.
        std::fs::copy(store.path(&key), store.path(&other)).unwrap();
        assert!(store.open(&other).is_none());
    }
}

#[test]
fn tensors_of_other_names_shapes_or_kinds_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("kept"));
    let key = store.key(&checkpoint(folder.path(), 1), "").unwrap();
    write(&store, &key);
    let file = store.open(&key).unwrap();
    assert!(file.reader().floats("gate", 3).is_err());
    assert!(file.reader().floats("norm", 4).is_err());
    assert!(file.reader().matrix("norm", [1, 3]).is_err());
    let mut reader = file.reader();
    reader.floats("norm", 3).unwrap();
    assert!(reader.matrix("q8", [SHAPE[1], SHAPE[0]]).is_err());
    let mut reader = file.reader();
    reader.floats("norm", 3).unwrap();
    assert!(reader.finish().is_err(), "two are left over");
}

#[test]
fn a_writer_that_ends_early_leaves_nothing_and_one_that_died_is_cleaned_up_after() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("kept"));
    let key = store.key(&checkpoint(folder.path(), 1), "").unwrap();
    let names = || {
        let entries = std::fs::read_dir(store.folder()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    drop(store.begin(&key, &Origin::default(), 0).unwrap());
    assert!(names().is_empty(), "{:?}", names());
    std::fs::write(store.folder().join("0123.99-0.part"), "of a process that died").unwrap();
    let living = store.begin(&key, &Origin::default(), 0).unwrap();
    // Another's file is not touched while it is being written.
    write(&store, &key);
    assert_eq!(names().len(), 2, "{:?}", names());
    let (_, keeping) = living.finish().unwrap();
    keeping.wait().unwrap();
    assert_eq!(names().len(), 1, "the last one's stays: {:?}", names());
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let store = Store::new(file.join("kept"));
    let key = store.key(&checkpoint(folder.path(), 1), "").unwrap();
    let error =
        store.begin(&key, &Origin::default(), 0).err().expect("a file is no folder").to_string();
    assert!(error.contains("kept"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn weights_that_the_disk_has_no_room_for_are_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("kept"));
    let key = store.key(&checkpoint(folder.path(), 1), "").unwrap();
    let unlimited = store.clone().limited(Some(u64::MAX));
    for (store, wanted) in [(&store, "half of the free disk"), (&unlimited, "free on the disk")] {
        let begun = store.begin(&key, &Origin::default(), usize::MAX / 2);
        let error = begun.err().expect("no disk is so large").to_string();
        assert!(error.contains(wanted), "{error}");
        assert_eq!(store.bytes(), Some(0));
    }
}

/// A store with the files of three models, used in the order of their numbers, and their keys.
fn three(folder: &Path) -> (Store, [Key; 3]) {
    let store = Store::new(folder.join("kept"));
    let keys = [1, 2, 3].map(|fill| store.key(&checkpoint(folder, fill), "").unwrap());
    let start = SystemTime::now() - Duration::from_secs(1000);
    for (key, age) in keys.iter().zip([2, 1, 3]) {
        write(&store, key);
        let file = File::options().write(true).open(store.path(key)).unwrap();
        file.set_modified(start - Duration::from_secs(age)).unwrap();
    }
    // Using the second makes it the youngest.
    drop(store.open(&keys[1]).unwrap());
    let [one, two, three] = keys;
    (store, [three, one, two])
}

#[test]
fn what_was_used_longest_ago_makes_room_but_nothing_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let (store, keys) = three(folder.path());
    let size = store.files()[0].bytes;
    let there = || keys.each_ref().map(|key| store.path(key).exists());
    let begin = |limit: u64, bytes: u64| {
        let store = store.clone().limited(Some(limit));
        let begun = store.begin(&keys[0], &Origin::default(), bytes as usize);
        begun.map(drop).map_err(|error| error.to_string())
    };
    begin(4 * size, size).unwrap();
    assert_eq!(there(), [true; 3], "there is room for a fourth");
    let used = store.open(&keys[0]).unwrap();
    let refused = begin(4 * size, 3 * size + 1).unwrap_err();
    assert!(refused.contains("--cache-limit"), "{refused}");
    assert_eq!(there(), [true; 3], "nothing goes in vain");
    begin(3 * size, size).unwrap();
    assert_eq!(there(), [true, false, true], "the first was used just now, the third later");
    begin(2 * size, size).unwrap();
    assert_eq!(there(), [true, false, false], "what is in use stays");
    drop(used);
    begin(size, size).unwrap();
    assert_eq!(there(), [false; 3]);
}

#[test]
fn files_are_listed_by_their_last_use_and_removed_unless_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let (store, keys) = three(folder.path());
    let files = store.files();
    let paths: Vec<_> = files.iter().rev().map(|file| file.path.clone()).collect();
    assert_eq!(paths, keys.each_ref().map(|key| store.path(key)));
    assert_eq!(files.iter().map(|file| file.bytes as usize).sum::<usize>(), store.bytes().unwrap());
    // Whoever holds its bytes uses it.
    let used = [0, 1].map(|index| store.open(&keys[index]).unwrap().pages());
    assert_eq!(store.files().iter().filter(|file| file.in_use).count(), 2);
    assert_eq!(
        files.iter().map(|file| store.remove(file)).collect::<Vec<_>>(),
        [true, false, false]
    );
    drop(used);
    assert!(store.remove(&files[1]) && store.remove(&files[2]) && !store.remove(&files[2]));
    assert!(store.files().is_empty());
}

#[test]
fn a_file_tells_what_it_was_made_of_and_is_in_use_from_its_first_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("kept"));
    let key = store.key(&checkpoint(folder.path(), 1), "").unwrap();
    let model = format!("/{}/model", "\u{1}深".repeat(4000));
    let origin = Origin { model, weights: "q8_0".to_owned() };
    let (file, keeping) = store.begin(&key, &origin, 0).unwrap().finish().unwrap();
    keeping.wait().unwrap();
    let [listed] = &store.files()[..] else { panic!("one file") };
    assert!(listed.in_use && !store.remove(listed));
    assert!(listed.origin.model.ends_with("深/model") && listed.origin.weights == "q8_0");
    // Another start may use it beside the first.
    assert!(store.open(&key).is_some());
    drop(file);
    assert!(!store.files()[0].in_use);
}

#[test]
fn a_file_of_an_older_version_is_deleted_and_any_other_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("kept"));
    let key = store.key(&checkpoint(folder.path(), 1), "").unwrap();
    write(&store, &key);
    let bytes = std::fs::read(store.path(&key)).unwrap();
    let text = String::from_utf8_lossy(&bytes[..200]).into_owned();
    let at = text.find("\"layout\":").unwrap() + "\"layout\":".len();
    let with = |digit: u8, name: &str| {
        let mut bytes = bytes.clone();
        bytes[at] = digit;
        let path = store.folder().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let (older, newer) = (with(b'0', "older.packed"), with(b'9', "newer.packed"));
    std::fs::write(store.folder().join("foreign.packed"), "what is this").unwrap();
    drop(store.begin(&key, &Origin::default(), 0).unwrap());
    assert!(!older.exists() && newer.exists());
    assert!(store.folder().join("foreign.packed").exists() && store.open(&key).is_some());
}

/// A file that is damaged again and again, and its bytes.
static KEPT: LazyLock<(tempfile::TempDir, Store, Key, Vec<u8>)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("kept"));
    let key = store.key(&checkpoint(folder.path(), 1), "").unwrap();
    write(&store, &key);
    let bytes = std::fs::read(store.path(&key)).unwrap();
    (folder, store, key, bytes)
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_damaged_file_is_as_good_as_none(
        cut in proptest::option::of(0.0..1.0_f64),
        changes in proptest::collection::vec((0.0..1.0_f64, any::<u8>(), any::<bool>()), 0..4),
    ) {
        let (_folder, store, key, whole) = &*KEPT;
        let mut bytes = whole.clone();
        let length = bytes.len();
        for (at, byte, in_head) in changes {
            let span = if in_head { 300.0 } else { length as f64 };
            bytes[(at * span) as usize] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate((cut * length as f64) as usize);
        }
        std::fs::write(store.path(key), &bytes).unwrap();
        match store.open(key) {
            Some(file) => {
                prop_assert_eq!(bytes.len(), length);
                // Only numbers may differ: a vector's would fail `read`.
                let mut reader = file.reader();
                prop_assert_eq!(reader.floats("norm", 3).unwrap().len(), 3);
                prop_assert!(reader.matrix("q8", SHAPE).is_ok());
                prop_assert!(reader.matrix("f8", SHAPE).is_ok());
            }
            None => prop_assert!(bytes != *whole),
        }
    }
}
