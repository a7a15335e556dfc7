//! What the command line says.

mod cache;
mod examples;
mod facts;
mod measure;
mod plan;
mod quality;
mod serve;
mod shell;
mod store;

pub use cache::Cache;
pub use facts::{List, Show, Sort};
pub use measure::{Bench, Logits};
pub use plan::Plan;
pub use quality::{Fidelity, Quantize, Rule};
pub use serve::Serve;
pub use shell::{Completions, Man, Shell};
pub use store::{Prune, Pull, Rm};

use crate::completions;
use baimo_engine::KvElement;
use baimo_weights::Target;
use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::ArgValueCompleter;
use std::path::PathBuf;

/// Runs the hundred models of China's AI labs on an ordinary machine.
#[derive(Debug, Parser)]
#[command(name = "baimo", version, after_help = MODELS)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const MODELS: &str = "\
MODEL is a Hugging Face folder (config.json, safetensors, tokenizer), a .gguf file (any part of a
split one), hf:OWNER/REPO or ms:OWNER/REPO (`baimo pull --help` tells more), a name of the catalog
(`baimo list`), or `poet`: the small built-in model, a demonstration that writes classical Chinese
poems. What is not here is fetched after saying how much that is; `show` and `plan` ask the hub and
fetch no weights. Where no MODEL is named it is what BAIMO_MODEL says, else `poet`.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answers one prompt, or chats when there is none and a terminal
    Run(Run),
    /// Serves models over HTTP, to the clients of OpenAI, Anthropic and Ollama
    Serve(Serve),
    /// Prints logits and greedy tokens of raw ids as one JSON object
    Logits(Logits),
    /// Measures tokens a second for prompts and for answers
    Bench(Bench),
    /// Draws the architecture of a model here, or tells what is known of one in the catalog
    Show(Show),
    /// Says whether a model fits and how fast it will be, without its weights
    Plan(Plan),
    /// Turns text into token ids
    Tokenize(Tokenize),
    /// Prints the prompt that a list of messages becomes
    ChatTemplate(ChatTemplate),
    /// Writes a model as a GGUF file with fewer bits per weight
    Quantize(Quantize),
    /// Measures how far two models, or two settings of one, are apart over a text
    Fidelity(Fidelity),
    /// Fetches models from Hugging Face or ModelScope
    #[command(after_help = examples::PULL)]
    Pull(Pull),
    /// Removes fetched models
    #[command(after_help = examples::RM)]
    Rm(Rm),
    /// Removes what broken downloads and older commits left
    #[command(after_help = examples::PRUNE)]
    Prune(Prune),
    /// Lists the models of the catalog, or the architectures that run
    List(List),
    /// Lists the packed weights that are kept for later starts, or drops some
    Cache(Cache),
    /// Prints what a shell is to read so that it completes commands, flags and names of models
    Completions(Completions),
    /// Writes the manual pages
    Man(Man),
}

/// How a model is loaded and run.
#[derive(Args, Clone, Debug)]
pub struct Loading {
    /// What weights become while loading: native, f32, bf16, q8_0, q4_0, q4_k or q6_k. Weights
    /// that are quantized already stay as they are unless a whole bit each is saved
    /// [default: native]
    #[arg(long, value_name = "TYPE", value_parser = parse_target)]
    pub weights: Option<Target>,
    /// Threads that compute [default: one for each processor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub threads: Option<u16>,
    /// Packs the weights anew, in memory, and keeps nothing. Without this, models above 64 MiB are
    /// packed once, into a file in the user's cache folder (BAIMO_CACHE names another) that is
    /// about as large as the model and may be deleted at any time; later starts map it
    #[arg(long)]
    pub no_cache: bool,
    /// Bytes that packed weights of all models may take of the disk: those used longest ago make
    /// room for new ones [default: BAIMO_CACHE_LIMIT, else half of what the disk has free]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub cache_limit: Option<usize>,
    /// Bytes that weights and caches may take of memory, such as 8G or 500M: experts beyond that
    /// are read from the disk as they are chosen [default: all stay in memory]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, conflicts_with = "no_cache")]
    pub memory: Option<usize>,
    /// Fetches a model that is not here without asking
    #[arg(short, long)]
    pub yes: bool,
}

/// `baimo run`.
#[derive(Args, Debug)]
#[command(after_help = examples::RUN)]
pub struct Run {
    /// The model [default: what BAIMO_MODEL names, else the built-in poet]
    #[arg(add = ArgValueCompleter::new(completions::models))]
    pub model: Option<String>,
    /// The prompt; without one, a chat (or the prompt is read from a pipe)
    pub prompt: Option<String>,
    /// How the model is loaded and run
    #[command(flatten)]
    pub loading: Loading,
    /// How tokens are chosen
    #[command(flatten)]
    pub sampling: SamplingFlags,
    /// What the chat template is told
    #[command(flatten)]
    pub chat: ChatFlags,
    /// Gives the prompt to the model as it is, without the chat template
    #[arg(long)]
    pub raw: bool,
    /// Most tokens of an answer
    #[arg(long, default_value_t = 4096, value_name = "N")]
    pub max_tokens: usize,
    /// Positions of a chat, prompt and answers together [default: the model's, at most 8192]
    #[arg(long, value_name = "N", value_parser = parse_positive)]
    pub context: Option<usize>,
    /// Numbers of cached keys and values: f16, f32, or q8, which takes little more than half of f16
    #[arg(long, default_value = "f16", value_name = "TYPE", value_parser = parse_kv)]
    pub kv: KvElement,
    /// Text that ends the answer (may be repeated)
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
}

