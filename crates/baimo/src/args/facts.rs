//! What `list` and `show` are told.

use super::{examples, parse_bytes, parse_target};
use crate::completions;
use baimo_catalog::facts::field::MODALITIES;
use baimo_catalog::facts::{Convention, Date, Kind};
use baimo_weights::Target;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use clap_complete::ArgValueCompleter;
use std::path::PathBuf;

/// `baimo show`.
#[derive(Args, Debug)]
#[command(after_help = examples::SHOW)]
pub struct Show {
    /// A folder (one with nothing but config.json will do), a .gguf file, hf:OWNER/REPO or
    /// ms:OWNER/REPO, of which no weights are fetched, or a name of the catalog, which `baimo
    /// list` prints [default: as in `run`]
    #[arg(add = ArgValueCompleter::new(completions::models))]
    pub model: Option<String>,
    /// Lays a file over the catalog first: api.json of models.dev or
    /// model_prices_and_context_window.json of LiteLLM (may be repeated)
    #[arg(long, value_name = "FILE")]
    pub import: Vec<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// `baimo list`.
#[derive(Args, Debug)]
#[command(after_help = examples::LIST)]
pub struct List {
    /// Only labs with this in their name, in either script, or in their house's name (may be
    /// repeated: any of them)
    #[arg(long, value_name = "NAME")]
    pub lab: Vec<String>,
    /// Lists the models of hubs that are here, with their bytes
    #[arg(long)]
    pub local: bool,
    /// Only models whose weights anybody can download
    #[arg(long)]
    pub open: bool,
    /// Only models that their labs serve and keep
    #[arg(long, conflicts_with = "open")]
    pub api: bool,
    /// Only models that baimo runs
    #[arg(long)]
    pub runs: bool,
    /// Only models that read or write this (may be repeated: all of them)
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(MODALITIES))]
    pub modality: Vec<String>,
    /// Only models whose weights fit: parameters times the bits of --weights, an estimate
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub max_memory: Option<usize>,
    /// The type of weights that --max-memory counts with
    #[arg(long, default_value = "q4_k", value_name = "TYPE", value_parser = parse_target)]
    pub weights: Target,
    /// Only models that may be as new as this year, month or day, such as 2025-04
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    pub released_after: Option<Date>,
    /// What rows are about: model, product (applications) or milestone
    #[arg(long, default_value = "model", value_name = "KIND", value_parser = parse_kind)]
    pub kind: Kind,
    /// The order of the rows
    #[arg(long, value_enum, default_value_t = Sort::Lab)]
    pub sort: Sort,
    /// Lays a file over the catalog first: api.json of models.dev or
    /// model_prices_and_context_window.json of LiteLLM (may be repeated)
    #[arg(long, value_name = "FILE")]
    pub import: Vec<PathBuf>,
    /// Prints the whole catalog in the field names of models.dev or litellm, as JSON
    #[arg(long, value_name = "CONVENTION", value_parser = parse_convention)]
    pub export: Option<Convention>,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
    /// Prints the architectures that run instead, as their pages have them
    #[arg(long)]
    pub architectures: bool,
    /// Prints the architectures as a Markdown table
    #[arg(long)]
    pub markdown: bool,
}

/// An order of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// As the labs' files have them
    Lab,
    /// By name
    Name,
    /// The newest first, those without a date last
    Released,
    /// The smallest first, those of unknown size last
    Size,
}

fn parse_date(text: &str) -> Result<Date, String> {
    text.parse().map_err(|wanted| format!("found `{text}`, wanted {wanted}"))
}

fn parse_kind(text: &str) -> Result<Kind, String> {
    named(&Kind::ALL, text)
}

fn parse_convention(text: &str) -> Result<Convention, String> {
    named(&Convention::ALL, text)
}

fn named<T: Copy>(all: &[(&'static str, T)], text: &str) -> Result<T, String> {
    let found = all.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        format!("found `{text}`, wanted one of {}", names.join(", "))
    })
}
