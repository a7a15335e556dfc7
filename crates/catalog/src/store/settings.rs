//! Where things lie and whom to ask: what the environment says, in the words of the hubs' own
//! libraries.

use super::Hub;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A mirror of Hugging Face that China reaches well; it is asked where `BAIMO_MIRRORS` and
/// `HF_ENDPOINT` say nothing, and never sees a token.
const MIRROR: &str = "https://hf-mirror.com";

/// A secret that is shown to the hub it is of, and to nobody else: it prints as nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    text: String,
    /// The name of a cookie that says the same, to those who look for it there.
    cookie: Option<&'static str>,
}

impl Token {
    /// A token as it was found, without white space around it; `None` where nothing is left or it
    /// has what no header may have.
    pub fn new(text: &str) -> Option<Token> {
        let text = text.trim();
        let fine = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        fine.then(|| Token { text: text.to_owned(), cookie: None })
    }

    /// The same for ModelScope, whose older addresses read a cookie.
    pub fn for_modelscope(text: &str) -> Option<Token> {
        Some(Token { cookie: Some("m_session_id"), ..Token::new(text)? })
    }

    /// The headers that show it.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let cookie = self.cookie.map(|name| ("Cookie", format!("{name}={}", self.text)));
        [("Authorization", format!("Bearer {}", self.text))].into_iter().chain(cookie)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// How a [`super::Store`] is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Hugging Face's cache, which `huggingface_hub` shares: `models--owner--name` lie in it.
    pub hugging_face: PathBuf,
    /// ModelScope's cache of models, which `modelscope_hub` shares: `owner--name` lie in it.
    pub modelscope: PathBuf,
    /// Endpoints of Hugging Face. The first is believed; the others are mirrors, whose bytes are
    /// checked.
    pub endpoints: Vec<String>,
    /// ModelScope's endpoint.
    pub modelscope_endpoint: String,
    /// For the first endpoint of Hugging Face.
    pub token: Option<Token>,
    /// For ModelScope.
    pub modelscope_token: Option<Token>,
    /// Nothing may be asked of any host.
    pub offline: bool,
    /// Certificates to trust instead of the built-in ones, a file of PEM.
    pub certificates: Option<PathBuf>,
    /// How it goes about fetching.
    pub manner: Manner,
}

/// How bytes are fetched. The defaults suit real hubs.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Requests at once, over all files.
    pub connections: usize,
    /// Files at once.
    pub files: usize,
    /// Bytes of a file asked for at once.
    pub piece_bytes: u64,
    /// Tries in a row without a byte before a host is given up.
    pub tries: u32,
    /// Pause before the second try; each further one is twice as long.
    pub pause: Duration,
    /// Longest wait that a host's `Retry-After` is granted.
    pub wait_max: Duration,
    /// What a connection may take to be made.
    pub connect: Duration,
    /// Silence after which a connection counts as dead.
    pub silence: Duration,
    /// What has come is recorded this often, so that no more than that is fetched again.
    pub record: Duration,
    /// Mirrors are compared before more bytes than this are fetched.
    pub compare_bytes: u64,
}

impl Default for Manner {
    fn default() -> Manner {
        Manner {
            connections: 8,
            files: 3,
            piece_bytes: 16 << 20,
            tries: 5,
            pause: Duration::from_millis(500),
            wait_max: Duration::from_secs(120),
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            record: Duration::from_millis(500),
            compare_bytes: 64 << 20,
        }
    }
}

impl Settings {
    /// What the process's environment says.
    pub fn from_environment() -> Settings {
        Settings::new(&|name| std::env::var(name).ok())
    }

    /// What an environment says, in which `get` looks up. Empty is as good as absent.
    pub fn new(get: &dyn Fn(&str) -> Option<String>) -> Settings {
        let get = |name: &str| get(name).filter(|value| !value.trim().is_empty());
        let path = |name: &str| get(name).map(|value| expanded(&value, &get));
        let home = PathBuf::from(get("HOME").or_else(|| get("USERPROFILE")).unwrap_or_default());
        let caches = path("XDG_CACHE_HOME").unwrap_or_else(|| home.join(".cache"));
        let hf_home = path("HF_HOME").unwrap_or_else(|| caches.join("huggingface"));
        let hub = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE"));
        let modelscope = path("MODELSCOPE_CACHE");
        // As their library has it, which does not look at XDG_CACHE_HOME.
        let modelscope = modelscope.unwrap_or_else(|| home.join(".cache").join("modelscope"));
        let is_on = |name: &str| get(name).is_some_and(|value| is_true(&value));
        let own = get("HF_ENDPOINT").map(|endpoint| trimmed(&endpoint));
        let mirrors = match get("BAIMO_MIRRORS") {
            Some(list) if list.trim() == "none" => Vec::new(),
            Some(list) => list.split(',').map(trimmed).filter(|one| !one.is_empty()).collect(),
            None if own.is_some() => Vec::new(),
            None => vec![MIRROR.to_owned()],
        };
        let mut endpoints = vec![own.unwrap_or_else(|| "https://huggingface.co".to_owned())];
        endpoints.extend(mirrors);
        let token = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].into_iter().find_map(get);
        let file = path("HF_TOKEN_PATH").unwrap_or_else(|| hf_home.join("token"));
        let kept = || std::fs::read_to_string(&file).ok();
        let implicit = !is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN");
        let token = implicit.then(|| token.or_else(kept)).flatten();
        let modelscope_token = get("MODELSCOPE_API_TOKEN");
        let modelscope_token = modelscope_token.as_deref().and_then(Token::for_modelscope);
        let bundles = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];
        Settings {
            hugging_face: hub.unwrap_or_else(|| hf_home.join("hub")),
            modelscope: modelscope.join("models"),
            endpoints,
            modelscope_endpoint: get("MODELSCOPE_ENDPOINT").map_or_else(
                || "https://www.modelscope.cn".to_owned(),
                |endpoint| trimmed(&endpoint),
            ),
            token: token.as_deref().and_then(Token::new),
            modelscope_token,
            offline: is_on("HF_HUB_OFFLINE") || is_on("TRANSFORMERS_OFFLINE"),
            certificates: bundles.into_iter().find_map(path).filter(|path| path.is_file()),
            manner: Manner::default(),
        }
    }

    /// The folder of a hub's models.
    pub fn cache(&self, hub: Hub) -> &Path {
        match hub {
            Hub::HuggingFace => &self.hugging_face,
            Hub::ModelScope => &self.modelscope,
        }
    }
}

