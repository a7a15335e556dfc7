//! What the command line of `baimo plan` says.

use super::{examples, parse_bytes, parse_kv, parse_positive, parse_target};
use crate::completions;
use baimo_engine::KvElement;
use baimo_weights::Target;
use clap::Args;
use clap_complete::ArgValueCompleter;
use std::path::PathBuf;

/// `baimo plan`.
#[derive(Args, Clone, Debug)]
#[command(after_help = examples::PLAN)]
pub struct Plan {
    /// The model; a folder with nothing but config.json will do, and of a model that is not here
    /// the hub is asked, without its weights [default: as in `run`]
    #[arg(add = ArgValueCompleter::new(completions::models))]
    pub model: Option<String>,
    /// Positions of each user's sequence, prompt and answer together [default: the model's, at
    /// most 8192]
    #[arg(long, value_name = "N", value_parser = parse_positive)]
    pub context: Option<usize>,
    /// Users that are answered at once
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = parse_positive)]
    pub users: usize,
    /// What weights become while loading, as in `run` [default: native]
    #[arg(long, value_name = "TYPE", value_parser = parse_target)]
    pub weights: Option<Target>,
    /// Numbers of cached keys and values: f16, f32, or q8, which takes little more than half of f16
    #[arg(long, default_value = "f16", value_name = "TYPE", value_parser = parse_kv)]
    pub kv: KvElement,
    /// Threads that compute [default: one for each processor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub threads: Option<u16>,
    /// Bytes that there are, such as 8G [default: this machine's memory]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub memory: Option<usize>,
    /// Where it is to run: `this`, a file that --probe wrote, or a chip by its sheet, such as h20,
    /// 910b or m4-max
    #[arg(long, default_value = "this", value_name = "MACHINE")]
    pub machine: String,
    /// Measures this machine first, for about ten seconds, and keeps the figures in the cache
    /// folder; without a model that is all
    #[arg(long)]
    pub probe: bool,
    /// Writes a picture of memory and speed against the context, in SVG
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Loads and runs the model too, measures this machine in between, and prints what was
    /// planned beside what was found, as lines of JSON: memory, and speed with nothing and with
    /// 8192 positions in the cache
    #[arg(long)]
    pub check: bool,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}
