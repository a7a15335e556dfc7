//! What a hub answers.

use crate::request::{self, Seen};
use crate::{COMMIT, LARGE, Shared, git_blob, held, sha256};
use serde_json::{Value, json};
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How a hub behaves. The default is without fault.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// Large files are redirected to this endpoint, with a signature.
    pub redirect: Option<String>,
    /// Requests for a part get all of the file.
    pub whole_only: bool,
    /// Each answer breaks off after so many bytes of a file.
    pub cut: Option<usize>,
    /// Once so many bytes of files are out, every answer breaks off at once.
    pub dead_after: Option<u64>,
    /// The next requests get these statuses instead, the last first.
    pub statuses: Vec<u16>,
    /// Goes with each of those: seconds.
    pub retry_after: Option<u64>,
    /// All requests for files get this status.
    pub refuse: Option<u16>,
    /// A word for the refusal.
    pub error_code: Option<String>,
    /// Bytes of large files are not those of the hash.
    pub corrupt: bool,
    /// Large files lack their last byte, and the answer's length fits that.
    pub short: bool,
    /// Large files are given as LFS keeps them in Git.
    pub pointers: bool,
    /// What must be shown, as the whole header.
    pub authorization: Option<String>,
    /// Bytes a second, for each connection.
    pub pace: Option<u64>,
    /// Files of a tree on one page.
    pub page: Option<usize>,
}

/// An answer, but for the body's way out.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    is_file: bool,
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Answer {
        Answer { status, headers: Vec::new(), body: body.into(), is_file: false }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Answer {
        self.headers.push((name, value.to_string()));
        self
    }
}

