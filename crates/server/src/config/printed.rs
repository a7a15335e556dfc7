//! A configuration as text that says what it means.

use super::Config;
use std::fmt::Write;
use toml::{Table, Value};

/// The keys of `[server]` in the order they are printed, and what each means.
const MEANINGS: [(&str, &str); 24] = [
    ("host", "where to listen; 0.0.0.0 is all of the network"),
    ("port", "0 lets the system choose"),
    ("sequences", "requests of a model that are computed at once"),
    ("waiting", "requests that may wait beyond those; more are refused with 429"),
    ("body_bytes", "bytes that a request may have"),
    ("body_bytes_together", "bytes that all requests under way may have together"),
    ("prompt_tokens_max", "most tokens of a prompt; 0: what the context allows"),
    ("answer_tokens_max", "most tokens of an answer, whatever is asked for; 0: no limit"),
    ("deadline_seconds", "an answer is cut off after so long; 0: never"),
    ("connections", "at once; more wait to be accepted"),
    ("header_seconds", "for a client to begin a request and send its headers"),
    ("body_seconds", "for a client to send a request's body"),
    ("write_seconds", "a client that does not read is left after so long"),
    ("shutdown_seconds", "for answers under way when the server is asked to end"),
    ("idle_unload_seconds", "a model without requests is unloaded after so long; 0: never"),
    ("reasoning_field", "reasoning_content, reasoning or both"),
    ("normalize_headers", "lines that agents change with every request are made the same"),
    ("cors_origins", "pages of these origins may use the server from a browser; \"*\": all"),
    ("check_host", "on loopback: refuses what a foreign web page had a browser send"),
    ("allowed_hosts", "host names that a server on loopback goes by beside localhost"),
    ("log_format", "text or json"),
    ("log_filter", "as in RUST_LOG: info, warn, debug, baimo_server=debug"),
    ("log_prompts", "whether the log has what people ask"),
    ("tls", "HTTPS: { certificate = \"cert.pem\", key = \"key.pem\" }"),
];

/// What a key of `[[server.keys]]` looks like where there is none yet.
const NO_KEYS: &str = "
# Who may use the server; anybody where there is no key. `baimo serve --hash-key` makes the hash.
# [[server.keys]]
# name = \"alice\"
# hash = \"64 hexadecimal digits\"
# requests_per_minute = 0
# tokens_per_minute = 0
# concurrent = 0
";

/// `[server]` of a `baimo.toml` that says the same as `config`, with a word on each key.
pub fn printed(config: &Config) -> String {
    // Only paths that are no text could stop this, and those are named by their own error later.
    let table = Table::try_from(config).unwrap_or_default();
    let mut out = String::from("[server]\n");
    for (name, meaning) in MEANINGS {
        let value = table.get(name);
        let line = match value {
            Some(value) => format!("{name} = {}", inline(value)),
            None => format!("# {name} ="),
        };
        let _ = writeln!(out, "{line:<40}# {meaning}");
    }
    match table.get("keys").and_then(Value::as_array) {
        Some(keys) if !keys.is_empty() => {
            for key in keys.iter().filter_map(Value::as_table) {
                out.push_str("\n[[server.keys]]\n");
                for (name, value) in key {
                    let _ = writeln!(out, "{name} = {}", inline(value));
                }
            }
        }
        Some(_) | None => out.push_str(NO_KEYS),
    }
    out
}

/// A value on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::Table(table) => {
            let pairs = table.iter().map(|(name, value)| format!("{name} = {}", inline(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Array(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Tls;
    use crate::keys::Key;

    fn read_again(text: &str) -> Config {
        let table: Table = text.parse().expect("TOML");
        table["server"].clone().try_into().expect("a configuration")
    }

    #[test]
    fn what_is_printed_says_the_same_when_it_is_read() {
        let full = Config {
            tls: Some(Tls { certificate: "a \"b\".pem".into(), key: "c\\d.pem".into() }),
            keys: vec![Key::new("alice", "secret"), Key::new("bob", "other")],
            cors_origins: vec!["https://example.org".to_owned(), "*".to_owned()],
            log_filter: "info,baimo_server=debug".to_owned(),
            ..Config::default()
        };
        for config in [Config::default(), full] {
            assert_eq!(read_again(&printed(&config)), config);
        }
    }

    #[test]
    fn every_key_has_its_meaning() {
        let tls = Some(Tls { certificate: "a".into(), key: "b".into() });
        let table = Table::try_from(Config { tls, ..Config::default() }).expect("a table");
        let mut named: Vec<&str> = MEANINGS.iter().map(|(name, _)| *name).collect();
        named.push("keys");
        let mut keys: Vec<&str> = table.keys().map(String::as_str).collect();
        named.sort_unstable();
        keys.sort_unstable();
        assert_eq!(named, keys);
    }

    #[test]
    fn no_secret_is_printed() {
        let keys = vec![Key::new("alice", "hunter2-is-no-password")];
        assert!(!printed(&Config { keys, ..Config::default() }).contains("hunter2"));
    }
}