/// As the hubs' libraries read such a variable.
fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&value.trim().to_uppercase().as_str())
}

fn trimmed(endpoint: &str) -> String {
    let endpoint = endpoint.trim().trim_end_matches('/');
    match endpoint.contains("://") || endpoint.is_empty() {
        true => endpoint.to_owned(),
        false => format!("https://{endpoint}"),
    }
}

/// A path in which `~` stands for the home folder.
fn expanded(path: &str, get: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    match (path.strip_prefix("~/"), get("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        (Some(_) | None, Some(_) | None) => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let value = |name: &str| pairs.iter().find(|pair| pair.0 == name);
        Settings::new(&|name| value(name).map(|pair| pair.1.to_owned()))
    }

    #[test]
    fn folders_are_where_the_hubs_libraries_have_them() {
        let plain = settings(&[("HOME", "/h")]);
        assert_eq!(plain.hugging_face, Path::new("/h/.cache/huggingface/hub"));
        assert_eq!(plain.modelscope, Path::new("/h/.cache/modelscope/models"));
        let set = settings(&[("HOME", "/h"), ("HF_HOME", "~/x"), ("MODELSCOPE_CACHE", "/m")]);
        assert_eq!(set.hugging_face, Path::new("/h/x/hub"));
        assert_eq!(set.modelscope, Path::new("/m/models"));
        let cache = settings(&[("HF_HOME", "/x"), ("HF_HUB_CACHE", "/c")]);
        assert_eq!(cache.cache(Hub::HuggingFace), Path::new("/c"));
    }

    #[test]
    fn an_endpoint_of_ones_own_is_asked_alone() {
        assert_eq!(settings(&[]).endpoints, ["https://huggingface.co", MIRROR]);
        assert_eq!(settings(&[("HF_ENDPOINT", "http://own/")]).endpoints, ["http://own"]);
        let both = settings(&[("HF_ENDPOINT", "own"), ("BAIMO_MIRRORS", "https://a, b/")]);
        assert_eq!(both.endpoints, ["https://own", "https://a", "https://b"]);
        assert_eq!(settings(&[("BAIMO_MIRRORS", "none")]).endpoints.len(), 1);
    }

    #[test]
    fn tokens_come_from_the_usual_places_and_never_print() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "hf_kept\n").unwrap();
        let home = folder.path().to_str().unwrap();
        let kept = settings(&[("HF_HOME", home)]);
        assert_eq!(kept.token, Token::new("hf_kept"));
        assert!(!format!("{kept:?}").contains("hf_kept"));
        let named = settings(&[("HF_HOME", home), ("HF_TOKEN", " hf_named ")]);
        let headers: Vec<_> = named.token.unwrap().headers().collect();
        assert_eq!(headers, [("Authorization", "Bearer hf_named".to_owned())]);
        let other = settings(&[("MODELSCOPE_API_TOKEN", "ms-x")]).modelscope_token.unwrap();
        assert!(other.headers().any(|header| header.1 == "m_session_id=ms-x"));
        let old = settings(&[("HUGGING_FACE_HUB_TOKEN", "hf_old")]);
        assert_eq!(old.token, Token::new("hf_old"));
        let off = [("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")];
        assert_eq!(settings(&off).token, None);
        assert_eq!(Token::new("two\nlines"), None);
    }

    #[test]
    fn the_word_for_offline_is_read_as_the_hub_reads_it() {
        assert!(settings(&[("HF_HUB_OFFLINE", "true")]).offline);
        assert!(settings(&[("TRANSFORMERS_OFFLINE", "1")]).offline);
        assert!(!settings(&[("HF_HUB_OFFLINE", "0")]).offline);
    }
}
