//! Files that tell how much each column matters.

use baimo_weights::gguf::{self, Array, Kind, Value};
use baimo_weights::{Dtype, Format, Importance, TensorInfo};
use proptest::prelude::*;

/// The newer format: of a map and of a stack whose first matrix met no row.
fn write(path: &std::path::Path) {
    let tensor = |name: &str, shape: [usize; 2], numbers: &[f32]| {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let (name, dtype) = (name.to_owned(), Dtype::Weights(Format::F32));
        (TensorInfo { name, dtype, shape: shape.to_vec(), range: 0..0 }, bytes)
    };
    let tensors = [
        tensor("blk.0.attn_q.weight.in_sum2", [1, 2], &[4.0, 8.0]),
        tensor("blk.0.attn_q.weight.counts", [1, 1], &[4.0]),
        tensor("blk.0.ffn_up_exps.weight.in_sum2", [2, 1], &[0.0, 5.0]),
        tensor("blk.0.ffn_up_exps.weight.counts", [2, 1], &[0.0, 5.0]),
    ];
    let metadata = [
        ("imatrix.chunk_count".to_owned(), Value::Unsigned(Kind::U32, 7)),
        ("imatrix.datasets".to_owned(), Value::Array(Array::Strings(vec!["a book".into()]))),
    ];
    let tensors: Vec<_> = tensors.iter().map(|(info, bytes)| (info.clone(), &bytes[..])).collect();
    gguf::write(path, &metadata, &tensors).unwrap();
}

#[test]
fn means_are_sums_over_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("imatrix.gguf");
    write(&path);
    let known = Importance::read(&path).unwrap();
    assert_eq!((known.chunks, &known.texts[..]), (7, &["a book".to_owned()][..]));
    assert_eq!(known.maps().count(), 2);
    assert_eq!(known.of("blk.0.attn_q.weight", 0), Some(vec![1.0, 2.0]));
    assert_eq!(known.of("blk.0.ffn_up_exps.weight", 1), Some(vec![1.0]));
    assert_eq!(known.of("blk.0.ffn_up_exps.weight", 0), None);
    assert_eq!(known.of("blk.0.ffn_up_exps.weight", 2), None);
    assert_eq!(known.of("output.weight", 0), None);
}

#[test]
fn what_is_added_is_written_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("imatrix.gguf");
    let mut known = Importance::default();
    (known.chunks, known.texts) = (3, vec!["a book".into()]);
    known.add("blk.0.attn_q.weight", 1, 0, &[1.0, 2.0], 2);
    known.add("blk.0.attn_q.weight", 1, 0, &[3.0, 6.0], 2);
    known.add("blk.0.ffn_up_exps.weight", 3, 1, &[5.0], 1);
    known.write(&path, 512).unwrap();
    let read = Importance::read(&path).unwrap();
    assert_eq!(read, known);
    assert_eq!(read.of("blk.0.attn_q.weight", 0), Some(vec![1.0, 2.0]));
    assert_eq!(read.of("blk.0.ffn_up_exps.weight", 1), Some(vec![5.0]));
    assert_eq!(read.of("blk.0.ffn_up_exps.weight", 2), None);
}

/// The older format of one map.
fn listed(name: &str, calls: i32, numbers: &[f32]) -> Vec<u8> {
    let mut bytes = 1i32.to_le_bytes().to_vec();
    bytes.extend((name.len() as i32).to_le_bytes());
    bytes.extend(name.as_bytes());
    bytes.extend(calls.to_le_bytes());
    bytes.extend((numbers.len() as i32).to_le_bytes());
    numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
    bytes
}

fn read(bytes: &[u8]) -> Result<Importance, baimo_weights::Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("imatrix.dat");
    std::fs::write(&path, bytes).unwrap();
    Importance::read(&path)
}

#[test]
fn the_older_format_is_read_and_stacks_are_taken_apart() {
    let mut found = read(&listed("blk.1.ffn_up_exps.weight", 2, &[2.0, 4.0, 6.0, 8.0])).unwrap();
    assert_eq!(found.columns("blk.1.ffn_up_exps.weight"), Some(4));
    found.apart("blk.1.ffn_up_exps.weight", 2, 2);
    assert_eq!(found.of("blk.1.ffn_up_exps.weight", 1), Some(vec![3.0, 4.0]));
}

#[test]
fn numbers_that_are_no_squares_are_refused() {
    for wrong in [-1.0, f32::NAN, f32::INFINITY] {
        let error = read(&listed("a", 1, &[wrong])).unwrap_err().to_string();
        assert!(error.contains("imatrix.dat") && error.contains("hint"), "{error}");
    }
    assert!(read(b"").is_err() && read(&0i32.to_le_bytes()).is_err());
}

proptest! {
    #[test]
    fn damaged_files_give_errors_and_nothing_else(
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        gguf in any::<bool>(),
    ) {
        let bytes = if gguf {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("imatrix.gguf");
            write(&path);
            std::fs::read(&path).unwrap()
        } else {
            listed("blk.0.attn_q.weight", 3, &[1.0, 2.0])
        };
        let mut damaged = bytes[..=cut.index(bytes.len())].to_vec();
        let place = at.index(damaged.len());
        damaged[place] = byte;
        let _ = read(&damaged);
    }
}
