//! Memory that writing a model anew takes. Alone in its process, as other tests would be counted.

#![cfg(target_os = "linux")]

use baimo_weights::gguf::{self, Writer};
use baimo_weights::{Checkpoint, Draft, Dtype, Format, TensorInfo, resident_bytes};
use std::io::Write;

const ROWS: usize = 1 << 12;
const COLUMNS: usize = 1 << 10;
const MATRICES: usize = 16;

/// A file of so many matrices in f32, 256 MiB together.
fn write_large(path: &std::path::Path) {
    let info = |index: usize| TensorInfo {
        name: format!("blk.{index}.ffn_up.weight"),
        dtype: Dtype::Weights(Format::F32),
        shape: vec![ROWS, COLUMNS],
        range: 0..0,
    };
    let infos: Vec<_> = (0..MATRICES).map(info).collect();
    let out = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let mut writer = Writer::new(out, path, &[], &infos).unwrap();
    let row: Vec<u8> = (0..COLUMNS).flat_map(|n| (n as f32).sin().to_le_bytes()).collect();
    (0..ROWS * MATRICES).for_each(|_| writer.push(&row).unwrap());
    writer.finish().unwrap().flush().unwrap();
}

#[test]
fn a_model_is_never_whole_in_memory_and_fails_without_a_trace() {
    let folder = tempfile::tempdir().unwrap();
    let (large, small) = (folder.path().join("large.gguf"), folder.path().join("small.gguf"));
    write_large(&large);
    let checkpoint = Checkpoint::open(&large).unwrap();
    let draft = Draft::of_gguf(&checkpoint);
    let types = vec![Dtype::Weights(Format::Q8_0); MATRICES];
    let before = resident_bytes().unwrap();
    let (mut highest, mut written) = (0, 0);
    draft
        .write(&small, &[], &types, None, 2, &mut |more| {
            written += more;
            highest = highest.max(resident_bytes().unwrap());
        })
        .unwrap();
    let (taken, matrix) = (highest.saturating_sub(before), (ROWS * COLUMNS * 4) as u64);
    assert!(taken < 3 * matrix, "{} MiB beside {} MiB a matrix", taken >> 20, matrix >> 20);
    assert_eq!(written, MATRICES * ROWS * COLUMNS / 32 * 34);
    let contents = gguf::read(&std::fs::read(&small).unwrap(), &small).unwrap();
    assert_eq!(contents.tensors.len(), MATRICES);

    // A place that cannot be written to leaves nothing behind.
    let nowhere = folder.path().join("missing").join("small.gguf");
    draft.write(&nowhere, &[], &types, None, 2, &mut |_| ()).unwrap_err();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}
