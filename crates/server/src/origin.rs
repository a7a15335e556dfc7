//! Requests that a foreign web page had a browser send to a server on loopback: by a host name that
//! was pointed there (DNS rebinding), or blindly, without reading the answer.

use crate::config::Config;
use crate::error::Refusal;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use std::net::IpAddr;

/// That a request does not come from such a page.
///
/// # Errors
/// Where it does, by its `Host` or its `Origin`.
pub fn check(config: &Config, headers: &HeaderMap) -> Result<(), Refusal> {
    if !config.check_host || !config.host.is_loopback() {
        return Ok(());
    }
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(host) = text(header::HOST)
        && !is_ours(config, name_of(host))
    {
        let hint = "`allowed_hosts` of baimo.toml lets names in";
        return Err(refuse("host_not_allowed", &format!("host `{host}`"), hint));
    }
    let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
    let foreign = match origin.split_once("://") {
        // What else there is cannot be had by a web page: editors, desktop apps, extensions.
        Some(("http" | "https", host)) => !is_ours(config, name_of(host)),
        Some(_) => false,
        None => true,
    };
    let listed = config.cors_origins.iter().any(|known| known == origin || known == "*");
    match foreign && !listed {
        true => {
            let hint = "`cors_origins` of baimo.toml lets pages in";
            Err(refuse("origin_not_allowed", &format!("origin `{origin}`"), hint))
        }
        false => Ok(()),
    }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

fn is_ours(config: &Config, name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let address = name.parse::<IpAddr>();
    name == "localhost"
        || name.ends_with(".localhost")
        || address.is_ok_and(|address| address.is_loopback())
        || config.allowed_hosts.iter().any(|known| known.eq_ignore_ascii_case(&name))
}

fn refuse(code: &'static str, found: &str, hint: &str) -> Refusal {
    let message = format!("found {found}, wanted this machine's own\nhint: {hint}");
    Refusal::new(StatusCode::FORBIDDEN, code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(config: &Config, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a value"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().expect("a value"));
        }
        check(config, &headers).is_ok()
    }

    #[test]
    fn this_machine_passes_by_all_its_names() {
        let config = Config::default();
        for host in ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LocalHost."] {
            assert!(passes(&config, host, None), "{host}");
            assert!(passes(&config, host, Some("http://localhost:3000")), "{host}");
        }
        assert!(passes(&config, "localhost", Some("vscode-webview://abc")));
    }

    #[test]
    fn a_foreign_name_or_page_does_not_pass() {
        let config = Config::default();
        for host in ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip"]
        {
            assert!(!passes(&config, host, None), "{host}");
        }
        for origin in ["https://evil.example", "null", "http://localhost.evil.example:80"] {
            assert!(!passes(&config, "localhost", Some(origin)), "{origin}");
        }
    }

    #[test]
    fn what_is_listed_passes_and_a_server_of_the_network_does_not_look() {
        let listed = Config {
            allowed_hosts: vec!["models.lan".to_owned()],
            cors_origins: vec!["https://chat.example".to_owned()],
            ..Config::default()
        };
        assert!(passes(&listed, "models.lan:8000", Some("https://chat.example")));
        assert!(!passes(&listed, "models.lan:8000", Some("https://other.example")));
        let open = Config { host: [0, 0, 0, 0].into(), ..Config::default() };
        assert!(passes(&open, "evil.example", Some("https://evil.example")));
        let off = Config { check_host: false, ..Config::default() };
        assert!(passes(&off, "evil.example", None));
    }
}
