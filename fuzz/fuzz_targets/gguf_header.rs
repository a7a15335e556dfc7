//! Any bytes as a GGUF file: an error, or tensors within the file whose metadata can be shown.
#![no_main]

use std::path::Path;

use baimo_weights::gguf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let contents = match gguf::read(bytes, Path::new("fuzzed")) {
        Ok(contents) => contents,
        Err(error) => {
            assert!(error.to_string().starts_with("fuzzed: "));
            return;
        }
    };
    for tensor in &contents.tensors {
        assert_eq!(tensor.dtype.bytes(&tensor.shape), Some(tensor.range.len()));
        assert!(bytes.get(tensor.range.clone()).is_some());
    }
    let json = contents.metadata.to_json(8);
    assert_eq!(json.as_object().map(|map| map.len()), Some(contents.metadata.pairs().len()));
});
