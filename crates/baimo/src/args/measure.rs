//! What the command lines of `baimo bench` and `baimo logits` say.

use super::{Loading, examples, parse_kv, parse_positive};
use crate::completions;
use baimo_engine::KvElement;
use clap::Args;
use clap_complete::ArgValueCompleter;

/// `baimo logits`.
#[derive(Args, Debug)]
#[command(after_help = examples::LOGITS)]
pub struct Logits {
    /// The model
    #[arg(add = ArgValueCompleter::new(completions::models))]
    pub model: String,
    /// Token ids, taken as they are
    #[arg(long, required = true, value_delimiter = ',', value_name = "IDS")]
    pub ids: Vec<u32>,
    /// Logits after the first so many ids [default: after all]
    #[arg(long, value_delimiter = ',', value_name = "COUNTS")]
    pub at: Vec<usize>,
    /// Greedy tokens to add after all ids
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub greedy: usize,
    /// Ids computed at once
    #[arg(long, default_value_t = 512, value_name = "N", value_parser = parse_positive)]
    pub chunk: usize,
    /// Numbers of cached keys and values: f16, f32, or q8, which takes little more than half of f16
    #[arg(long, default_value = "f32", value_name = "TYPE", value_parser = parse_kv)]
    pub kv: KvElement,
    /// How the model is loaded and run
    #[command(flatten)]
    pub loading: Loading,
}

/// `baimo bench`.
#[derive(Args, Debug)]
#[command(after_help = examples::BENCH)]
pub struct Bench {
    /// The model [default: what BAIMO_MODEL names, else the built-in poet]
    #[arg(add = ArgValueCompleter::new(completions::models))]
    pub model: Option<String>,
    /// Prompt tokens (0: no such test)
    #[arg(short, long, default_value = "512", value_delimiter = ',', value_name = "N")]
    pub prompt: Vec<usize>,
    /// Answer tokens (0: no such test)
    #[arg(short = 'n', long, default_value = "64", value_delimiter = ',', value_name = "N")]
    pub generate: Vec<usize>,
    /// Tokens already in the cache
    #[arg(short, long, default_value = "0", value_delimiter = ',', value_name = "N")]
    pub depth: Vec<usize>,
    /// Sequences computed at once; tokens a second are those of all together
    #[arg(
        short, long, default_value = "1", value_delimiter = ',', value_name = "N",
        value_parser = parse_positive
    )]
    pub batch: Vec<usize>,
    /// Fills the cache with made-up numbers instead of computing the tokens before
    #[arg(long)]
    pub fill: bool,
    /// Repetitions of each test
    #[arg(short, long, default_value_t = 5, value_name = "N", value_parser = parse_positive)]
    pub repetitions: usize,
    /// Numbers of cached keys and values: f16, f32, or q8, which takes little more than half of f16
    #[arg(long, default_value = "f16", value_name = "TYPE", value_parser = parse_kv)]
    pub kv: KvElement,
    /// How the model is loaded and run
    #[command(flatten)]
    pub loading: Loading,
    /// Measures what this machine gives at most, instead of a model: reading, multiplying
    #[arg(long)]
    pub limits: bool,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}
