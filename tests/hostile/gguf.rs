//! Lone GGUF files.

use baimo_weights::Checkpoint;

use crate::refuses_bytes;

/// A GGUF file, put together field by field so that each can be wrong.
#[derive(Clone)]
pub struct Draft {
    pub magic: [u8; 4],
    pub version: u32,
    pub tensor_count: Option<u64>,
    pub pair_count: Option<u64>,
    pub pairs: Vec<Vec<u8>>,
    pub entries: Vec<Vec<u8>>,
    pub data: usize,
}

pub fn string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text].concat()
}

pub fn pair(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [&string(key.as_bytes())[..], &kind.to_le_bytes(), value].concat()
}

pub fn entry(name: &str, dimensions: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let mut bytes = string(name.as_bytes());
    bytes.extend((dimensions.len() as u32).to_le_bytes());
    dimensions.iter().for_each(|dimension| bytes.extend(dimension.to_le_bytes()));
    bytes.extend(kind.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes
}

impl Draft {
    /// One f32 tensor `a` of 8 elements, no metadata.
    pub fn good() -> Draft {
        Draft {
            magic: *b"GGUF",
            version: 3,
            tensor_count: None,
            pair_count: None,
            pairs: vec![],
            entries: vec![entry("a", &[8], 0, 0)],
            data: 32,
        }
    }

    pub fn with_pairs(pairs: &[Vec<u8>]) -> Draft {
        Draft { pairs: pairs.to_vec(), ..Draft::good() }
    }

    fn with_entries(entries: &[Vec<u8>], data: usize) -> Draft {
        Draft { entries: entries.to_vec(), data, ..Draft::good() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.magic.to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.tensor_count.unwrap_or(self.entries.len() as u64).to_le_bytes());
        bytes.extend(self.pair_count.unwrap_or(self.pairs.len() as u64).to_le_bytes());
        self.pairs.iter().chain(&self.entries).for_each(|part| bytes.extend(part));
        bytes.resize(bytes.len().next_multiple_of(32) + self.data, 0);
        bytes
    }

    fn refuses(&self, case: &str, says: &[&str]) {
        refuses_bytes(case, "model.gguf", &self.bytes(), says);
    }
}

#[test]
fn the_smallest_good_file_is_accepted_in_both_versions() {
    for version in [2, 3] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        std::fs::write(&path, Draft { version, ..Draft::good() }.bytes()).unwrap();
        assert_eq!(Checkpoint::open(&path).unwrap().names().collect::<Vec<_>>(), ["a"]);
    }
}

#[test]
fn another_magic_or_version_is_refused() {
    let version = |version| Draft { version, ..Draft::good() };
    refuses_bytes("empty", "model.gguf", &[], &["0 bytes"]);
    refuses_bytes("a web page", "model.gguf", b"<!doctype html><html>", &["magic", "<!do"]);
    Draft { magic: *b"GGML", ..Draft::good() }.refuses("the older format", &["magic", "GGML"]);
    version(1).refuses("version 1", &["version", "1"]);
    version(4).refuses("version 4", &["version", "4"]);
    version(3 << 24).refuses("big-endian", &["version", "big-endian"]);
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let pairs = [pair("general.name", 8, &string(b"model")), pair("n", 4, &[1, 0, 0, 0])];
    let bytes = Draft::with_pairs(&pairs).bytes();
    for length in 1..bytes.len() {
        refuses_bytes(&format!("cut at {length}"), "model.gguf", &bytes[..length], &["hint"]);
    }
}

#[test]
fn counts_beyond_the_file_are_refused_before_anything_is_reserved() {
    for count in [u64::MAX, 1 << 63, 1 << 40, 1 << 32, 1_000_000] {
        let text = count.to_string();
        Draft { tensor_count: Some(count), ..Draft::good() }
            .refuses("tensors", &["tensor count", &text]);
        Draft { pair_count: Some(count), ..Draft::good() }
            .refuses("pairs", &["metadata count", &text]);
        let long_key = [&count.to_le_bytes()[..], &[0; 64]].concat();
        Draft::with_pairs(&[long_key]).refuses("key length", &["key number 0", &text]);
        let long_string = pair("k", 8, &count.to_le_bytes());
        Draft::with_pairs(&[long_string]).refuses("string length", &["key `k`", &text]);
        for kind in 0_u32..=12 {
            let header = [&kind.to_le_bytes()[..], &count.to_le_bytes()].concat();
            let array = pair("k", 9, &header);
            Draft::with_pairs(&[array]).refuses("array length", &["key `k`", &text]);
        }
    }
    Draft { tensor_count: Some(2), ..Draft::good() }.refuses("one too many", &["empty name"]);
    let many = Draft { pair_count: Some(70_000), data: 70_000 * 13, ..Draft::good() };
    many.refuses("more keys than any file has", &["metadata count", "70000"]);
}

