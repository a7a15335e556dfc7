//! What `baimo quantize` and `baimo fidelity` are told.

use super::{Loading, examples, parse_kv, parse_positive, parse_target};
use crate::completions;
use baimo_engine::KvElement;
use baimo_weights::{Format, Mixture, Target};
use clap::Args;
use clap_complete::ArgValueCompleter;
use fancy_regex::Regex;
use std::path::PathBuf;

/// `baimo quantize`.
#[derive(Args, Debug)]
#[command(after_help = examples::QUANTIZE)]
pub struct Quantize {
    /// The model: a Hugging Face folder, a .gguf file (any part of a split one), or a model of a
    /// hub
    #[arg(add = ArgValueCompleter::new(completions::models))]
    pub model: String,
    /// The .gguf file to write; it is there when it is whole
    pub target: PathBuf,
    /// What weights become: q8_0, q6_k, q5_k_m, q4_k_m, ... (see below)
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_mixture)]
    pub mixture: Mixture,
    /// The type of maps whose GGUF name holds a match of a regular expression (may be repeated; the
    /// first that matches decides)
    #[arg(long, value_name = "REGEX=TYPE", value_parser = parse_rule)]
    pub rule: Vec<Rule>,
    /// Rounds weights again that are quantized already, which loses more than rounding them once
    #[arg(long)]
    pub allow_requantize: bool,
    /// An importance matrix, as llama.cpp writes it, in either of its formats: columns that matter
    /// more are rounded with more care
    #[arg(long, value_name = "FILE", conflicts_with = "imatrix_from")]
    pub imatrix: Option<PathBuf>,
    /// Runs the model over a text to see how much each column matters: some hundred kB of what the
    /// model is for, in UTF-8. The whole model is in memory meanwhile
    #[arg(long, value_name = "TEXT")]
    pub imatrix_from: Option<PathBuf>,
    /// Keeps the importance matrix, as a file that llama.cpp's llama-quantize reads, too
    #[arg(long, value_name = "FILE")]
    pub imatrix_out: Option<PathBuf>,
    /// Threads that compute [default: one for each processor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub threads: Option<u16>,
    /// Writes over a file that is there
    #[arg(long)]
    pub force: bool,
    /// Prints the type of each tensor, and writes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Fetches a model that is not here without asking
    #[arg(short, long)]
    pub yes: bool,
}

/// Which type the maps of some names become.
#[derive(Clone, Debug)]
pub struct Rule {
    /// As it was said.
    pub text: String,
    /// What the name holds.
    pub pattern: Regex,
    /// What it becomes.
    pub format: Format,
}

/// `baimo fidelity`.
#[derive(Args, Debug)]
#[command(after_help = examples::FIDELITY)]
pub struct Fidelity {
    /// The model to compare with
    #[arg(value_name = "A", add = ArgValueCompleter::new(completions::models))]
    pub model: String,
    /// The model that is compared; A in other settings where it is left out
    #[arg(value_name = "B", add = ArgValueCompleter::new(completions::models))]
    pub other: Option<String>,
    /// The text, in UTF-8
    #[arg(long, value_name = "FILE", conflicts_with = "ids", required_unless_present = "ids")]
    pub text: Option<PathBuf>,
    /// Token ids in place of a text: numbers with anything between them
    #[arg(long, value_name = "FILE")]
    pub ids: Option<PathBuf>,
    /// Tokens of a chunk
    #[arg(long, default_value_t = 512, value_name = "N", value_parser = parse_positive)]
    pub context: usize,
    /// Reads no more than so many chunks
    #[arg(long, value_name = "N", value_parser = parse_positive)]
    pub chunks: Option<usize>,
    /// Numbers of A's cached keys and values: f16, f32 or q8
    #[arg(long, default_value = "f16", value_name = "TYPE", value_parser = parse_kv)]
    pub kv: KvElement,
    /// What weights become, for B [default: as for A]
    #[arg(long, value_name = "TYPE", value_parser = parse_target)]
    pub b_weights: Option<Target>,
    /// Numbers of B's cached keys and values [default: as for A]
    #[arg(long, value_name = "TYPE", value_parser = parse_kv)]
    pub b_kv: Option<KvElement>,
    /// How both models are loaded and run
    #[command(flatten)]
    pub loading: Loading,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

fn parse_mixture(text: &str) -> Result<Mixture, String> {
    text.parse()
}

fn parse_rule(text: &str) -> Result<Rule, String> {
    let wanted = || format!("found `{text}`, wanted REGEX=TYPE such as `attn_v=q8_0`");
    let (pattern, name) = text.rsplit_once('=').ok_or_else(wanted)?;
    let format = Format::from_name(name).filter(|format| format.can_quantize());
    let format = format.ok_or_else(|| {
        let known = Format::ALL.into_iter().filter(|format| format.can_quantize());
        let names: Vec<&str> = known.map(Format::name).collect();
        format!("found type `{name}`, wanted one of {}", names.join(", "))
    })?;
    let pattern = Regex::new(pattern).map_err(|error| format!("`{pattern}`: {error}"))?;
    Ok(Rule { text: text.to_owned(), pattern, format })
}