/// How tokens are chosen; what is not said comes from the model's generation_config.json.
#[derive(Args, Clone, Debug, Default)]
pub struct SamplingFlags {
    /// 0 always chooses the likeliest token
    #[arg(long, value_name = "T", value_parser = parse_not_negative)]
    pub temperature: Option<f32>,
    /// Only the likeliest N tokens (0: all)
    #[arg(long, value_name = "N")]
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together reach this probability
    #[arg(long, value_name = "P", value_parser = parse_not_negative)]
    pub top_p: Option<f32>,
    /// Only tokens at least this probable relative to the likeliest
    #[arg(long, value_name = "P", value_parser = parse_not_negative)]
    pub min_p: Option<f32>,
    /// Makes tokens seen before less likely (1: not)
    #[arg(long, value_name = "X", value_parser = parse_above_zero)]
    pub repetition_penalty: Option<f32>,
    /// Subtracted from the logits of tokens already in the answer
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub presence_penalty: Option<f32>,
    /// Subtracted for each time a token is already in the answer
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub frequency_penalty: Option<f32>,
    /// Same seed, same answer [default: another each time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// What the chat template is told.
#[derive(Args, Clone, Debug, Default)]
pub struct ChatFlags {
    /// The system message
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// Asks the model to think first, or not to (for models that can do both)
    #[arg(long, value_name = "on|off", value_parser = parse_switch)]
    pub think: Option<bool>,
    /// Further template variables, as NAME=JSON (may be repeated)
    #[arg(long, value_name = "NAME=JSON", value_parser = parse_variable)]
    pub template_variable: Vec<(String, serde_json::Value)>,
}

/// `baimo tokenize`.
#[derive(Args, Debug)]
#[command(after_help = examples::TOKENIZE)]
pub struct Tokenize {
    /// The model
    #[arg(add = ArgValueCompleter::new(completions::models))]
    pub model: String,
    /// The text
    pub text: String,
    /// Puts in front what the model's own tokenizer puts there
    #[arg(long)]
    pub bos: bool,
    /// Reads special tokens in the text as plain text
    #[arg(long)]
    pub no_specials: bool,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// `baimo chat-template`.
#[derive(Args, Debug)]
#[command(after_help = examples::CHAT_TEMPLATE)]
pub struct ChatTemplate {
    /// The model
    #[arg(add = ArgValueCompleter::new(completions::models))]
    pub model: String,
    /// A JSON file: a list of messages, or an object with "messages" and "tools"
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub messages: PathBuf,
    /// Leaves out the words that open the model's answer
    #[arg(long)]
    pub no_generation_prompt: bool,
    /// What the chat template is told
    #[command(flatten)]
    pub chat: ChatFlags,
}

pub(crate) fn parse_target(text: &str) -> Result<Target, String> {
    text.parse()
}

pub(crate) fn parse_kv(text: &str) -> Result<KvElement, String> {
    match text {
        "f16" => Ok(KvElement::F16),
        "f32" => Ok(KvElement::F32),
        "q8" => Ok(KvElement::Q8),
        other => Err(format!("found `{other}`, wanted f16, f32 or q8")),
    }
}

fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(format!("found `{other}`, wanted on or off")),
    }
}

pub(crate) fn parse_positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        Ok(_) | Err(_) => Err(format!("found `{text}`, wanted a whole number above zero")),
    }
}

pub(crate) fn parse_bytes(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(['B', 'b']).trim_end_matches(['i', 'I']);
    let (digits, shift) = match digits.char_indices().next_back() {
        Some((at, 'K' | 'k')) => (&digits[..at], 10),
        Some((at, 'M' | 'm')) => (&digits[..at], 20),
        Some((at, 'G' | 'g')) => (&digits[..at], 30),
        Some((at, 'T' | 't')) => (&digits[..at], 40),
        _ => (digits, 0),
    };
    let count = digits.parse::<f64>().ok().filter(|count| *count >= 0.0);
    let count = count.ok_or_else(|| format!("found `{text}`, wanted bytes such as 8G or 500M"))?;
    Ok((count * (1u64 << shift) as f64) as usize)
}

fn parse_not_negative(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(number) if number >= 0.0 => Ok(number),
        Ok(_) | Err(_) => Err(format!("found `{text}`, wanted a number not below zero")),
    }
}

fn parse_above_zero(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(number) if number > 0.0 => Ok(number),
        Ok(_) | Err(_) => Err(format!("found `{text}`, wanted a number above zero")),
    }
}

fn parse_variable(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("found `{text}`, wanted NAME=JSON"))?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.to_owned(), value))
}
