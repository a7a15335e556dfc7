//! What the command line of `baimo cache` says.

use super::examples;
use clap::Args;

/// `baimo cache`.
#[derive(Args, Debug)]
#[command(after_help = examples::CACHE)]
pub struct Cache {
    /// Deletes the packed weights of a model: its path, the last part of it, or the beginning of
    /// the file's name (may be repeated)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["all", "json"])]
    pub drop: Vec<String>,
    /// Deletes all packed weights that are not in use
    #[arg(long, conflicts_with = "json")]
    pub all: bool,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}
