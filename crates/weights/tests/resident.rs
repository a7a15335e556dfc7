//! Memory that a load takes. Alone in its process, since other tests would be counted too.

#![cfg(target_os = "linux")]

use baimo_kernels::format::Format;
use baimo_weights::{Checkpoint, Dtype, RowSource, TensorInfo, resident_bytes, safetensors};

#[test]
fn rows_that_were_read_leave_memory() {
    const ROWS: usize = 1 << 14;
    const COLUMNS: usize = 1 << 10;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let info = TensorInfo {
        name: "w".to_string(),
        dtype: Dtype::Weights(Format::F32),
        shape: vec![ROWS, COLUMNS],
        range: 0..0,
    };
    let bytes = vec![0; ROWS * COLUMNS * 4];
    safetensors::write(&path, &[(info, &bytes)]).unwrap();
    drop(bytes);
    let checkpoint = Checkpoint::open(&path).unwrap();
    let before = resident_bytes().unwrap();
    let source = RowSource::new(checkpoint.tensor("w").unwrap().unwrap());
    let mut highest = 0;
    source.for_each_chunk(|_| highest = highest.max(resident_bytes().unwrap()));
    let file = (ROWS * COLUMNS * 4) as u64;
    assert!(highest < before + file / 4, "{before} bytes before, {highest} at the highest");
    // Without letting go, all of the file would be resident by now.
    let whole = checkpoint.tensor("w").unwrap().unwrap().to_f32();
    assert!(resident_bytes().unwrap() > before + file);
    assert!(whole.iter().all(|value| *value == 0.0));
}
