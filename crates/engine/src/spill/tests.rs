use super::*;

/// What becomes of a file's bytes.
type Damage = &'static dyn Fn(&mut Vec<u8>);

fn key(number: u8) -> Key {
    Key::from([number; 32])
}

fn open(folder: &Path, model: &str, bytes_max: u64) -> Spill {
    Spill::open(folder, model.to_owned(), bytes_max).expect("a folder")
}

/// The files in a folder that are whole.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == WHOLE)).collect()
}

#[test]
fn what_was_kept_is_there_after_a_restart_for_the_same_model_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut spill = open(folder.path(), "a", 1 << 20);
    spill.keep(Kind::Page, &key(1), &[1, 2, 3]);
    spill.keep(Kind::Slot, &key(1), &[4]);
    spill.wait();
    assert_eq!(spill.read(Kind::Page, &key(1)).as_deref(), Some(&[1, 2, 3][..]));
    let bytes = spill.bytes();
    drop(spill);
    let mut again = open(folder.path(), "a", 1 << 20);
    assert_eq!(again.bytes(), bytes);
    assert_eq!(again.read(Kind::Slot, &key(1)).as_deref(), Some(&[4][..]));
    assert!(!again.has(Kind::Page, &key(2)));
    assert!(!open(folder.path(), "b", 1 << 20).has(Kind::Page, &key(1)));
}

#[test]
fn what_was_not_waited_for_is_written_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut spill = open(folder.path(), "a", 1 << 20);
    (0..50).for_each(|number| spill.keep(Kind::Page, &key(number), &[number; 1000]));
    drop(spill);
    assert_eq!(files(folder.path()).len(), 50);
}

#[test]
fn a_damaged_file_is_deleted_and_gives_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let damages: [Damage; 5] = [
        &|bytes| bytes[HEAD_BYTES + 5] ^= 1,
        &|bytes| bytes[10] ^= 1,
        &|bytes| bytes.truncate(HEAD_BYTES - 1),
        &|bytes| bytes.push(0),
        &|bytes| bytes.clear(),
    ];
    for damage in damages {
        let mut spill = open(folder.path(), "a", 1 << 20);
        spill.keep(Kind::Page, &key(1), &[7; 100]);
        spill.wait();
        let path = &files(folder.path())[0];
        let mut bytes = fs::read(path).unwrap();
        damage(&mut bytes);
        fs::write(path, &bytes).unwrap();
        assert_eq!(spill.read(Kind::Page, &key(1)), None);
        assert!(!path.exists() && !spill.has(Kind::Page, &key(1)));
        assert_eq!(spill.bytes(), 0);
    }
}

#[test]
fn a_file_under_another_name_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let mut spill = open(folder.path(), "a", 1 << 20);
    spill.keep(Kind::Page, &key(1), &[7; 100]);
    spill.wait();
    let moved = folder.path().join(spill.name(Kind::Page, &key(2)));
    fs::rename(&files(folder.path())[0], &moved).unwrap();
    let mut again = open(folder.path(), "a", 1 << 20);
    assert!(again.has(Kind::Page, &key(2)));
    assert_eq!(again.read(Kind::Page, &key(2)), None);
    assert_eq!(spill.read(Kind::Page, &key(1)), None, "gone behind its back");
}

#[test]
fn files_stay_within_the_budget_and_the_oldest_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let each = (HEAD_BYTES + 100) as u64;
    let mut spill = open(folder.path(), "a", 3 * each + 10);
    for number in 0..3 {
        spill.keep(Kind::Page, &key(number), &[number; 100]);
        spill.wait();
    }
    assert!(spill.read(Kind::Page, &key(0)).is_some());
    spill.keep(Kind::Page, &key(3), &[3; 100]);
    spill.keep(Kind::Page, &key(4), &[0; 1000]);
    spill.wait();
    let there = [0, 1, 2, 3, 4].map(|number| spill.has(Kind::Page, &key(number)));
    assert_eq!(there, [true, false, true, true, false]);
    assert_eq!(files(folder.path()).len(), 3);
    drop(spill);
    assert_eq!(open(folder.path(), "b", each).bytes(), each, "whoever's they are");
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn what_cannot_be_written_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut spill = open(folder.path(), "a", 1 << 20);
    fs::remove_dir(folder.path()).unwrap();
    spill.keep(Kind::Page, &key(1), &[1]);
    spill.wait();
    assert_eq!((spill.has(Kind::Page, &key(1)), spill.bytes()), (false, 0));
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(Spill::open(&file.path().join("no folder"), "a".to_owned(), 1).is_err());
}
