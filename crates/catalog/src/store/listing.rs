//! What files a repository has, in the words of each hub's API.
//!
//! Hugging Face: `/api/models/REPO/revision/REV` names the commit,
//! `/api/models/REPO/tree/COMMIT?recursive=true` the files, in pages (`Link: <…>; rel="next"`).
//! ModelScope: `/api/v1/models/REPO/repo/files?Revision=REV&Recursive=True`, all at once.

use super::hash::Hash;
use super::http::{self, Ask, Client, Failure};
use super::reference::is_safe_path;
use super::settings::Token;
use super::{Error, Hub, Manner, Reference};
use serde_json::Value;
use std::io::Read;
use std::time::Duration;

/// Bytes of a hub's answer, at most: a tree of 100,000 files is smaller.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Pages of a tree that are read, at most.
const PAGES_MAX: usize = 1000;

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Below the repository, with `/`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// The hub's own; `None` where it names none.
    pub hash: Option<Hash>,
}

/// The files of a repository at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The commit on Hugging Face; the revision as asked for on ModelScope, which names none.
    pub commit: String,
    /// In the hub's order.
    pub files: Vec<RemoteFile>,
    /// Not everybody may have it, so that no mirror is to hear its name.
    pub is_private: bool,
}

/// One host that has a repository.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) hub: Hub,
    pub(super) endpoint: String,
    pub(super) repo: String,
    /// What files are asked of: a commit, once it is known.
    pub(super) revision: String,
    pub(super) token: Option<Token>,
}

impl Source {
    /// The host's name, to be shown.
    pub(super) fn host(&self) -> String {
        http::host(&self.endpoint)
    }

    /// Where a file is fetched.
    pub(super) fn url(&self, path: &str) -> String {
        let Source { hub, endpoint, repo, revision, .. } = self;
        let revision = quoted(revision, "");
        match hub {
            Hub::HuggingFace => {
                format!("{endpoint}/{repo}/resolve/{revision}/{}", quoted(path, "/"))
            }
            Hub::ModelScope => {
                let path = quoted(path, "");
                format!("{endpoint}/api/v1/models/{repo}/repo?Revision={revision}&FilePath={path}")
            }
        }
    }

    /// The files of the repository.
    pub(super) fn list(
        &self,
        client: &Client,
        what: &Reference,
        manner: &Manner,
    ) -> Result<Listing, Error> {
        let Source { hub, endpoint, repo, .. } = self;
        let revision = quoted(&self.revision, "");
        let get = |url: &str| self.get(client, url, what, manner);
        let wrong = |wanted: &str| Error::Answer {
            what: what.to_string(),
            host: self.host(),
            found: "something else".to_owned(),
            wanted: wanted.to_owned(),
        };
        if *hub == Hub::ModelScope {
            let query = format!("Revision={revision}&Recursive=True");
            let (text, _) = get(&format!("{endpoint}/api/v1/models/{repo}/repo/files?{query}"))?;
            let files = modelscope_files(&text).ok_or_else(|| wrong("Data.Files of a model"))?;
            return Ok(Listing { commit: self.revision.clone(), files, is_private: false });
        }
        let (text, _) = get(&format!("{endpoint}/api/models/{repo}/revision/{revision}"))?;
        let (commit, is_private) = commit(&text).ok_or_else(|| wrong("the `sha` of a commit"))?;
        let mut next = Some(format!("{endpoint}/api/models/{repo}/tree/{commit}?recursive=true"));
        let mut files = Vec::new();
        for _ in 0..PAGES_MAX {
            let Some(url) = next else { break };
            let (text, link) = get(&url)?;
            files.extend(tree(&text).ok_or_else(|| wrong("the files of a tree"))?);
            // A mirror may name the hub itself in its links: only the query is taken.
            next = link.as_deref().and_then(next_page).and_then(|link| {
                let query = link.split_once('?')?.1;
                Some(format!("{endpoint}/api/models/{repo}/tree/{commit}?{query}"))
            });
        }
        Ok(Listing { commit, files, is_private })
    }

    /// A short answer as text, with its `Link` header.
    fn get(
        &self,
        client: &Client,
        url: &str,
        what: &Reference,
        manner: &Manner,
    ) -> Result<(String, Option<String>), Error> {
        tried(manner, || self.get_once(client, url))
            .map_err(|failure| self.error(&what.to_string(), what, failure))
    }

    fn get_once(&self, client: &Client, url: &str) -> Result<(String, Option<String>), Failure> {
        let answer = client.get(Ask { url, token: self.token.as_ref(), range: None })?;
        let link = answer.header("link").map(str::to_owned);
        let mut bytes = Vec::new();
        let body = answer.body.into_reader();
        body.take(ANSWER_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::broken(&error))?;
        Ok((String::from_utf8_lossy(&bytes).into_owned(), link))
    }

