//! Requests: one at a time, with redirects followed here so that a token goes to its own host only.

use super::Error;
use super::settings::{Settings, Token};
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;
use ureq::http::{HeaderMap, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// Redirects that are followed in a row, at most.
const REDIRECTS_MAX: usize = 10;

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) url: &'a str,
    /// Shown to the host of `url` alone.
    pub(super) token: Option<&'a Token>,
    /// Bytes that are wanted; `None`: all.
    pub(super) range: Option<&'a Range<u64>>,
}

/// An answer that holds what was asked for, or a part of it.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// Those of the first answer in a row of redirects, which are the hub's own.
    pub(super) hub_headers: HeaderMap,
    /// Where the redirects ended; it may be signed, so it is never shown.
    pub(super) url: String,
    pub(super) body: ureq::Body,
}

impl Answer {
    /// A header as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A header of the hub's own answer.
    pub(super) fn hub_header(&self, name: &str) -> Option<&str> {
        self.hub_headers.get(name)?.to_str().ok()
    }
}

/// Why an answer did not come.
#[derive(Debug)]
pub(super) enum Failure {
    /// A status of 4xx that another try will not change, with the hub's word for it.
    Refused { status: u16, code: String },
    /// 429, 5xx, or a connection that failed or broke: another try may help.
    Passing { found: String, wait: Option<Duration> },
    /// A part was asked for, and all of the file comes: this host knows no ranges.
    WholeOnly,
    /// It is not what was asked for: this host is not to be believed.
    Wrong { found: String, wanted: String },
    /// Our own disk.
    Disk { action: &'static str, source: io::Error },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused { status, code } if code.is_empty() => write!(f, "status {status}"),
            Failure::Refused { status, code } => write!(f, "status {status} ({code})"),
            Failure::Passing { found, .. } => f.write_str(found),
            Failure::WholeOnly => f.write_str("it gives only whole files, and breaks off"),
            Failure::Wrong { found, wanted } => write!(f, "found {found}, wanted {wanted}"),
            Failure::Disk { action, source } => write!(f, "cannot {action}: {source}"),
        }
    }
}

impl Failure {
    /// A failure that may pass.
    pub(super) fn passing(found: impl fmt::Display) -> Failure {
        Failure::Passing { found: found.to_string(), wait: None }
    }

    /// A read of a body that failed.
    pub(super) fn broken(error: &io::Error) -> Failure {
        Failure::passing(format!("the connection broke: {error}"))
    }

    /// For `map_err`.
    pub(super) fn disk(action: &'static str) -> impl FnOnce(io::Error) -> Failure {
        move |source| Failure::Disk { action, source }
    }
}

/// Asks hosts. Clones share their connections.
#[derive(Clone)]
pub(super) struct Client {
    agent: ureq::Agent,
}

