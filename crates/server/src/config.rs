//! How a server is set up.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// How a server is set up: `baimo.toml`, over which flags win.
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
    /// Which name thoughts go by in OpenAI's dialect.
    pub reasoning_field: ReasoningField,
    /// Whether lines that agents change with every request are made the same, so that prompts
    /// begin alike.
    pub normalize_headers: bool,
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

impl Default for Config {
    fn default() -> Config {
        Config {
            host: [127, 0, 0, 1].into(),
            port: 8000,
            sequences: 16,
            waiting: 64,
            body_bytes: 16 << 20,
            reasoning_field: ReasoningField::default(),
            normalize_headers: true,
        }
    }
}

impl Config {
    /// Requests of a model under way and waiting.
    pub fn places(&self) -> usize {
        self.sequences + self.waiting
    }
}