    /// What users are told of a failure.
    pub(super) fn error(&self, what: &str, reference: &Reference, failure: Failure) -> Error {
        let (what, host) = (what.to_owned(), self.host());
        match failure {
            Failure::Refused { status, .. } => {
                let (found, hint) = self.refusal(status, &failure, reference);
                Error::Refused { what, host, found, hint }
            }
            Failure::Passing { .. } | Failure::WholeOnly => {
                let found = failure.to_string();
                let hint = match self.hub {
                    Hub::HuggingFace => {
                        "try again, which goes on where it stopped; HF_ENDPOINT names a mirror, \
                         such as https://hf-mirror.com, and HTTPS_PROXY a proxy"
                    }
                    Hub::ModelScope => {
                        "try again, which goes on where it stopped; HTTPS_PROXY names a proxy"
                    }
                };
                Error::Network { what, host, found, hint: hint.to_owned() }
            }
            Failure::Wrong { found, wanted } => Error::Answer { what, host, found, wanted },
            Failure::Disk { action, source } => Error::Io { file: what.into(), action, source },
        }
    }

    fn refusal(&self, status: u16, failure: &Failure, reference: &Reference) -> (String, String) {
        let code = match failure {
            Failure::Refused { code, .. } => code.as_str(),
            Failure::Passing { .. }
            | Failure::WholeOnly
            | Failure::Wrong { .. }
            | Failure::Disk { .. } => "",
        };
        let variable = match self.hub {
            Hub::HuggingFace => "HF_TOKEN",
            Hub::ModelScope => "MODELSCOPE_API_TOKEN",
        };
        let page = format!("{}/{}", self.endpoint, self.repo);
        let token = match self.token {
            Some(_) => "with the token that was sent",
            None => "without a token",
        };
        let revision = &reference.revision;
        let hint = match (status, code) {
            (401 | 403, "GatedRepo") => {
                format!("accept its terms at {page}, then set {variable} to a token of yours")
            }
            (401 | 403, _) => format!(
                "there is no such repository, or it is private: check the name at {page}, or set \
                 {variable} to a token that may read it"
            ),
            (404, _) if revision.is_some() && code != "RepoNotFound" => format!(
                "check the revision `{}` at {page}; a quantization is written with a colon, {}:{}",
                reference.revision(),
                reference.repository(),
                reference.revision(),
            ),
            (404, _) => format!("check the name at {page}"),
            _ => format!("look at {page}"),
        };
        (format!("{failure} {token}"), hint)
    }
}

/// Tries until it goes well or there is to be no other try, with pauses between.
pub(super) fn tried<T>(
    manner: &Manner,
    mut once: impl FnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut tries = 0;
    loop {
        let failure = match once() {
            Ok(done) => return Ok(done),
            Err(failure) => failure,
        };
        tries += 1;
        match pause_after(&failure, tries, manner) {
            Some(pause) => std::thread::sleep(pause),
            None => return Err(failure),
        }
    }
}

/// How long to wait before the next try; `None` where there is to be none.
pub(super) fn pause_after(failure: &Failure, tries: u32, manner: &Manner) -> Option<Duration> {
    match failure {
        Failure::Passing { wait, .. } if tries < manner.tries => {
            let pause = manner.pause.saturating_mul(1 << (tries - 1).min(6));
            let pause = wait.unwrap_or(pause).max(manner.pause);
            (pause <= manner.wait_max).then_some(pause)
        }
        Failure::Passing { .. }
        | Failure::Refused { .. }
        | Failure::WholeOnly
        | Failure::Wrong { .. }
        | Failure::Disk { .. } => None,
    }
}