#[test]
fn metadata_that_breaks_the_rules_is_refused_by_key() {
    let refuses = |case, pairs: &[Vec<u8>], says: &[&str]| {
        Draft::with_pairs(pairs).refuses(case, says);
    };
    refuses("unknown kind", &[pair("k", 13, &[0; 8])], &["key `k`", "13"]);
    refuses("bool of 2", &[pair("k", 7, &[2])], &["key `k`", "bool of 2"]);
    refuses("bad UTF-8", &[pair("k", 8, &string(b"a\xffb"))], &["key `k`", "UTF-8", "byte 1"]);
    let bad_key = [&string(b"\xfe")[..], &[0; 8]].concat();
    refuses("bad UTF-8 in a key", &[bad_key], &["key number 0", "UTF-8"]);
    let twice = pair("k", 0, &[1]);
    refuses("key twice", &[twice.clone(), twice], &["key `k`", "second"]);
    let long = "k".repeat(70_000);
    refuses("key of 70000 bytes", &[pair(&long, 0, &[1])], &["key number 0", "70000"]);
    let kinds_of_array = [&13_u32.to_le_bytes()[..], &[0; 8]].concat();
    refuses("array of unknown", &[pair("k", 9, &kinds_of_array)], &["key `k`", "13"]);
    let bools = [&7_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &[1, 3]].concat();
    refuses("array of bad bools", &[pair("k", 9, &bools)], &["key `k`", "bool of 3"]);
}

#[test]
fn arrays_nested_without_end_are_refused() {
    let level = [&9_u32.to_le_bytes()[..], &1_u64.to_le_bytes()].concat();
    let deep = pair("k", 9, &level.repeat(100_000));
    Draft::with_pairs(&[deep]).refuses("deep", &["key `k`", "nested"]);
}

#[test]
fn an_alignment_that_is_no_power_of_two_is_refused() {
    let key = "general.alignment";
    for (case, kind, value) in [
        ("zero", 4, 0_u64),
        ("three", 4, 3),
        ("negative", 5, u64::from((-32_i32) as u32)),
        ("more than any machine", 10, 1 << 40),
        ("a float", 6, 0x4200_0000),
        ("all ones", 10, u64::MAX),
    ] {
        let width = if kind == 10 { 8 } else { 4 };
        let pair = pair(key, kind, &value.to_le_bytes()[..width]);
        Draft::with_pairs(&[pair]).refuses(case, &[key, "power of two"]);
    }
    let text = pair(key, 8, &string(b"32"));
    Draft::with_pairs(&[text]).refuses("a string", &[key, "power of two"]);
}

#[test]
fn a_tensor_type_without_arithmetic_is_refused_by_name() {
    for (number, name) in [
        (4, "q4_2"),
        (9, "q8_1"),
        (16, "iq2_xxs"),
        (24, "i8"),
        (28, "f64"),
        (31, "repacked"),
        (35, "tq2_0"),
        (40, "nvfp4"),
        (1_000, "unknown"),
        (u32::MAX, "unknown"),
    ] {
        let draft =
            Draft::with_entries(&[entry("blk.0.ffn_up.weight", &[256], number, 0)], 1 << 12);
        draft.refuses(name, &["tensor `blk.0.ffn_up.weight`", name, &number.to_string(), "q8_0"]);
    }
}

#[test]
fn absurd_shapes_are_refused() {
    let refuses = |case, dimensions: &[u64], kind| {
        Draft::with_entries(&[entry("a", dimensions, kind, 0)], 256).refuses(case, &["tensor `a`"]);
    };
    refuses("no dimension", &[], 0);
    refuses("five dimensions", &[1; 5], 0);
    refuses("a thousand dimensions", &[1; 1_000], 0);
    refuses("the largest", &[u64::MAX], 0);
    refuses("product wraps to zero", &[1 << 32, 1 << 32], 0);
    refuses("product wraps to one", &[u64::MAX, u64::MAX], 0);
    refuses("bytes wrap", &[(1 << 62) + 2], 0);
    refuses("rows wrap", &[8, 1 << 61, 1 << 3], 0);
    refuses("large beside zero", &[0, u64::MAX, u64::MAX], 0);
    refuses("half a block of 32", &[16], 8);
    refuses("half a block of 256", &[128, 2], 12);
    refuses("more than the file", &[1_000], 0);
}

#[test]
fn tensors_in_wrong_places_are_refused() {
    let at = |offset| Draft::with_entries(&[entry("a", &[8], 0, offset)], 64);
    at(4).refuses("not aligned", &["tensor `a`", "offset 4", "alignment 32"]);
    at(64).refuses("behind the end", &["tensor `a`", "offset 64"]);
    at(u64::MAX - 31).refuses("far behind", &["tensor `a`", "offset"]);
    at(1 << 63).refuses("half of everything", &["tensor `a`", "offset"]);
    let pair = [entry("a", &[8], 0, 0), entry("b", &[8], 0, 0)];
    Draft::with_entries(&pair, 64).refuses("the same place", &["tensor `b`", "`a`"]);
    let pair = [entry("a", &[16], 0, 0), entry("b", &[8], 0, 32)];
    Draft::with_entries(&pair, 64).refuses("overlap", &["tensor `b`", "`a`"]);
    let twice = [entry("a", &[8], 0, 0), entry("a", &[8], 0, 32)];
    Draft::with_entries(&twice, 64).refuses("name twice", &["tensor `a`", "second"]);
    let unnamed = [entry("", &[8], 0, 0)];
    Draft::with_entries(&unnamed, 64).refuses("no name", &["tensor", "empty name"]);
    let long = [entry(&"n".repeat(5_000), &[8], 0, 0)];
    Draft::with_entries(&long, 64).refuses("a name of 5000 bytes", &["tensor name", "5000"]);
}
