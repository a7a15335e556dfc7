//! Any bytes as a safetensors file: an error, or tensors that cover its data exactly once.
#![no_main]

use std::path::Path;

use baimo_weights::safetensors;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The length in front would stop nearly every mutation: half of the inputs are bare headers.
    let with_length;
    let bytes = match bytes.first() {
        Some(b'{') => {
            let end = bytes.iter().rposition(|&byte| byte == b'}').map_or(bytes.len(), |at| at + 1);
            with_length = [&(end as u64).to_le_bytes()[..], bytes].concat();
            &with_length
        }
        _ => bytes,
    };
    let tensors = match safetensors::read(bytes, Path::new("fuzzed")) {
        Ok(tensors) => tensors,
        Err(error) => {
            assert!(error.to_string().starts_with("fuzzed: "));
            return;
        }
    };
    let mut covered = 0;
    for tensor in &tensors {
        assert_eq!(tensor.dtype.bytes(&tensor.shape), Some(tensor.range.len()));
        assert!(bytes.get(tensor.range.clone()).is_some());
        covered += tensor.range.len();
    }
    let first = tensors.iter().map(|tensor| tensor.range.start).min().unwrap_or(bytes.len());
    assert_eq!(first + covered, bytes.len());
});