/// Answers the requests of a connection.
pub(crate) fn serve(shared: &Shared, stream: &TcpStream) {
    let _quick = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    while let Some(seen) = request::read(&mut reader) {
        held(&shared.seen).push(seen.clone());
        let mut manners = held(&shared.manners);
        let failing = manners.statuses.pop();
        let manners = manners.clone();
        let answer = match failing {
            Some(status) => {
                let answer = Answer::new(status, "not now");
                match manners.retry_after {
                    Some(seconds) => answer.with("Retry-After", seconds),
                    None => answer,
                }
            }
            None => answer(shared, &manners, &seen),
        };
        if send(shared, &manners, stream, &answer, seen.head).is_none() {
            let _gone = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

/// Sends an answer; `None` where the connection is to end.
fn send(
    shared: &Shared,
    manners: &Manners,
    mut stream: &TcpStream,
    answer: &Answer,
    only_head: bool,
) -> Option<()> {
    let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
    head += &format!("Content-Length: {}\r\n", answer.body.len());
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
    if only_head {
        return Some(());
    }
    if !answer.is_file {
        return stream.write_all(&answer.body).ok();
    }
    let end = manners.cut.unwrap_or(usize::MAX).min(answer.body.len());
    for chunk in answer.body[..end].chunks(4096) {
        let sent = shared.sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        if manners.dead_after.is_some_and(|most| sent >= most) {
            return None;
        }
        if let Some(pace) = manners.pace {
            std::thread::sleep(Duration::from_secs_f64(chunk.len() as f64 / pace as f64));
        }
        stream.write_all(chunk).ok()?;
    }
    (end == answer.body.len()).then_some(())
}

fn answer(shared: &Shared, manners: &Manners, seen: &Seen) -> Answer {
    let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
    if let Some(sha) = path.strip_prefix("/cdn/") {
        let repos = held(&shared.repos);
        let found = repos.values().flat_map(|files| files.values());
        let found = found.clone().find(|bytes| sha256(bytes) == sha).map(Arc::clone);
        drop(repos);
        return match (found, query) {
            (Some(bytes), "signature=secret") => file(manners, &bytes, seen),
            (Some(_), _) => Answer::new(403, "no signature"),
            (None, _) => Answer::new(404, "no such blob"),
        };
    }
    let shown = &seen.authorization;
    if manners.authorization.is_some() && *shown != manners.authorization {
        return refusal(401, manners);
    }
    let found = match path.strip_prefix("/api/v1/models/") {
        Some(rest) => modelscope(shared, manners, rest, query, seen),
        None => match path.strip_prefix("/api/models/") {
            Some(rest) => api(shared, manners, rest, query),
            None => resolve(shared, manners, path, seen),
        },
    };
    found.unwrap_or_else(|| Answer::new(404, "no").with("X-Error-Code", "RepoNotFound"))
}

fn refusal(status: u16, manners: &Manners) -> Answer {
    match &manners.error_code {
        Some(code) => Answer::new(status, "no").with("X-Error-Code", code),
        None => Answer::new(status, "no"),
    }
}

/// `owner/name/revision/REV` and `owner/name/tree/COMMIT?recursive=true`.
fn api(shared: &Shared, manners: &Manners, rest: &str, query: &str) -> Option<Answer> {
    let repos = held(&shared.repos);
    let (repo, files) = repos.iter().find(|(repo, _)| rest.starts_with(&format!("{repo}/")))?;
    let rest = &rest[repo.len() + 1..];
    if let Some(revision) = rest.strip_prefix("revision/") {
        return match revision {
            "main" | "v1" | COMMIT => {
                let gated =
                    if manners.authorization.is_some() { json!("auto") } else { json!(false) };
                let body = json!({ "id": repo, "sha": COMMIT, "private": false, "gated": gated });
                Some(Answer::new(200, body.to_string()))
            }
            _ => Some(Answer::new(404, "no").with("X-Error-Code", "RevisionNotFound")),
        };
    }
    (rest == format!("tree/{COMMIT}") && query.contains("recursive=")).then_some(())?;
    let mut entries = vec![json!({ "type": "directory", "path": "sub", "oid": COMMIT, "size": 0 })];
    entries.extend(files.iter().map(|(path, bytes)| entry(path, bytes)));
    let after = |query: &str| query.rsplit_once("cursor=")?.1.parse::<usize>().ok();
    let first = after(query).unwrap_or(0);
    let end = manners.page.map_or(entries.len(), |page| (first + page).min(entries.len()));
    let body = Value::from(entries[first..end].to_vec()).to_string();
    let answer = Answer::new(200, body);
    Some(match end == entries.len() {
        true => answer,
        // As mirrors do, in the name of another host.
        false => {
            let link = format!("http://hub.invalid/api/models/{repo}/tree/{COMMIT}");
            answer.with("Link", format!("<{link}?recursive=true&cursor={end}>; rel=\"next\""))
        }
    })
}

fn entry(path: &str, bytes: &[u8]) -> Value {
    let mut entry = json!({ "type": "file", "path": path, "size": bytes.len() });
    if bytes.len() >= LARGE {
        entry["lfs"] = json!({ "oid": sha256(bytes), "size": bytes.len(), "pointerSize": 135 });
        entry["oid"] = git_blob(pointer(bytes).as_bytes()).into();
    } else {
        entry["oid"] = git_blob(bytes).into();
    }
    entry
}

/// `/owner/name/resolve/REV/PATH`.
fn resolve(shared: &Shared, manners: &Manners, path: &str, seen: &Seen) -> Option<Answer> {
    let (repo, rest) = path.strip_prefix('/')?.split_once("/resolve/")?;
    // Revisions of these tests have no slash.
    let (revision, path) = rest.split_once('/')?;
    let bytes = Arc::clone(held(&shared.repos).get(repo)?.get(path)?);
    if !["main", "v1", COMMIT].contains(&revision) {
        return None;
    }
    if let Some(status) = manners.refuse {
        return Some(refusal(status, manners));
    }
    if bytes.len() < LARGE {
        let etag = format!("\"{}\"", git_blob(&bytes));
        let answer = file(manners, &bytes, seen).with("ETag", etag);
        return Some(answer.with("X-Repo-Commit", COMMIT));
    }
    let sha = sha256(&bytes);
    let mark = |answer: Answer| {
        let answer = answer.with("X-Linked-Etag", format!("\"{sha}\""));
        answer.with("X-Linked-Size", bytes.len()).with("X-Repo-Commit", COMMIT)
    };
    Some(match &manners.redirect {
        Some(endpoint) => {
            let location = format!("{endpoint}/cdn/{sha}?signature=secret");
            mark(Answer::new(302, "").with("Location", location))
        }
        None => mark(file(manners, &bytes, seen)),
    })
}

/// `owner/name/repo/files?Revision=…&Recursive=True` and `owner/name/repo?FilePath=…`.
fn modelscope(
    shared: &Shared,
    manners: &Manners,
    rest: &str,
    query: &str,
    seen: &Seen,
) -> Option<Answer> {
    let (repo, rest) = rest.split_once("/repo")?;
    let repos = held(&shared.repos);
    let files = repos.get(repo)?;
    if rest == "/files" {
        let blob = |(path, bytes): (&String, &Arc<Vec<u8>>)| {
            let name = path.rsplit('/').next();
            json!({ "Path": path, "Name": name, "Type": "blob", "Size": bytes.len(),
                "Sha256": sha256(bytes), "Revision": COMMIT })
        };
        let mut all: Vec<Value> = files.iter().map(blob).collect();
        all.push(json!({ "Path": "sub", "Name": "sub", "Type": "tree", "Size": 0 }));
        let body = json!({ "Code": 200, "Success": true, "Data": { "Files": all } });
        return Some(Answer::new(200, body.to_string()));
    }
    let path = query.split('&').find_map(|pair| pair.strip_prefix("FilePath="))?;
    let bytes = Arc::clone(files.get(path)?);
    drop(repos);
    match manners.refuse {
        Some(status) => Some(refusal(status, manners)),
        None => Some(file(manners, &bytes, seen)),
    }
}

/// A file, or the part of it that is asked for.
fn file(manners: &Manners, bytes: &[u8], seen: &Seen) -> Answer {
    let is_large = bytes.len() >= LARGE;
    let mut bytes = bytes.to_vec();
    if is_large && manners.corrupt {
        bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
    }
    if is_large && manners.short {
        bytes.pop();
    }
    if is_large && manners.pointers {
        bytes = pointer(&bytes).into_bytes();
    }
    let total = bytes.len();
    let answer = match seen.range.filter(|_| !manners.whole_only) {
        Some((first, last)) if first < total => {
            let end = last.map_or(total, |last| total.min(last + 1));
            let answer = Answer::new(206, &bytes[first..end]);
            answer.with("Content-Range", format!("bytes {first}-{}/{total}", end - 1))
        }
        Some(_) => return Answer::new(416, "beyond the end"),
        None => Answer::new(200, bytes),
    };
    Answer { is_file: true, ..answer }
}

/// What lies in Git where LFS has the bytes.
fn pointer(bytes: &[u8]) -> String {
    let (sha, size) = (sha256(bytes), bytes.len());
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha}\nsize {size}\n")
}
