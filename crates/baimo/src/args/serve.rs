//! What the command line of `baimo serve` says.

use super::{Loading, examples, parse_bytes, parse_kv, parse_positive};
use crate::completions;
use baimo_engine::KvElement;
use baimo_server::config::LogFormat;
use clap::Args;
use clap_complete::ArgValueCompleter;
use std::path::PathBuf;

/// `baimo serve`.
#[derive(Args, Clone, Debug)]
#[command(after_help = examples::SERVE)]
pub struct Serve {
    /// The models, as MODEL or NAME=MODEL; the first is loaded at once, others when they are asked
    /// for [default: what BAIMO_MODEL names, else the built-in poet]
    #[arg(add = ArgValueCompleter::new(completions::models))]
    pub models: Vec<String>,
    /// Where to listen; 0.0.0.0 is all of the network [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<std::net::IpAddr>,
    /// The port; 0 lets the system choose [default: 8000]
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,
    /// Requests of a model that are computed at once [default: 16]
    #[arg(long, value_name = "N", value_parser = parse_positive)]
    pub sequences: Option<usize>,
    /// Requests that may wait beyond those [default: 64]
    #[arg(long, value_name = "N")]
    pub waiting: Option<usize>,
    /// Positions of a conversation, prompt and answer together [default: the model's, at most
    /// 32768]
    #[arg(long, value_name = "N", value_parser = parse_positive)]
    pub context: Option<usize>,
    /// Positions that all conversations share in the cache [default: twice the context]
    #[arg(long, value_name = "N", value_parser = parse_positive)]
    pub cache_tokens: Option<usize>,
    /// Bytes of disk, such as 20G, for what was computed of prompts, so that a conversation that
    /// comes back is not read again, also after a restart: files in the user's cache folder
    /// (BAIMO_CACHE names another) that may be deleted at any time [default: none]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub prefix_disk: Option<usize>,
    /// The chat template, in Jinja, of a model that comes without one or with a bad one
    #[arg(long, value_name = "FILE")]
    pub chat_template: Option<PathBuf>,
    /// Numbers of cached keys and values: f16, f32, or q8, which takes little more than half of f16
    /// [default: f16]
    #[arg(long, value_name = "TYPE", value_parser = parse_kv)]
    pub kv: Option<KvElement>,
    /// A key that clients must show (may be repeated); BAIMO_API_KEY is another. Those of the file
    /// are hashed there, and may have limits
    #[arg(long, value_name = "KEY")]
    pub api_key: Vec<String>,
    /// Lines of the log: text or json; RUST_LOG says what is logged [default: text]
    #[arg(long, value_name = "FORMAT", value_parser = parse_log)]
    pub log: Option<LogFormat>,
    /// HTTPS with this certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// The certificate's private key, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// What else there is to set up, over which flags win [default: baimo.toml here, else in the
    /// user's configuration folder, where there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Prints how the server would be set up, as a file for --config, and ends
    #[arg(long)]
    pub print_config: bool,
    /// Reads a key from stdin and prints its hash for the file, and ends
    #[arg(long, conflicts_with = "print_config")]
    pub hash_key: bool,
    /// How the models are loaded and run
    #[command(flatten)]
    pub loading: Loading,
}

fn parse_log(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("found `{other}`, wanted text or json")),
    }
}
