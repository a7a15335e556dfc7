//! How a server is set up.

mod printed;

pub use printed::printed;

use crate::keys::Key;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;

/// How a server is set up: what `baimo.toml` says under `[server]`, over which flags win. Where a
/// number is a limit, 0 is none.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen; loopback alone by default.
    pub host: IpAddr,
    /// The port; 0 lets the system choose.
    pub port: u16,
    /// Requests of a model that are computed at once.
    pub sequences: usize,
    /// Requests that may wait beyond those; more are refused with 429.
    pub waiting: usize,
    /// Bytes that a request may have.
    pub body_bytes: usize,
    /// Bytes that all requests under way may have together.
    pub body_bytes_together: usize,
    /// Most tokens of a prompt, below what the context allows.
    pub prompt_tokens_max: usize,
    /// Most tokens of an answer, whatever its request says.
    pub answer_tokens_max: usize,
    /// Seconds after which an answer is cut off with an error.
    pub deadline_seconds: u64,
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Seconds that a client may take to begin a request and to send its headers.
    pub header_seconds: u64,
    /// Seconds that a client may take to send a request's body.
    pub body_seconds: u64,
    /// Seconds after which a client that does not read is left.
    pub write_seconds: u64,
    /// Seconds that answers under way are given when the server is asked to end.
    pub shutdown_seconds: u64,
    /// Seconds without a request after which a model is unloaded.
    pub idle_unload_seconds: u64,
    /// Which name thoughts go by in OpenAI's dialect.
    pub reasoning_field: ReasoningField,
    /// Whether lines that agents change with every request are made the same, so that prompts
    /// begin alike.
    pub normalize_headers: bool,
    /// Pages of these origins may use the server from a browser; `*` is all of them.
    pub cors_origins: Vec<String>,
    /// Whether a server on loopback refuses requests that a foreign web page had a browser send.
    pub check_host: bool,
    /// Host names that such a server goes by beside those of loopback.
    pub allowed_hosts: Vec<String>,
    /// Lines of the log.
    pub log_format: LogFormat,
    /// What is logged, in `RUST_LOG`'s notation.
    pub log_filter: String,
    /// Whether the log has what people ask.
    pub log_prompts: bool,
    /// HTTPS in place of HTTP.
    pub tls: Option<Tls>,
    /// Who may use the server; anybody where there are none.
    pub keys: Vec<Key>,
}

/// Which name thoughts go by in OpenAI's dialect.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningField {
    /// `reasoning_content`, as DeepSeek and llama.cpp have it.
    #[default]
    ReasoningContent,
    /// `reasoning`, as vLLM and Ollama have it.
    Reasoning,
    /// Both.
    Both,
}

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// What HTTPS needs.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate and those that vouch for it: a PEM file.
    pub certificate: PathBuf,
    /// The certificate's private key: a PEM file.
    pub key: PathBuf,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            host: [127, 0, 0, 1].into(),
            port: 8000,
            sequences: 16,
            waiting: 64,
            body_bytes: 16 << 20,
            body_bytes_together: 256 << 20,
            prompt_tokens_max: 0,
            answer_tokens_max: 0,
            deadline_seconds: 0,
            connections: 1024,
            header_seconds: 30,
            body_seconds: 30,
            write_seconds: 60,
            shutdown_seconds: 30,
            idle_unload_seconds: 0,
            reasoning_field: ReasoningField::default(),
            normalize_headers: true,
            cors_origins: Vec::new(),
            check_host: true,
            allowed_hosts: Vec::new(),
            log_format: LogFormat::default(),
            log_filter: "info".to_owned(),
            log_prompts: false,
            tls: None,
            keys: Vec::new(),
        }
    }
}

impl Config {
    /// Requests of a model under way and waiting.
    pub fn places(&self) -> usize {
        self.sequences + self.waiting
    }

    /// That its values can be had together.
    ///
    /// # Errors
    /// Names the key at fault.
    pub fn check(&self) -> anyhow::Result<()> {
        let positive = [
            ("sequences", self.sequences),
            ("body_bytes", self.body_bytes),
            ("connections", self.connections),
        ];
        for (name, value) in positive {
            anyhow::ensure!(value > 0, "server.{name}: found 0, wanted at least 1");
        }
        anyhow::ensure!(
            self.body_bytes_together >= self.body_bytes,
            "server.body_bytes_together: found {}, wanted at least the {} of body_bytes",
            self.body_bytes_together,
            self.body_bytes
        );
        for (index, key) in self.keys.iter().enumerate() {
            let twice = self.keys[..index].iter().any(|other| other.name == key.name);
            anyhow::ensure!(!twice, "server.keys: two keys are called `{}`", key.name);
        }
        for origin in self.cors_origins.iter().filter(|origin| *origin != "*") {
            anyhow::ensure!(
                origin.contains("://") && origin.parse::<axum::http::HeaderValue>().is_ok(),
                "server.cors_origins: found `{origin}`, wanted `*` or `https://example.org`"
            );
        }
        Ok(())
    }
}
