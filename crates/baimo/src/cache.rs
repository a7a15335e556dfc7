//! The user's cache folder: what lies there may be deleted at any time.

use baimo_weights::Store;
use std::path::PathBuf;

/// The folder that BAIMO_CACHE names, else the user's cache folder, else that for temporary files.
pub fn folder() -> PathBuf {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    named("BAIMO_CACHE")
        .or_else(|| named("XDG_CACHE_HOME"))
        .or_else(|| named("LOCALAPPDATA"))
        .or_else(|| named("HOME").map(|home| home.join(".cache")))
        .filter(|folder| std::fs::create_dir_all(folder).is_ok())
        .unwrap_or_else(std::env::temp_dir)
}

/// Where a server keeps what it computed of prompts.
pub fn prefixes() -> PathBuf {
    folder().join("baimo-prefixes")
}

/// Where packed weights are kept.
pub fn packed_weights() -> Store {
    Store::new(folder().join("baimo-packed"))
}