impl Client {
    /// A client with these settings; proxies are those of the environment (`HTTPS_PROXY`).
    ///
    /// # Errors
    /// Where the file of certificates cannot be used.
    pub(super) fn new(settings: &Settings) -> Result<Client, Error> {
        let roots = match &settings.certificates {
            Some(file) => certificates(file)?,
            None => RootCerts::WebPki,
        };
        let manner = &settings.manner;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("baimo/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(manner.connect))
            .timeout_connect(Some(manner.connect))
            .timeout_recv_response(Some(manner.silence))
            .timeout_per_read(Some(manner.silence))
            .max_idle_connections_per_host(manner.connections)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        Ok(Client { agent: agent.new_agent() })
    }

    /// One request, with its redirects.
    pub(super) fn get(&self, ask: Ask<'_>) -> Result<Answer, Failure> {
        let (mut url, mut hub_headers) = (ask.url.to_owned(), None);
        for _ in 0..=REDIRECTS_MAX {
            let mut request = self.agent.get(&url);
            if let Some(range) = ask.range {
                request =
                    request.header("Range", format!("bytes={}-{}", range.start, range.end - 1));
            }
            let token = ask.token.filter(|_| origin(&url) == origin(ask.url));
            for (name, value) in token.into_iter().flat_map(Token::headers) {
                request = request.header(name, value);
            }
            let (head, body) = request.call().map_err(|error| failed(&error))?.into_parts();
            let status = head.status.as_u16();
            let hub_headers = hub_headers.get_or_insert_with(|| head.headers.clone());
            if matches!(status, 301 | 302 | 303 | 307 | 308) {
                let to = head.headers.get("location").and_then(|to| to.to_str().ok());
                let to = to.ok_or_else(|| Failure::passing("a redirect to nowhere"))?;
                url = joined(&url, to).ok_or_else(|| Failure::passing("an odd redirect"))?;
                continue;
            }
            let hub_headers = hub_headers.clone();
            let answer = Answer { status, headers: head.headers, hub_headers, url, body };
            return judged(answer);
        }
        Err(Failure::passing(format!("more than {REDIRECTS_MAX} redirects")))
    }
}

/// Sorts answers by their status.
fn judged(answer: Answer) -> Result<Answer, Failure> {
    let status = answer.status;
    match status {
        200 | 206 => Ok(answer),
        416 => Err(Failure::Wrong {
            found: "a shorter file (status 416)".to_owned(),
            wanted: "the part that was asked for".to_owned(),
        }),
        408 | 425 | 429 | 500..=599 => {
            let seconds = answer.header("retry-after").and_then(|text| text.trim().parse().ok());
            let found = match status {
                429 => "status 429: too many requests".to_owned(),
                status => format!("status {status}"),
            };
            Err(Failure::Passing { found, wait: seconds.map(Duration::from_secs) })
        }
        _ => {
            let code = answer.hub_header("x-error-code").or(answer.header("x-error-code"));
            let word =
                |code: &str| code.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
            Err(Failure::Refused { status, code: code.map(word).unwrap_or_default() })
        }
    }
}

/// What ureq says, without the address.
fn failed(error: &ureq::Error) -> Failure {
    match error {
        ureq::Error::HostNotFound => Failure::passing("no such host"),
        ureq::Error::Timeout(_) => Failure::passing("no answer in time"),
        ureq::Error::Io(error) => Failure::passing(error),
        ureq::Error::BadUri(_) => Failure::passing("not an address"),
        other => Failure::passing(format!("{other}").lines().next().unwrap_or("no answer")),
    }
}

fn certificates(file: &Path) -> Result<RootCerts, Error> {
    let bytes = std::fs::read(file).map_err(Error::io(file, "read the certificates of"))?;
    let certificates: Vec<_> = parse_pem(&bytes)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            Ok(_) | Err(_) => None,
        })
        .collect();
    if certificates.is_empty() {
        let none = io::Error::other("found no certificate in PEM");
        return Err(Error::io(file, "read the certificates of")(none));
    }
    Ok(certificates.into())
}

/// Scheme, host and port.
fn origin(url: &str) -> Option<(String, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

/// The host of an address, with its port where it names one: all of it that may be shown.
pub(super) fn host(url: &str) -> String {
    let Ok(uri) = url.parse::<Uri>() else { return "an odd address".to_owned() };
    match (uri.host(), uri.port_u16()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => "an odd address".to_owned(),
    }
}

/// Where a redirect leads.
fn joined(from: &str, to: &str) -> Option<String> {
    let to = to.split('#').next().unwrap_or_default();
    if to.starts_with("http://") || to.starts_with("https://") {
        return Some(to.to_owned());
    }
    let (scheme, rest) = from.split_once("://")?;
    if let Some(rest) = to.strip_prefix("//") {
        return Some(format!("{scheme}://{rest}"));
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if to.starts_with('/') {
        return Some(format!("{scheme}://{authority}{to}"));
    }
    let path = path.split('?').next().unwrap_or_default();
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let between = if folder.is_empty() { "" } else { "/" };
    (!to.contains(':')).then(|| format!("{scheme}://{authority}/{folder}{between}{to}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_they_say() {
        let cases = [
            ("https://a/b/c?d", "https://x/y?z", "https://x/y?z"),
            ("https://a:1/b/c?d=/e", "/f?g", "https://a:1/f?g"),
            ("http://a/b/c", "d", "http://a/b/d"),
            ("http://a", "d", "http://a/d"),
            ("https://a/b", "//c/d#e", "https://c/d"),
        ];
        for (from, to, wanted) in cases {
            assert_eq!(joined(from, to).as_deref(), Some(wanted));
        }
        assert_eq!(joined("https://a/b", "file:///etc"), None);
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(origin("https://A.b/c"), origin("https://a.b:443/d"));
        assert_ne!(origin("https://a.b/c"), origin("http://a.b/c"));
        assert_ne!(origin("http://a.b:80/"), origin("http://a.b:81/"));
    }

    #[test]
    fn a_host_is_shown_without_what_is_secret() {
        assert_eq!(host("https://user:secret@cdn.example:8080/f?signature=s"), "cdn.example:8080");
    }
}
