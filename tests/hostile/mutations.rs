//! Good files with a few bytes changed: whatever comes of it, it is a tensor list or an error.

use std::path::Path;

use baimo_weights::{gguf, safetensors};

use crate::gguf::{Draft, entry, pair, string};

/// splitmix64 (Steele, Lea and Flood 2014): the same mutations on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

/// Reads `good` with one to four bytes changed, many times; returns how often it was accepted.
fn survives(good: &[u8], read: impl Fn(&[u8]) -> Result<usize, String>) -> usize {
    const ROUNDS: usize = 20_000;
    const EXTREMES: [u8; 6] = [0, 1, 0x7f, 0x80, 0xff, b'"'];
    let mut random = Random(1);
    let mut accepted = 0;
    for _ in 0..ROUNDS {
        let mut bytes = good.to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = match random.below(2) {
                0 => EXTREMES[random.below(EXTREMES.len())],
                _ => random.below(256) as u8,
            };
        }
        match read(&bytes) {
            Ok(_) => accepted += 1,
            Err(text) => assert!(text.contains("the-file"), "{text}"),
        }
    }
    accepted
}

#[test]
fn no_change_of_a_few_bytes_breaks_the_gguf_reader() {
    let array = [&8_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &string(b"x"), &string(b"yz")];
    let draft = Draft {
        entries: vec![entry("a", &[32, 2], 8, 0), entry("b", &[8], 0, 96)],
        data: 128,
        ..Draft::with_pairs(&[
            pair("general.alignment", 4, &32_u32.to_le_bytes()),
            pair("tokens", 9, &array.concat()),
        ])
    };
    let accepted = survives(&draft.bytes(), |bytes| {
        let contents =
            gguf::read(bytes, Path::new("the-file")).map_err(|error| error.to_string())?;
        for tensor in &contents.tensors {
            assert_eq!(tensor.dtype.bytes(&tensor.shape), Some(tensor.range.len()));
            assert!(bytes.get(tensor.range.clone()).is_some());
        }
        Ok(contents.tensors.len())
    });
    assert!(accepted > 0, "changes of data alone are accepted");
}

#[test]
fn no_change_of_a_few_bytes_breaks_the_safetensors_reader() {
    let header = concat!(
        r#"{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"#,
        r#""b":{"dtype":"U8","shape":[8],"data_offsets":[24,32]}}"#,
    );
    let accepted = survives(&crate::safetensors::file(header, 32), |bytes| {
        let tensors = safetensors::read(bytes, Path::new("the-file")).map_err(|e| e.to_string())?;
        for tensor in &tensors {
            assert_eq!(tensor.dtype.bytes(&tensor.shape), Some(tensor.range.len()));
            assert!(bytes.get(tensor.range.clone()).is_some());
        }
        Ok(tensors.len())
    });
    assert!(accepted > 0, "changes of data alone are accepted");
}
