//! What `baimo quantize` and `baimo fidelity` are told.

use super::{Loading, parse_kv, parse_positive, parse_target};
use baimo_engine::KvElement;
use baimo_weights::{Format, Mixture, Target};
use clap::Args;
use fancy_regex::Regex;
use std::path::PathBuf;

const QUANTIZE_EXAMPLES: &str = "\
Types: f32 f16 bf16 q8_0 q6_k q5_k_m q5_k_s q5_1 q5_0 q4_k_m q4_k_s q4_1 q4_0 iq4_nl iq4_xs mxfp4
q3_k_m q2_k. They mean what llama.cpp means by them: the output map and some values and FFN maps get
more bits, norms and routers stay as they are, and rows that are no whole blocks get the next type.
`mxfp4` is for the experts of a mixture (all else in q8_0), or for all maps of a model without.

Examples:
  baimo quantize ./folder model-q4.gguf --type q4_k_m
  baimo quantize big-f16.gguf small.gguf --type q5_k_m --rule 'attn_v=q8_0' --rule 'ffn_down=q6_k'
  baimo quantize big-f16.gguf small.gguf --type q3_k_m --imatrix imatrix.gguf
  baimo quantize already-q8_0.gguf plain.gguf --type f16 --allow-requantize";

/// `baimo quantize`.
#[derive(Args, Debug)]
#[command(after_help = QUANTIZE_EXAMPLES)]
pub struct Quantize {
    /// The model: a Hugging Face folder, or a .gguf file (any part of a split one)
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
    #[arg(long, value_name = "FILE")]
    pub imatrix: Option<PathBuf>,
    /// Threads that compute [default: one for each processor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub threads: Option<u16>,
    /// Writes over a file that is there
    #[arg(long)]
    pub force: bool,
    /// Prints the type of each tensor, and writes nothing
    #[arg(long)]
    pub dry_run: bool,
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

const FIDELITY_EXAMPLES: &str = "\
The text is cut in chunks of --context tokens; of each, the second half is scored, as llama.cpp's
llama-perplexity does it with --kl-divergence, so that figures compare. Each chunk begins with what
the tokenizer puts before a text. Divergences are in nats, of B's distribution from A's.

Examples:
  baimo fidelity model-f16.gguf model-q4_k_m.gguf --text wiki.test.raw
  baimo fidelity ./folder --b-weights q4_k --text book.txt
  baimo fidelity model.gguf --kv f32 --b-kv f16 --text book.txt --context 2048 --json";

/// `baimo fidelity`.
#[derive(Args, Debug)]
#[command(after_help = FIDELITY_EXAMPLES)]
pub struct Fidelity {
    /// The model to compare with
    #[arg(value_name = "A")]
    pub model: String,
    /// The model that is compared; A in other settings where it is left out
    #[arg(value_name = "B")]
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
