//! A hub of models on this machine: it speaks as Hugging Face and as ModelScope do, and has the
//! faults that real hubs, mirrors and lines have.
//!
//! Several hubs may stand for the hub itself, its mirrors, and the host that large files are
//! redirected to.

mod answer;
mod request;

pub use answer::Manners;
pub use request::Seen;

use sha1::{Digest, Sha1};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The commit of every repository.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Files as large as this are kept as LFS keeps them: redirected, and named by their SHA-256.
pub const LARGE: usize = 10_000;

/// The two files that the weights of [`Hub::put_model`] lie in.
pub const SHARDS: [&str; 2] =
    ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

/// A hub that serves until it is dropped.
pub struct Hub {
    shared: Arc<Shared>,
}

/// What the threads of a hub share.
struct Shared {
    /// `127.0.0.1:PORT`.
    address: String,
    repos: Mutex<BTreeMap<String, Repo>>,
    manners: Mutex<Manners>,
    seen: Mutex<Vec<Seen>>,
    /// Bytes of files that went out.
    sent: AtomicU64,
    over: AtomicBool,
}

/// Files by path.
type Repo = BTreeMap<String, Arc<Vec<u8>>>;

impl Hub {
    /// A hub with well-behaved manners and no models.
    ///
    /// # Panics
    /// Where no port is free.
    pub fn start() -> Hub {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared {
            address,
            repos: Mutex::default(),
            manners: Mutex::default(),
            seen: Mutex::default(),
            sent: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.over.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || answer::serve(&shared, &stream));
            }
        });
        Hub { shared }
    }

    /// Where it is, as an endpoint.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// Puts a file into a repository.
    pub fn put(&self, repo: &str, path: &str, bytes: impl Into<Vec<u8>>) {
        let mut repos = held(&self.shared.repos);
        let files = repos.entry(repo.to_owned()).or_default();
        files.insert(path.to_owned(), Arc::new(bytes.into()));
    }

    /// Puts a model into a repository: a configuration, an index, and two shards of so many bytes
    /// of noise, by the seeds 1 and 2.
    pub fn put_model(&self, repo: &str, shard_bytes: usize) {
        let [one, two] = SHARDS;
        let index = format!(r#"{{"weight_map":{{"a":"{one}","b":"{two}"}}}}"#);
        self.put(repo, "config.json", "{\"architectures\":[]}");
        self.put(repo, "model.safetensors.index.json", index);
        for (shard, seed) in SHARDS.into_iter().zip(1..) {
            self.put(repo, shard, noise(shard_bytes, seed));
        }
    }

    /// Changes how it behaves from now on.
    pub fn behave(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut held(&self.shared.manners));
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        held(&self.shared.seen).clone()
    }

    /// Bytes of files that went out so far.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        // So that whoever waits for connections sees it.
        let _woken = TcpStream::connect(&self.shared.address);
    }
}

/// The SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// What Git calls a blob of these bytes.
pub fn git_blob(bytes: &[u8]) -> String {
    let mut hasher = Sha1::new_with_prefix(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hex(&hasher.finalize())
}

/// Bytes that look like weights: none like its neighbours, the same for a seed.
pub fn noise(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let byte = |_| {
        // Xorshift, as Marsaglia (2003) has it.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..count).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
