//! The built-in model: a small poet in a large model's architecture, carried in the program so that
//! a first command answers at once, offline.
//!
//! Its files are unpacked once into the user's cache folder and then loaded like any other model.

use crate::cache;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

macro_rules! file {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../../models/poet/", $name)).as_slice())
    };
}

/// Every file of the model.
const FILES: &[(&str, &[u8])] = &[
    file!("config.json"),
    file!("generation_config.json"),
    file!("tokenizer.json"),
    file!("tokenizer_config.json"),
    file!("model.safetensors"),
];

/// The folder that holds the built-in model, unpacked if it was not there.
///
/// # Errors
/// Where no folder can be written.
pub fn folder() -> Result<PathBuf> {
    let name = format!("baimo-poet-{:016x}", fingerprint());
    let folder = cache::folder().join(name);
    if is_whole(&folder) {
        return Ok(folder);
    }
    let at = || format!("cannot unpack the built-in model into {}", folder.display());
    // Written beside and renamed, so that nobody ever sees half of it.
    let fresh = folder.with_extension(std::process::id().to_string());
    std::fs::create_dir_all(&fresh).with_context(at)?;
    for (name, bytes) in FILES {
        std::fs::write(fresh.join(name), bytes).with_context(at)?;
    }
    if std::fs::rename(&fresh, &folder).is_err() {
        // Somebody was quicker, or what was there is damaged: then ours stays where it is.
        if is_whole(&folder) {
            std::fs::remove_dir_all(&fresh).with_context(at)?;
            return Ok(folder);
        }
        return Ok(fresh);
    }
    Ok(folder)
}

fn is_whole(folder: &Path) -> bool {
    FILES.iter().all(|(name, bytes)| {
        let metadata = std::fs::metadata(folder.join(name));
        metadata.is_ok_and(|metadata| metadata.len() == bytes.len() as u64)
    })
}

/// FNV-1a of all files: another build's model is another folder.
fn fingerprint() -> u64 {
    let bytes = FILES.iter().flat_map(|(_, bytes)| bytes.iter());
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3)
    })
}