/// Percent-encodes all but letters, digits, `-._~` and what is `kept`.
fn quoted(text: &str, kept: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        match plain || kept.as_bytes().contains(&byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The commit that `/revision/` names, and whether only some may have it: `private` is a flag,
/// `gated` is one or the way to be let in.
fn commit(text: &str) -> Option<(String, bool)> {
    let answer: Value = serde_json::from_str(text).ok()?;
    let sha = answer["sha"].as_str()?;
    let is_private = answer["private"] == true || answer["gated"] == true;
    let is_private = is_private || answer["gated"].is_string();
    let is_commit = matches!(Hash::read(sha), Some(Hash::GitBlob(_)));
    is_commit.then(|| (sha.to_ascii_lowercase(), is_private))
}

/// The files of one page of `/tree/`. Paths that would leave their folder are no files.
fn tree(text: &str) -> Option<Vec<RemoteFile>> {
    let answer: Value = serde_json::from_str(text).ok()?;
    let files = answer.as_array()?.iter().filter(|entry| entry["type"] == "file");
    let file = |entry: &Value| {
        let large = entry.get("lfs").filter(|lfs| lfs.is_object());
        let sized = large.unwrap_or(entry);
        let oid = large.map_or(&entry["oid"], |lfs| &lfs["oid"]);
        let file = RemoteFile {
            path: entry["path"].as_str()?.to_owned(),
            size: sized["size"].as_u64()?,
            hash: Hash::read(oid.as_str().unwrap_or_default()),
        };
        Some(file)
    };
    let files: Option<Vec<RemoteFile>> = files.map(file).collect();
    Some(files?.into_iter().filter(|file| is_safe_path(&file.path)).collect())
}

/// The files that `/repo/files` tells.
fn modelscope_files(text: &str) -> Option<Vec<RemoteFile>> {
    let answer: Value = serde_json::from_str(text).ok()?;
    let entries = answer["Data"]["Files"].as_array()?;
    let files = entries.iter().filter(|entry| entry["Type"] != "tree");
    let file = |entry: &Value| {
        Some(RemoteFile {
            path: entry["Path"].as_str()?.to_owned(),
            size: entry["Size"].as_u64()?,
            hash: Hash::read(entry["Sha256"].as_str().unwrap_or_default()),
        })
    };
    let files: Option<Vec<RemoteFile>> = files.map(file).collect();
    Some(files?.into_iter().filter(|file| is_safe_path(&file.path)).collect())
}

/// The address of `<…>; rel="next"`.
fn next_page(link: &str) -> Option<String> {
    let next = link.split(',').find(|one| one.contains("rel=\"next\""))?;
    let (_, rest) = next.split_once('<')?;
    Some(rest.split_once('>')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHA: &str = "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447";

    #[test]
    fn a_tree_tells_sizes_and_hashes_of_small_and_large_files() {
        let oid = &SHA[..40];
        let text = format!(
            r#"[{{"type":"directory","path":"d","oid":"{oid}","size":0}},
            {{"type":"file","path":"config.json","oid":"{oid}","size":7}},
            {{"type":"file","path":"../evil","oid":"{oid}","size":7}},
            {{"type":"file","path":"d/m.safetensors","oid":"{oid}","size":9000,
              "lfs":{{"oid":"{SHA}","size":9000,"pointerSize":135}}}}]"#
        );
        let files = tree(&text).unwrap();
        assert_eq!(files.len(), 2);
        assert_eq!(files[0].hash, Some(Hash::GitBlob(oid.to_owned())));
        assert_eq!((files[1].size, files[1].hash.clone()), (9000, Hash::read(SHA)));
    }

    #[test]
    fn the_other_hub_tells_them_in_its_own_words() {
        let text = format!(
            r#"{{"Code":200,"Data":{{"Files":[{{"Path":"d","Type":"tree","Size":0}},
            {{"Path":"d/f","Name":"f","Type":"blob","Size":3,"Sha256":"{SHA}"}}]}}}}"#
        );
        let files = modelscope_files(&text).unwrap();
        let hash = Hash::read(SHA);
        assert_eq!(files, [RemoteFile { path: "d/f".into(), size: 3, hash }]);
        assert_eq!(modelscope_files(r#"{"Code":404,"Data":null}"#), None);
    }

    #[test]
    fn addresses_keep_odd_names_apart() {
        let source = |hub| Source {
            hub,
            endpoint: "https://h".into(),
            repo: "o/r".into(),
            revision: "refs/pr/1".into(),
            token: None,
        };
        let name = "d/a b?#.gguf";
        assert_eq!(
            source(Hub::HuggingFace).url(name),
            "https://h/o/r/resolve/refs%2Fpr%2F1/d/a%20b%3F%23.gguf"
        );
        assert!(source(Hub::ModelScope).url(name).ends_with("FilePath=d%2Fa%20b%3F%23.gguf"));
    }

    #[test]
    fn the_next_page_is_the_one_that_says_so() {
        let link = "<https://h/a?x=1>; rel=\"prev\", <https://h/a?cursor=Zm9v%3D>; rel=\"next\"";
        assert_eq!(next_page(link).as_deref(), Some("https://h/a?cursor=Zm9v%3D"));
        assert_eq!(next_page("<https://h/a>; rel=\"last\""), None);
    }

    proptest! {
        #[test]
        fn whatever_a_hub_answers_is_read_or_refused(
            key in "path|Path|size|Size|oid|type|Files|Data|sha",
            value in "\\PC{0,12}",
            number in any::<i64>(),
        ) {
            let entry = serde_json::json!({ key.clone(): value, "size": number, "type": "file" });
            let texts = [
                value.clone(),
                entry.to_string(),
                serde_json::json!([entry]).to_string(),
                serde_json::json!({ "Data": { "Files": [entry] } }).to_string(),
                format!("<{value}>; rel=\"next\""),
            ];
            for text in texts {
                let (all, others) = (tree(&text), modelscope_files(&text));
                for file in all.into_iter().chain(others).flatten() {
                    prop_assert!(is_safe_path(&file.path));
                }
                let _whatever = (commit(&text), next_page(&text));
            }
        }
    }
}
